//! `nodeloom key rewrap|retire`: from one root key to the next.

use clap::Args;
use nodeloom_app::{AppError, KeyVerbRefusal};
use nodeloom_crypto::RootId;
use serde::Serialize;

use crate::command::{Strictness, failure, judged, open_judged};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome};
use crate::startup;

pub(super) const REWRAP_EXAMPLES: &str = "\
Examples:
  nodeloom key rewrap          with APP_ENCRYPTION_KEY_FILE and APP_ENCRYPTION_KEY_PREVIOUS_FILE set
  nodeloom key rewrap --format json

Exit codes: 0 done, also when there was nothing to do; 3 some data keys could not be rewrapped.";

pub(super) const RETIRE_EXAMPLES: &str = "\
Examples:
  nodeloom key status                      which root keys there are, and who holds them
  nodeloom key retire 18c48ae28540fda7
  nodeloom key retire 18c48ae28540fda7 --format json";

#[derive(Debug, Args)]
pub(crate) struct Rewrap {
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Id of the root key, as `nodeloom key status` prints it
    #[arg(value_name = "ROOT_ID")]
    root: RootId,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RewrapReport {
    root_id: String,
    previous_root_id: Option<String>,
    /// Keys that have a slot under the current root key now.
    keys: usize,
    /// Keys that have none, and open nowhere here.
    not_rewrapped: Vec<String>,
}

impl Rewrap {
    pub(super) async fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        let (config, roots, judged) = judged(environment, flags, Strictness::Refuse).await?;
        startup::require_data(&config, &judged)?;
        let Some(previous) = judged.roots.previous() else {
            return Err(
                Failure::configuration("there is no key to rewrap from").next_step(
                    "set the new key as APP_ENCRYPTION_KEY and the former one as \
                 APP_ENCRYPTION_KEY_PREVIOUS (or their _FILE, _COMMAND)",
                ),
            );
        };
        let previous_root_id = Some(previous.id().to_string());
        // Opening the instance with both is the rewrap.
        let session = open_judged(config, roots, judged).await?;
        let status = session.app.key_status(&session.ctx).await;
        session.close().await;
        let status = status.map_err(|error| failure("the keys cannot be shown", error))?;
        let living = status
            .data_keys
            .iter()
            .filter(|key| key.state != "destroyed");
        let (held, missing): (Vec<_>, Vec<_>) = living.partition(|key| key.has_slot);
        let report = RewrapReport {
            root_id: status.root_id.clone(),
            previous_root_id,
            keys: held.len(),
            not_rewrapped: missing.iter().map(|key| key.id.clone()).collect(),
        };
        match self.format {
            Format::Json => output::json(&report)?,
            Format::Table => {
                output::line(&format!(
                    "{} data keys open under the root key {}",
                    report.keys, report.root_id
                ))?;
                for key in &report.not_rewrapped {
                    output::note("warning", &format!("the data key {key} does not open here"));
                }
                let previous = report.previous_root_id.as_deref().unwrap_or_default();
                output::note(
                    "next",
                    &format!(
                        "restart every process with the new key, then run \
                         `nodeloom key retire {previous}`"
                    ),
                );
            }
        }
        Ok(if report.not_rewrapped.is_empty() {
            Exit::Done
        } else {
            Exit::Attention
        })
    }
}

impl Retire {
    pub(super) async fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        let session = crate::command::open(environment, flags, Strictness::Refuse).await?;
        let result = session.app.retire_root(&session.ctx, self.root).await;
        session.close().await;
        let retired = result.map_err(|error| {
            let is_refusal = matches!(
                error,
                AppError::KeyRefused(KeyVerbRefusal::HeldByProcesses { .. })
            );
            let failure = failure("the root key stays", error);
            if is_refusal {
                failure.next_step("`nodeloom key status` shows who lives and holds what")
            } else {
                failure
            }
        })?;
        match self.format {
            Format::Json => output::json(&retired)?,
            Format::Table => {
                output::line(&format!(
                    "the root key {} is retired: {} data keys open under {}, {} slots were dropped",
                    retired.root_id,
                    retired.keys,
                    session.app.root_id(),
                    retired.slots_dropped
                ))?;
                for process in &retired.still_held_by {
                    output::note(
                        "note",
                        &format!(
                            "{process} was started with it as APP_ENCRYPTION_KEY_PREVIOUS; remove \
                             that from its settings"
                        ),
                    );
                }
                output::note(
                    "note",
                    "backups from before still open under the retired key: keep it as long as \
                     you keep them",
                );
            }
        }
        Ok(Exit::Done)
    }
}
