//! `nodeloom user`: the people of the instance. Passwords come from a prompt, standard input or a
//! file, never from arguments.

mod session;

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use nodeloom_app::{AppError, ListUsers, NewUser, UserChange, UserDetails, UserView};
use nodeloom_crypto::Secret;
use nodeloom_domain::{SessionId, UserId};
use serde_json::json;

use super::{Session, Strictness, block_on};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome, Table};
use crate::root_source::plain_reason;

/// More than any password has.
const MAX_PASSWORD_BYTES: u64 = 64 * 1024;

const LIST_EXAMPLES: &str = "\
Examples:
  nodeloom user list
  nodeloom user list --search example.org --format json";

const CREATE_EXAMPLES: &str = "\
Examples:
  nodeloom user create bob@example.com --first-name Bob --ask-password
  nodeloom user create bob@example.com --password-file - < password.txt
  nodeloom user create eve@example.com

Without a password the person signs in by single sign-on alone. A role in a team comes with
`nodeloom team grant`.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  nodeloom user update bob@example.com --email robert@example.com
  nodeloom user update bob@example.com --first-name Robert --last-name ''
  nodeloom user update ada@example.com --break-glass true

A break-glass account may sign in by password where everybody else must use single sign-on.";

const DEACTIVATE_EXAMPLES: &str = "\
Example:
  nodeloom user deactivate bob@example.com

Sessions end and API tokens stop at once; `nodeloom user reactivate` lets the person in again.";

const DELETE_EXAMPLES: &str = "\
Examples:
  nodeloom user delete bob@example.com
  nodeloom user delete bob@example.com --yes

Sessions, API tokens and memberships go with the person. What the person made stays, and the audit
trail keeps the address.";

const GRANT_EXAMPLES: &str = "\
Example:
  nodeloom user grant-instance-admin bob@example.com

An administrator of the instance keeps people, teams and keys, and opens no secret without a role
in its team.";

/// Keep people.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List the people of the instance
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// Show a person and their teams
    Show {
        #[command(flatten)]
        who: WhoArg,
        /// How to print the person
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make a person without an invitation
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// Change a person's address or name, or mark a break-glass account
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(Update),
    /// Keep a person out: sessions end and API tokens stop at once
    #[command(after_help = DEACTIVATE_EXAMPLES)]
    Deactivate {
        #[command(flatten)]
        who: WhoArg,
    },
    /// Let a deactivated person in again
    Reactivate {
        #[command(flatten)]
        who: WhoArg,
    },
    /// Delete a person
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        #[command(flatten)]
        who: WhoArg,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the sessions of a person
    Sessions {
        #[command(flatten)]
        who: WhoArg,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// End the sessions of a person, or one of them
    #[command(after_help = session::END_EXAMPLES)]
    EndSessions {
        #[command(flatten)]
        who: WhoArg,
        /// This session alone, by its id
        #[arg(long, value_name = "ID")]
        session: Option<SessionId>,
    },
    /// Turn off the second factor of a person who lost it; the sessions end
    ResetSecondFactor {
        #[command(flatten)]
        who: WhoArg,
    },
    /// Make a person an administrator of the instance
    #[command(after_help = GRANT_EXAMPLES)]
    GrantInstanceAdmin {
        #[command(flatten)]
        who: WhoArg,
    },
    /// Take the administration of the instance from a person, whose sessions end
    RevokeInstanceAdmin {
        #[command(flatten)]
        who: WhoArg,
    },
}

/// A person.
#[derive(Debug, Args)]
pub(crate) struct WhoArg {
    /// The person, by e-mail address or id
    #[arg(value_name = "EMAIL_OR_ID")]
    who: String,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in whose address or name this stands
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Which page, from 0
    #[arg(long, default_value_t = 0)]
    page: u32,
    /// People on a page
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    size: u32,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The person's e-mail address
    email: String,
    /// Given name
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Family name
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// Make an administrator of the instance
    #[arg(long)]
    instance_admin: bool,
    /// Ask for a password; what is typed is not shown
    #[arg(long)]
    ask_password: bool,
    /// Read the password from a file, without one line end; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "ask_password")]
    password_file: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["email", "first_name", "last_name", "break_glass"])]
pub(crate) struct Update {
    #[command(flatten)]
    who: WhoArg,
    /// The new e-mail address
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// Given name; may be empty
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Family name; may be empty
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// Whether the person may sign in by password where everybody else may not
    #[arg(long, value_name = "true|false")]
    break_glass: Option<bool>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl User {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = super::open(environment, flags, Strictness::Refuse).await?;
            let result = Box::pin(self.done(&session)).await;
            session.close().await;
            result
        })
    }

    async fn done(self, session: &Session) -> Outcome {
        let (app, ctx) = (&session.app, &session.ctx);
        match self {
            Self::List(list) => list.print(session).await,
            Self::Show { who, format } => {
                let id = who.id(session).await?;
                let details = app.user(ctx, id).await;
                show(
                    format,
                    &details.map_err(|error| failure("the person cannot be shown", error))?,
                )
            }
            Self::Create(create) => create.done(session).await,
            Self::Update(update) => {
                let id = update.who.id(session).await?;
                let change = UserChange {
                    email: update.email,
                    first_name: update.first_name,
                    last_name: update.last_name,
                    break_glass: update.break_glass,
                    instance_admin: None,
                };
                let view = app.update_user(ctx, id, change).await;
                let view = view.map_err(|error| failure("the person was not changed", error))?;
                told(update.format, "changed", &view)
            }
            Self::Deactivate { who } => {
                let id = who.id(session).await?;
                let view = app.deactivate_user(ctx, id).await;
                let view = view.map_err(|e| failure("the person was not deactivated", e))?;
                output::note("note", &format!("{} is deactivated", view.email));
                Ok(Exit::Done)
            }
            Self::Reactivate { who } => {
                let id = who.id(session).await?;
                let view = app.reactivate_user(ctx, id).await;
                let view = view.map_err(|e| failure("the person was not reactivated", e))?;
                output::note("note", &format!("{} may sign in again", view.email));
                Ok(Exit::Done)
            }
            Self::Delete { who, yes } => {
                let id = who.id(session).await?;
                let details = app.user(ctx, id).await;
                let details = details.map_err(|e| failure("the person was not deleted", e))?;
                if !yes {
                    confirm(&details.user.email)?;
                }
                let deleted = app.delete_user(ctx, id).await;
                deleted.map_err(|error| failure("the person was not deleted", error))?;
                output::note("note", &format!("{} is deleted", details.user.email));
                Ok(Exit::Done)
            }
            Self::Sessions { who, format } => {
                session::list(session, who.id(session).await?, format).await
            }
            Self::EndSessions { who, session: only } => {
                session::end(session, who.id(session).await?, only).await
            }
            Self::ResetSecondFactor { who } => {
                session::reset_second_factor(session, who.id(session).await?).await
            }
            Self::GrantInstanceAdmin { who } => who.set_instance_admin(session, true).await,
            Self::RevokeInstanceAdmin { who } => who.set_instance_admin(session, false).await,
        }
    }
}

impl WhoArg {
    /// The person's id.
    async fn id(&self, session: &Session) -> Outcome<UserId> {
        if let Ok(id) = self.who.parse() {
            return Ok(id);
        }
        let found = session.app.find_person(&session.ctx, &self.who).await;
        found.map_err(|error| failure("the person cannot be looked up", error))
    }

    async fn set_instance_admin(&self, session: &Session, admin: bool) -> Outcome {
        let id = self.id(session).await?;
        let change = UserChange {
            instance_admin: Some(admin),
            ..UserChange::default()
        };
        let view = session.app.update_user(&session.ctx, id, change).await;
        let view = view.map_err(|error| failure("nothing was changed", error))?;
        let now = if admin {
            "now administers"
        } else {
            "no longer administers"
        };
        output::note("note", &format!("{} {now} the instance", view.email));
        Ok(Exit::Done)
    }
}

impl List {
    async fn print(self, session: &Session) -> Outcome {
        let ask = ListUsers {
            search: self.search,
            page: self.page,
            size: self.size,
        };
        let list = session.app.list_users(&session.ctx, ask).await;
        let list = list.map_err(|error| failure("the people cannot be listed", error))?;
        if self.format == Format::Json {
            output::json(&json!({
                "content": list.items,
                "totalElements": list.total,
                "totalPages": list.total.div_ceil(u64::from(self.size)),
                "number": self.page,
                "size": self.size,
            }))?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new([
            "E-MAIL",
            "NAME",
            "STATE",
            "INSTANCE ADMIN",
            "LAST SIGN-IN",
            "ID",
        ]);
        for user in &list.items {
            table.row([
                user.email.clone(),
                full_name(user),
                state(user).to_owned(),
                yes_no(user.instance_admin).to_owned(),
                user.last_sign_in_at
                    .map_or_else(|| "never".to_owned(), |at| at.to_string()),
                user.id.to_string(),
            ]);
        }
        output::line(&table.to_string())?;
        let shown = u64::try_from(list.items.len()).unwrap_or(u64::MAX);
        if shown < list.total {
            output::note(
                "note",
                &format!("{shown} of {} people; see --page", list.total),
            );
        }
        Ok(Exit::Done)
    }
}

impl Create {
    async fn done(self, session: &Session) -> Outcome {
        let password = match (&self.password_file, self.ask_password) {
            (Some(path), _) => Some(password_from(path)?),
            (None, true) => Some(ask_password()?),
            (None, false) => None,
        };
        let has_none = password.is_none();
        let new = NewUser {
            email: self.email,
            first_name: self.first_name.unwrap_or_default(),
            last_name: self.last_name.unwrap_or_default(),
            password,
            instance_admin: self.instance_admin,
        };
        let view = session.app.create_user(&session.ctx, new).await;
        let view = view.map_err(|error| failure("the person was not made", error))?;
        told(self.format, "made", &view)?;
        if has_none {
            output::note(
                "note",
                "the person has no password: single sign-on alone lets them in",
            );
        }
        Ok(Exit::Done)
    }
}

fn told(format: Format, what: &str, view: &UserView) -> Outcome {
    match format {
        Format::Json => output::json(view)?,
        Format::Table => {
            let email = output::printable(&view.email);
            output::line(&format!("{what} {email} ({})", view.id))?;
        }
    }
    Ok(Exit::Done)
}

fn show(format: Format, details: &UserDetails) -> Outcome {
    if format == Format::Json {
        output::json(details)?;
        return Ok(Exit::Done);
    }
    let user = &details.user;
    let mut table = Table::new(["FIELD", "VALUE"]);
    let mut row = |field: &str, value: String| table.row([field.to_owned(), value]);
    row("e-mail", user.email.clone());
    row("name", full_name(user));
    row("state", state(user).to_owned());
    row("instance admin", yes_no(user.instance_admin).to_owned());
    row("break-glass", yes_no(user.break_glass).to_owned());
    row("password", yes_no(user.has_password).to_owned());
    row("second factor", yes_no(user.has_second_factor).to_owned());
    let last = user.last_sign_in_at;
    row(
        "last sign-in",
        last.map_or_else(|| "never".to_owned(), |at| at.to_string()),
    );
    row("made", user.created_at.to_string());
    row("id", user.id.to_string());
    for team in &details.teams {
        row("team", format!("{} ({})", team.team_name, team.role));
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}

fn full_name(user: &UserView) -> String {
    format!("{} {}", user.first_name, user.last_name)
        .trim()
        .to_owned()
}

const fn state(user: &UserView) -> &'static str {
    if user.active { "active" } else { "deactivated" }
}

const fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A password typed twice.
fn ask_password() -> Outcome<Secret<String>> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Secret::new)
            .map_err(|error| {
                Failure::usage("there is no terminal to ask on")
                    .because(plain_reason(&error))
                    .next_step("give the password with --password-file; `-` is standard input")
            })
    };
    let password = ask("Password: ")?;
    let again = ask("Password again: ")?;
    // EXPOSE: two texts of the person at the terminal are compared.
    if password.expose() != again.expose() {
        return Err(Failure::usage("the two passwords differ").next_step("try again"));
    }
    Ok(password)
}

/// A password from a file, or from standard input for `-`.
fn password_from(path: &Path) -> Outcome<Secret<String>> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin()
            .lock()
            .take(MAX_PASSWORD_BYTES)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_PASSWORD_BYTES).read_to_end(&mut bytes))
    };
    let bytes = Secret::new(bytes);
    read.map_err(|error| {
        Failure::failed("the password cannot be read")
            .because(plain_reason(&error))
            .next_step("name a readable file, or `-` for standard input")
    })?;
    let bytes = crate::root_source::trim_line_end(bytes);
    // EXPOSE: on its way into the hash function.
    let text = std::str::from_utf8(bytes.expose())
        .map_err(|_| Failure::usage("the password is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

/// Asks whether this person is really meant.
fn confirm(email: &str) -> Outcome<()> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("deleting a person needs a confirmation")
            .next_step("run it on a terminal, or add --yes"));
    }
    let mut stderr = io::stderr().lock();
    let mut text = String::new();
    write!(
        stderr,
        "Delete {}? Type the address to confirm: ",
        output::printable(email)
    )?;
    stderr.flush()?;
    io::stdin().read_line(&mut text)?;
    if text.trim().eq_ignore_ascii_case(email) {
        return Ok(());
    }
    Err(Failure::failed("nothing was deleted").because("the address was not confirmed"))
}

fn failure(what: &str, error: AppError) -> Failure {
    match error {
        AppError::NotFound => Failure::failed(format!("{what}: there is no such person"))
            .next_step("see `nodeloom user list`"),
        AppError::EmailTaken => Failure::failed(format!("{what}: {error}"))
            .next_step("see `nodeloom user list --search ADDRESS`"),
        AppError::LastAdmin { .. } => Failure::failed(format!("{what}: {error}")).next_step(
            "`nodeloom user grant-instance-admin` and `nodeloom team grant` make another one",
        ),
        other => super::failure(what, other),
    }
}
