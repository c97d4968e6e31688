//! `nodeloom audit prune`: remove the beginning of the trail.

use clap::Args;
use nodeloom_domain::{Clock, Timestamp};

use crate::command::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Format, Outcome};

pub(super) const EXAMPLES: &str = "\
Examples:
  nodeloom audit export --out audit-2025.jsonl
  nodeloom audit prune --before 2026-01-01
  nodeloom audit prune --keep-days 730

Removes every event up to that time, oldest first, and leaves a signed seam from which the chain
goes on: `nodeloom audit verify` starts there and shows it. The newest signed checkpoint always
stays, and so does whatever a second sink has not been given yet. A broken trail is not pruned.";

#[derive(Debug, Args)]
#[group(id = "age", required = true, multiple = false)]
pub(crate) struct Age {
    /// Remove events before this time: RFC 3339, or a day in UTC
    #[arg(long, value_name = "TIME", group = "age")]
    before: Option<String>,
    /// Remove events that are older than so many days
    #[arg(long, value_name = "DAYS", group = "age",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_days: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    age: Age,
    /// How to print the seam
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Prune {
    pub(super) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let before = self.before()?;
            let session = crate::command::open(environment, flags, Strictness::Refuse).await?;
            let result = self.prune(&session, before).await;
            session.close().await;
            result
        })
    }

    fn before(&self) -> Outcome<Timestamp> {
        if let Some(before) = super::time("--before", self.age.before.as_deref())? {
            return Ok(before);
        }
        let days = i64::from(self.age.keep_days.unwrap_or(36_500));
        Ok(Clock::system().now().plus_seconds(-days * 24 * 60 * 60))
    }

    async fn prune(&self, session: &Session, before: Timestamp) -> Outcome {
        let seam = session
            .app
            .prune_audit(&session.ctx, before)
            .await
            .map_err(|error| failure("the audit trail was not pruned", error))?;
        match (self.format, seam) {
            (Format::Json, seam) => output::json(&seam)?,
            (Format::Table, None) => output::line("nothing to remove")?,
            (Format::Table, Some(seam)) => output::line(&format!(
                "{} events removed, {} to {}; the chain goes on from a signed seam",
                seam.count(),
                seam.first,
                seam.last
            ))?,
        }
        Ok(Exit::Done)
    }
}
