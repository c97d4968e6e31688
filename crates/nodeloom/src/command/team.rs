//! `nodeloom team`: teams and who belongs to them.

mod invitation;

use clap::{Args, Subcommand};
use nodeloom_app::{AppError, MemberView, TeamView};
use nodeloom_domain::{InvitationId, Role, TeamId, UserId};

use super::{Session, Strictness, block_on};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

const GRANT_EXAMPLES: &str = "\
Examples:
  nodeloom team grant Payments bob@example.com BUILDER
  nodeloom team grant Payments bob@example.com VIEWER

Makes a member, or changes a member's role. Roles: ADMIN, BUILDER, OPERATOR, VIEWER, AUDITOR. Where
that takes a right away, the person's sessions end at once.";

const DELETE_EXAMPLES: &str = "\
Example:
  nodeloom team delete Payments --confirm Payments

Deletes the team's credentials with all their versions and destroys its data keys. Backups, WAL
archives and replicas older than this still open under the root key, until they expire.";

/// Keep teams.
#[derive(Debug, Subcommand)]
pub(crate) enum Team {
    /// List the teams
    List {
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make a team, with a data key of its own
    Create {
        /// Its name, unique in the instance
        name: String,
        /// How to print the result
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give a team another name
    Rename {
        /// The team, by name or id
        team: String,
        /// Its new name
        name: String,
    },
    /// Delete a team with everything in it
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// The team, by name or id
        team: String,
        /// The team's name, to confirm
        #[arg(long, value_name = "NAME")]
        confirm: String,
        /// How to print the result
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List the members of a team
    Members {
        /// The team, by name or id
        team: String,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give a person a role in a team
    #[command(after_help = GRANT_EXAMPLES)]
    Grant {
        #[command(flatten)]
        who: Who,
        /// The role
        role: Role,
    },
    /// Take a person out of a team
    Remove {
        #[command(flatten)]
        who: Who,
    },
    /// Invite somebody into a team, by a link that works once
    #[command(after_help = invitation::INVITE_EXAMPLES)]
    Invite(invitation::Invite),
    /// List the invitations of a team, without their links
    Invitations {
        /// The team, by name or id
        team: String,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Take an invitation back: its link stops at once
    RevokeInvitation {
        /// Its id, as in the list
        id: InvitationId,
    },
}

/// A person in a team.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// The team, by name or id
    team: String,
    /// The person, by e-mail address or id
    person: String,
}

impl Team {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            // Looked at before the key is asked for: a slip in it costs nothing then.
            let base = match &self {
                Self::Invite(invite) => Some(invite.base(&environment)?),
                _ => None,
            };
            let session = super::open(environment, flags, Strictness::Refuse).await?;
            let result = Box::pin(self.done(&session, base)).await;
            session.close().await;
            result
        })
    }

    async fn done(self, session: &Session, base: Option<String>) -> Outcome {
        let (app, ctx) = (&session.app, &session.ctx);
        match self {
            Self::List { format } => list(format, &teams(session).await?),
            Self::Create { name, format } => {
                let view = app.create_team(ctx, &name).await;
                let view = view.map_err(|error| failure("the team was not made", error))?;
                match format {
                    Format::Json => output::json(&view)?,
                    Format::Table => {
                        let name = output::printable(&view.name);
                        output::line(&format!("made {name} ({})", view.id))?;
                    }
                }
                Ok(Exit::Done)
            }
            Self::Rename { team, name } => {
                let team = find(session, &team).await?;
                let view = app.rename_team(ctx, team.id, &name).await;
                let view = view.map_err(|error| failure("the team was not renamed", error))?;
                output::note("note", &format!("{} is now {}", team.name, view.name));
                Ok(Exit::Done)
            }
            Self::Delete {
                team,
                confirm,
                format,
            } => {
                let team = find(session, &team).await?;
                let gone = app.delete_team(ctx, team.id, &confirm).await;
                let gone = gone.map_err(|error| failure("the team was not deleted", error))?;
                match format {
                    Format::Json => output::json(&gone)?,
                    Format::Table => output::line(&format!(
                        "deleted {}: {} credentials, {} values, {} keys, {} members",
                        output::printable(&gone.name),
                        gone.credentials,
                        gone.values,
                        gone.keys,
                        gone.members
                    ))?,
                }
                output::note("note", gone.notice);
                if gone.scrubbed {
                    return Ok(Exit::Done);
                }
                output::note(
                    "warning",
                    "the database's own files still hold deleted bytes, as a reader was in the way",
                );
                Ok(Exit::Attention)
            }
            Self::Members { team, format } => {
                let team = find(session, &team).await?;
                members(format, &members_of(session, &team).await?)
            }
            Self::Grant { who, role } => {
                let team = find(session, &who.team).await?;
                let user = who.user(session, &team).await?;
                let view = app.grant_member(ctx, team.id, user, role).await;
                let view = view.map_err(|error| failure("the role was not given", error))?;
                let (who, role) = (view.email, view.role);
                output::note("note", &format!("{who} is {role} of {}", team.name));
                Ok(Exit::Done)
            }
            Self::Remove { who } => {
                let team = find(session, &who.team).await?;
                let user = who.user(session, &team).await?;
                let removed = app.remove_member(ctx, team.id, user).await;
                removed.map_err(|error| failure("the member was not removed", error))?;
                output::note("note", &format!("{} left {}", who.person, team.name));
                Ok(Exit::Done)
            }
            Self::Invite(invite) => invite.done(session, &base.unwrap_or_default()).await,
            Self::Invitations { team, format } => invitation::list(session, &team, format).await,
            Self::RevokeInvitation { id } => invitation::revoke(session, id).await,
        }
    }
}

impl Who {
    /// The person's id.
    async fn user(&self, session: &Session, team: &TeamView) -> Outcome<UserId> {
        if let Ok(id) = self.person.parse() {
            return Ok(id);
        }
        let found = session.app.find_person(&session.ctx, &self.person).await;
        found.map_err(|error| match error {
            AppError::NotFound => Failure::failed("nobody has this e-mail address")
                .next_step(format!("see `nodeloom team members {}`", team.name)),
            other => failure("the person cannot be looked up", other),
        })
    }
}

async fn teams(session: &Session) -> Outcome<Vec<TeamView>> {
    let teams = session.app.list_teams(&session.ctx).await;
    teams.map_err(|error| failure("the teams cannot be listed", error))
}

async fn members_of(session: &Session, team: &TeamView) -> Outcome<Vec<MemberView>> {
    let members = session.app.list_members(&session.ctx, team.id).await;
    members.map_err(|error| failure("the members cannot be listed", error))
}

/// A team by name or id.
pub(super) async fn find(session: &Session, text: &str) -> Outcome<TeamView> {
    let mut teams = teams(session).await?;
    let id = text.parse::<TeamId>().ok();
    let at = teams
        .iter()
        .position(|team| team.name == text || Some(team.id) == id);
    let at = at.ok_or_else(|| {
        Failure::failed("there is no such team").next_step("see `nodeloom team list`")
    })?;
    Ok(teams.swap_remove(at))
}

fn failure(what: &str, error: AppError) -> Failure {
    match error {
        AppError::NotFound => Failure::failed(format!("{what}: not found"))
            .next_step("see `nodeloom team list` and `nodeloom team members TEAM`"),
        AppError::TeamNameTaken { .. } => {
            Failure::failed(format!("{what}: {error}")).next_step("choose another name")
        }
        other => super::failure(what, other),
    }
}

fn list(format: Format, teams: &[TeamView]) -> Outcome {
    if format == Format::Json {
        output::json(&teams)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["NAME", "MADE", "ID"]);
    for team in teams {
        table.row([
            team.name.clone(),
            team.created_at.to_string(),
            team.id.to_string(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}

fn members(format: Format, members: &[MemberView]) -> Outcome {
    if format == Format::Json {
        output::json(&members)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["E-MAIL", "ROLE", "STATE", "SINCE", "ID"]);
    for member in members {
        let state = if member.active {
            "active"
        } else {
            "deactivated"
        };
        table.row([
            member.email.clone(),
            member.role.to_string(),
            state.to_owned(),
            member.created_at.to_string(),
            member.user_id.to_string(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}
