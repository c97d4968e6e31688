//! One's own second factor, and that of somebody who lost it.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use nodeloom_crypto::Secret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::{self, SMALL},
    error::Problem,
    extract::{Caller, PathId, VerifiedCaller},
    state::WebState,
};

/// How a second factor stands.
#[derive(ToSchema)]
#[schema(as = SecondFactor, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct StatusSchema {
    is_on: bool,
    recovery_codes_left: usize,
}

/// A secret for an authenticator app: SHA-1, six digits, 30 seconds (RFC 6238).
#[derive(ToSchema, Serialize)]
#[schema(as = OfferedSecret)]
pub(crate) struct Offered<'a> {
    /// In Base32, to be typed.
    secret: &'a str,
    /// The same as an `otpauth:` address, to be shown as a QR code.
    uri: &'a str,
}

/// A code of the app.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct CodeRequest {
    #[schema(write_only, example = "123456")]
    code: String,
}

/// Recovery codes. Each works once, in the place of a code of the app.
#[derive(ToSchema, Serialize)]
#[schema(as = RecoveryCodes, rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Codes<'a> {
    recovery_codes: Vec<&'a str>,
}

fn codes(codes: &[Secret<String>]) -> Response {
    let shown = Codes {
        // EXPOSE: the one answer that holds them, towards the person whose they are.
        recovery_codes: codes.iter().map(|code| code.expose().as_str()).collect(),
    };
    Json(shown).into_response()
}

/// Read your second factor
#[utoipa::path(
    get, path = "/api/auth/totp", tag = "Sessions", operation_id = "readSecondFactor",
    security(("session" = [])),
    responses((status = 200, description = "Whether it is on.", body = StatusSchema)),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.second_factor(&ctx).await?).into_response())
}

/// Begin a second factor
///
/// Nothing is on before a code confirms it. Needs a fresh proof of identity.
#[utoipa::path(
    post, path = "/api/auth/totp", tag = "Sessions", operation_id = "offerSecondFactor",
    security(("session" = [])),
    responses((status = 200, description = "The secret, shown this once.", body = Offered<'_>)),
)]
pub(crate) async fn offer(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
) -> Result<Response, Problem> {
    let offered = web.app.offer_second_factor(&ctx).await?;
    Ok(Json(Offered {
        // EXPOSE: the one answer that holds it, towards the person whose it is.
        secret: offered.secret.expose(),
        // EXPOSE: as above.
        uri: offered.uri.expose(),
    })
    .into_response())
}

/// Turn your second factor on
///
/// With a code of the secret that was offered. Your other sessions end.
#[utoipa::path(
    post, path = "/api/auth/totp/confirm", tag = "Sessions",
    operation_id = "confirmSecondFactor",
    security(("session" = [])), request_body = CodeRequest,
    responses((status = 200, description = "On. The codes are shown this once.", body = Codes<'_>)),
)]
pub(crate) async fn confirm(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let Some(code) = body.secret_text("code") else {
        return Err(body.refusal());
    };
    body.finish()?;
    Ok(codes(&web.app.confirm_second_factor(&ctx, &code).await?))
}

/// Renew your recovery codes
///
/// The former ones end. Needs a fresh proof of identity.
#[utoipa::path(
    post, path = "/api/auth/totp/recovery-codes", tag = "Sessions",
    operation_id = "renewRecoveryCodes",
    security(("session" = [])),
    responses((status = 200, description = "The new ones, shown this once.", body = Codes<'_>)),
)]
pub(crate) async fn renew(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
) -> Result<Response, Problem> {
    Ok(codes(&web.app.renew_recovery_codes(&ctx).await?))
}

/// Turn your second factor off
///
/// Needs a fresh proof of identity, which takes a code as well.
#[utoipa::path(
    delete, path = "/api/auth/totp", tag = "Sessions", operation_id = "removeSecondFactor",
    security(("session" = [])),
    responses((status = 204, description = "Off.")),
)]
pub(crate) async fn remove(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<StatusCode, Problem> {
    web.app.remove_second_factor(&ctx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Turn off the second factor of somebody who lost it
///
/// For administrators of the instance. The person's sessions end.
#[utoipa::path(
    delete, path = "/api/users/{id}/totp", tag = "People", operation_id = "resetSecondFactor",
    security(("session" = [])),
    params(("id" = String, Path, description = "The person's id.", format = Uuid)),
    responses((status = 204, description = "Off.")),
)]
pub(crate) async fn reset(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::User>,
) -> Result<StatusCode, Problem> {
    web.app.reset_second_factor(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
