//! `nodeloom token`: API tokens of programs.

use clap::{Args, Subcommand};
use nodeloom_app::{NewToken, TokenView};
use nodeloom_domain::{ApiTokenId, Role};

use super::{Session, Strictness, block_on, failure, team};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

const LIST_EXAMPLES: &str = "\
Examples:
  nodeloom token list --team Payments
  nodeloom token list --team Payments --format json";

const CREATE_EXAMPLES: &str = "\
Examples:
  nodeloom token create ci --team Payments --owner ada@example.com --role VIEWER
  nodeloom token create deploy --team Payments --owner ada@example.com --role BUILDER \\
      --scope reveal --days 30 --address 203.0.113.0/24 > /run/secrets/nodeloom-token

The token is printed to standard output, and nothing else: it is in no later answer. It may do what
its role and its owner may do, whichever is less; sensitive things only with their scope (reveal,
export, keys, grants), for at most 90 days.";

const REVOKE_EXAMPLES: &str = "\
Example:
  nodeloom token revoke 018f4c6e-7d3a-7c2b-9a51-0123456789ab

It works no longer from then on.";

/// Keep API tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List the tokens of a team, without their texts
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// The team, by name or id
        #[arg(long, value_name = "TEAM")]
        team: String,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make a token for a member of a team, and print it once
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// End a token
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke {
        /// Its id, which also stands in its text
        id: ApiTokenId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is called
    name: String,
    /// The one team that it works in, by name or id
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// Address of the member whose token it is
    #[arg(long, value_name = "EMAIL")]
    owner: String,
    /// The most that it may do
    #[arg(long)]
    role: Role,
    /// A sensitive thing that it may do: reveal, export, keys or grants
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// A network or address that it may come from; without any, from anywhere
    #[arg(long, value_name = "CIDR")]
    address: Vec<String>,
    /// Days until it ends
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// How to print it; a table is the token alone
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Token {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = super::open(environment, flags, Strictness::Refuse).await?;
            let result = Box::pin(self.done(&session)).await;
            session.close().await;
            result
        })
    }

    async fn done(self, session: &Session) -> Outcome {
        match self {
            Self::List { team, format } => list(session, &team, format).await,
            Self::Create(create) => create.run(session).await,
            Self::Revoke { id } => {
                let revoked = session.app.revoke_token(&session.ctx, id).await;
                revoked.map_err(|error| match error {
                    nodeloom_app::AppError::NotFound => Failure::failed("there is no such token")
                        .next_step("see `nodeloom token list`"),
                    error => failure("the token was not revoked", error),
                })?;
                output::note("note", &format!("revoked {id}"));
                Ok(Exit::Done)
            }
        }
    }
}

async fn list(session: &Session, team: &str, format: Format) -> Outcome {
    let team = team::find(session, team).await?;
    let tokens: Vec<TokenView> = session
        .app
        .list_tokens(&session.ctx, Some(team.id))
        .await
        .map_err(|error| failure("the tokens cannot be listed", error))?;
    if format == Format::Json {
        output::json(&tokens)?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        output::note("note", &format!("no tokens in team {}", team.name));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["NAME", "OWNER", "ROLE", "SCOPES", "ENDS", "LAST USED", "ID"]);
    for token in tokens {
        let ends = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => at.to_string(),
            (None, None) => "never".into(),
        };
        table.row([
            token.name,
            token.owner,
            token.role.to_string(),
            token.scopes.join(", "),
            ends,
            token
                .last_used_at
                .map_or_else(|| "never".into(), |at| at.to_string()),
            token.id.to_string(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}

impl Create {
    async fn run(self, session: &Session) -> Outcome {
        let team = team::find(session, &self.team).await?;
        let new = NewToken {
            team: team.id,
            name: self.name,
            role: self.role.to_string(),
            scopes: self.scope,
            addresses: self.address,
            expires_in_days: self.days,
            owner: Some(self.owner),
        };
        let made = session
            .app
            .create_token(&session.ctx, new)
            .await
            .map_err(|error| failure("the token was not made", error))?;
        // EXPOSE: shown once, to whoever made it.
        let text = made.token.expose();
        match self.format {
            Format::Json => output::json(&serde_json::json!({
                "token": text,
                "details": made.view,
            }))?,
            Format::Table => {
                output::line(text)?;
                output::note(
                    "note",
                    &format!(
                        "made {} ({}); this is the only time it is shown",
                        made.view.name, made.view.id
                    ),
                );
            }
        }
        Ok(Exit::Done)
    }
}
