//! Invitations into a team.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use nodeloom_app::{InvitationView, NewInvitation, NewPerson};
use nodeloom_domain::{Invitation, Team};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    auth::{MeView, RoleView},
    team::parse_role,
};
use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, PathId, VerifiedCaller, Visitor},
    guard::cookie,
    state::WebState,
};

/// An invitation, without its link.
#[derive(ToSchema)]
#[schema(as = Invitation, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct InvitationSchema {
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = Uuid)]
    team_id: String,
    #[schema(format = Email)]
    email: String,
    role: RoleView,
    /// `open`, `accepted`, `revoked` or `expired`.
    #[schema(example = "open")]
    state: String,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// An invitation that was just made.
#[derive(ToSchema)]
#[schema(as = NewInvitation)]
#[expect(dead_code, reason = "describes what the handler writes")]
pub(crate) struct MadeInvitationSchema {
    /// The link for the invited: shown this once.
    link: String,
    #[schema(inline)]
    details: InvitationSchema,
}

#[derive(Serialize)]
struct Made<'a> {
    link: String,
    details: &'a InvitationView,
}

/// Somebody to invite.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct CreateInvitationRequest {
    #[schema(format = Email, example = "bob@example.com")]
    email: String,
    role: RoleView,
    /// How long the link works; left out: 7.
    #[schema(required = false, minimum = 1, maximum = 30)]
    expires_in_days: Option<u32>,
}

/// The code of a link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct ReadInvitationRequest {
    /// What stands behind `#` in the link.
    #[schema(write_only)]
    code: String,
}

/// Whoever accepts.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct AcceptInvitationRequest {
    /// What stands behind `#` in the link.
    #[schema(write_only)]
    code: String,
    /// For a new account: 12 to 256 characters.
    #[schema(format = Password, write_only, required = false, min_length = 12, max_length = 256)]
    password: Option<String>,
    /// For a new account.
    #[schema(required = false)]
    first_name: Option<String>,
    /// For a new account.
    #[schema(required = false)]
    last_name: Option<String>,
}

/// What an invitation says to whoever holds its link.
#[derive(ToSchema)]
#[schema(as = Invited, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct InvitedSchema {
    team_name: String,
    role: RoleView,
    #[schema(format = Email)]
    email: String,
    invited_by: String,
    #[schema(format = DateTime)]
    expires_at: String,
    /// `new-account`, `join`, `sign-in` or `other-account`.
    #[schema(example = "new-account")]
    next: String,
}

/// List the invitations of a team
///
/// The last thousand, newest first, without their links.
#[utoipa::path(
    get, path = "/api/teams/{id}/invitations", tag = "Teams", operation_id = "listInvitations",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses((status = 200, description = "The invitations.", body = [InvitationSchema])),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<Team>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.list_invitations(&ctx, id).await?).into_response())
}

/// Invite somebody into a team
///
/// By a link that works once. An open invitation of the same address into the team ends. Needs a
/// proof of identity from the last five minutes.
#[utoipa::path(
    post, path = "/api/teams/{id}/invitations", tag = "Teams", operation_id = "createInvitation",
    security(("session" = []), ("token" = [])), request_body = CreateInvitationRequest,
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses((status = 201, description = "Invited; the link is in no later answer.",
        body = MadeInvitationSchema)),
)]
pub(crate) async fn create(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<Team>,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let expires_in_days = body.optional_number("expiresInDays");
    let (Some(email), Some(role)) = (body.text("email"), body.text("role")) else {
        return Err(body.refusal());
    };
    body.finish()?;
    let new = NewInvitation {
        email,
        role: parse_role(&role)?,
        expires_in_days,
    };
    let made = web.app.create_invitation(&ctx, id, new).await?;
    let scheme = if web.settings.tls { "https" } else { "http" };
    let base = match &web.settings.base_url {
        Some(base) => base.to_string(),
        None => format!("{scheme}://{}", web.settings.listen),
    };
    let answer = Made {
        // EXPOSE: the one answer that holds the link, towards the inviter.
        link: format!("{base}/invitation#{}", made.code.expose()),
        details: &made.view,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Take an invitation back
///
/// Its link stops at once.
#[utoipa::path(
    delete, path = "/api/invitations/{id}", tag = "Teams", operation_id = "revokeInvitation",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The invitation's id.", format = Uuid)),
    responses((status = 204, description = "Taken back.")),
)]
pub(crate) async fn revoke(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<Invitation>,
) -> Result<StatusCode, Problem> {
    web.app.revoke_invitation(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read an invitation by its link
///
/// A link that is wrong, used, revoked or over is answered alike.
#[utoipa::path(
    post, path = "/api/invitations/read", tag = "Teams", operation_id = "readInvitation",
    request_body = ReadInvitationRequest,
    responses(
        (status = 200, description = "What it says.", body = InvitedSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    visitor: Visitor,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let Some(code) = body.secret_text("code") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let session = visitor.previous.as_ref();
    // EXPOSE: the code is compared by its keyed hash.
    let code = code.expose();
    let invited = web.app.read_invitation(code, session, &visitor.origin);
    Ok(Json(invited.await?).into_response())
}

/// Accept an invitation
///
/// Where nobody has the address, an account is made and signed in. Somebody who has an account
/// must be signed in with that address, and joins the team.
#[utoipa::path(
    post, path = "/api/invitations/accept", tag = "Teams", operation_id = "acceptInvitation",
    request_body = AcceptInvitationRequest,
    responses(
        (status = 200, description = "Joined.", body = MeView,
         headers(("Set-Cookie" = Option<String>,
                  description = "The session of a new account: `__Host-nodeloom`."))),
        (status = 409, description = "Somebody has taken the address just now.",
         body = ErrorSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn accept(
    State(web): State<WebState>,
    visitor: Visitor,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let person = NewPerson {
        password: body
            .optional_text("password")
            .map(nodeloom_crypto::Secret::new),
        first_name: body.optional_text("firstName").unwrap_or_default(),
        last_name: body.optional_text("lastName").unwrap_or_default(),
    };
    let Some(code) = body.secret_text("code") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let (session, agent) = (visitor.previous.as_ref(), visitor.user_agent.as_deref());
    // EXPOSE: the code is compared by its keyed hash.
    let code = code.expose();
    let joined = web
        .app
        .accept_invitation(code, person, session, &visitor.origin, agent)
        .await?;
    let mut response = Json(&joined.me).into_response();
    if let Some(token) = &joined.token {
        let cookie = cookie::set(token);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
