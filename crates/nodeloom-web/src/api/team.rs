//! Teams and who belongs to them.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nodeloom_domain::Role;
use utoipa::ToSchema;

use super::auth::RoleView;
use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, PathId, PathIds, VerifiedCaller},
    state::WebState,
};

/// A team.
#[derive(ToSchema)]
#[schema(as = Team, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct TeamSchema {
    #[schema(format = Uuid)]
    id: String,
    name: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A member of a team.
#[derive(ToSchema)]
#[schema(as = Member, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct MemberSchema {
    #[schema(format = Uuid)]
    user_id: String,
    #[schema(format = Email)]
    email: String,
    first_name: String,
    last_name: String,
    /// Whether the person may sign in.
    active: bool,
    role: RoleView,
    #[schema(format = DateTime)]
    created_at: String,
}

/// What a deleted team took with it.
#[derive(ToSchema)]
#[schema(as = TeamDeletion, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct TeamDeletionSchema {
    #[schema(format = Uuid)]
    id: String,
    /// Its name until now.
    name: String,
    credentials: u64,
    /// Sealed values, older versions included.
    values: u64,
    /// Data keys whose wrapped forms are deleted.
    keys: u64,
    members: u64,
    /// Whether the database has also let go of the deleted bytes in its own files.
    scrubbed: bool,
    /// What the deletion cannot reach.
    notice: String,
}

/// The name of a team.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct TeamRequest {
    /// Unique in the instance; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, example = "Payments")]
    name: String,
}

/// That the team is really meant.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct DeleteTeamRequest {
    /// The team's name.
    #[schema(example = "Payments")]
    confirm: String,
}

/// A role to give.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct MemberRequest {
    role: RoleView,
}

/// List teams
///
/// Your own; every team for an administrator of the instance.
#[utoipa::path(
    get, path = "/api/teams", tag = "Teams", operation_id = "listTeams",
    security(("session" = []), ("token" = [])),
    responses((status = 200, description = "The teams, by name.", body = [TeamSchema])),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.list_teams(&ctx).await?).into_response())
}

/// Make a team
///
/// With a data key of its own. Needs an administrator of the instance, who becomes the
/// team's first ADMIN.
#[utoipa::path(
    post, path = "/api/teams", tag = "Teams", operation_id = "createTeam",
    security(("session" = [])), request_body = TeamRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header,
         description = "1 to 255 characters of your choice: the same request under the same key \
                        is done once in 24 hours."),
    ),
    responses(
        (status = 201, description = "Made.", body = TeamSchema,
         headers(("Location" = String, description = "Its path."))),
        (status = 409, description = "The name is taken.", body = ErrorSchema),
        (status = 422, description = "The `Idempotency-Key` stood for another request.", body = ErrorSchema),
    ),
)]
pub(crate) async fn create(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    headers: HeaderMap,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let ctx = super::idempotency::once(ctx, &headers, "createTeam", &body)?;
    let Some(name) = body.text("name") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let view = web.app.create_team(&ctx, &name).await?;
    let location =
        HeaderValue::from_str(&format!("/api/teams/{}", view.id)).expect("an id is ASCII");
    let head = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, head, Json(view)).into_response())
}

/// Read a team
#[utoipa::path(
    get, path = "/api/teams/{id}", tag = "Teams", operation_id = "readTeam",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses((status = 200, description = "The team.", body = TeamSchema)),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Team>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.team(&ctx, id).await?).into_response())
}

/// Rename a team
#[utoipa::path(
    patch, path = "/api/teams/{id}", tag = "Teams", operation_id = "updateTeam",
    security(("session" = []), ("token" = [])), request_body = TeamRequest,
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses(
        (status = 200, description = "Renamed.", body = TeamSchema),
        (status = 409, description = "The name is taken.", body = ErrorSchema),
    ),
)]
pub(crate) async fn update(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Team>,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let Some(name) = body.text("name") else {
        return Err(body.refusal());
    };
    body.finish()?;
    Ok(Json(web.app.rename_team(&ctx, id, &name).await?).into_response())
}

/// Delete a team
///
/// With its credentials and all their versions, for good: its data keys are destroyed and
/// the sessions of its members end. Backups, WAL archives and replicas older than the
/// deletion still open under the root key. Needs an administrator of the instance and a
/// proof of identity from the last five minutes.
#[utoipa::path(
    delete, path = "/api/teams/{id}", tag = "Teams", operation_id = "deleteTeam",
    security(("session" = [])), request_body = DeleteTeamRequest,
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses(
        (status = 200, description = "Deleted.", body = TeamDeletionSchema),
        (status = 409, description = "It is the last team.", body = ErrorSchema),
    ),
)]
pub(crate) async fn delete(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Team>,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let Some(confirm) = body.text("confirm") else {
        return Err(body.refusal());
    };
    body.finish()?;
    Ok(Json(web.app.delete_team(&ctx, id, &confirm).await?).into_response())
}

/// List the members of a team
#[utoipa::path(
    get, path = "/api/teams/{id}/members", tag = "Teams", operation_id = "listMembers",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The team's id.", format = Uuid)),
    responses((status = 200, description = "The members, by address.", body = [MemberSchema])),
)]
pub(crate) async fn members(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Team>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.list_members(&ctx, id).await?).into_response())
}

/// Give a person a role in a team
///
/// Makes a member, or changes a member's role. Where that takes a right away, the person's
/// sessions end at once. Needs a proof of identity from the last five minutes.
#[utoipa::path(
    put, path = "/api/teams/{id}/members/{userId}", tag = "Teams", operation_id = "grantMember",
    security(("session" = []), ("token" = [])), request_body = MemberRequest,
    params(
        ("id" = String, Path, description = "The team's id.", format = Uuid),
        ("userId" = String, Path, description = "The person's id.", format = Uuid),
    ),
    responses(
        (status = 200, description = "Granted.", body = MemberSchema),
        (status = 409, description = "The team would have no active ADMIN.", body = ErrorSchema),
    ),
)]
pub(crate) async fn grant(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathIds(id, user): PathIds<nodeloom_domain::Team, nodeloom_domain::User>,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let Some(role) = body.text("role") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let role = parse_role(&role)?;
    Ok(Json(web.app.grant_member(&ctx, id, user, role).await?).into_response())
}

/// Take a person out of a team
///
/// The person's sessions end at once, and their API tokens in the team are revoked.
#[utoipa::path(
    delete, path = "/api/teams/{id}/members/{userId}", tag = "Teams",
    operation_id = "removeMember", security(("session" = []), ("token" = [])),
    params(
        ("id" = String, Path, description = "The team's id.", format = Uuid),
        ("userId" = String, Path, description = "The person's id.", format = Uuid),
    ),
    responses(
        (status = 204, description = "Removed."),
        (status = 409, description = "The team would have no active ADMIN.", body = ErrorSchema),
    ),
)]
pub(crate) async fn remove(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathIds(id, user): PathIds<nodeloom_domain::Team, nodeloom_domain::User>,
) -> Result<StatusCode, Problem> {
    web.app.remove_member(&ctx, id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role as the API writes it.
pub(super) fn parse_role(text: &str) -> Result<Role, Problem> {
    let known = Role::ALL.into_iter().find(|role| role.as_str() == text);
    known.ok_or_else(|| {
        Problem::field(
            "role",
            "one-of",
            "must be ADMIN, BUILDER, OPERATOR, VIEWER or AUDITOR",
        )
    })
}
