//! `nodeloom audit`: look into the trail, copy it, check it, remove its beginning.

mod export;
mod list;
mod prune;
mod verify;

use clap::{Args, Subcommand};
use nodeloom_app::AuditSearch;
use nodeloom_domain::Timestamp;

use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{Failure, Outcome};
pub(super) use verify::read_anchors;

/// Look at the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List the newest events: who did what, and who saw a secret
    #[command(after_help = list::EXAMPLES)]
    List(list::List),
    /// Write a copy of the events
    #[command(after_help = export::EXAMPLES)]
    Export(export::Export),
    /// Check the chain of all events, in the database or in a copy
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Verify),
    /// Remove the oldest events, leaving a signed seam
    #[command(after_help = prune::EXAMPLES)]
    Prune(prune::Prune),
}

impl Audit {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        match self {
            Self::List(list) => list.run(environment, flags),
            Self::Export(export) => export.run(environment, flags),
            Self::Verify(verify) => verify.run(environment, flags),
            Self::Prune(prune) => prune.run(environment, flags),
        }
    }
}

/// Which events.
#[derive(Debug, Args)]
struct Search {
    /// Only events of this team, by its id
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only events by this person: an id, or the whole name that an event shows
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this action, such as credential.reveal
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only events on the record with this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// Only events that ended so: success, refused or failed
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only events at this time or later: RFC 3339, or a day in UTC
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

impl Search {
    fn read(&self) -> Outcome<AuditSearch> {
        let team = match &self.team {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Failure::usage("--team is no id").next_step("give the id of a team, 36 characters")
            })?),
        };
        Ok(AuditSearch {
            team,
            actor: self.actor.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            outcome: self.outcome.clone(),
            from: time("--from", self.from.as_deref())?,
            to: time("--to", self.to.as_deref())?,
        })
    }
}

fn time(option: &str, text: Option<&str>) -> Outcome<Option<Timestamp>> {
    text.map(str::parse).transpose().map_err(|_| {
        Failure::usage(format!("{option} is no time"))
            .next_step("write it like 2026-01-31T23:59:59Z, or 2026-01-31 for midnight in UTC")
    })
}
