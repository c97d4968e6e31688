//! What stands between the settings and an open instance: the key, the verdict of the data, the
//! directory, the lock. Each refusal is exit code 78, and leaves everything as it was.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodeloom_app::{App, KeyRefusal, OpenError, Verdict, judge};
use nodeloom_crypto::{RootKey, Secret, strength};
use nodeloom_domain::{AuditEventId, Clock, audit::Origin};
use nodeloom_store::{SCHEMA_VERSION, SchemaState, Store, StoreError, Survey, Target};

use crate::config::{Config, Mode};
use crate::environment::Environment;
use crate::output::{Failure, Outcome, note};
use crate::root_source::{self, RootString, Source, Which, plain_reason};

/// How long a database may take to answer at start.
const DATABASE_LIMIT: Duration = Duration::from_secs(5);

/// What to do about a missing or weak key.
pub(crate) const MAKE_A_KEY: &str = "run `nodeloom key generate`, keep a copy of the key in a safe place, and set it as \
     APP_ENCRYPTION_KEY (or name a file that holds it in APP_ENCRYPTION_KEY_FILE)";

/// The key material of the configuration.
#[derive(Debug)]
pub(crate) struct Roots {
    /// The key to work with, if one is configured.
    pub(crate) current: Option<RootString>,
    /// The key before it.
    previous: Option<RootString>,
    /// The strength rule that the key breaks.
    pub(crate) weakness: Option<strength::Weakness>,
}

impl Roots {
    /// Reads the key and judges its strength. Blocks for as long as a command takes.
    ///
    /// # Errors
    /// A source that cannot be used.
    pub(crate) fn read(environment: &Environment, config: &Config) -> Outcome<Self> {
        for name in root_source::unknown_variables(environment) {
            note(
                "warning",
                &format!("{name} is not a setting of nodeloom and has no effect"),
            );
        }
        let mut source = root_source::choose(environment, Which::Current)?;
        let own = config.generated_key();
        if source.is_none() && config.mode == Mode::Development && own.symlink_metadata().is_ok() {
            source = Some(Source::Generated(own));
        }
        let current = source.map(Source::read).transpose()?;
        let previous = root_source::choose(environment, Which::Previous)?
            .map(Source::read)
            .transpose()?;
        for root in current.iter().chain(&previous) {
            for warning in &root.warnings {
                note("warning", warning);
            }
        }
        let weakness = current
            .as_ref()
            .and_then(|root| weigh(environment, root.text().as_bytes()).err());
        Ok(Self {
            current,
            previous,
            weakness,
        })
    }

    /// Stops production at a weak key; warns in development.
    ///
    /// # Errors
    /// The rule that the key breaks.
    pub(crate) fn require_strong(&self, mode: Mode) -> Outcome<()> {
        let (Some(root), Some(weakness)) = (&self.current, &self.weakness) else {
            return Ok(());
        };
        match mode {
            Mode::Production => Err(weak(&root.source, weakness)),
            Mode::Development => {
                note(
                    "warning",
                    &format!(
                        "the key in {} is weak: {weakness}; production would refuse it",
                        root.source
                    ),
                );
                Ok(())
            }
        }
    }
}

/// The refusal of a weak key.
pub(crate) fn weak(source: &str, weakness: &strength::Weakness) -> Failure {
    Failure::configuration(format!("the key in {source} is too weak for production"))
        .because(format!("rule `{}`: {weakness}", weakness.rule.code()))
        .next_step(MAKE_A_KEY)
        .next_step(
            "if this key already protects data, keep it: this version cannot change it yet, and \
             APP_ENV=development starts with a warning instead",
        )
}

/// Judges a key, also against the other secrets of the environment.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn weigh(
    environment: &Environment,
    key: &[u8],
) -> Result<strength::Strength, strength::Weakness> {
    let mut others: Vec<Secret<Vec<u8>>> = Vec::new();
    for (name, value) in environment.iter() {
        let name = name.as_bytes();
        if name.starts_with(b"APP_ENCRYPTION_KEY") || value.is_empty() {
            continue;
        }
        if name == b"DATABASE_URL" {
            others.extend(url_passwords(value).into_iter().map(Secret::new));
        }
        let ends = [&b"_SECRET"[..], b"_TOKEN", b"_PASSWORD", b"_KEY"];
        if ends.iter().any(|end| name.ends_with(end)) {
            others.push(Secret::new(value.to_vec()));
        }
    }
    // EXPOSE: compared in constant time and wiped.
    let others: Vec<&[u8]> = others
        .iter()
        .map(|other| other.expose().as_slice())
        .collect();
    strength::check_with_others(key, &others)
}

/// The password of an address, as written and percent-decoded.
fn url_passwords(url: &[u8]) -> Vec<Vec<u8>> {
    let after = |haystack: &[u8], needle: &[u8]| {
        let at = haystack
            .windows(needle.len())
            .position(|window| window == needle);
        at.map(|at| haystack[at + needle.len()..].to_vec())
    };
    let until = |text: Vec<u8>, ends: &[u8]| {
        let end = text.iter().position(|byte| ends.contains(byte));
        text[..end.unwrap_or(text.len())].to_vec()
    };
    let mut found = Vec::new();
    let authority = after(url, b"://").map(|rest| until(rest, b"/?#"));
    if let Some(authority) = authority
        && let Some(at) = authority.iter().rposition(|byte| *byte == b'@')
        && let Some(colon) = authority[..at].iter().position(|byte| *byte == b':')
    {
        found.push(authority[colon + 1..at].to_vec());
    }
    for option in [&b"?password="[..], b"&password="] {
        found.extend(after(url, option).map(|rest| until(rest, b"&#")));
    }
    found.retain(|password| !password.is_empty());
    let decoded: Vec<Vec<u8>> = found
        .iter()
        .map(|password| percent_decoded(password))
        .collect();
    found.extend(decoded);
    found
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(byte));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

/// A key that the data accept.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The key.
    pub(crate) root: RootKey,
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
    let root = current.derive();
    let verdict = judge(&survey, &root);
    if let Verdict::Refused(refusal) = verdict {
        return Err(refused(config, roots, &survey, &refusal));
    }
    if let Some(previous) = &roots.previous {
        note(
            "note",
            &format!(
                "the previous key in {} is not needed and was ignored",
                previous.source
            ),
        );
    }
    Ok(Judged {
        root,
        is_fresh: matches!(verdict, Verdict::Fresh),
        survey,
        generated: None,
    })
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
        Verdict::Fresh | Verdict::Match if config.mode == Mode::Development => Ok(Judged {
            root,
            survey,
            is_fresh: true,
            generated: Some(generated),
        }),
        Verdict::Fresh | Verdict::Match => Err(missing.next_step(MAKE_A_KEY)),
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
            "the previous key is the one that the data expect, but this version cannot \
                 rewrap them under a new key yet"
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

/// Makes the data directory where it is missing, and tries whether it takes files.
///
/// # Errors
/// It does not.
pub(crate) fn prepare_data_dir(config: &Config) -> Outcome<()> {
    let directory = &config.data_dir;
    let refuse = |error: &std::io::Error| {
        Failure::configuration(format!(
            "the data directory {} cannot be used",
            directory.display()
        ))
        .because(plain_reason(error))
        .next_step("make it writable for this user, or name another in NODELOOM_DATA_DIR")
    };
    if directory.exists() && !directory.is_dir() {
        return Err(refuse(&std::io::ErrorKind::NotADirectory.into()));
    }
    fs::create_dir_all(directory).map_err(|error| refuse(&error))?;
    let probe = directory.join(format!(".write-test.{}", std::process::id()));
    let tried = OpenOptions::new().write(true).create_new(true).open(&probe);
    let removed = fs::remove_file(&probe);
    tried.and(removed).map_err(|error| refuse(&error))?;
    if let Target::Sqlite { path } = &config.database
        && path.exists()
    {
        OpenOptions::new().write(true).open(path).map_err(|error| {
            Failure::configuration(format!("the database {} cannot be used", path.display()))
                .because(plain_reason(&error))
                .next_step("give this user the right to write the file")
        })?;
    }
    Ok(())
}

/// Keeps a second server away from the same SQLite file until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] Option<File>);

impl Lock {
    /// Takes the lock; several servers may share a PostgreSQL database without one.
    ///
    /// # Errors
    /// Another server has it.
    pub(crate) fn take(target: &Target) -> Outcome<Self> {
        let Target::Sqlite { path } = target else {
            return Ok(Self(None));
        };
        // Beside the real file, so that two ways to it lead to one lock.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let lock = path.with_extension("lock");
        let refuse = |why: String| {
            Failure::configuration(format!("the lock file {} cannot be taken", lock.display()))
                .because(why)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| refuse(plain_reason(&error)))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(pid) => format!("process {pid}"),
                    Err(_) => "another process".into(),
                };
                return Err(
                    refuse(format!("{holder} already serves {}", path.display()))
                        .next_step("stop that process first, or use another NODELOOM_DATA_DIR")
                        .next_step("to run several servers, use PostgreSQL (DATABASE_URL)"),
                );
            }
            Err(TryLockError::Error(error)) => return Err(refuse(plain_reason(&error))),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| refuse(plain_reason(&error)))?;
        Ok(Self(Some(file)))
    }
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
pub(crate) async fn open_instance(config: &Config, root: RootKey, origin: &Origin) -> Outcome<App> {
    let store = within_limit(config, Store::open(&config.database)).await?;
    let ran = store
        .migrate()
        .await
        .map_err(|error| database_failure(&config.database, &error))?;
    for name in ran {
        tracing::info!(name, "migration");
    }
    open_app(config, store, root, origin).await
}

/// Opens the instance in a database whose schema is up to date.
pub(crate) async fn open_app(
    config: &Config,
    store: Store,
    root: RootKey,
    origin: &Origin,
) -> Outcome<App> {
    match Box::pin(App::open(store, root, Clock::system(), origin)).await {
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
/// Nothing is stored yet, or the schema is older than this program.
pub(crate) fn require_instance(config: &Config, judged: &Judged) -> Outcome<()> {
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

/// Writes a file for its owner alone, whole or not at all.
///
/// # Errors
/// The directory takes no file.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut draft: PathBuf = path.to_owned();
    draft
        .as_mut_os_string()
        .push(format!(".{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&draft)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_addresses() {
        let found = |url: &str| url_passwords(url.as_bytes());
        assert_eq!(
            found("postgres://u:p%40w@h/d"),
            [b"p%40w".to_vec(), b"p@w".to_vec()]
        );
        assert_eq!(
            found("postgres://u@h/d?x=1&password=a"),
            [b"a".to_vec(), b"a".to_vec()]
        );
        for url in [
            "",
            "x",
            "postgres://h/d",
            "postgres://u:@h/d",
            "postgres://u@h/d",
        ] {
            assert!(found(url).is_empty(), "{url}");
        }
    }

    #[test]
    fn a_key_that_is_another_secret_too_is_weak() {
        let key = "yT5wq9ZbVf2nKx8LrCj4HsPdUa7GmEo3RiXc6QvWt1BzNkYp";
        let with = |name: &str, value: &str| {
            weigh(&Environment::from([(name, value)]), key.as_bytes())
                .map_err(|weakness| weakness.rule)
        };
        for name in ["ADMIN_PASSWORD", "SESSION_SECRET", "A_TOKEN", "OTHER_KEY"] {
            assert_eq!(
                with(name, key).unwrap_err(),
                strength::Rule::ReusedSecret,
                "{name}"
            );
        }
        let url = format!("postgres://u:{key}@h/d");
        assert_eq!(
            with("DATABASE_URL", &url).unwrap_err(),
            strength::Rule::ReusedSecret
        );
        assert!(with("APP_ENCRYPTION_KEY", key).is_ok());
        assert!(with("PATH", key).is_ok());
    }

    #[test]
    fn a_second_server_is_told_who_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = Target::Sqlite {
            path: directory.path().join("nodeloom.db"),
        };
        let first = Lock::take(&target).unwrap();
        let text = Lock::take(&target).unwrap_err().text();
        assert!(
            text.contains(&format!("process {} already", std::process::id())),
            "{text}"
        );
        drop(first);
        assert!(Lock::take(&target).is_ok());
    }
}
