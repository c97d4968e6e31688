//! The commands, one file for each noun, and how they open the instance.

pub(crate) mod audit;
pub(crate) mod credential;
pub(crate) mod doctor;
pub(crate) mod key;
pub(crate) mod migrate;
pub(crate) mod team;
pub(crate) mod token;
pub(crate) mod user;

use nodeloom_app::{App, AppError, Ctx, Who};
use nodeloom_domain::policy::Denied;

use crate::config::{CommonFlags, Config};
use crate::environment::Environment;
use crate::output::{Failure, Outcome};
use crate::startup::{self, Judged, Roots};

/// Whether a weak key stops a command in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// It does, as it stops the server.
    Refuse,
    /// It is part of what the command reports.
    Report,
}

/// An open instance and who works on it.
pub(crate) struct Session {
    pub(crate) app: App,
    pub(crate) ctx: Ctx,
    pub(crate) config: Config,
    pub(crate) roots: Roots,
}

/// Reads settings and key, asks the data, and opens what is there.
///
/// # Errors
/// As the start of the server; also when there is nothing stored yet.
pub(crate) async fn open(
    environment: Environment,
    flags: &CommonFlags,
    strictness: Strictness,
) -> Outcome<Session> {
    let (config, roots, judged) = judged(environment, flags, strictness).await?;
    startup::require_instance(&config, &judged)?;
    open_judged(config, roots, judged).await
}

/// Opens what was judged.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_judged(config: Config, roots: Roots, judged: Judged) -> Outcome<Session> {
    let origin = startup::origin();
    let app = startup::open_instance(&config, judged.roots, &origin).await?;
    let who = Who::Operator {
        user: startup::user_name(),
        host: startup::host_name(),
    };
    Ok(Session {
        app,
        ctx: Ctx::new(origin, who),
        config,
        roots,
    })
}

/// Reads settings and key and asks the data about the key.
///
/// # Errors
/// As the start of the server.
pub(crate) async fn judged(
    environment: Environment,
    flags: &CommonFlags,
    strictness: Strictness,
) -> Outcome<(Config, Roots, Judged)> {
    let config = Config::read(&environment, flags)?;
    crate::start_log(&config.log)?;
    // One command, one task: that the key's command blocks this thread harms nobody.
    let roots = Roots::read(&environment, &config)?;
    if strictness == Strictness::Refuse {
        roots.require_strong(config.mode)?;
    }
    drop(environment);
    let judged = startup::judge_key(&config, &roots).await?;
    Ok((config, roots, judged))
}

impl Session {
    /// Closes the database, which folds the WAL of SQLite into its file.
    pub(crate) async fn close(&self) {
        self.app.close().await;
    }
}

/// Runs a command's future.
///
/// # Errors
/// Its own.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::failed("the command does not start").because(error.to_string())
        })?;
    runtime.block_on(Box::pin(work))
}

/// What a use-case answered, in words for a terminal. `what` was being done.
pub(crate) fn failure(what: &str, error: AppError) -> Failure {
    let failed = Failure::failed(format!("{what}: {error}"));
    match error {
        AppError::Invalid(errors) => {
            let each = errors
                .0
                .iter()
                .map(|error| format!("{}: {} (rule `{}`)", error.field, error.message, error.rule));
            each.fold(
                Failure::failed(format!("{what}: the input is refused")),
                Failure::because,
            )
            .next_step("correct the fields named above")
        }
        AppError::NotFound => failed.next_step("see `nodeloom credential list`"),
        AppError::NameTaken { .. } => failed
            .next_step("choose another name")
            .next_step("or change the existing one with `nodeloom credential set`"),
        AppError::Stale { .. } => failed.next_step("run the command again"),
        AppError::TooLarge { .. } => failed.next_step("store less in one credential"),
        AppError::Quarantined => failed
            .next_step("run `nodeloom doctor`, which names every value that does not open")
            .next_step("restore the value from a backup, or set every required field anew"),
        AppError::KeyRefused(ref why) => why
            .next_steps()
            .iter()
            .fold(failed, |failure, step| failure.next_step(*step)),
        AppError::Locked => {
            failed.next_step("bring the key back that sealed it; see `nodeloom key status`")
        }
        AppError::Denied(Denied::ReauthenticationRequired) => failed,
        AppError::AuditUnavailable => failed
            .because("AUDIT_SINK_REQUIRED is set; nothing was done")
            .next_step("see what is wrong with AUDIT_SINK: `nodeloom doctor` tries it"),
        AppError::AuditBroken { .. } => failed
            .because("what is there is evidence and stays")
            .next_step("run `nodeloom audit verify`, and keep a copy of the database as it is"),
        AppError::Unavailable(cause) => {
            Failure::failed(format!("{what}: the database cannot be used"))
                .because(startup::chain(&cause))
                .next_step("check the database and its disk, and run the command again")
        }
        other => Failure::failed(format!("{what}: {}", startup::chain(&other))),
    }
}
