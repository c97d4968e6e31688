//! The test of a credential that is used by HTTP: the request that its type names, authenticated as
//! the type says, and a look at the answer.

use serde_json::Value;
use url::Url;

use super::outcome::{Stop, Success, TestCode};
use super::redact::Redactor;
use crate::guard::Host;
use crate::http::{HttpError, Request, Response};
use crate::outbound::Outbound;
use crate::placement::{Expect, Placed, PlacementError, TokenError, read_token};

/// Members of a JSON answer in which services say what is wrong, by pointer (RFC 6901).
const EXPLANATIONS: &[&str] = &[
    "/error/message",
    "/error_description",
    "/errors/0/message",
    "/errors/0/detail",
    "/message",
    "/detail",
    "/description",
    "/error/type",
    "/error",
];

pub(super) async fn request(
    outbound: &Outbound,
    placed: Placed,
    expect: &Expect,
) -> Result<Success, Stop> {
    let (request, token) = match placed {
        Placed::Ready(request) => (*request, None),
        Placed::NeedsToken(needs) => {
            let mut needs = needs;
            let empty = Request::get(needs.request.url.clone());
            let asked = std::mem::replace(&mut needs.request, empty);
            let token = read_token(&outbound.send(asked).await?)?;
            (needs.place(&token)?, Some(token))
        }
    };
    // What the placement made of the credential, such as a signature, is not to be seen either.
    let mut made: Vec<String> = request
        .headers
        .values()
        .filter(|value| value.is_sensitive())
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    if let Some(token) = token {
        // EXPOSE: to find it in the answer and cover it.
        made.push(token.access.expose().clone());
    }
    let how = protection(&request.url);
    let answer = outbound.send(request).await?;
    let status = answer.status.as_u16();
    if expect.is_met_by(&answer) {
        let text = format!("the service accepts the credential (status {status}), {how}");
        return Ok(Success::signed_in(text));
    }
    let (code, text) = match status {
        _ if expect.statuses.contains(&status) => (
            TestCode::Rejected,
            "the service answers, and does not accept the credential".to_owned(),
        ),
        401 | 403 => (
            TestCode::Rejected,
            format!("the service refuses the credential (status {status})"),
        ),
        429 | 500..=599 => (
            TestCode::Unavailable,
            format!("the service does not say whether the credential is good (status {status})"),
        ),
        _ => (
            TestCode::NotAllowed,
            format!("the service does not accept the request (status {status})"),
        ),
    };
    let stop = Stop::new(code, text);
    let made = Redactor::of(made.iter().map(String::as_str));
    Err(
        match explanation(&answer).and_then(|said| made.foreign(&said)) {
            Some(said) => stop.saying(said),
            None => stop,
        },
    )
}

pub(super) async fn token(outbound: &Outbound, request: Request) -> Result<Success, Stop> {
    let how = protection(&request.url);
    read_token(&outbound.send(request).await?)?;
    Ok(Success::signed_in(format!(
        "the token endpoint gives a token for the credential, {how}"
    )))
}

/// How the secret travelled.
fn protection(url: &Url) -> &'static str {
    let host = Host::parse(url.host_str().unwrap_or_default());
    match (url.scheme(), host) {
        ("https", _) => "over TLS, certificate and name checked",
        (_, Ok(host)) if host.is_loopback() => "without TLS",
        _ => "without TLS: the credential crossed the network in the clear",
    }
}

/// What a service says about its refusal, where it says it in JSON.
fn explanation(answer: &Response) -> Option<String> {
    // EXPOSE: one sentence of the answer is looked for; it is redacted before it is shown.
    let body: Value = serde_json::from_slice(answer.body.expose()).ok()?;
    let found = EXPLANATIONS
        .iter()
        .find_map(|pointer| body.pointer(pointer)?.as_str());
    found.map(str::to_owned)
}

impl From<HttpError> for Stop {
    fn from(error: HttpError) -> Self {
        let text = error.to_string();
        let code = match error {
            HttpError::Connect(error) => return error.into(),
            HttpError::Request(_) => TestCode::Data,
            HttpError::TimeLimit => TestCode::TimeLimit,
            HttpError::TooLarge(_) => TestCode::TooLarge,
            HttpError::Exchange(_) | HttpError::Redirect(_) => TestCode::Protocol,
        };
        Self::new(code, text)
    }
}

impl From<PlacementError> for Stop {
    fn from(error: PlacementError) -> Self {
        Self::new(TestCode::Data, error.to_string())
    }
}

impl From<TokenError> for Stop {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Refused(_) | TokenError::Status(400..=403) => TestCode::Rejected,
            TokenError::Status(429 | 500..=599) => TestCode::Unavailable,
            TokenError::Status(_) => TestCode::NotAllowed,
            TokenError::NoToken | TokenError::NotBearer => TestCode::Protocol,
        };
        Self::new(code, error.to_string())
    }
}
