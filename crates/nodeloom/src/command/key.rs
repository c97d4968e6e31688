//! `nodeloom key`: make a key, judge a key, look at the keys of an instance.

mod change;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use nodeloom_crypto::{Secret, strength};
use serde::Serialize;

use super::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};
use crate::root_source::{self, Which, plain_reason};
use crate::startup::{self, MAKE_A_KEY};
use change::{RETIRE_EXAMPLES, REWRAP_EXAMPLES, Retire, Rewrap};

const GENERATE_EXAMPLES: &str = "\
Examples:
  nodeloom key generate
  (umask 077; nodeloom key generate > /etc/nodeloom/key)";

const CHECK_EXAMPLES: &str = "\
Examples:
  nodeloom key generate | nodeloom key check
  nodeloom key check --file /etc/nodeloom/key
  nodeloom key check --env            the key that the settings give

Exit codes: 0 good, 1 refused, 2 usage. Needs no database, and no APP_ENV: it always applies the
rules of production. One line end after the key is not part of it.";

const STATUS_EXAMPLES: &str = "\
Examples:
  nodeloom key status
  nodeloom key status --format json";

/// Make, check and look at encryption keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Print a new key, and nothing else
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate,
    /// Say whether production would accept a key, and which rule refuses it
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Show root keys, data keys, and how many values each data key seals
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Status),
    /// Give every data key a slot under the new root key, without a server
    ///
    /// Set the new key as APP_ENCRYPTION_KEY and the former one as APP_ENCRYPTION_KEY_PREVIOUS.
    /// Both open the data afterwards, until the former one is retired. `nodeloom serve` does the
    /// same when it starts with both.
    #[command(after_help = REWRAP_EXAMPLES)]
    Rewrap(Rewrap),
    /// Give a root key up: it opens nothing afterwards
    ///
    /// Refused while a live process holds no other root key, or when a data key would be lost.
    /// Backups from before still open under the retired key: keep it as long as you keep them.
    #[command(after_help = RETIRE_EXAMPLES)]
    Retire(Retire),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Check the key that APP_ENCRYPTION_KEY, its _FILE or its _COMMAND gives
    #[arg(long, conflicts_with = "file")]
    env: bool,
    /// Check the key in this file instead of the one on standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to print the verdict
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Key {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        match self {
            Self::Generate => generate(),
            Self::Check(check) => check.run(&environment),
            Self::Status(status) => block_on(status.run(environment, flags)),
            Self::Rewrap(rewrap) => block_on(rewrap.run(environment, flags)),
            Self::Retire(retire) => block_on(retire.run(environment, flags)),
        }
    }
}

fn generate() -> Outcome {
    let key = strength::generate()
        .map_err(|error| Failure::failed("no key could be made").because(error.to_string()))?;
    output::line(key.as_str())?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckReport<'a> {
    verdict: &'static str,
    rule: Option<&'a str>,
    message: String,
    characters: usize,
    entropy_bits: Option<f64>,
    description_bits: Option<f64>,
}

/// What was given to be checked.
enum Given {
    /// A candidate, byte for byte.
    Key(Secret<Vec<u8>>),
    /// Something that cannot be a key, whatever it is worth.
    Unfit(&'static str, Failure),
}

impl Check {
    fn run(self, environment: &Environment) -> Outcome {
        let key = match self.read(environment)? {
            Given::Key(key) => key,
            Given::Unfit(rule, failure) => {
                let message = failure.summary();
                self.print(&CheckReport {
                    verdict: "refused",
                    rule: Some(rule),
                    message,
                    characters: 0,
                    entropy_bits: None,
                    description_bits: None,
                })?;
                return Err(failure.into_failed());
            }
        };
        // EXPOSE: judged, never kept.
        let key = key.expose();
        let judged = if self.env {
            startup::weigh(environment, key)
        } else {
            strength::check(key)
        };
        match judged {
            Ok(strength) => {
                self.print(&CheckReport {
                    verdict: "good",
                    rule: None,
                    message: format!(
                        "{} characters, {:.0} bits of entropy for its alphabet ({})",
                        strength.characters, strength.entropy_bits, strength.alphabet
                    ),
                    characters: strength.characters,
                    entropy_bits: Some(strength.entropy_bits),
                    description_bits: Some(strength.description_bits),
                })?;
                Ok(Exit::Done)
            }
            Err(weakness) => {
                let rule = weakness.rule.code();
                let measured = (weakness.entropy_bits > 0.0).then_some(weakness.entropy_bits);
                self.print(&CheckReport {
                    verdict: "refused",
                    rule: Some(rule),
                    message: weakness.to_string(),
                    characters: weakness.characters,
                    entropy_bits: measured,
                    description_bits: measured.map(|_| weakness.description_bits),
                })?;
                Err(Failure::failed(format!("{weakness} (rule `{rule}`)")).next_step(MAKE_A_KEY))
            }
        }
    }

    fn print(&self, report: &CheckReport<'_>) -> Outcome<()> {
        match (self.format, report.rule) {
            (Format::Json, _) => output::json(report),
            (Format::Table, Some(rule)) => {
                output::line(&format!("{}: {rule}: {}", report.verdict, report.message))
            }
            (Format::Table, None) => {
                output::line(&format!("{}: {}", report.verdict, report.message))
            }
        }
    }

    fn read(&self, environment: &Environment) -> Outcome<Given> {
        if self.env {
            let source = match root_source::choose(environment, Which::Current) {
                Ok(Some(source)) => source,
                Ok(None) => {
                    return Err(
                        Failure::usage("there is no key in the environment to check")
                            .next_step(
                                "set APP_ENCRYPTION_KEY, APP_ENCRYPTION_KEY_FILE or \
                             APP_ENCRYPTION_KEY_COMMAND",
                            )
                            .next_step("or give the key on standard input"),
                    );
                }
                Err(failure) => return Ok(Given::Unfit("source", failure)),
            };
            let label = source.to_string();
            return Ok(match source.read_bytes() {
                Ok((bytes, _)) => judge_ends(bytes, &label),
                Err(failure) => Given::Unfit("source", failure),
            });
        }
        let (label, bytes) = match &self.file {
            Some(path) => {
                let label = format!("the file {}", path.display());
                let bytes = std::fs::File::open(path)
                    .and_then(|mut file| root_source::read_limited(&mut file))
                    .map_err(|error| {
                        Failure::usage(format!("{label} cannot be read"))
                            .because(plain_reason(&error))
                            .next_step("name a readable file that holds the key and nothing else")
                    })?;
                (label, bytes)
            }
            None if io::stdin().is_terminal() => {
                let typed = rpassword::prompt_password("Key (not shown): ").map_err(|error| {
                    Failure::usage("the key cannot be read").because(error.to_string())
                })?;
                ("the key".to_owned(), Some(Secret::new(typed.into_bytes())))
            }
            None => {
                let bytes = root_source::read_limited(&mut io::stdin().lock());
                let bytes = bytes.map_err(|error| {
                    Failure::usage("standard input cannot be read").because(error.to_string())
                })?;
                ("the key".to_owned(), bytes)
            }
        };
        let Some(bytes) = bytes else {
            let failure = Failure::failed(format!("{label} is larger than a key may be"))
                .next_step("give the key and nothing else");
            return Ok(Given::Unfit("too-long", failure));
        };
        Ok(judge_ends(root_source::trim_line_end(bytes), &label))
    }
}

/// The start refuses white space around a key before any rule of strength: so does the check.
/// What is empty or not UTF-8 has a rule of strength of its own.
fn judge_ends(bytes: Secret<Vec<u8>>, label: &str) -> Given {
    // EXPOSE: its ends alone.
    let is_text = !bytes.expose().is_empty() && std::str::from_utf8(bytes.expose()).is_ok();
    match root_source::accept(&bytes, label) {
        Err(failure) if is_text => Given::Unfit("outer-white-space", failure),
        _ => Given::Key(bytes),
    }
}

impl Status {
    async fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        let session = super::open(environment, flags, Strictness::Report).await?;
        let result = self.show(&session).await;
        session.close().await;
        result
    }

    async fn show(&self, session: &Session) -> Outcome {
        let status = session
            .app
            .key_status(&session.ctx)
            .await
            .map_err(|error| failure("the keys cannot be shown", error))?;
        if self.format == Format::Json {
            output::json(&status)?;
            return Ok(Exit::Done);
        }
        output::line(&format!(
            "root key {} ({})",
            status.root_id, status.algorithm
        ))?;
        if let Some(weakness) = &session.roots.weakness {
            output::note("warning", &format!("the key is weak: {weakness}"));
        }
        let mut roots = Table::new(["ROOT KEY", "STATE", "FIRST SEEN", "LAST SEEN"]);
        for root in status.roots {
            roots.row([
                root.id,
                root.state.to_string(),
                root.first_seen.to_string(),
                root.last_seen.to_string(),
            ]);
        }
        output::line(&format!("\n{roots}"))?;
        let mut keys = Table::new(["DATA KEY", "PURPOSE", "TEAM", "STATE", "HELD", "VALUES"]);
        for key in status.data_keys {
            let of_key = status.census.iter().filter(|line| line.key_id == key.id);
            let values: u64 = of_key.map(|line| line.count).sum();
            keys.row([
                key.id,
                key.purpose.to_owned(),
                key.team_id.unwrap_or_else(|| "(instance)".into()),
                key.state.to_string(),
                if key.has_slot { "yes" } else { "no" }.to_owned(),
                values.to_string(),
            ]);
        }
        output::line(&format!("\n{keys}"))?;
        if !status.processes.is_empty() {
            let mut processes = Table::new(["LIVE PROCESS", "HOST", "ROOT KEYS HELD", "SINCE"]);
            for process in status.processes {
                processes.row([
                    process.pid.to_string(),
                    process.host,
                    process.roots.join(", "),
                    process.started_at.to_string(),
                ]);
            }
            output::line(&format!("\n{processes}"))?;
        }
        Ok(Exit::Done)
    }
}
