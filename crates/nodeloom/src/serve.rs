//! `nodeloom serve`: from the settings to the ready line, and to a clean end.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use nodeloom_app::{App, AppError, NewAdmin, password};
use nodeloom_domain::Email;
use nodeloom_web::WebSettings;
use rustix::process::Signal as SignalNumber;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::config::{CommonFlags, Config, Mode, ServeConfig, ServeFlags, TlsFiles};
use crate::environment::Environment;
use crate::mail::SmtpMailer;
use crate::outbound;
use crate::output::{self, Exit, Failure, Outcome};
use crate::root_source::plain_reason;
use crate::startup::{self, Lock, Roots};

pub(crate) const EXAMPLES: &str = "\
Examples:
  nodeloom serve
      development: http://127.0.0.1:8080, data in ./data, a key made at the first start
  APP_ENV=production APP_BASE_URL=https://vault.example.com \\
  APP_ENCRYPTION_KEY_FILE=/run/secrets/key APP_TRUSTED_PROXIES=10.0.0.2 \\
  nodeloom serve --listen 0.0.0.0:8080 --data-dir /var/lib/nodeloom
      production, behind a proxy that does TLS

The first administrator comes from ADMIN_EMAIL and ADMIN_PASSWORD, or from a one-time link that is
printed at the first start. Send SIGHUP to read the TLS files again, SIGTERM to stop.";

/// How long requests under way may take once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5 * 60);
/// The first time is right after the start.
const RETENTION_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(10 * 60);
const REMINDERS_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often a waiting set-up link is looked after, and how long it works.
const LINK_EVERY: Duration = Duration::from_secs(2);
const LINK_LIFE: Duration = Duration::from_secs(60 * 60);
/// Slower than any honest client, faster than a patient attacker with many connections.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// Runs the server until a signal ends it.
pub(crate) fn run(environment: Environment, common: &CommonFlags, flags: &ServeFlags) -> Outcome {
    let config = ServeConfig::read(&environment, common, flags)?;
    crate::start_log(&config.common.log)?;
    let roots = Roots::read(&environment, &config.common)?;
    roots.require_strong(config.common.mode)?;
    // The copies of the secrets end here; what is needed has its own type.
    drop(environment);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("the server does not start").because(error.to_string()))?;
    let outcome = runtime.block_on(Box::pin(serve(config, roots)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(mut config: ServeConfig, roots: Roots) -> Outcome {
    let mut signals = Signals::listen()?;
    let mut judged = startup::judge_key(&config.common, &roots).await?;
    drop(roots);
    // What the first start needs is checked while there is nothing to undo.
    if judged.is_fresh
        && let Some(admin) = first_admin(&mut config)?
    {
        config.admin_email = Some(admin.email);
        config.admin_password = Some(admin.password);
    }
    let tls = match &config.tls {
        Some(files) => Some(load_tls(files).await?),
        None => None,
    };
    let outbound = outbound::open(&config.common.outbound)?;
    let mailer = match config.mail.take() {
        Some(mail) => {
            let authorities = outbound::authorities(&config.common.outbound)?;
            Some(SmtpMailer::new(mail, &authorities)?)
        }
        None => None,
    };
    startup::prepare_data_dir(&config.common)?;
    let lock = Lock::take(&config.common.database)?;
    let (listener, address) = listen(config.listen)?;
    judged.keep_generated(&config.common)?;

    let origin = startup::origin();
    let app = startup::open_instance(&config.common, judged.roots, &origin).await?;
    app.use_connection_tester(outbound::Tester(outbound.clone()));
    if let Some(single_sign_on) = config.single_sign_on.take() {
        app.use_single_sign_on(outbound::single_sign_on(single_sign_on, &outbound));
    }
    let is_set_up = matches!(app.needs_set_up().await, Ok(false));
    let link = set_up(&app, &mut config, address).await?;
    check_default_team(&app, is_set_up).await?;
    checkpoint(&app, &config.common).await;

    let base_url = config.base_url.as_ref().map(ToString::to_string);
    let settings = WebSettings {
        mode: match config.common.mode {
            Mode::Production => nodeloom_web::Mode::Production,
            Mode::Development => nodeloom_web::Mode::Development,
        },
        base_url: config.base_url,
        listen: address,
        trusted_proxies: config.trusted_proxies,
        tls: tls.is_some(),
        version: env!("CARGO_PKG_VERSION"),
        metrics_token: config.metrics_token,
        audit_anchor: Some(config.common.audit_anchor()),
        rate_limits: config.rate_limits,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let handle = Handle::new();
    let router = nodeloom_web::router(app.clone(), settings);
    let mut serving = spawn(listener, router, tls.clone(), handle.clone())?;
    let is_listening = handle.listening().await.is_some();
    if is_listening && let Err(error) = app.ready().await {
        // It was there a moment ago; /health/ready tells when it is back.
        tracing::warn!(
            error = startup::chain(&error),
            "the database went away during the start"
        );
    }
    // A closed stdout is the reader's choice and no reason to stop.
    let _ = output::line(&format!("nodeloom is ready on {scheme}://{address}"));
    if let Some(link) = &link {
        let _ = output::line(link);
    }
    announce(&app).await;
    let periodic = tokio::spawn(periodic(app.clone(), config.common.clone()));
    let reminding = mailer.map(|mailer| tokio::spawn(remind(app.clone(), mailer, base_url)));
    let following = {
        let app = app.clone();
        tokio::spawn(async move { app.follow_audit_sink().await })
    };

    let mut ended = None;
    while ended.is_none() {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break,
                Asked::Reload => reload_tls(tls.as_ref(), config.tls.as_ref()).await,
            },
            result = &mut serving => ended = Some(result),
        }
    }
    tracing::info!("stopping");
    handle.graceful_shutdown(Some(DRAIN));
    if ended.is_none() {
        tokio::select! {
            _ = &mut serving => {}
            // Asked twice: what is under way is cut off.
            () = signals.stop() => handle.shutdown(),
        }
    }
    periodic.abort();
    following.abort();
    if let Some(reminding) = reminding {
        reminding.abort();
    }
    checkpoint(&app, &config.common).await;
    if let Err(error) = app.release_audit_sink().await {
        tracing::warn!(
            error = startup::chain(&error),
            "the audit sink is given nothing for a minute"
        );
    }
    if let Err(error) = app.withdraw().await {
        tracing::warn!(
            error = startup::chain(&error),
            "this process counts as alive for another minute"
        );
    }
    app.close().await;
    drop(lock);
    match ended {
        None => Ok(Exit::Done),
        Some(_) => Err(Failure::failed("the server stopped by itself")),
    }
}

/// The signals that the server knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Outcome<Self> {
        let on = |kind| {
            signal(kind).map_err(|error| {
                Failure::failed("signals cannot be received").because(error.to_string())
            })
        };
        // Its own action is to end the process when a file meets its size limit. Handled, the write
        // fails instead, as it does on a full disk, and one answer is a 503.
        drop(on(SignalKind::from_raw(SignalNumber::XFSZ.as_raw()))?);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    Reload,
}

fn listen(address: SocketAddr) -> Outcome<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    });
    bound.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there".into(),
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
            std::io::ErrorKind::PermissionDenied => {
                "this user may not use that port (below 1024 a capability is needed)".into()
            }
            _ => error.to_string(),
        };
        Failure::configuration(format!("cannot listen on {address}"))
            .because(why)
            .next_step("stop the other program, or set NODELOOM_LISTEN to another address")
    })
}

fn spawn(
    listener: TcpListener,
    router: axum::Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> Outcome<JoinHandle<std::io::Result<()>>> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)
        .map_err(|error| Failure::failed("the server does not start").because(error.to_string()))?
        .handle(handle)
        .first_request_timeout(FIRST_REQUEST);
    server.http_builder().http2().max_concurrent_streams(128);
    // Answers are small and written whole: waiting to fill a packet only adds delay.
    Ok(match tls {
        None => tokio::spawn(server.acceptor(NoDelayAcceptor::new()).serve(service)),
        Some(tls) => {
            let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
            tokio::spawn(server.acceptor(acceptor).serve(service))
        }
    })
}

async fn load_tls(files: &TlsFiles) -> Outcome<RustlsConfig> {
    for (name, path) in [
        ("NODELOOM_TLS_CERT_FILE", &files.certificate),
        ("NODELOOM_TLS_KEY_FILE", &files.key),
    ] {
        if let Err(error) = fs::File::open(path).and_then(|file| file.metadata()) {
            return Err(Failure::configuration(format!(
                "{name} ({}) cannot be used",
                path.display()
            ))
            .because(plain_reason(&error))
            .next_step(format!("set {name} to a PEM file that this user can read")));
        }
    }
    RustlsConfig::from_pem_file(&files.certificate, &files.key)
        .await
        .map_err(|error| {
            Failure::configuration(format!(
                "the TLS files {} and {} cannot be used",
                files.certificate.display(),
                files.key.display()
            ))
            .because(error.to_string())
            .next_step(
                "NODELOOM_TLS_CERT_FILE needs the certificate chain and NODELOOM_TLS_KEY_FILE its \
                 unencrypted private key, both in PEM and made for each other",
            )
        })
}

async fn reload_tls(tls: Option<&RustlsConfig>, files: Option<&TlsFiles>) {
    let (Some(tls), Some(files)) = (tls, files) else {
        tracing::info!("SIGHUP: there are no TLS files to read again");
        return;
    };
    match tls
        .reload_from_pem_file(&files.certificate, &files.key)
        .await
    {
        Ok(()) => tracing::info!("the TLS files were read again"),
        Err(error) => {
            tracing::error!(%error, "the TLS files cannot be used; the former ones stay in use");
        }
    }
}

impl ServeConfig {
    fn forget_admin(&mut self) {
        self.admin_email = None;
        self.admin_password = None;
    }
}

/// The first administrator of the settings, checked.
fn first_admin(config: &mut ServeConfig) -> Outcome<Option<NewAdmin>> {
    let (email, password) = match (config.admin_email.take(), config.admin_password.take()) {
        (None, None) => return Ok(None),
        (Some(email), Some(password)) => (email, password),
        (email, _) => {
            let (given, missing) = match email {
                Some(_) => ("ADMIN_EMAIL", "ADMIN_PASSWORD"),
                None => ("ADMIN_PASSWORD", "ADMIN_EMAIL"),
            };
            return Err(
                Failure::configuration(format!("{given} is set and {missing} is not"))
                    .because("the first administrator needs both")
                    .next_step(format!("set {missing} too"))
                    .next_step(format!(
                        "or unset {given} to get a one-time set-up link instead"
                    )),
            );
        }
    };
    let mut problems = Vec::new();
    if let Err(error) = Email::parse(&email) {
        problems.push(
            Failure::configuration(format!("ADMIN_EMAIL {error}"))
                .next_step("set ADMIN_EMAIL to the address of the first administrator"),
        );
    }
    if let Err(errors) = password::check(&password, &email) {
        for error in errors.0 {
            problems.push(
                Failure::configuration(format!(
                    "ADMIN_PASSWORD breaks the rule `{}`: it {}",
                    error.rule, error.message
                ))
                .next_step("set ADMIN_PASSWORD to a longer text that nobody would guess"),
            );
        }
    }
    Failure::all(problems)?;
    Ok(Some(NewAdmin {
        email,
        password,
        first_name: String::new(),
        last_name: String::new(),
    }))
}

/// Refuses a team for new people that does not exist, so that a slip is seen before the first of
/// them stands at the door. At the very first start there was no way yet to make teams.
async fn check_default_team(app: &App, was_set_up: bool) -> Outcome<()> {
    let failed = |error: AppError| {
        Failure::failed("the teams cannot be read").because(startup::chain(&error))
    };
    if app.has_default_team().await.map_err(failed)? {
        return Ok(());
    }
    if !was_set_up {
        tracing::warn!(
            "the team of OIDC_DEFAULT_TEAM does not exist yet; until somebody makes it, nobody new \
             gets in by single sign-on"
        );
        return Ok(());
    }
    Err(
        Failure::configuration("OIDC_DEFAULT_TEAM names a team that does not exist")
            .because("somebody new could not get in by single sign-on")
            .next_step(
                "set OIDC_DEFAULT_TEAM to the name or id of a team, as written in the teams' list",
            )
            .next_step("or unset it: people then join the oldest team")
            .next_step("or unset it, start, make the team, and set it again"),
    )
}

/// Makes the first administrator, or a link to become it. Returns what the terminal shall show.
async fn set_up(
    app: &App,
    config: &mut ServeConfig,
    address: SocketAddr,
) -> Outcome<Option<String>> {
    let origin = startup::origin();
    let file = config.common.set_up_link();
    let failed = |error: AppError| {
        Failure::configuration("the first administrator cannot be made")
            .because(startup::chain(&error))
            .next_step("correct ADMIN_EMAIL and ADMIN_PASSWORD, or unset both")
    };
    remove_link(&file);
    if !app.needs_set_up().await.map_err(failed)? {
        if config.admin_email.is_some() || config.admin_password.is_some() {
            tracing::info!("ADMIN_EMAIL and ADMIN_PASSWORD are ignored: there is a user already");
        }
        config.forget_admin();
        return Ok(None);
    }
    if let Some(admin) = first_admin(config)? {
        app.create_first_admin(admin, &origin)
            .await
            .map_err(failed)?;
        return Ok(None);
    }
    let code = app.issue_set_up_code(&origin).await.map_err(failed)?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let base = match &config.base_url {
        Some(base) => base.to_string(),
        None => format!("{scheme}://{address}"),
    };
    // EXPOSE: shown once, to whoever started the server.
    let link = format!("{base}/setup#code={}", code.expose());
    if std::io::stdout().is_terminal() {
        return Ok(Some(format!(
            "\nOpen this link within one hour to become the first administrator:\n\n  {link}\n"
        )));
    }
    startup::write_private(&file, format!("{link}\n").as_bytes()).map_err(|error| {
        Failure::configuration(format!(
            "the set-up link {} cannot be written",
            file.display()
        ))
        .because(plain_reason(&error))
        .next_step("make the data directory writable, or set ADMIN_EMAIL and ADMIN_PASSWORD")
    })?;
    tracing::info!(
        file = %file.display(),
        "there is no user yet: open the link in this file within one hour"
    );
    Ok(None)
}

fn remove_link(file: &Path) {
    match fs::remove_file(file) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "a used set-up link stays in its file");
        }
    }
}

/// What has to happen from time to time.
async fn periodic(app: App, config: Config) {
    let every = |period| {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let mut checkpoints = every(CHECKPOINT_EVERY);
    let mut housekeeping = every(HOUSEKEEPING_EVERY);
    let mut links = every(LINK_EVERY);
    let mut alive = every(App::ANNOUNCE_EVERY);
    let mut retention = interval(RETENTION_EVERY);
    retention.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut purge = interval(RETENTION_EVERY);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let file = config.set_up_link();
    let mut link_until = file.exists().then(|| Instant::now() + LINK_LIFE);
    loop {
        tokio::select! {
            _ = alive.tick() => announce(&app).await,
            _ = checkpoints.tick() => checkpoint(&app, &config).await,
            _ = housekeeping.tick() => {
                if let Err(error) = app.housekeeping().await {
                    tracing::warn!(error = startup::chain(&error), "housekeeping failed");
                }
            }
            _ = retention.tick(), if config.audit_retention_days.is_some() => {
                prune(&app, config.audit_retention_days).await;
            }
            _ = purge.tick(), if config.credential_purge_days > 0 => {
                match app.purge_deleted(config.credential_purge_days).await {
                    Ok(0) => {}
                    Ok(purged) => tracing::info!(purged, "deleted credentials were purged"),
                    Err(error) => tracing::error!(
                        error = startup::chain(&error),
                        "deleted credentials were not purged"
                    ),
                }
            }
            _ = links.tick(), if link_until.is_some() => {
                let is_over = link_until.is_some_and(|until| Instant::now() >= until);
                if is_over {
                    tracing::info!("the set-up link has expired; restart to get a new one");
                }
                if is_over || matches!(app.needs_set_up().await, Ok(false)) {
                    remove_link(&file);
                    link_until = None;
                }
            }
        }
    }
}

/// Reminds by mail of credentials that expire or should be rotated. A task of its own: a mail
/// server that hangs must not keep anything else waiting.
async fn remind(app: App, mailer: SmtpMailer, base_url: Option<String>) {
    let mut ticks = interval(REMINDERS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match app.send_reminders(&mailer, base_url.as_deref()).await {
            Ok(sent) if sent.reminders > 0 => tracing::info!(
                mails = sent.mails,
                reminders = sent.reminders,
                "people were reminded of credentials"
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!(error = startup::chain(&error), "reminders were not sent"),
        }
    }
}

/// Says that this process lives, so that its root key is not given up.
async fn announce(app: &App) {
    if let Err(error) = app.announce(&startup::host_name()).await {
        tracing::warn!(
            error = startup::chain(&error),
            "other processes do not hear that this one lives"
        );
    }
}

/// Removes the events that are older than the setting keeps them.
async fn prune(app: &App, days: Option<u32>) {
    let Some(days) = days else { return };
    match app.prune_audit_by_age(days).await {
        Ok(None) => {}
        Ok(Some(seam)) => tracing::info!(
            first = seam.first,
            last = seam.last,
            "old audit events were removed, and a signed seam stays"
        ),
        Err(error) => tracing::error!(
            error = startup::chain(&error),
            "old audit events were not removed"
        ),
    }
}

/// Puts the head of the audit chain where a writer of the database cannot take it back: into the
/// log and a file.
async fn checkpoint(app: &App, config: &Config) {
    let anchor = match app.checkpoint().await {
        Ok(Some(anchor)) => anchor,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(error = startup::chain(&error), "no audit checkpoint");
            return;
        }
    };
    let Ok(line) = serde_json::to_string(&anchor) else {
        tracing::error!("an audit checkpoint is no JSON");
        return;
    };
    tracing::info!(anchor = line, "audit checkpoint");
    let file = config.audit_anchor();
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&file)
        .and_then(|mut file| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        });
    if let Err(error) = written {
        tracing::warn!(file = %file.display(), %error, "the audit checkpoint is in the log alone");
    }
}
