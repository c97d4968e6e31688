//! What handlers take from a request besides its body.

use axum::{
    extract::{FromRequestParts, Path},
    http::{header, request::Parts},
};
use nodeloom_app::{Ctx, SessionToken, Who};
use nodeloom_domain::{Id, audit::Origin};

use crate::{
    error::Problem,
    fields,
    guard::cookie::{self, Shown},
    state::WebState,
};

/// Whoever shows the form of a session. Each use-case checks it against the database,
/// so a route that calls one and reads no body needs no more than this.
pub(crate) struct Caller(pub(crate) Ctx);

/// A caller whose session has been found to live: for routes that read a body, which a
/// stranger shall not make us do, and for those that call no use-case.
pub(crate) struct VerifiedCaller(pub(crate) Ctx);

/// Somebody about to open a session.
pub(crate) struct Visitor {
    pub(crate) origin: Origin,
    /// The session that the new one replaces.
    pub(crate) previous: Option<SessionToken>,
    pub(crate) user_agent: Option<String>,
}

/// Most characters of a browser's name that are kept.
const MAX_USER_AGENT_CHARS: usize = 256;

impl FromRequestParts<WebState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Problem> {
        // No token is known yet, and a request with two proofs has none.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return Err(Problem::unauthenticated());
        }
        match cookie::read(&parts.headers) {
            Shown::One(Some(token)) => Ok(Self(Ctx {
                origin: origin(parts),
                who: Who::Session(token),
            })),
            Shown::One(None) | Shown::Nothing | Shown::Many => Err(Problem::unauthenticated()),
        }
    }
}

impl FromRequestParts<WebState> for VerifiedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let Caller(ctx) = Caller::from_request_parts(parts, web).await?;
        web.app.authenticate(&ctx).await?;
        Ok(Self(ctx))
    }
}

impl FromRequestParts<WebState> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Problem> {
        let previous = match cookie::read(&parts.headers) {
            Shown::Nothing => None,
            Shown::One(token) => token,
            Shown::Many => return Err(Problem::unauthenticated()),
        };
        let user_agent = parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.chars().take(MAX_USER_AGENT_CHARS).collect());
        Ok(Self {
            origin: origin(parts),
            previous,
            user_agent,
        })
    }
}

/// The gate has put it there.
fn origin(parts: &mut Parts) -> Origin {
    parts.extensions.remove::<Origin>().unwrap_or_default()
}

/// The id in a path. What is no id names nothing.
pub(crate) struct PathId<K>(pub(crate) Id<K>);

impl<K> FromRequestParts<WebState> for PathId<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let PathText(text) = PathText::from_request_parts(parts, web).await?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// The text in a path.
pub(crate) struct PathText(pub(crate) String);

impl FromRequestParts<WebState> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, web).await;
        text.map(|Path(text)| Self(text))
            .map_err(|_| Problem::not_found())
    }
}

/// The parameters of the query.
pub(crate) struct Parameters(pub(crate) fields::Query);

impl FromRequestParts<WebState> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        use axum::extract::Query;
        match Query::<Vec<(String, String)>>::from_request_parts(parts, web).await {
            Ok(Query(pairs)) => Ok(Self(fields::Query::new(pairs))),
            Err(_) => Err(Problem::field(
                "query",
                "encoding",
                "must be form-encoded UTF-8",
            )),
        }
    }
}
