//! `nodeloom audit list`: the newest events.

use clap::Args;
use nodeloom_app::ListAudit;

use super::Search;
use crate::command::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Format, Outcome, Table};

pub(super) const EXAMPLES: &str = "\
Examples:
  nodeloom audit list --action credential.reveal --target ID
      who saw this secret
  nodeloom audit list --outcome refused --from 2026-01-31
  nodeloom audit list --before 1200 --limit 100
      further back";

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    search: Search,
    /// Only events with a lower number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Most events to show
    #[arg(long, default_value_t = 50, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    pub(super) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = crate::command::open(environment, flags, Strictness::Refuse).await?;
            let result = self.list(&session).await;
            session.close().await;
            result
        })
    }

    async fn list(&self, session: &Session) -> Outcome {
        let ask = ListAudit {
            search: self.search.read()?,
            before: self.before,
            page: 0,
            size: self.limit,
        };
        let list = session
            .app
            .list_audit(&session.ctx, ask)
            .await
            .map_err(|error| failure("the events cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&list.items)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["NUMBER", "TIME", "WHO", "ACTION", "ON", "OUTCOME", "FROM"]);
        for event in &list.items {
            let on = event.target.as_ref().map_or_else(String::new, |target| {
                let name = target.name.as_deref().filter(|name| !name.is_empty());
                name.or(target.id.as_deref()).unwrap_or_default().to_owned()
            });
            table.row([
                event.sequence.to_string(),
                event.at.clone(),
                event.actor.name.clone(),
                event.action.clone(),
                on,
                event.outcome.clone(),
                event.address.clone().unwrap_or_default(),
            ]);
        }
        output::line(&table.to_string())?;
        Ok(Exit::Done)
    }
}
