//! The caller's own sessions, and those of others for administrators.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use utoipa::ToSchema;

use crate::{
    error::Problem,
    extract::{Caller, Parameters, PathId},
    state::WebState,
};

/// A session of the caller.
#[derive(ToSchema)]
#[schema(as = Session, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct SessionViewSchema {
    /// Names the session; it is not the secret in the cookie.
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// When it ends at the latest, used or not.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Where it was opened from.
    address: Option<String>,
    /// What the browser called itself.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

/// List your sessions
#[utoipa::path(
    get, path = "/api/auth/sessions", tag = "Sessions", operation_id = "listSessions",
    security(("session" = [])),
    responses((status = 200, description = "Your living sessions.", body = [SessionViewSchema])),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.list_sessions(&ctx).await?).into_response())
}

/// End one of your sessions
#[utoipa::path(
    delete, path = "/api/auth/sessions/{id}", tag = "Sessions", operation_id = "endSession",
    security(("session" = [])),
    params(("id" = String, Path, description = "The session's id.", format = Uuid)),
    responses((status = 204, description = "Ended.")),
)]
pub(crate) async fn end(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Session>,
) -> Result<StatusCode, Problem> {
    web.app.end_session(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the sessions of a person
///
/// For administrators of the instance.
#[utoipa::path(
    get, path = "/api/users/{id}/sessions", tag = "People", operation_id = "listSessionsOfUser",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses((status = 200, description = "Their living sessions.", body = [SessionViewSchema])),
)]
pub(crate) async fn list_of_user(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::User>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.sessions_of_user(&ctx, id).await?).into_response())
}

/// End the sessions of a person
///
/// All of them, or the one that `sessionId` names. For administrators of the instance.
#[utoipa::path(
    delete, path = "/api/users/{id}/sessions", tag = "People",
    operation_id = "endSessionsOfUser",
    security(("session" = [])),
    params(
        ("id" = String, Path, description = "The person's id.", format = Uuid),
        ("sessionId" = Option<String>, Query, description = "Only this session.", format = Uuid),
    ),
    responses((status = 204, description = "Ended.")),
)]
pub(crate) async fn end_of_user(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::User>,
    Parameters(mut query): Parameters,
) -> Result<StatusCode, Problem> {
    let only = query.optional_id("sessionId");
    query.finish()?;
    web.app.end_sessions_of_user(&ctx, id, only).await?;
    Ok(StatusCode::NO_CONTENT)
}
