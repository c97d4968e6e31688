//! A credential's versions, its end and its return, who uses it, and whether it works.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use nodeloom_app::AppError;
use utoipa::ToSchema;

use super::{
    credential::{CredentialSchema, tagged},
    precondition,
};
use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, Parameters, PathId, VerifiedCaller},
    state::WebState,
};

/// One version of a credential's values. No value is in it.
#[derive(ToSchema)]
#[schema(as = CredentialVersion, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct VersionSchema {
    version: u64,
    is_current: bool,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    /// The fields that are set.
    fields: Vec<String>,
    /// How each field differs from the version before: `added`, `changed` or `removed`. `null`
    /// for the first version, and where the one before could not be opened.
    changes: Option<std::collections::BTreeMap<String, String>>,
    /// The version that it repeats.
    restored_from: Option<u64>,
}

/// Who or what has used a credential.
#[derive(ToSchema)]
#[schema(as = CredentialUse, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct UseSchema {
    /// `user`, `token`, `operator` …
    #[schema(example = "user")]
    kind: String,
    #[schema(format = Uuid)]
    id: Option<String>,
    name: String,
    #[schema(format = DateTime)]
    first_used_at: String,
    #[schema(format = DateTime)]
    last_used_at: String,
    uses: u64,
}

/// What a connection test found.
#[derive(ToSchema)]
#[schema(as = TestReport, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct TestSchema {
    /// `ok`, `failed`, `refused` (nodeloom did not connect) or `unsupported`.
    #[schema(example = "ok")]
    status: String,
    /// Why, in one word, such as `rejected`.
    code: String,
    /// Why, in a sentence; no secret is in it.
    message: String,
    #[schema(format = DateTime)]
    tested_at: String,
    duration_ms: u64,
    /// `false` when the values were replaced while the test ran.
    is_stored: bool,
}

/// A credential that can still be undeleted: as it was, and who deleted it.
#[derive(ToSchema)]
#[schema(as = DeletedCredential, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct DeletedSchema {
    #[serde(flatten)]
    view: CredentialSchema,
    #[schema(format = DateTime)]
    deleted_at: String,
    deleted_by: String,
}

/// A date of a credential.
#[derive(ToSchema)]
#[schema(as = DueDate, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct DueDateSchema {
    /// `expiry` or `rotation`.
    #[schema(example = "expiry")]
    kind: String,
    #[schema(format = DateTime)]
    at: String,
    /// Whether it has passed.
    is_overdue: bool,
}

/// A credential with a date to act by.
#[derive(ToSchema)]
#[schema(as = DueCredential)]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct DueSchema {
    #[serde(flatten)]
    view: CredentialSchema,
    /// Earliest first.
    due: Vec<DueDateSchema>,
}

/// Under which name a credential comes back.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct UndeleteRequest {
    /// Another name, where the old one is taken by now.
    #[schema(min_length = 1, max_length = 200, required = false)]
    name: Option<String>,
}

/// List the versions of a credential
///
/// Newest first. Nothing is decrypted.
#[utoipa::path(
    get, path = "/api/credentials/{id}/versions", tag = "Credentials",
    operation_id = "listCredentialVersions",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The credential's id.", format = Uuid)),
    responses((status = 200, description = "Its versions.", body = [VersionSchema])),
)]
pub(crate) async fn versions(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Credential>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.credential_versions(&ctx, id).await?).into_response())
}

/// Restore a version of a credential
///
/// Its values become the current ones, as a new version. Nothing is lost.
#[utoipa::path(
    post, path = "/api/credentials/{id}/versions/{n}/restore", tag = "Credentials",
    operation_id = "restoreCredentialVersion",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("n" = u64, Path, description = "Number of the version.", minimum = 1),
        ("If-Match" = Option<String>, Header, description = "Change only this `ETag`."),
    ),
    responses(
        (status = 200, description = "Restored.", body = CredentialSchema,
         headers(("ETag" = String, description = "Its new revision."))),
        (status = 412, description = "It has changed since you read it.", body = ErrorSchema),
        (status = 422, description = "The stored value is damaged.", body = ErrorSchema),
        (status = 423, description = "The key of the stored value is not held.", body = ErrorSchema),
    ),
)]
pub(crate) async fn restore(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    Path((id, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected_revision = precondition::if_match(&headers)?;
    let (Ok(id), Ok(version)) = (id.parse(), version.parse()) else {
        return Err(AppError::NotFound.into());
    };
    let view = web
        .app
        .restore_credential(&ctx, id, version, expected_revision)
        .await?;
    Ok(tagged(&view))
}

/// List who has used a credential
///
/// Latest first, at most 1,000: a row for each person or token, not for each use.
#[utoipa::path(
    get, path = "/api/credentials/{id}/usage", tag = "Credentials",
    operation_id = "listCredentialUsage",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The credential's id.", format = Uuid)),
    responses((status = 200, description = "Its users.", body = [UseSchema])),
)]
pub(crate) async fn usage(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Credential>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.credential_usage(&ctx, id).await?).into_response())
}

/// Test a credential
///
/// Signs in with it where it belongs, within ten seconds, and keeps the outcome. Private addresses
/// are refused unless `APP_SSRF_ALLOW` names them.
#[utoipa::path(
    post, path = "/api/credentials/{id}/test", tag = "Credentials",
    operation_id = "testCredential",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The credential's id.", format = Uuid)),
    responses(
        (status = 200, description = "What the test found, good or bad.", body = TestSchema),
        (status = 422, description = "The stored value is damaged.", body = ErrorSchema),
        (status = 423, description = "The key of the stored value is not held.", body = ErrorSchema),
    ),
)]
pub(crate) async fn test(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Credential>,
) -> Result<Response, Problem> {
    Ok(Json(web.app.test_credential(&ctx, id).await?).into_response())
}

/// List deleted credentials
///
/// Those of a team that can still be undeleted, latest deletion first.
#[utoipa::path(
    get, path = "/api/deleted-credentials", tag = "Credentials",
    operation_id = "listDeletedCredentials",
    security(("session" = []), ("token" = [])),
    params(
        ("teamId" = String, Query, description = "The team.", format = Uuid),
        ("page" = Option<u32>, Query, description = "From 0; default 0.", minimum = 0),
        ("size" = Option<u32>, Query, description = "Items of a page; default 200.",
         minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "One page.", body = [DeletedSchema],
         headers(("X-Total-Count" = u64, description = "How many there are, on all pages."))),
    ),
)]
pub(crate) async fn deleted(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let page = query.number("page", 0, 0, u32::MAX);
    let size = query.number("size", 200, 1, 1000);
    let own = match query.has("teamId") {
        true => None,
        false => web.app.team_of_token(&ctx).await?,
    };
    let Some(team) = own.or_else(|| query.id("teamId")) else {
        return Err(query.refusal());
    };
    query.finish()?;
    let (items, total) = web.app.deleted_credentials(&ctx, team, page, size).await?;
    let count = (
        HeaderName::from_static("x-total-count"),
        HeaderValue::from(total),
    );
    Ok(([count], Json(items)).into_response())
}

/// Undelete a credential
#[utoipa::path(
    post, path = "/api/credentials/{id}/undelete", tag = "Credentials",
    operation_id = "undeleteCredential",
    security(("session" = []), ("token" = [])), request_body = Option<UndeleteRequest>,
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "Change only this `ETag`."),
    ),
    responses(
        (status = 200, description = "It is back.", body = CredentialSchema,
         headers(("ETag" = String, description = "Its new revision."))),
        (status = 409, description = "It is not deleted, or the name is taken.", body = ErrorSchema),
        (status = 412, description = "It has changed since you read it.", body = ErrorSchema),
    ),
)]
pub(crate) async fn undelete(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    headers: HeaderMap,
    body::OptionalJson(mut body): body::OptionalJson<SMALL>,
) -> Result<Response, Problem> {
    let expected_revision = precondition::if_match(&headers)?;
    let name = body.optional_text("name");
    body.finish()?;
    let view = web
        .app
        .undelete_credential(&ctx, id, name, expected_revision)
        .await?;
    Ok(tagged(&view))
}

/// Purge a deleted credential
///
/// Destroys it with every version of its values. There is no way back but a backup.
#[utoipa::path(
    post, path = "/api/credentials/{id}/purge", tag = "Credentials",
    operation_id = "purgeCredential",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "Purge only this `ETag`."),
    ),
    responses(
        (status = 204, description = "Destroyed."),
        (status = 409, description = "It is not deleted.", body = ErrorSchema),
        (status = 412, description = "It has changed since you read it.", body = ErrorSchema),
    ),
)]
pub(crate) async fn purge(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected_revision = precondition::if_match(&headers)?;
    web.app
        .purge_credential(&ctx, id, expected_revision)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List credentials with a date to act by
///
/// Those of a team that expire or should be rotated within the time asked for, and those that are
/// overdue: earliest date first, at most 1,000.
#[utoipa::path(
    get, path = "/api/due-credentials", tag = "Credentials", operation_id = "listDueCredentials",
    security(("session" = []), ("token" = [])),
    params(
        ("teamId" = String, Query, description = "The team.", format = Uuid),
        ("days" = Option<u32>, Query, description = "How far to look ahead; default 30.",
         minimum = 0, maximum = 3650),
    ),
    responses((status = 200, description = "The credentials.", body = [DueSchema])),
)]
pub(crate) async fn due(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let days = query.number("days", 30, 0, 3650);
    let own = match query.has("teamId") {
        true => None,
        false => web.app.team_of_token(&ctx).await?,
    };
    let Some(team) = own.or_else(|| query.id("teamId")) else {
        return Err(query.refusal());
    };
    query.finish()?;
    Ok(Json(web.app.due_credentials(&ctx, team, days).await?).into_response())
}
