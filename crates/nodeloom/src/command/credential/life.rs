//! `nodeloom credential test|versions|restore|usage|deleted|undelete|purge`.

use clap::Args;
use nodeloom_app::{AppError, DeletedCredential, TeamView};
use nodeloom_domain::{CredentialId, Name};

use super::{TeamArg, WhichArg, done, input};
use crate::command::{Session, failure};
use crate::outbound;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

pub(super) const TEST_EXAMPLES: &str = "\
Examples:
  nodeloom credential test github
  nodeloom credential test db --format json

Exit codes: 0 the service accepted it; 3 it did not, could not be reached, or there is no test for
its type. Private addresses are refused unless APP_SSRF_ALLOW names them.";
pub(super) const VERSIONS_EXAMPLES: &str = "\
Examples:
  nodeloom credential versions github
  nodeloom credential versions db --format json";
pub(super) const RESTORE_EXAMPLES: &str = "\
Examples:
  nodeloom credential restore github --version 3

The restored values become a new version; nothing is lost.";
pub(super) const USAGE_EXAMPLES: &str = "\
Examples:
  nodeloom credential usage github --format json";
pub(super) const DELETED_EXAMPLES: &str = "\
Examples:
  nodeloom credential deleted --team Sales";
pub(super) const UNDELETE_EXAMPLES: &str = "\
Examples:
  nodeloom credential undelete github
  nodeloom credential undelete github --name github-old      when the name is taken by now";
pub(super) const PURGE_EXAMPLES: &str = "\
Examples:
  nodeloom credential purge github --yes

There is no way back but a backup.";

#[derive(Debug, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    which: WhichArg,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Versions {
    #[command(flatten)]
    which: WhichArg,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    which: WhichArg,
    /// Number of the version
    #[arg(long, value_name = "NUMBER")]
    version: u64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    which: WhichArg,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Deleted {
    #[command(flatten)]
    team: TeamArg,
    /// Which page, from 0
    #[arg(long, default_value_t = 0)]
    page: u32,
    /// How many on a page, 1 to 1000
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    size: u32,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Undelete {
    #[command(flatten)]
    which: WhichArg,
    /// Another name, where the old one is taken by now
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    which: WhichArg,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Test {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let connections = outbound::open(&session.config.outbound)?;
        session
            .app
            .use_connection_tester(outbound::Tester(connections));
        let report = session
            .app
            .test_credential(&session.ctx, view.id)
            .await
            .map_err(|error| failure("the credential was not tested", error))?;
        match self.format {
            Format::Json => output::json(&report)?,
            Format::Table => output::line(&format!(
                "{}: {} ({} ms)",
                report.status,
                output::printable(&report.message),
                report.duration_ms
            ))?,
        }
        Ok(if report.status == "ok" {
            Exit::Done
        } else {
            Exit::Attention
        })
    }
}

impl Versions {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let versions = session
            .app
            .credential_versions(&session.ctx, view.id)
            .await
            .map_err(|error| failure("the versions cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&versions)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["VERSION", "MADE", "BY", "DIFFERS IN", ""]);
        for version in versions {
            let differs = match (&version.changes, version.version) {
                (_, 1) => String::new(),
                (None, _) => "unknown".to_owned(),
                (Some(changes), _) => {
                    let each: Vec<String> = changes
                        .iter()
                        .map(|(field, what)| format!("{field} {what}"))
                        .collect();
                    each.join(", ")
                }
            };
            let mut remarks = Vec::new();
            if version.is_current {
                remarks.push("current".to_owned());
            }
            remarks.extend(version.restored_from.map(|from| format!("repeats {from}")));
            table.row([
                version.version.to_string(),
                version.created_at.to_string(),
                version.created_by,
                differs,
                remarks.join(", "),
            ]);
        }
        output::line(&table.to_string())?;
        Ok(Exit::Done)
    }
}

impl Restore {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let revision = Some(vec![view.revision]);
        let restored = session
            .app
            .restore_credential(&session.ctx, view.id, self.version, revision)
            .await;
        let view = restored.map_err(|error| match error {
            AppError::NotFound => Failure::failed(format!("there is no version {}", self.version))
                .next_step("see `nodeloom credential versions`"),
            error => failure("the version was not restored", error),
        })?;
        done(self.format, &view, "restored")
    }
}

impl Usage {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let uses = session
            .app
            .credential_usage(&session.ctx, view.id)
            .await
            .map_err(|error| failure("the usage cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&uses)?;
            return Ok(Exit::Done);
        }
        if uses.is_empty() {
            output::note("note", "nobody has opened it yet");
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["WHO", "KIND", "TIMES", "FIRST", "LAST"]);
        for one in uses {
            table.row([
                one.name,
                one.kind,
                one.uses.to_string(),
                one.first_used_at.to_string(),
                one.last_used_at.to_string(),
            ]);
        }
        output::line(&table.to_string())?;
        Ok(Exit::Done)
    }
}

impl Deleted {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let team = self.team.find(session).await?;
        let found = session
            .app
            .deleted_credentials(&session.ctx, team.id, self.page, self.size)
            .await;
        let (items, total) =
            found.map_err(|error| failure("the deleted credentials cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&serde_json::json!({
                "content": items,
                "totalElements": total,
                "totalPages": total.div_ceil(u64::from(self.size)),
                "number": self.page,
                "size": self.size,
            }))?;
            return Ok(Exit::Done);
        }
        if items.is_empty() {
            output::note("note", &format!("nothing deleted in team {}", team.name));
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["NAME", "TYPE", "DELETED", "BY", "ID"]);
        for item in items {
            table.row([
                item.view.name,
                item.view.kind,
                item.deleted_at.to_string(),
                item.deleted_by,
                item.view.id.to_string(),
            ]);
        }
        output::line(&table.to_string())?;
        Ok(Exit::Done)
    }
}

impl Undelete {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let item = self.which.find_deleted(session).await?;
        let revision = Some(vec![item.view.revision]);
        let undone = session
            .app
            .undelete_credential(&session.ctx, item.view.id, self.name, revision)
            .await;
        let view = undone.map_err(|error| match error {
            taken @ AppError::NameTaken { .. } => {
                Failure::failed(format!("the credential stays deleted: {taken}"))
                    .next_step("give it another name with --name")
            }
            error => failure("the credential stays deleted", error),
        })?;
        done(self.format, &view, "undeleted")
    }
}

impl Purge {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let item = self.which.find_deleted(session).await?;
        let view = item.view;
        let question = format!(
            "Destroy {} ({}) with all its versions, for good? [y/N] ",
            output::printable(&view.name),
            view.id
        );
        if !self.yes && !input::confirm("purging", &question)? {
            output::note("note", "nothing was destroyed");
            return Ok(Exit::Failed);
        }
        session
            .app
            .purge_credential(&session.ctx, view.id, Some(vec![view.revision]))
            .await
            .map_err(|error| failure("the credential was not destroyed", error))?;
        output::note("note", &format!("destroyed {} ({})", view.name, view.id));
        Ok(Exit::Done)
    }
}

impl WhichArg {
    /// One deleted credential by id, or by a name that only one of the team had.
    async fn find_deleted(&self, session: &Session) -> Outcome<DeletedCredential> {
        const PAGE: u32 = 1_000;
        let id = self.which.parse::<CredentialId>().ok();
        let name = Name::parse(&self.which).ok();
        let teams: Vec<TeamView> = match (&self.team.team, id) {
            (None, Some(_)) => session
                .app
                .list_teams(&session.ctx)
                .await
                .map_err(|error| failure("the teams cannot be listed", error))?,
            _ => vec![self.team.find(session).await?],
        };
        let mut found = Vec::new();
        for team in teams {
            for page in 0.. {
                let (items, _) = session
                    .app
                    .deleted_credentials(&session.ctx, team.id, page, PAGE)
                    .await
                    .map_err(|error| failure("the deleted credentials cannot be listed", error))?;
                let is_last = items.len() < PAGE as usize;
                found.extend(items.into_iter().filter(|item| {
                    Some(item.view.id) == id
                        || name
                            .as_ref()
                            .is_some_and(|name| item.view.name == name.as_str())
                }));
                if is_last {
                    break;
                }
            }
        }
        let list = "see `nodeloom credential deleted`";
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Failure::failed(format!(
                "no deleted credential \"{}\"",
                output::printable(&self.which)
            ))
            .next_step(list)),
            _ => Err(Failure::failed("several deleted credentials had that name")
                .next_step("name one by its id")
                .next_step(list)),
        }
    }
}
