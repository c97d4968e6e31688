//! `nodeloom user sessions`, `end-sessions` and `reset-second-factor`.

use nodeloom_app::AppError;
use nodeloom_domain::{SessionId, UserId};

use super::{Session, failure};
use crate::output::{self, Exit, Failure, Format, Outcome, Table};

pub(super) const END_EXAMPLES: &str = "\
Examples:
  nodeloom user end-sessions bob@example.com
  nodeloom user end-sessions bob@example.com --session 01a20d88-9f95-7b4a-bdce-4f7c27e93801

The person may sign in again; `nodeloom user deactivate` keeps a person out.";

pub(super) async fn list(session: &Session, user: UserId, format: Format) -> Outcome {
    let views = session.app.sessions_of_user(&session.ctx, user).await;
    let views = views.map_err(|error| failure("the sessions cannot be listed", error))?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Exit::Done);
    }
    if views.is_empty() {
        output::note("note", "no sessions");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["BEGAN", "LAST SEEN", "ENDS", "ADDRESS", "BROWSER", "ID"]);
    for view in views {
        table.row([
            view.created_at.to_string(),
            view.last_seen_at.to_string(),
            view.expires_at.to_string(),
            view.address.unwrap_or_default(),
            view.user_agent.unwrap_or_default(),
            view.id.to_string(),
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Done)
}

pub(super) async fn end(session: &Session, user: UserId, only: Option<SessionId>) -> Outcome {
    let ended = session
        .app
        .end_sessions_of_user(&session.ctx, user, only)
        .await;
    let ended = ended.map_err(|error| match error {
        AppError::NotFound if only.is_some() => Failure::failed("the person has no such session")
            .next_step("see `nodeloom user sessions`"),
        error => failure("no session was ended", error),
    })?;
    let sessions = if ended == 1 { "session" } else { "sessions" };
    output::note("note", &format!("ended {ended} {sessions}"));
    Ok(Exit::Done)
}

pub(super) async fn reset_second_factor(session: &Session, user: UserId) -> Outcome {
    let reset = session.app.reset_second_factor(&session.ctx, user).await;
    reset.map_err(|error| match error {
        AppError::NotFound => {
            Failure::failed("the person has no second factor").next_step("see `nodeloom user show`")
        }
        error => failure("the second factor was not turned off", error),
    })?;
    output::note(
        "note",
        "the second factor is off, and the sessions are ended",
    );
    Ok(Exit::Done)
}
