//! Requests to a token endpoint, and their answers (RFC 6749, RFC 7523).

use ::http::Method;
use nodeloom_crypto::Secret;
use nodeloom_domain::credential_type::Template;
use serde_json::Value;
use url::{Host, Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{PlacementError, fill::Values, put};
use crate::http::{Request, Response};

/// A client of an authorization server.
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    /// In the body, else by HTTP Basic (RFC 6749, section 2.3.1).
    pub(super) in_body: bool,
}

/// A token from a token endpoint.
#[derive(Debug)]
pub struct Token {
    /// The token, for `Authorization: Bearer`.
    pub access: Secret<String>,
    /// Seconds that it is good for, from the answer on.
    pub expires_in: Option<u64>,
}

/// Why an answer of a token endpoint is no token. No text of the answer is in it but the error
/// codes of RFC 6749, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The server refuses, with one of the standard codes.
    #[error("the token endpoint answers {0}")]
    Refused(&'static str),
    /// The server answers with another status than 200.
    #[error("the token endpoint answers with status {0}")]
    Status(u16),
    /// The answer has no usable token.
    #[error("the token endpoint's answer has no access token")]
    NoToken,
    /// The token is of another type than bearer (RFC 6749, section 7.1).
    #[error("the token endpoint's token is no bearer token")]
    NotBearer,
}

/// RFC 6749, section 5.2.
const CODES: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// The token endpoint's address: https, or http to a loopback address.
pub(super) fn address(values: &Values<'_>, template: &Template) -> Result<Url, PlacementError> {
    let url = values.kind.address(template, values.data)?;
    let own = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || own {
        Ok(url)
    } else {
        Err(PlacementError::TokenAddress)
    }
}

/// RFC 7523, section 2.1.
pub(super) fn by_jwt(address: Url, assertion: &str) -> Request {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    form(address, &[("grant_type", grant), ("assertion", assertion)])
}

/// RFC 6749, section 4.4.2.
pub(super) fn by_client(
    address: Url,
    client: &Client<'_>,
    scope: Option<&str>,
    audience: Option<&str>,
) -> Result<Request, PlacementError> {
    let mut pairs = vec![("grant_type", "client_credentials")];
    pairs.extend(scope.map(|scope| ("scope", scope)));
    pairs.extend(audience.map(|audience| ("audience", audience)));
    if client.in_body {
        pairs.push(("client_id", client.id));
        pairs.push(("client_secret", client.secret));
        return Ok(form(address, &pairs));
    }
    let mut request = form(address, &pairs);
    // Each half is form-encoded first (section 2.3.1), so a colon stays in its half.
    put::basic(&mut request, &encoded(client.id), &encoded(client.secret))?;
    Ok(request)
}

fn encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
    encoded
}

fn form(address: Url, pairs: &[(&str, &str)]) -> Request {
    // A byte takes at most three characters: the form never grows and moves.
    let room = pairs.iter().map(|(n, v)| (n.len() + v.len()) * 3 + 2).sum();
    let mut body = String::with_capacity(room);
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push('&');
        }
        body.extend(form_urlencoded::byte_serialize(name.as_bytes()));
        body.push('=');
        body.extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }
    let mut request = Request::new(Method::POST, address);
    request.body = Secret::new(body.into_bytes());
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
    ] {
        request.headers.insert(
            ::http::HeaderName::from_static(name),
            ::http::HeaderValue::from_static(value),
        );
    }
    request
}

/// The token in the answer of a token endpoint (RFC 6749, section 5.1).
///
/// # Errors
/// [`TokenError`].
pub fn read_token(answer: &Response) -> Result<Token, TokenError> {
    // EXPOSE: the token is taken out of the answer.
    let parsed = serde_json::from_slice::<Value>(answer.body.expose()).unwrap_or_default();
    let text = |name: &str| parsed.get(name).and_then(Value::as_str);
    if let Some(code) = text("error").and_then(|code| CODES.iter().find(|known| **known == code)) {
        return Err(TokenError::Refused(code));
    }
    if answer.status.as_u16() != 200 {
        return Err(TokenError::Status(answer.status.as_u16()));
    }
    let access = text("access_token").filter(|token| !token.is_empty());
    let access = access.ok_or(TokenError::NoToken)?;
    // A missing type is read as bearer: servers leave it out, and nothing else is asked for.
    if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(TokenError::NotBearer);
    }
    let seconds = parsed.get("expires_in");
    Ok(Token {
        access: Secret::new(access.to_owned()),
        expires_in: seconds.and_then(|s| s.as_u64().or_else(|| s.as_str()?.parse().ok())),
    })
}
