//! `nodeloom team invite`, `invitations` and `revoke-invitation`.

use clap::Args;
use nodeloom_app::{AppError, NewInvitation};
use nodeloom_domain::{InvitationId, Role};
use nodeloom_web::PublicOrigin;
use serde_json::json;

use super::{Session, failure, find};
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

pub(super) const INVITE_EXAMPLES: &str = "\
Examples:
  nodeloom team invite Payments bob@example.com BUILDER
  nodeloom team invite Payments bob@example.com VIEWER --days 1 --format json

Prints a link, this once: hand it to the person over a way that you trust, as it makes an account
for whoever opens it first. An open invitation of the same address into the team ends.";

const BASE_URL: &str = "APP_BASE_URL";
const DEFAULT_BASE: &str = "http://127.0.0.1:8080";

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The team, by name or id
    team: String,
    /// The address of the person
    email: String,
    /// The role that the person gets
    role: Role,
    /// How many days the link works
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    days: u32,
    /// The address that browsers use [env: APP_BASE_URL] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Invite {
    /// What the link begins with.
    pub(super) fn base(&self, environment: &Environment) -> Outcome<String> {
        let given = match &self.base_url {
            Some(url) => Some(url.as_str()),
            None => environment.text(BASE_URL).map_err(|_| {
                Failure::usage(format!("{BASE_URL} is not UTF-8")).next_step("correct or unset it")
            })?,
        };
        let Some(text) = given else {
            return Ok(DEFAULT_BASE.to_owned());
        };
        let origin = text.parse::<PublicOrigin>();
        // The text is not repeated: someone may have put a password into it.
        let origin = origin.map_err(|error| {
            Failure::usage(format!("{BASE_URL} or --base-url cannot be used: {error}"))
                .next_step("set it like https://vault.example.com or http://127.0.0.1:8080")
        })?;
        Ok(origin.to_string())
    }

    pub(super) async fn done(self, session: &Session, base: &str) -> Outcome {
        let team = find(session, &self.team).await?;
        let new = NewInvitation {
            email: self.email,
            role: self.role,
            expires_in_days: Some(self.days),
        };
        let made = session.app.create_invitation(&session.ctx, team.id, new);
        let made = made
            .await
            .map_err(|error| failure("nobody was invited", error))?;
        // EXPOSE: shown once, to whoever made it.
        let link = format!("{base}/invitation#{}", made.code.expose());
        match self.format {
            Format::Json => output::json(&json!({"link": link, "details": made.view}))?,
            Format::Table => {
                output::line(&link)?;
                let view = made.view;
                output::note(
                    "note",
                    &format!(
                        "invites {} into {} as {}, until {}; this is the only time the link is \
                         shown",
                        view.email, team.name, view.role, view.expires_at
                    ),
                );
            }
        }
        Ok(Exit::Done)
    }
}

pub(super) async fn list(session: &Session, team: &str, format: Format) -> Outcome {
    let team = find(session, team).await?;
    let views = session.app.list_invitations(&session.ctx, team.id).await;
    let views = views.map_err(|error| failure("the invitations cannot be listed", error))?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Exit::Done);
    }
    if views.is_empty() {
        output::note("note", &format!("no invitations into {}", team.name));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["E-MAIL", "ROLE", "STATE", "BY", "UNTIL", "ID"]);
    for view in views {
        table.row([
            view.email,
            view.role.to_string(),
            view.state.to_owned(),
            view.created_by,
            view.expires_at.to_string(),
            view.id.to_string(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}

pub(super) async fn revoke(session: &Session, id: InvitationId) -> Outcome {
    let revoked = session.app.revoke_invitation(&session.ctx, id).await;
    revoked.map_err(|error| match error {
        AppError::NotFound => Failure::failed("there is no such open invitation")
            .next_step("see `nodeloom team invitations TEAM`"),
        error => failure("the invitation was not taken back", error),
    })?;
    output::note("note", "the link works no more");
    Ok(Exit::Done)
}
