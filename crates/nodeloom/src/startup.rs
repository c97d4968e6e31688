//! What stands between the settings and an open instance: the key, the verdict of the data, the
//! directory, the lock. Each refusal is exit code 78, and leaves everything as it was.

mod key;
mod place;

use std::fs;
use std::time::Duration;

use nodeloom_app::{App, AuditSink, HeldRoots, KeyRefusal, OpenError, Verdict, judge, judge_held};
use nodeloom_crypto::{RootKey, Secret, strength};
use nodeloom_domain::{AuditEventId, Clock, audit::Origin};
use nodeloom_store::{RootState, SCHEMA_VERSION, SchemaState, Store, StoreError, Survey, Target};

use crate::config::{Config, Mode};
use crate::output::{Failure, Outcome, note};
use crate::root_source::{self, RootString, Source, plain_reason};
pub(crate) use key::{MAKE_A_KEY, Roots, weigh};
pub(crate) use place::{Lock, prepare_data_dir, write_private};

/// How long a database may take to answer at start.
const DATABASE_LIMIT: Duration = Duration::from_secs(5);

/// A key that the data accept.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The key, and the one before it where that is given.
    pub(crate) roots: HeldRoots,
    /// Whether the data know only the previous key as yet.
    pub(crate) needs_rewrap: bool,
    /// What was found in the database.
    pub(crate) survey: Survey,
    /// Whether there is nothing stored yet.
    pub(crate) is_fresh: bool,
    /// A key that was just made and is not in its file yet.
    generated: Option<Secret<String>>,
}

/// Asks the data about the key. Changes nothing.
///
/// # Errors
/// The database cannot be read, or the key is not the one that it needs.
pub(crate) async fn judge_key(config: &Config, roots: &Roots) -> Outcome<Judged> {
    let Some(current) = &roots.current else {
        return judge_without_key(config).await;
    };
    let survey = survey(config).await?;
    let previous = roots.previous.as_ref().map(|previous| previous.derive());
    let held = HeldRoots::new(current.derive(), previous);
    let verdict = judge_held(&survey, &held);
    if let Verdict::Refused(refusal) = verdict {
        return Err(refused(config, roots, &survey, &refusal));
    }
    if let Some(given) = &roots.previous {
        heed_previous(given, &held, &survey, matches!(verdict, Verdict::Fresh));
    }
    Ok(Judged {
        roots: held,
        needs_rewrap: matches!(verdict, Verdict::Rewrap),
        is_fresh: matches!(verdict, Verdict::Fresh),
        survey,
        generated: None,
    })
}

/// Says what a previous key is good for, where it is good for nothing.
fn heed_previous(given: &RootString, held: &HeldRoots, survey: &Survey, is_fresh: bool) {
    let ignored = |why: &str| {
        note(
            "note",
            &format!("the previous key in {} was ignored: {why}", given.source),
        );
    };
    let Some(previous) = held.previous() else {
        return ignored("it is the same as the current key");
    };
    let known = survey.roots.iter().find(|root| root.id == previous.id());
    match known {
        _ if is_fresh => ignored("there is nothing stored yet"),
        None => ignored("the data have never known it"),
        Some(root) if root.state == RootState::Retired => {
            ignored("it is retired; remove APP_ENCRYPTION_KEY_PREVIOUS from the settings");
        }
        Some(_) => {}
    }
}

async fn judge_without_key(config: &Config) -> Outcome<Judged> {
    let generated = strength::generate()
        .map_err(|error| Failure::failed("no key could be made").because(error.to_string()))?;
    let generated = Secret::new(generated.as_str().to_owned());
    // EXPOSE: derived from, and kept if the database is fresh.
    let root = RootKey::derive(generated.expose().as_bytes());
    let missing = Failure::configuration("there is no encryption key")
        .because("neither APP_ENCRYPTION_KEY nor its _FILE or _COMMAND is set");
    let survey = match survey(config).await {
        Ok(survey) => survey,
        // The key is missing whatever the database says, and that comes first.
        Err(_) if config.mode == Mode::Production => return Err(missing.next_step(MAKE_A_KEY)),
        Err(failure) => return Err(failure),
    };
    match judge(&survey, &root) {
        // The new key is no key of the database: a match cannot be.
        Verdict::Fresh | Verdict::Match | Verdict::Rewrap if config.mode == Mode::Development => {
            Ok(Judged {
                roots: root.into(),
                needs_rewrap: false,
                survey,
                is_fresh: true,
                generated: Some(generated),
            })
        }
        Verdict::Fresh | Verdict::Match | Verdict::Rewrap => Err(missing.next_step(MAKE_A_KEY)),
        Verdict::Refused(
            KeyRefusal::NeverSeen { expected, .. } | KeyRefusal::Retired { expected, .. },
        ) => {
            let ids: Vec<String> = expected
                .iter()
                .map(|root| format!("root id {} (first used {})", root.id, root.first_seen))
                .collect();
            let file = config.generated_key();
            Err(missing
                .because(format!(
                    "the database {} is encrypted and expects the key with {}",
                    config.database,
                    ids.join(" or ")
                ))
                .next_step(
                    "set APP_ENCRYPTION_KEY, APP_ENCRYPTION_KEY_FILE or \
                     APP_ENCRYPTION_KEY_COMMAND to the key with that root id",
                )
                .next_step(format!(
                    "if development made the key, put {} back",
                    file.display()
                ))
                .next_step(
                    "or point NODELOOM_DATA_DIR at an empty directory to start with nothing",
                ))
        }
        Verdict::Refused(damage) => Err(damage
            .next_steps()
            .into_iter()
            .fold(missing.because(damage.to_string()), Failure::next_step)),
    }
}

fn refused(config: &Config, roots: &Roots, survey: &Survey, refusal: &KeyRefusal) -> Failure {
    let mut failure =
        Failure::configuration("the key does not fit the data").because(refusal.to_string());
    let of_key = matches!(
        refusal,
        KeyRefusal::NeverSeen { .. } | KeyRefusal::Retired { .. }
    );
    if of_key && let Some(previous) = &roots.previous {
        let fits = matches!(judge(survey, &previous.derive()), Verdict::Match);
        failure = failure.because(if fits {
            "the previous key is the one that the data expect, and a retired key cannot \
                 come back: make a new one"
        } else {
            "the previous key is not the one that the data expect either"
        });
    }
    let own = config.generated_key();
    let is_own = roots
        .current
        .as_ref()
        .is_some_and(|root| root.source == Source::Generated(own.clone()).to_string());
    if of_key && !is_own && own.exists() {
        failure = failure.next_step(format!(
            "{} holds a key that development made; to use it, set APP_ENCRYPTION_KEY_FILE to it \
             and unset the other source",
            own.display()
        ));
    }
    refusal
        .next_steps()
        .into_iter()
        .fold(failure, Failure::next_step)
}

/// Looks at the database without touching it.
///
/// # Errors
/// It does not answer, is damaged, or newer than this program.
pub(crate) async fn survey(config: &Config) -> Outcome<Survey> {
    let survey = within_limit(config, Store::survey(&config.database)).await?;
    if let SchemaState::TooNew { found, known } = survey.schema {
        return Err(database_failure(
            &config.database,
            &StoreError::SchemaTooNew { found, known },
        ));
    }
    if let Target::Sqlite { path } = &config.database
        && survey.schema == SchemaState::Absent
        && config.audit_anchor().exists()
    {
        let anchor = config.audit_anchor();
        if path.exists() {
            // A file that was cut to nothing looks like one that was never written.
            return Err(Failure::configuration(format!(
                "the database {} is empty, and was not always",
                path.display()
            ))
            .because(format!(
                "{} speaks of an instance in this directory",
                anchor.display()
            ))
            .next_step("restore the database from a backup")
            .next_step(format!(
                "to start with nothing, move {} and {} away",
                path.display(),
                anchor.display()
            )));
        }
        note(
            "warning",
            &format!(
                "{} speaks of an instance in this directory, and there is no database any more",
                anchor.display()
            ),
        );
    }
    Ok(survey)
}

/// Waits for the database, but not for ever.
async fn within_limit<T>(
    config: &Config,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Outcome<T> {
    match tokio::time::timeout(DATABASE_LIMIT, Box::pin(work)).await {
        Ok(result) => result.map_err(|error| database_failure(&config.database, &error)),
        Err(_) => Err(Failure::configuration(format!(
            "the database {} does not answer",
            config.database
        ))
        .because("there was no answer within 5 seconds")
        .next_step("check that the server is running and can be reached from here")),
    }
}

/// A failure of the database at start, in words for an operator.
pub(crate) fn database_failure(target: &Target, error: &StoreError) -> Failure {
    let mut failure = Failure::configuration(format!("the database {target} cannot be used"))
        .because(chain(error));
    let is_file = matches!(target, Target::Sqlite { .. });
    let steps: &[&str] = match error {
        StoreError::Unavailable(_) if is_file => {
            &["check the file, its directory and the disk; another program may hold the file"]
        }
        StoreError::Unavailable(_) => &[
            "check that the server is running and can be reached from here",
            "check host and port in DATABASE_URL",
        ],
        StoreError::Refused { .. } if is_file => {
            &["give this user the right to read and write the file and its directory"]
        }
        StoreError::Refused { .. } => {
            &["check user, password and database in DATABASE_URL, and the user's rights"]
        }
        StoreError::Full => &["make room on the disk"],
        StoreError::ReadOnly if is_file => &[
            "give this user the right to write the file and its directory, and mount the file \
             system for writing",
        ],
        StoreError::ReadOnly => &["connect to the primary server, not to a replica"],
        StoreError::Corrupt { .. } => &[
            "keep a copy of the database as it is, and restore the newest backup",
            "nothing was changed; for SQLite, `sqlite3 FILE .recover` may save what is left",
        ],
        StoreError::NotADatabase => {
            &["point NODELOOM_DATA_DIR at the right directory, or restore the file from a backup"]
        }
        StoreError::SchemaTooNew { .. } => {
            &["run the newer version of nodeloom again; a schema never goes back"]
        }
        StoreError::SchemaBehind => &["run `nodeloom migrate`"],
        _ => &["see the log, and keep a copy of the database as it is"],
    };
    for step in steps {
        failure = failure.next_step(*step);
    }
    failure
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl Judged {
    /// Writes the key that development made into its file.
    ///
    /// # Errors
    /// The file cannot be written, or another process was faster.
    pub(crate) fn keep_generated(&mut self, config: &Config) -> Outcome<()> {
        let Some(text) = self.generated.take() else {
            return Ok(());
        };
        let path = config.generated_key();
        root_source::store_generated(&path, &text).map_err(|error| {
            Failure::configuration(format!("the key file {} cannot be made", path.display()))
                .because(plain_reason(&error))
                .next_step("start again; a key that is there by then is used")
        })?;
        note(
            "note",
            &format!(
                "made a new encryption key in {}; whoever loses it loses the data, so keep a \
                 copy in a safe place",
                path.display()
            ),
        );
        Ok(())
    }
}

/// Opens the database, brings its schema up to date and opens the instance in it.
///
/// # Errors
/// As [`database_failure`], and whatever the application finds.
pub(crate) async fn open_instance(
    config: &Config,
    roots: HeldRoots,
    origin: &Origin,
) -> Outcome<App> {
    let store = within_limit(config, Store::open(&config.database)).await?;
    let ran = store
        .migrate()
        .await
        .map_err(|error| database_failure(&config.database, &error))?;
    for name in ran {
        tracing::info!(name, "migration");
    }
    open_app(config, store, roots, origin).await
}

/// Opens the instance in a database whose schema is up to date.
pub(crate) async fn open_app(
    config: &Config,
    store: Store,
    roots: HeldRoots,
    origin: &Origin,
) -> Outcome<App> {
    let sink = audit_sink(config)?;
    match Box::pin(App::open_with_sink(
        store,
        roots,
        Clock::system(),
        origin,
        sink,
    ))
    .await
    {
        Ok(app) => Ok(app),
        Err(OpenError::Key(refusal)) => Err(refusal.next_steps().into_iter().fold(
            Failure::configuration("the key does not fit the data").because(refusal.to_string()),
            Failure::next_step,
        )),
        Err(error) => Err(Failure::configuration(format!(
            "the instance in {} does not open",
            config.database
        ))
        .because(chain(&error))
        .next_step("see the log; keep a copy of the database as it is")),
    }
}

/// The second place that keeps the audit trail, if one is set.
fn audit_sink(config: &Config) -> Outcome<Option<AuditSink>> {
    let Some(mut settings) = config.audit_sink.clone() else {
        return Ok(None);
    };
    if settings.target.is_https() {
        settings.authorities = crate::outbound::authorities(&config.outbound)?.into();
    }
    AuditSink::new(settings).map(Some).map_err(|error| {
        Failure::configuration("the audit sink cannot be set up")
            .because(plain_reason(&error))
            .next_step("correct AUDIT_SINK, or unset it")
    })
}

/// Opens the instance, or a copy of it, to look at it: nothing is written.
///
/// # Errors
/// As [`database_failure`]; the key does not fit, or there is nothing.
pub(crate) async fn open_to_read(config: &Config, roots: HeldRoots) -> Outcome<App> {
    let store = within_limit(config, Store::open_to_read(&config.database)).await?;
    match App::open_to_read(store, roots, Clock::system()).await {
        Ok(app) => Ok(app),
        Err(OpenError::Key(refusal)) => Err(refusal.next_steps().into_iter().fold(
            Failure::configuration("the key does not fit the data").because(refusal.to_string()),
            Failure::next_step,
        )),
        Err(error) => Err(Failure::configuration(format!(
            "the instance in {} does not open",
            config.database
        ))
        .because(chain(&error))
        .next_step("see the log; keep a copy of the database as it is")),
    }
}

/// Refuses to let a command work on data that are not there or have another shape.
///
/// # Errors
/// Nothing is stored yet, the schema is older than this program, or the data do not know the
/// current key yet.
pub(crate) fn require_instance(config: &Config, judged: &Judged) -> Outcome<()> {
    require_data(config, judged)?;
    if !judged.needs_rewrap {
        return Ok(());
    }
    Err(
        Failure::configuration("the data do not know the key in APP_ENCRYPTION_KEY yet")
            .because("they are under the one in APP_ENCRYPTION_KEY_PREVIOUS")
            .next_step("start `nodeloom serve` with both, which rewraps every key")
            .next_step("or run `nodeloom key rewrap` with both"),
    )
}

/// As [`require_instance`], for the command that makes the current key known.
///
/// # Errors
/// Nothing is stored yet, or the schema is older than this program.
pub(crate) fn require_data(config: &Config, judged: &Judged) -> Outcome<()> {
    if judged.is_fresh {
        return Err(
            Failure::configuration(format!("{} holds no data yet", config.database))
                .because("commands work on an instance that `nodeloom serve` has made")
                .next_step("run `nodeloom serve` once")
                .next_step("or name the right place in NODELOOM_DATA_DIR or DATABASE_URL"),
        );
    }
    match judged.survey.schema {
        SchemaState::Known(version) if version < SCHEMA_VERSION => Err(database_failure(
            &config.database,
            &StoreError::SchemaBehind,
        )),
        _ => Ok(()),
    }
}

/// Where a command or a start comes from, for the audit trail.
pub(crate) fn origin() -> Origin {
    Origin {
        request_id: AuditEventId::generate(Clock::system().now()).to_string(),
        address: None,
    }
}

/// Name of the operating system's user, by number if it has none.
pub(crate) fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    // The environment's USER could be anyone's.
    let named = fs::read_to_string("/etc/passwd").ok().and_then(|users| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        })
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

/// Name of the machine.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
