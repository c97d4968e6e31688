//! The people of the instance.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nodeloom_app::{ListUsers, NewUser, UserChange};
use nodeloom_domain::User;
use utoipa::ToSchema;

use super::auth::MyTeamView;
use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, Parameters, PathId, VerifiedCaller},
    state::WebState,
};

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// A person, as an administrator of the instance sees them.
#[derive(ToSchema)]
#[schema(as = User, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct UserSchema {
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = Email)]
    email: String,
    first_name: String,
    last_name: String,
    /// Whether the person may sign in.
    active: bool,
    /// Whether the person administers the instance.
    instance_admin: bool,
    /// Whether the person may sign in by password where everybody else must use single sign-on.
    break_glass: bool,
    has_password: bool,
    has_second_factor: bool,
    #[schema(format = DateTime)]
    last_sign_in_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A person with their teams.
#[derive(ToSchema)]
#[schema(as = UserDetails, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct UserDetailsSchema {
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = Email)]
    email: String,
    first_name: String,
    last_name: String,
    active: bool,
    instance_admin: bool,
    break_glass: bool,
    has_password: bool,
    has_second_factor: bool,
    #[schema(format = DateTime)]
    last_sign_in_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The teams of the person, and the role in each.
    teams: Vec<MyTeamView>,
}

/// A person to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct CreateUserRequest {
    #[schema(format = Email, example = "bob@example.com")]
    email: String,
    #[schema(required = false)]
    first_name: Option<String>,
    #[schema(required = false)]
    last_name: Option<String>,
    /// 12 to 256 characters; without one the person signs in by single sign-on alone.
    #[schema(format = Password, write_only, required = false, min_length = 12, max_length = 256)]
    password: Option<String>,
    /// Whether the person administers the instance; left out: no.
    #[schema(required = false)]
    instance_admin: Option<bool>,
}

/// What is to change; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct UpdateUserRequest {
    #[schema(format = Email, required = false)]
    email: Option<String>,
    #[schema(required = false)]
    first_name: Option<String>,
    #[schema(required = false)]
    last_name: Option<String>,
    /// Whether the person may sign in by password where everybody else must use single sign-on.
    #[schema(required = false)]
    break_glass: Option<bool>,
    /// Whether the person administers the instance.
    #[schema(required = false)]
    instance_admin: Option<bool>,
}

/// List people
///
/// Everybody, by address. Needs an administrator of the instance.
#[utoipa::path(
    get, path = "/api/users", tag = "People", operation_id = "listUsers",
    security(("session" = [])),
    params(
        ("search" = Option<String>, Query, description = "Part of the address or the name."),
        ("page" = Option<u32>, Query, description = "From 0; default 0.", minimum = 0),
        ("size" = Option<u32>, Query, description = "Items of a page; default 200.",
         minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "One page.", body = [UserSchema],
         headers(("X-Total-Count" = u64, description = "People that match, on all pages."))),
    ),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let ask = ListUsers {
        page: query.number("page", 0, 0, u32::MAX),
        size: query.number("size", 200, 1, 1000),
        search: query.optional_text("search"),
    };
    query.finish()?;
    let list = web.app.list_users(&ctx, ask).await?;
    let head = [(TOTAL_COUNT, HeaderValue::from(list.total))];
    Ok((head, Json(list.items)).into_response())
}

/// Make a person
///
/// Without an invitation, and without a role in any team yet. Needs an administrator of the
/// instance and a proof of identity from the last five minutes.
#[utoipa::path(
    post, path = "/api/users", tag = "People", operation_id = "createUser",
    security(("session" = [])), request_body = CreateUserRequest,
    responses(
        (status = 201, description = "Made.", body = UserSchema,
         headers(("Location" = String, description = "Its path."))),
        (status = 409, description = "The address is taken.", body = ErrorSchema),
    ),
)]
pub(crate) async fn create(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let first_name = body.optional_text("firstName").unwrap_or_default();
    let last_name = body.optional_text("lastName").unwrap_or_default();
    let password = body
        .optional_text("password")
        .map(nodeloom_crypto::Secret::new);
    let instance_admin = body.optional_bool("instanceAdmin").unwrap_or_default();
    let Some(email) = body.text("email") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let new = NewUser {
        email,
        first_name,
        last_name,
        password,
        instance_admin,
    };
    let view = web.app.create_user(&ctx, new).await?;
    let location =
        HeaderValue::from_str(&format!("/api/users/{}", view.id)).expect("an id is ASCII");
    let head = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, head, Json(view)).into_response())
}

/// Read a person
///
/// With their teams. Needs an administrator of the instance.
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "People", operation_id = "readUser",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses((status = 200, description = "The person.", body = UserDetailsSchema)),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<User>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.user(&ctx, id).await?).into_response())
}

/// Change a person
///
/// Whoever stops to administer the instance is signed out. All of it happens, or nothing.
/// Needs an administrator of the instance and a proof of identity from the last five minutes.
#[utoipa::path(
    patch, path = "/api/users/{id}", tag = "People", operation_id = "updateUser",
    security(("session" = [])), request_body = UpdateUserRequest,
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses(
        (status = 200, description = "Changed.", body = UserSchema),
        (status = 409, description = "The address is taken, or nobody would administer the \
         instance.", body = ErrorSchema),
    ),
)]
pub(crate) async fn update(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<User>,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let change = UserChange {
        email: body.optional_text("email"),
        first_name: body.optional_text("firstName"),
        last_name: body.optional_text("lastName"),
        break_glass: body.optional_bool("breakGlass"),
        instance_admin: body.optional_bool("instanceAdmin"),
    };
    body.finish()?;
    Ok(Json(web.app.update_user(&ctx, id, change).await?).into_response())
}

/// Delete a person
///
/// With their sessions, API tokens and memberships. What they made stays; what they own has no
/// owner then; the audit trail keeps their address. Needs an administrator of the instance and
/// a proof of identity from the last five minutes.
#[utoipa::path(
    delete, path = "/api/users/{id}", tag = "People", operation_id = "deleteUser",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses(
        (status = 204, description = "Deleted."),
        (status = 409, description = "The instance or a team would have no active administrator.",
         body = ErrorSchema),
    ),
)]
pub(crate) async fn delete(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<User>,
) -> Result<StatusCode, Problem> {
    web.app.delete_user(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deactivate a person
///
/// Their sessions end and their API tokens stop at once; invitations that they made are
/// revoked. Needs an administrator of the instance.
#[utoipa::path(
    post, path = "/api/users/{id}/deactivate", tag = "People", operation_id = "deactivateUser",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses(
        (status = 200, description = "Deactivated.", body = UserSchema),
        (status = 409, description = "The instance or a team would have no active administrator.",
         body = ErrorSchema),
    ),
)]
pub(crate) async fn deactivate(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<User>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.deactivate_user(&ctx, id).await?).into_response())
}

/// Let a deactivated person in again
///
/// They sign in anew; their API tokens work again. Needs an administrator of the instance and a
/// proof of identity from the last five minutes.
#[utoipa::path(
    post, path = "/api/users/{id}/reactivate", tag = "People", operation_id = "reactivateUser",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses((status = 200, description = "Reactivated.", body = UserSchema)),
)]
pub(crate) async fn reactivate(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<User>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.reactivate_user(&ctx, id).await?).into_response())
}
