//! What handlers take from a request besides its body.

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, header, request::Parts},
};
use nodeloom_app::{ApiToken, Ctx, SessionToken, Who};
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

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let caller = Self::shown(parts)?;
        // A session is touched where its body is read or in its use-case; a token's last
        // use and address are noted here, whatever it does.
        if let Who::Token(_) = caller.0.who {
            web.app.authenticate(&caller.0).await?;
        }
        Ok(caller)
    }
}

impl Caller {
    /// The proof that a request shows. A request with two proofs has none.
    fn shown(parts: &mut Parts) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            if cookie::is_present(&parts.headers) {
                return Err(Problem::unauthenticated());
            }
            let token = bearer(&parts.headers).ok_or_else(Problem::unauthenticated)?;
            return Ok(Self(Ctx::new(origin(parts), Who::Token(token))));
        }
        match cookie::read(&parts.headers) {
            Shown::One(Some(token)) => Ok(Self(Ctx::new(origin(parts), Who::Session(token)))),
            Shown::One(None) | Shown::Nothing | Shown::Many => Err(Problem::unauthenticated()),
        }
    }
}

/// The one API token of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<ApiToken> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| ApiToken::parse(token.trim_start_matches(' ')))
        .flatten()
}

impl FromRequestParts<WebState> for VerifiedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let Caller(ctx) = Caller::shown(parts)?;
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

/// The two ids in a path.
pub(crate) struct PathIds<A, B>(pub(crate) Id<A>, pub(crate) Id<B>);

impl<A, B> FromRequestParts<WebState> for PathIds<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let texts = Path::<(String, String)>::from_request_parts(parts, web).await;
        let Path((first, second)) = texts.map_err(|_| Problem::not_found())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Problem::not_found()),
        }
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
