//! Signing in and out.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nodeloom_app::{AppError, SignedIn};
use nodeloom_crypto::Secret;
use utoipa::ToSchema;

use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, VerifiedCaller, Visitor},
    guard::cookie,
    metrics::SignIn,
    state::WebState,
};

/// The signed-in person.
#[derive(ToSchema)]
#[schema(as = Me, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct MeView {
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = Email)]
    email: String,
    first_name: String,
    last_name: String,
    /// The teams of the person, and the role in each.
    teams: Vec<MyTeamView>,
}

/// A team of the signed-in person.
#[derive(ToSchema)]
#[schema(as = MyTeam, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct MyTeamView {
    #[schema(format = Uuid)]
    team_id: String,
    team_name: String,
    role: RoleView,
}

/// ADMIN includes BUILDER, which includes OPERATOR, which includes VIEWER; AUDITOR is a
/// viewer who also sees the audit trail and the state of the keys.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) enum RoleView {
    Admin,
    Builder,
    Operator,
    Viewer,
    Auditor,
}

/// Who wants in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct LoginRequest {
    #[schema(format = Email, example = "ada@example.com")]
    email: String,
    #[schema(format = Password, write_only)]
    password: String,
    /// Six digits of the authenticator app, or a recovery code; for an account with a second
    /// factor, which answers `SECOND_FACTOR_REQUIRED` without one.
    #[schema(write_only, required = false)]
    code: Option<String>,
}

/// A fresh proof of identity.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct ReauthenticateRequest {
    #[schema(format = Password, write_only)]
    password: String,
    /// Six digits of the authenticator app, or a recovery code; for an account with a second
    /// factor, which answers `SECOND_FACTOR_REQUIRED` without one.
    #[schema(write_only, required = false)]
    code: Option<String>,
}

/// Another password.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct ChangePasswordRequest {
    #[schema(format = Password, write_only)]
    current_password: String,
    #[schema(format = Password, write_only, min_length = 12, max_length = 256)]
    new_password: String,
}

/// Sign in
///
/// Opens a session. Its id is only in the cookie `__Host-nodeloom`; a session that the
/// request brought along ends. A script must send the header `Origin` with the address
/// that it calls, here and with every change.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "Sessions", operation_id = "login",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "Signed in.", body = MeView,
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
        (status = 401, description = "Wrong address, password or code; or a code is missing.", body = ErrorSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn login(
    State(web): State<WebState>,
    visitor: Visitor,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let code = body.optional_text("code").map(Secret::new);
    let (Some(email), Some(password)) = (body.text("email"), body.secret_text("password")) else {
        return Err(body.refusal());
    };
    body.finish()?;
    let Visitor {
        origin,
        previous,
        user_agent,
    } = visitor;
    let outcome = web
        .app
        .sign_in_with_code(
            &email,
            password,
            code.as_ref(),
            previous.as_ref(),
            &origin,
            user_agent.as_deref(),
        )
        .await;
    web.metrics.sign_in(label(&outcome));
    Ok(signed_in(&outcome?))
}

/// Who am I
#[utoipa::path(
    get, path = "/api/auth/me", tag = "Sessions", operation_id = "me",
    security(("session" = [])),
    responses((status = 200, description = "The signed-in person.", body = MeView)),
)]
pub(crate) async fn me(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.me(&ctx).await?).into_response())
}

/// Sign out
///
/// Ends the session at once, on the server and in the browser.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "Sessions", operation_id = "logout",
    security(("session" = [])),
    responses((status = 204, description = "Signed out.")),
)]
pub(crate) async fn logout(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    web.app.sign_out(&ctx).await?;
    let everything = HeaderValue::from_static("\"cache\", \"cookies\", \"storage\"");
    let headers = [
        (header::SET_COOKIE, cookie::clear()),
        (
            header::HeaderName::from_static("clear-site-data"),
            everything,
        ),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Renew the session id
///
/// The old id ends; the session's absolute limit stays as it was.
#[utoipa::path(
    post, path = "/api/auth/refresh", tag = "Sessions", operation_id = "refresh",
    security(("session" = [])),
    responses(
        (status = 200, description = "A new id for the same session.", body = MeView,
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
    ),
)]
pub(crate) async fn refresh(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(signed_in(&web.app.refresh_session(&ctx).await?))
}

/// Prove your identity again
///
/// Opens what needs a proof from the last five minutes, such as revealing a secret.
/// The session gets a new id; its absolute limit stays as it was.
#[utoipa::path(
    post, path = "/api/auth/reauthenticate", tag = "Sessions", operation_id = "reauthenticate",
    security(("session" = [])), request_body = ReauthenticateRequest,
    responses(
        (status = 200, description = "Proved.", body = MeView,
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn reauthenticate(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let code = body.optional_text("code").map(Secret::new);
    let Some(password) = body.secret_text("password") else {
        return Err(body.refusal());
    };
    body.finish()?;
    let outcome = web
        .app
        .reauthenticate_with_code(&ctx, password, code.as_ref())
        .await;
    web.metrics.sign_in(label(&outcome));
    Ok(signed_in(&outcome?))
}

/// Change your password
///
/// Every other session of yours ends. This one gets a new id; its absolute limit stays as
/// it was.
#[utoipa::path(
    post, path = "/api/auth/password", tag = "Sessions", operation_id = "changePassword",
    security(("session" = [])), request_body = ChangePasswordRequest,
    responses(
        (status = 200, description = "Changed.", body = MeView,
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn change_password(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let (current, new) = (
        body.secret_text("currentPassword"),
        body.secret_text("newPassword"),
    );
    let (Some(current), Some(new)) = (current, new) else {
        return Err(body.refusal());
    };
    body.finish()?;
    let changed = web.app.change_password(&ctx, current, new).await?;
    Ok(signed_in(&changed))
}

/// The person, and the session in its cookie and nowhere else.
pub(super) fn signed_in(signed_in: &SignedIn) -> Response {
    let headers = [(header::SET_COOKIE, cookie::set(&signed_in.token))];
    (headers, Json(&signed_in.me)).into_response()
}

pub(super) fn label(outcome: &Result<SignedIn, AppError>) -> SignIn {
    match outcome {
        Ok(_) => SignIn::Success,
        Err(AppError::Throttled { .. }) => SignIn::Throttled,
        Err(AppError::Unavailable(_) | AppError::Internal { .. }) => SignIn::Failed,
        Err(_) => SignIn::Refused,
    }
}
