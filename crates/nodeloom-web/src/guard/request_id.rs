//! The id under which a request stands in the reply, the log and the audit trail.

use axum::http::{HeaderMap, HeaderName};
use nodeloom_domain::{Clock, Id};

/// The header that carries it, both ways.
pub(crate) static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Marks ids of requests.
enum Request {}

/// The client's own id if it is harmless wherever it will be written: 1 to 64 letters,
/// digits, `.`, `_` or `-`. Otherwise a new one.
pub(crate) fn choose(headers: &HeaderMap, clock: &Clock) -> String {
    headers
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_harmless(text))
        .map_or_else(
            || Id::<Request>::generate(clock.now()).to_string(),
            str::to_owned,
        )
}

/// Whether the text may stand in a header, a log line and a page as it is.
pub(crate) fn is_harmless(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(sent: Option<&[u8]>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert(&HEADER, axum::http::HeaderValue::from_bytes(sent).unwrap());
        }
        choose(&headers, &Clock::system())
    }

    #[test]
    fn a_harmless_id_is_kept() {
        let longest = "a".repeat(64);
        for id in ["x", "Trace-1_2.3", longest.as_str()] {
            assert_eq!(chosen(Some(id.as_bytes())), id);
        }
    }

    #[test]
    fn any_other_is_replaced() {
        let too_long = "a".repeat(65);
        for id in [
            "",
            "a b",
            "a\"b",
            "a/b",
            "a{b}",
            "caf\u{e9}",
            too_long.as_str(),
        ] {
            let new = chosen(Some(id.as_bytes()));
            assert_ne!(new, id);
            assert_eq!(new.len(), 36);
        }
        assert_eq!(chosen(None).len(), 36);
        assert_ne!(chosen(None), chosen(None));
    }
}
