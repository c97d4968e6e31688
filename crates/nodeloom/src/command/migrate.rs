//! `nodeloom migrate`: the schema, by hand or only looked at.

use clap::Args;
use nodeloom_store::{SCHEMA_VERSION, SchemaState, Store};
use serde_json::json;

use super::{Strictness, block_on};
use crate::config::{CommonFlags, Config};
use crate::environment::Environment;
use crate::output::{self, Exit, Format, Outcome};
use crate::startup;

pub(crate) const EXAMPLES: &str = "\
Examples:
  nodeloom migrate --check     exit code 3 when there is something to do
  nodeloom migrate

`nodeloom serve` migrates at its start; this is for those who want to do it before.";

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only say whether there is something to do; needs no key
    #[arg(long)]
    check: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Migrate {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        if self.check {
            block_on(self.check(environment, flags))
        } else {
            block_on(self.migrate(environment, flags))
        }
    }

    async fn check(&self, environment: Environment, flags: &CommonFlags) -> Outcome {
        let config = Config::read(&environment, flags)?;
        drop(environment);
        crate::start_log(&config.log)?;
        // A survey and not an open store: nothing is made where nothing is.
        let current = match startup::survey(&config).await?.schema {
            SchemaState::Known(version) => version,
            _ => 0,
        };
        let pending = current < SCHEMA_VERSION;
        match self.format {
            Format::Json => output::json(&json!({
                "current": current,
                "known": SCHEMA_VERSION,
                "pending": pending,
            }))?,
            Format::Table if pending => output::line(&format!(
                "the schema is at version {current} and this program at {SCHEMA_VERSION}: run \
                 `nodeloom migrate`"
            ))?,
            Format::Table => output::line(&format!("the schema is up to date ({current})"))?,
        }
        Ok(if pending { Exit::Attention } else { Exit::Done })
    }

    async fn migrate(&self, environment: Environment, flags: &CommonFlags) -> Outcome {
        // The data's verdict first: under a wrong key nothing is changed, not even the schema.
        let (config, _, mut judged) = super::judged(environment, flags, Strictness::Refuse).await?;
        startup::prepare_data_dir(&config)?;
        judged.keep_generated(&config)?;
        let failed = |error| startup::database_failure(&config.database, &error);
        let store = Store::open(&config.database).await.map_err(failed)?;
        let result = store.migrate().await;
        store.close().await;
        let ran = result.map_err(failed)?;
        match self.format {
            Format::Json => output::json(&json!({ "current": SCHEMA_VERSION, "ran": ran }))?,
            Format::Table if ran.is_empty() => {
                output::line(&format!("the schema is up to date ({SCHEMA_VERSION})"))?;
            }
            Format::Table => output::line(&format!(
                "ran {}; the schema is now at version {SCHEMA_VERSION}",
                ran.join(", ")
            ))?,
        }
        Ok(Exit::Done)
    }
}
