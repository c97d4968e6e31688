//! The session cookie: how it is read, written and cleared.

use axum::http::{HeaderMap, HeaderValue, header};
use nodeloom_app::SessionToken;
use nodeloom_crypto::Secret;

/// The `__Host-` prefix makes the browser itself refuse the cookie without `Secure`,
/// with a domain, or for a path: no neighbouring host can plant one.
const NAME: &str = "__Host-nodeloom";
const ATTRIBUTES: &str = "; Secure; HttpOnly; SameSite=Strict; Path=/";

/// What a request shows of a session.
pub(crate) enum Shown {
    /// No cookie of our name.
    Nothing,
    /// Exactly one, which may still be no token at all.
    One(Option<SessionToken>),
    /// Two or more. Which of them the browser meant cannot be known, and one of them
    /// may have been planted.
    Many,
}

/// Reads the session cookie. HTTP/2 may split `Cookie` over several lines.
pub(crate) fn read(headers: &HeaderMap) -> Shown {
    let mut found = values(headers, NAME);
    match (found.next(), found.next()) {
        (None, _) => Shown::Nothing,
        (Some(value), None) => Shown::One(
            std::str::from_utf8(value)
                .ok()
                .and_then(SessionToken::parse),
        ),
        _ => Shown::Many,
    }
}

/// Whether a cookie of our name is there, whatever its value.
pub(crate) fn is_present(headers: &HeaderMap) -> bool {
    values(headers, NAME).next().is_some()
}

/// The values of every cookie of this name.
pub(super) fn values<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let pair = pair.trim_ascii();
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (found, value) = pair.split_at(at);
            (found.trim_ascii() == name.as_bytes()).then(|| value[1..].trim_ascii())
        })
}

/// The `Set-Cookie` of a new session: until the browser closes, for this host alone,
/// out of reach of scripts, never sent along from another site.
pub(crate) fn set(token: &Secret<String>) -> HeaderValue {
    // EXPOSE: this header is the one place where a session id leaves the server.
    header_value(&format!("{NAME}={}{ATTRIBUTES}", token.expose()))
}

/// The `Set-Cookie` that ends it: the same name and attributes, else it would not match.
pub(crate) fn clear() -> HeaderValue {
    header_value(&format!("{NAME}={ATTRIBUTES}; Max-Age=0"))
}

/// A header that is marked as secret, so that nothing logs it.
pub(super) fn header_value(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("tokens and attributes are ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_cookie_has_exactly_the_fixed_attributes() {
        let value = set(&Secret::new("nls_x.y".to_owned()));
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-nodeloom=nls_x.y; Secure; HttpOnly; SameSite=Strict; Path=/"
        );
        assert!(value.is_sensitive());
        assert_eq!(
            clear().to_str().unwrap(),
            "__Host-nodeloom=; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn one_cookie_is_read_two_are_refused() {
        let token = format!(
            "nls_018f4c6e-7d3a-7c2b-9a51-0123456789ab.{}",
            "A".repeat(43)
        );
        assert!(matches!(read(&headers(&[])), Shown::Nothing));
        assert!(matches!(
            read(&headers(&["nodeloom=x; a=b"])),
            Shown::Nothing
        ));
        assert!(matches!(
            read(&headers(&[&format!("a=b; __Host-nodeloom={token}; c")])),
            Shown::One(Some(_))
        ));
        assert!(matches!(
            read(&headers(&["__Host-nodeloom=nonsense"])),
            Shown::One(None)
        ));
        assert!(matches!(
            read(&headers(&[&format!(
                "__Host-nodeloom={token}; __Host-nodeloom={token}"
            )])),
            Shown::Many
        ));
        assert!(matches!(
            read(&headers(&["__Host-nodeloom=a", "__Host-nodeloom=b"])),
            Shown::Many
        ));
        assert!(is_present(&headers(&["__Host-nodeloom="])));
    }
}
