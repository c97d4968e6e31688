//! Single sign-on. Both halves are visits of a browser, so they answer with redirects and pages.
//!
//! The second half is a `GET` that opens a session. It is no hole in "no change by GET": the
//! provider's answer works once, only with the state and with the cookie of the browser that
//! began, and that browser ends up signed in as whoever proved themselves at the provider.

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nodeloom_app::{AppError, Browser, Proof, SingleSignOnProblem};
use nodeloom_domain::audit::Origin;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ErrorSchema, Problem},
    extract::Parameters,
    guard::{
        cookie::{self, Shown},
        csrf::{self, FetchSite},
        flow_cookie,
    },
    metrics::SignIn,
    pages::single_sign_on as page,
    state::WebState,
};

/// Where a flow begins.
pub(crate) const START: &str = "/api/auth/oidc/start";

/// How people sign in.
#[derive(Serialize, ToSchema)]
#[schema(as = SignInMethods)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Methods<'a> {
    /// Whether everybody may use a password; otherwise break-glass accounts alone.
    password: bool,
    /// The identity provider; `null` where there is none.
    #[schema(required = true)]
    single_sign_on: Option<ProviderView<'a>>,
}

/// The identity provider.
#[derive(Serialize, ToSchema)]
#[schema(as = IdentityProvider)]
pub(crate) struct ProviderView<'a> {
    /// For the button.
    #[schema(example = "Example ID")]
    name: &'a str,
    /// Where the browser goes to begin.
    #[schema(example = "/api/auth/oidc/start")]
    start: &'static str,
}

/// Ask how people sign in
#[utoipa::path(
    get, path = "/api/auth/methods", tag = "Sessions", operation_id = "signInMethods",
    responses((status = 200, description = "How people sign in.", body = Methods<'static>)),
)]
pub(crate) async fn methods(State(web): State<WebState>) -> Response {
    let rules = web.app.single_sign_on_rules();
    let methods = Methods {
        password: rules.is_none_or(|rules| !rules.only),
        single_sign_on: rules.map(|rules| ProviderView {
            name: &rules.name,
            start: START,
        }),
    };
    Json(methods).into_response()
}

/// Begin a single sign-on
///
/// For a browser: it goes on to the identity provider. When another site sent it here, a page
/// asks first.
#[utoipa::path(
    get, path = "/api/auth/oidc/start", tag = "Sessions", operation_id = "beginSingleSignOn",
    params(
        ("returnTo" = Option<String>, Query,
         description = "A path of this address to go to afterwards; default `/`."),
        ("reauthenticate" = Option<bool>, Query,
         description = "`true` asks for a new proof, whatever the provider remembers."),
    ),
    responses(
        (status = 200, description = "A page that asks whether to go on.", content_type = "text/html"),
        (status = 302, description = "To the provider, or to a page that says what is wrong.",
         headers(
            ("Location" = String, description = "Where to."),
            ("Set-Cookie" = Option<String>, description = "The flow: `__Host-nodeloom-sso`."),
         )),
        (status = 404, description = "Single sign-on is not set up.", body = ErrorSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn start(
    State(web): State<WebState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let return_to = query.optional_text("returnTo");
    let proof = match query.optional_text("reauthenticate").as_deref() {
        None | Some("false") => Proof::Recent,
        Some("true") => Proof::Fresh,
        Some(_) => {
            let message = "must be `true` or `false`";
            return Err(Problem::field("reauthenticate", "boolean", message));
        }
    };
    query.finish()?;
    let rules = web.app.single_sign_on_rules().ok_or_else(off)?;
    if csrf::site(&headers) == FetchSite::Foreign {
        // Nobody is signed in because of a link that another site made them follow.
        return Ok(page::ask(&rules.name));
    }
    let browser = browser(origin, &headers);
    let begun = web
        .app
        .begin_single_sign_on(&browser, return_to.as_deref(), proof)
        .await;
    match begun {
        Ok(begun) => {
            let to_provider = redirect(&begun.location)?;
            Ok((
                [(header::SET_COOKIE, flow_cookie::set(&begun.cookie))],
                to_provider,
            )
                .into_response())
        }
        Err(problem) => tell(problem, &browser.origin),
    }
}

/// Finish a single sign-on
///
/// Where the identity provider sends the browser back to. Opens the session; its id is only in
/// the cookie `__Host-nodeloom`.
#[utoipa::path(
    get, path = "/api/auth/oidc/callback", tag = "Sessions", operation_id = "finishSingleSignOn",
    params(
        ("state" = Option<String>, Query, description = "As the flow began with it."),
        ("code" = Option<String>, Query, description = "The provider's code."),
        ("iss" = Option<String>, Query, description = "The provider, RFC 9207."),
        ("error" = Option<String>, Query, description = "The provider's error instead."),
    ),
    responses(
        (status = 200, description = "Signed in: a page that goes on by itself.", content_type = "text/html",
         headers(("Set-Cookie" = String, description = "The session: `__Host-nodeloom`."))),
        (status = 302, description = "Not signed in: to a page that says why.",
         headers(("Location" = String, description = "That page."))),
        (status = 404, description = "Single sign-on is not set up.", body = ErrorSchema),
        (status = 429, description = "Too many attempts; see `Retry-After`.", body = ErrorSchema,
         headers(("Retry-After" = u64, description = "Seconds until the next attempt is heard."))),
    ),
)]
pub(crate) async fn callback(
    State(web): State<WebState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let browser = browser(origin, &headers);
    let finished = web
        .app
        .finish_single_sign_on(
            &browser,
            flow_cookie::read(&headers),
            query.as_deref().unwrap_or_default(),
        )
        .await;
    web.metrics.sign_in(label(finished.as_ref().err()));
    let problem = match finished {
        Ok(finished) => {
            let mut response = page::go_on(&finished.return_to);
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, cookie::set(&finished.signed_in.token));
            headers.append(header::SET_COOKIE, flow_cookie::clear());
            return Ok(response);
        }
        Err(problem) => problem,
    };
    // A false answer must not end the flow that the browser is in the middle of.
    let is_over = !matches!(problem, SingleSignOnProblem::NoSuchFlow);
    let mut response = tell(problem, &browser.origin)?;
    if is_over {
        let headers = response.headers_mut();
        headers.append(header::SET_COOKIE, flow_cookie::clear());
    }
    Ok(response)
}

/// What is known of the browser. Two session cookies are as good as none: nothing rests on them.
fn browser(origin: Origin, headers: &HeaderMap) -> Browser {
    let session = match cookie::read(headers) {
        Shown::One(session) => session,
        Shown::Nothing | Shown::Many => None,
    };
    let user_agent = headers.get(header::USER_AGENT);
    Browser {
        origin,
        session,
        user_agent: user_agent
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
    }
}

/// To the page that says what is wrong, by a word of ours: nothing that came with the request or
/// from the provider is shown. The log has the cause.
fn tell(problem: SingleSignOnProblem, origin: &Origin) -> Result<Response, Problem> {
    let problem = match problem {
        SingleSignOnProblem::Off => return Err(off()),
        SingleSignOnProblem::App(error) => return Err(error.into()),
        problem => problem,
    };
    let cause = chain(&problem);
    let request_id = origin.request_id.as_str();
    tracing::warn!(
        reason = problem.code(),
        cause,
        request_id,
        "a single sign-on ended"
    );
    redirect(&page::problem_path(problem.code(), request_id))
}

fn redirect(to: &str) -> Result<Response, Problem> {
    let to = HeaderValue::from_str(to).map_err(|error| Problem::internal(Some(error.into())))?;
    Ok((StatusCode::FOUND, [(header::LOCATION, to)]).into_response())
}

fn off() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "SINGLE_SIGN_ON_OFF",
        "Single sign-on is not set up here. Sign in with POST /api/auth/login.",
    )
}

/// A problem with its causes, in one line. The texts hold no secret and no raw word of a peer.
fn chain(problem: &dyn std::error::Error) -> String {
    let mut text = problem.to_string();
    let mut cause = problem.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

const fn label(problem: Option<&SingleSignOnProblem>) -> SignIn {
    match problem {
        None => SignIn::Success,
        Some(SingleSignOnProblem::App(AppError::Throttled { .. })) => SignIn::Throttled,
        Some(SingleSignOnProblem::App(_)) => SignIn::Failed,
        Some(_) => SignIn::Refused,
    }
}
