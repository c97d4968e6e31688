//! `nodeloom credential`: keep credentials from a shell. Values come from prompts, standard input
//! or files, never from arguments: those stand in the process list and in the shell's history.

mod attributes;
mod due;
mod input;
mod life;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use nodeloom_app::{
    AppError, AttributeChange, CredentialChange, CredentialOrder, CredentialSort, CredentialView,
    ListCredentials, NewCredential, TeamView,
};
use nodeloom_domain::credential_type::{CredentialType, find_type, list_types};
use nodeloom_domain::{CredentialId, Name, TeamId};
use serde_json::{Map, Value, json};

use super::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

const ADD_EXAMPLES: &str = "\
Examples:
  nodeloom credential add github --type BEARER_TOKEN
      asks for each field; what is typed into a secret one is not shown
  nodeloom credential add db --type POSTGRESQL --data-file db.json
  vault read -format=json … | nodeloom credential add crm --type HTTP_BASIC --team Sales

Types: API_KEY, BEARER_TOKEN, CUSTOM_JSON, HTTP_BASIC, HTTP_HEADER, OPENAI, POSTGRESQL.";

const LIST_EXAMPLES: &str = "\
Examples:
  nodeloom credential list
  nodeloom credential list --type OPENAI --search prod --format json
  nodeloom credential list --tag billing --sort changed --reverse";

const SHOW_EXAMPLES: &str = "\
Examples:
  nodeloom credential show github
  nodeloom credential show github --reveal --reason 'moving to the new cluster'
  nodeloom credential show github --reveal --format json | jq -r .data.token

Revealing is written to the audit trail before anything is shown.";

const SET_EXAMPLES: &str = "\
Examples:
  nodeloom credential set github --field token          asks for the token
  nodeloom credential set github --field token < token.txt
  echo '{\"port\": 5433}' | nodeloom credential set db    other fields stay
  nodeloom credential set db --name main-db --unset sslMode
  nodeloom credential set github --owner ada@example.com --tag prod --rotate-by 2027-01-31

To change where a restricted credential is sent (host, port, base address, --host), give its
secrets again in the same command.";

const REMOVE_EXAMPLES: &str = "\
Examples:
  nodeloom credential remove github
  nodeloom credential remove 018f4c6e-7d3a-7c2b-9a51-0123456789ab --yes

It opens for nobody afterwards, and its name is free. `nodeloom credential undelete` brings it
back until it is purged: by age (CREDENTIAL_PURGE_AFTER_DAYS, 30 days), or at once with
`nodeloom credential purge`.";

/// Keep credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum Credential {
    /// Store a new credential
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// List credentials: names and dates, no values
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// Show one credential, and its values with --reveal
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Change a credential's name or some of its fields
    #[command(after_help = SET_EXAMPLES)]
    Set(Set),
    /// Delete a credential; it can be undeleted for a while
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(Remove),
    /// Sign in with a credential where it belongs, and keep the outcome
    #[command(after_help = life::TEST_EXAMPLES)]
    Test(life::Test),
    /// List the versions of a credential and how they differ, without values
    #[command(after_help = life::VERSIONS_EXAMPLES)]
    Versions(life::Versions),
    /// Make a former version the current one
    #[command(after_help = life::RESTORE_EXAMPLES)]
    Restore(life::Restore),
    /// List who has used a credential
    #[command(after_help = life::USAGE_EXAMPLES)]
    Usage(life::Usage),
    /// List the credentials of a team that expire or should be rotated soon
    #[command(after_help = due::EXAMPLES)]
    Due(due::Due),
    /// List the deleted credentials of a team
    #[command(after_help = life::DELETED_EXAMPLES)]
    Deleted(life::Deleted),
    /// Take a deletion back
    #[command(after_help = life::UNDELETE_EXAMPLES)]
    Undelete(life::Undelete),
    /// Destroy a deleted credential with all its versions
    #[command(after_help = life::PURGE_EXAMPLES)]
    Purge(life::Purge),
}

/// One team by name or id.
#[derive(Debug, Args)]
struct TeamArg {
    /// The team, by name or id; may be left out while there is only one
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
}

/// One credential.
#[derive(Debug, Args)]
struct WhichArg {
    /// The credential, by name or id
    #[arg(value_name = "NAME_OR_ID")]
    which: String,
    #[command(flatten)]
    team: TeamArg,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name, unique in the team
    name: String,
    /// Its type, such as BEARER_TOKEN
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    #[command(flatten)]
    team: TeamArg,
    /// JSON object with the fields; `-` is standard input
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,
    #[command(flatten)]
    attributes: attributes::AttributeArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    team: TeamArg,
    /// Of this type alone
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Names with a word that begins so; several words must all be there
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// With this tag alone
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// In which order
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// The last first
    #[arg(long)]
    reverse: bool,
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

/// Orders of a list.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Sort {
    /// By name, case aside
    #[default]
    Name,
    /// By the time they were stored
    Created,
    /// By the time they last changed
    Changed,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: WhichArg,
    /// Show the values too; written to the audit trail
    #[arg(long)]
    reveal: bool,
    /// Why, for the audit trail
    #[arg(long, requires = "reveal", value_name = "TEXT")]
    reason: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    which: WhichArg,
    /// A new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// JSON object with the fields to change; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "field")]
    data_file: Option<PathBuf>,
    /// A field to ask for; a single one is taken from standard input if that is no terminal
    #[arg(long, value_name = "FIELD")]
    field: Vec<String>,
    /// A field to remove
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    #[command(flatten)]
    attributes: attributes::AttributeArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    which: WhichArg,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Credential {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = super::open(environment, flags, Strictness::Refuse).await?;
            let result = match self {
                Self::Add(add) => add.run(&session).await,
                Self::List(list) => list.run(&session).await,
                Self::Show(show) => show.run(&session).await,
                Self::Set(set) => Box::pin(set.run(&session)).await,
                Self::Remove(remove) => remove.run(&session).await,
                Self::Test(test) => Box::pin(test.run(&session)).await,
                Self::Versions(versions) => versions.run(&session).await,
                Self::Restore(restore) => Box::pin(restore.run(&session)).await,
                Self::Usage(usage) => usage.run(&session).await,
                Self::Due(due) => due.run(&session).await,
                Self::Deleted(deleted) => deleted.run(&session).await,
                Self::Undelete(undelete) => undelete.run(&session).await,
                Self::Purge(purge) => purge.run(&session).await,
            };
            session.close().await;
            result
        })
    }
}

impl Add {
    async fn run(self, session: &Session) -> Outcome {
        let kind = known_type(&self.kind)?;
        let team = self.team.find(session).await?;
        let data = match &self.data_file {
            Some(path) => input::from_file(path)?,
            None if io::stdin().is_terminal() => input::ask_all(kind, input::Empty::LeavesOut)?,
            None => input::from_stdin()?,
        };
        let attributes = self.attributes.change(session, team.id).await?;
        let new = NewCredential {
            team: team.id,
            name: self.name,
            kind: kind.id.clone(),
            data,
        };
        let view = session
            .app
            .create_credential_with(&session.ctx, new, attributes)
            .await
            .map_err(|error| failure("the credential was not stored", error))?;
        done(self.format, &view, "stored")
    }
}

impl List {
    async fn run(self, session: &Session) -> Outcome {
        let kind = self.kind.as_deref().map(known_type).transpose()?;
        let team = self.team.find(session).await?;
        let list = ListCredentials {
            team: team.id,
            kind: kind.map(|kind| kind.id.clone()),
            tag: self.tag,
            search: self.search,
            order: CredentialOrder {
                by: match self.sort {
                    Sort::Name => CredentialSort::Name,
                    Sort::Created => CredentialSort::Created,
                    Sort::Changed => CredentialSort::Updated,
                },
                descending: self.reverse,
            },
            cursor: None,
            page: self.page,
            size: self.size,
        };
        let found = session
            .app
            .list_credentials(&session.ctx, list)
            .await
            .map_err(|error| failure("the credentials cannot be listed", error))?;
        let pages = found.total.div_ceil(u64::from(self.size));
        if self.format == Format::Json {
            output::json(&json!({
                "content": found.items,
                "totalElements": found.total,
                "totalPages": pages,
                "number": self.page,
                "size": self.size,
            }))?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(["NAME", "TYPE", "CHANGED", "BY", "ID"]);
        for view in found.items {
            table.row([
                view.name,
                view.kind,
                view.updated_at.to_string(),
                view.updated_by,
                view.id.to_string(),
            ]);
        }
        if table.is_empty() {
            output::note(
                "note",
                &format!("no credentials found in team {}", team.name),
            );
            return Ok(Exit::Done);
        }
        output::line(&table.to_string())?;
        if pages > 1 {
            output::note(
                "note",
                &format!(
                    "page {} of 0 to {}; see --page and --size",
                    self.page,
                    pages - 1
                ),
            );
        }
        Ok(Exit::Done)
    }
}

impl Show {
    async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        if !self.reveal {
            match self.format {
                Format::Json => output::json(&view)?,
                Format::Table => describe(&view)?,
            }
            return Ok(Exit::Done);
        }
        let revealed = session
            .app
            .reveal_credential(&session.ctx, view.id, self.reason)
            .await
            .map_err(|error| failure("the credential cannot be revealed", error))?;
        // EXPOSE: that is what was asked for; the audit event is on disk.
        let data: Value = serde_json::from_slice(revealed.data.expose())
            .map_err(|_| Failure::failed("the stored value is not JSON"))?;
        match self.format {
            Format::Json => {
                let mut whole = json!(revealed.view);
                whole["data"] = data;
                output::json(&whole)?;
            }
            Format::Table => {
                describe(&revealed.view)?;
                output::line("")?;
                output::json(&data)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Set {
    async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let kind = known_type(&view.kind)?;
        let mut data = self.data(kind)?;
        for field in &self.unset {
            data.insert(field.clone(), Value::Null);
        }
        let attributes = self.attributes.change(session, view.team_id).await?;
        if data.is_empty() && self.name.is_none() && attributes == AttributeChange::default() {
            output::note("note", "nothing was changed");
            return Ok(Exit::Done);
        }
        let change = CredentialChange {
            name: self.name,
            data: (!data.is_empty()).then_some(data),
            attributes,
            // What was shown is what is changed: a change in between is refused.
            expected_revision: Some(vec![view.revision]),
        };
        let view = session
            .app
            .update_credential(&session.ctx, view.id, change)
            .await
            .map_err(|error| failure("the credential was not changed", error))?;
        done(self.format, &view, "changed")
    }

    /// The fields to change. Standard input is read only when the options leave no doubt that
    /// somebody feeds it: a script's may stay open for ever.
    fn data(&self, kind: &CredentialType) -> Outcome<Map<String, Value>> {
        let is_terminal = io::stdin().is_terminal();
        if let Some(path) = &self.data_file {
            return input::from_file(path);
        }
        if !self.field.is_empty() {
            let mut fields = Vec::new();
            for name in &self.field {
                let field = kind.field(name).ok_or_else(|| {
                    let known: Vec<&str> = kind.fields.iter().map(|f| f.name.as_str()).collect();
                    Failure::usage(format!("{} has no field {name}", kind.id))
                        .next_step(format!("its fields are {}", known.join(", ")))
                })?;
                fields.push(field);
            }
            return match fields.as_slice() {
                [field] if !is_terminal => input::value_from_stdin(field),
                _ if is_terminal => input::ask(&fields, input::Empty::LeavesOut),
                _ => Err(
                    Failure::usage("only a single --field can come from standard input")
                        .next_step("give several as a JSON object with --data-file -"),
                ),
            };
        }
        if self.name.is_some() || !self.unset.is_empty() || self.attributes.is_given() {
            return Ok(Map::new());
        }
        if is_terminal {
            return input::ask_all(kind, input::Empty::Keeps);
        }
        input::from_stdin()
    }
}

impl Remove {
    async fn run(self, session: &Session) -> Outcome {
        let view = self.which.find(session).await?;
        let question = format!(
            "Delete {} ({})? It can be undeleted for a while. [y/N] ",
            output::printable(&view.name),
            view.id
        );
        if !self.yes && !input::confirm("removing", &question)? {
            output::note("note", "nothing was removed");
            return Ok(Exit::Failed);
        }
        session
            .app
            .delete_credential(&session.ctx, view.id, Some(vec![view.revision]))
            .await
            .map_err(|error| failure("the credential was not removed", error))?;
        output::note("note", &format!("removed {} ({})", view.name, view.id));
        Ok(Exit::Done)
    }
}

impl TeamArg {
    async fn find(&self, session: &Session) -> Outcome<TeamView> {
        let mut teams = session
            .app
            .list_teams(&session.ctx)
            .await
            .map_err(|error| failure("the teams cannot be listed", error))?;
        let names: Vec<String> = teams.iter().map(|team| team.name.clone()).collect();
        let found = match &self.team {
            None if teams.len() == 1 => Some(0),
            None => {
                return Err(Failure::usage("there are several teams")
                    .next_step(format!("say which with --team: {}", names.join(", "))));
            }
            Some(text) => {
                let id = text.parse::<TeamId>().ok();
                let by_name = |team: &TeamView| team.name == *text || Some(team.id) == id;
                teams.iter().position(by_name)
            }
        };
        let found = found.ok_or_else(|| {
            Failure::failed("there is no such team")
                .next_step(format!("the teams are {}", names.join(", ")))
        })?;
        Ok(teams.swap_remove(found))
    }
}

impl WhichArg {
    async fn find(&self, session: &Session) -> Outcome<CredentialView> {
        let missing = |error| failure(&format!("no credential \"{}\"", self.which), error);
        if let Ok(id) = self.which.parse::<CredentialId>() {
            match session.app.credential(&session.ctx, id).await {
                // A name may look like an id.
                Err(AppError::NotFound) => {}
                found => return found.map_err(missing),
            }
        }
        let team = self.team.find(session).await?;
        // As it was normalised when it was stored.
        let name = Name::parse(&self.which).map_err(|_| missing(AppError::NotFound))?;
        session
            .app
            .find_credential_by_name(&session.ctx, team.id, name.as_str())
            .await
            .map_err(missing)
    }
}

fn known_type(text: &str) -> Outcome<&'static CredentialType> {
    find_type(&text.to_ascii_uppercase()).ok_or_else(|| {
        let known: Vec<&str> = list_types().iter().map(|kind| kind.id.as_str()).collect();
        Failure::usage("there is no such type of credential")
            .next_step(format!("the types are {}", known.join(", ")))
    })
}

fn done(format: Format, view: &CredentialView, verb: &str) -> Outcome {
    match format {
        Format::Json => output::json(view)?,
        Format::Table => {
            let name = output::printable(&view.name);
            output::line(&format!(
                "{verb} {name} ({}), version {}",
                view.id, view.generation
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn describe(view: &CredentialView) -> Outcome<()> {
    let mut table = Table::new(["FIELD", "VALUE"]);
    for (label, value) in [
        ("name", view.name.clone()),
        ("id", view.id.to_string()),
        ("type", view.kind.clone()),
        ("team", view.team_id.to_string()),
        ("version", view.generation.to_string()),
        (
            "stored",
            format!("{} by {}", view.created_at, view.created_by),
        ),
        (
            "changed",
            format!("{} by {}", view.updated_at, view.updated_by),
        ),
    ] {
        table.row([label.to_owned(), value]);
    }
    for (field, mask) in &view.fields {
        table.row([format!("data.{field}"), (*mask).to_owned()]);
    }
    for (label, value) in attributes::shown(view) {
        table.row([label.to_owned(), value]);
    }
    output::line(&table.to_string())
}
