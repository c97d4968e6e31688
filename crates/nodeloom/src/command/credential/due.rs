//! `nodeloom credential due`.

use clap::Args;
use nodeloom_app::DueCredential;

use super::{TeamArg, failure};
use crate::command::Session;
use crate::output::{self, Exit, Format, Outcome, Table};

pub(super) const EXAMPLES: &str = "\
Examples:
  nodeloom credential due
  nodeloom credential due --team Sales --days 7 --format json
  nodeloom credential due --days 0                   what is overdue";

#[derive(Debug, Args)]
pub(crate) struct Due {
    #[command(flatten)]
    team: TeamArg,
    /// How many days to look ahead
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3650))]
    days: u32,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Due {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let team = self.team.find(session).await?;
        let found = session
            .app
            .due_credentials(&session.ctx, team.id, self.days);
        let found = found
            .await
            .map_err(|error| failure("the credentials cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&found)?;
            return Ok(Exit::Done);
        }
        if found.is_empty() {
            output::note("note", &format!("nothing is due in team {}", team.name));
            return Ok(Exit::Done);
        }
        output::line(&table(found).to_string())?;
        Ok(Exit::Done)
    }
}

fn table(found: Vec<DueCredential>) -> Table {
    let mut table = Table::new(["DATE", "WHAT", "NAME", "ID"]);
    for one in found {
        for date in one.due {
            let what = match (date.kind, date.is_overdue) {
                ("expiry", true) => "expired",
                ("expiry", false) => "expires",
                (_, true) => "rotation overdue",
                (_, false) => "rotation",
            };
            table.row([
                date.at.to_string(),
                what.to_owned(),
                one.view.name.clone(),
                one.view.id.to_string(),
            ]);
        }
    }
    table
}
