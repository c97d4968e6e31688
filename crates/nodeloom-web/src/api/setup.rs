//! The first administrator.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use nodeloom_app::NewAdmin;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{MeView, label, signed_in};
use crate::{
    body::{self, SMALL},
    error::{ErrorSchema, Problem},
    extract::Visitor,
    state::WebState,
};

/// Whether anybody can sign in yet.
#[derive(Serialize, ToSchema)]
#[schema(as = SetUp)]
pub(crate) struct SetUpView {
    /// `true` until the first administrator exists.
    needed: bool,
}

/// The first administrator.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct SetUpRequest {
    /// The code from the set-up link.
    #[schema(write_only)]
    code: String,
    #[schema(format = Email, example = "ada@example.com")]
    email: String,
    /// 12 to 256 characters.
    #[schema(format = Password, write_only, min_length = 12, max_length = 256)]
    password: String,
    #[schema(required = false)]
    first_name: Option<String>,
    #[schema(required = false)]
    last_name: Option<String>,
}

/// Ask whether set-up is needed
#[utoipa::path(
    get, path = "/api/setup", tag = "Set-up", operation_id = "setUpState",
    responses((status = 200, description = "Whether set-up is needed.", body = SetUpView)),
)]
pub(crate) async fn needed(State(web): State<WebState>) -> Result<Response, Problem> {
    let needed = web.app.needs_set_up().await?;
    Ok(Json(SetUpView { needed }).into_response())
}

/// Make the first administrator
///
/// With the one-time code that the server printed at its first start. Signs in at once.
#[utoipa::path(
    post, path = "/api/setup", tag = "Set-up", operation_id = "setUp",
    request_body = SetUpRequest,
    responses(
        (status = 200, description = "Set up, and signed in.", body = MeView,
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
        (status = 401, description = "The code is wrong or has expired.", body = ErrorSchema),
        (status = 409, description = "Set up already.", body = ErrorSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn redeem(
    State(web): State<WebState>,
    visitor: Visitor,
    body::Json(mut body): body::Json<SMALL>,
) -> Result<Response, Problem> {
    let first_name = body.optional_text("firstName").unwrap_or_default();
    let last_name = body.optional_text("lastName").unwrap_or_default();
    let (Some(code), Some(email), Some(password)) = (
        body.secret_text("code"),
        body.text("email"),
        body.secret_text("password"),
    ) else {
        return Err(body.refusal());
    };
    body.finish()?;
    let admin = NewAdmin {
        email,
        password,
        first_name,
        last_name,
    };
    // EXPOSE: the code is compared by its keyed hash.
    let outcome = web
        .app
        .redeem_set_up_code(
            code.expose(),
            admin,
            &visitor.origin,
            visitor.user_agent.as_deref(),
        )
        .await;
    web.metrics.sign_in(label(&outcome));
    Ok(signed_in(&outcome?))
}
