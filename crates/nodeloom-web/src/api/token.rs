//! API tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use nodeloom_app::NewToken;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::{self, SMALL},
    error::Problem,
    extract::{Caller, Parameters, PathId, VerifiedCaller},
    state::WebState,
};

/// An API token, without its text.
#[derive(ToSchema)]
#[schema(as = ApiToken, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct TokenSchema {
    #[schema(format = Uuid)]
    id: String,
    name: String,
    /// The one team that it works in.
    #[schema(format = Uuid)]
    team_id: String,
    /// The address of its owner, whose rights it carries.
    owner: String,
    /// The most that it may do; the lesser of this and the owner's role counts.
    role: String,
    /// The sensitive things that it may do.
    scopes: Vec<String>,
    /// The networks that it may come from; none: from anywhere.
    addresses: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends; `null`: when it is revoked.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Its last use, to the minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    last_used_address: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A token that was just made.
#[derive(ToSchema)]
#[schema(as = NewApiToken, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler writes")]
pub(crate) struct MadeTokenSchema {
    /// Its text, `nlt_…`: shown this once.
    token: String,
    #[schema(inline)]
    details: TokenSchema,
}

/// A token to be made.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct CreateTokenRequest {
    name: String,
    #[schema(format = Uuid)]
    team_id: String,
    /// `VIEWER`, `AUDITOR`, `OPERATOR`, `BUILDER` or `ADMIN`.
    #[schema(example = "VIEWER")]
    role: String,
    /// Any of `reveal`, `export`, `keys`, `grants`; then it lives for at most 90 days.
    #[schema(required = false)]
    scopes: Option<Vec<String>>,
    /// Addresses or networks in CIDR form.
    #[schema(required = false)]
    addresses: Option<Vec<String>>,
    /// 1 to 365 days; left out, it lives until it is revoked.
    #[schema(required = false, minimum = 1, maximum = 365)]
    expires_in_days: Option<u32>,
}

#[derive(Serialize)]
struct Made<'a> {
    token: &'a str,
    details: &'a nodeloom_app::TokenView,
}

/// List API tokens
///
/// Your own; with `teamId` all of a team that you administer. Newest first.
#[utoipa::path(
    get, path = "/api/tokens", tag = "API tokens", operation_id = "listTokens",
    security(("session" = []), ("token" = [])),
    params(("teamId" = Option<String>, Query, description = "The team.", format = Uuid)),
    responses((status = 200, description = "The tokens, without their texts.", body = [TokenSchema]),
        (status = 404, description = "No such team, or not yours to see.", body = crate::error::ErrorSchema)),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let team = if query.has("teamId") {
        query.id("teamId")
    } else {
        None
    };
    query.finish()?;
    Ok(Json(web.app.list_tokens(&ctx, team).await?).into_response())
}

/// Make an API token
///
/// For yourself, in one team. Needs a fresh proof of identity.
#[utoipa::path(
    post, path = "/api/tokens", tag = "API tokens", operation_id = "createToken",
    security(("session" = [])), request_body = CreateTokenRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header,
         description = "1 to 255 characters of your choice: the same request under the same key \
                        is done once in 24 hours."),
    ),
    responses((status = 201, description = "Made; its text is in no later answer.", body = MadeTokenSchema),
        (status = 409, description = "Made before, under the same `Idempotency-Key`.", body = crate::error::ErrorSchema),
        (status = 422, description = "The `Idempotency-Key` stood for another request.", body = crate::error::ErrorSchema),
        (status = 404, description = "No such team, or not yours to see.", body = crate::error::ErrorSchema)),
)]
pub(crate) async fn create(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    headers: HeaderMap,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let ctx = super::idempotency::once(ctx, &headers, "createToken", &body)?;
    let scopes = body.optional_texts("scopes").unwrap_or_default();
    let addresses = body.optional_texts("addresses").unwrap_or_default();
    let expires_in_days = body.optional_number("expiresInDays");
    let (Some(name), Some(team), Some(role)) =
        (body.text("name"), body.id("teamId"), body.text("role"))
    else {
        return Err(body.refusal());
    };
    body.finish()?;
    let new = NewToken {
        team,
        name,
        role,
        scopes,
        addresses,
        expires_in_days,
        owner: None,
    };
    let made = web.app.create_token(&ctx, new).await?;
    let answer = Made {
        // EXPOSE: the one answer that holds the text of a token, towards its owner.
        token: made.token.expose(),
        details: &made.view,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Revoke an API token
///
/// Your own, or one of a team that you administer. It stops working at once.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", tag = "API tokens", operation_id = "revokeToken",
    security(("session" = []), ("token" = [])),
    params(("id" = String, Path, description = "The token's id.", format = Uuid)),
    responses((status = 204, description = "Revoked.")),
)]
pub(crate) async fn revoke(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::ApiToken>,
) -> Result<StatusCode, Problem> {
    web.app.revoke_token(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
