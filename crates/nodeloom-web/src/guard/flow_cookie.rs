//! The cookie of a single sign-on under way. It is `Lax`, since the browser comes back from the
//! provider's site; it opens nothing by itself and lasts ten minutes.

use axum::http::{HeaderMap, HeaderValue};
use nodeloom_crypto::Secret;

use super::cookie::{header_value, values};

const NAME: &str = "__Host-nodeloom-sso";
const ATTRIBUTES: &str = "; Secure; HttpOnly; SameSite=Lax; Path=/";

/// The cookie's value, if there is exactly one: which of two the browser meant cannot be known.
pub(crate) fn read(headers: &HeaderMap) -> Option<&str> {
    let mut found = values(headers, NAME);
    match (found.next(), found.next()) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// The `Set-Cookie` of a flow that has begun.
pub(crate) fn set(token: &Secret<String>) -> HeaderValue {
    // EXPOSE: this header is the one place where a flow's secret leaves the server.
    header_value(&format!(
        "{NAME}={}{ATTRIBUTES}; Max-Age=600",
        token.expose()
    ))
}

/// The `Set-Cookie` that ends it.
pub(crate) fn clear() -> HeaderValue {
    header_value(&format!("{NAME}={ATTRIBUTES}; Max-Age=0"))
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    #[test]
    fn the_cookie_has_exactly_the_fixed_attributes() {
        let value = set(&Secret::new("nlsso_x.y".to_owned()));
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-nodeloom-sso=nlsso_x.y; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        assert!(value.is_sensitive());
        assert_eq!(
            clear().to_str().unwrap(),
            "__Host-nodeloom-sso=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn one_is_read_two_are_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers), None);
        let line = "__Host-nodeloom=a; __Host-nodeloom-sso=b";
        headers.append(header::COOKIE, line.parse().unwrap());
        assert_eq!(read(&headers), Some("b"));
        headers.append(header::COOKIE, "__Host-nodeloom-sso=c".parse().unwrap());
        assert_eq!(read(&headers), None);
    }
}
