//! The headers that every answer carries.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::guard::request_id;

/// For answers that are no page: nothing may be loaded, run, framed or submitted.
const STRICT_CSP: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// For pages: our own files and API, no inline script or style, no form target but
/// what the script itself sends, no markup made from text.
pub(crate) const PAGE_CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'",
);

/// Files whose name is made of their content never change.
pub(crate) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const TWO_YEARS: HeaderValue = HeaderValue::from_static("max-age=63072000");
const VARY: HeaderValue = HeaderValue::from_static("Sec-Fetch-Site, Origin");

const FIXED: [(HeaderName, HeaderValue); 5] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-get=()",
        ),
    ),
];

/// Completes the headers of an answer. `https` is whether people come by https,
/// `guarded` whether the answer depends on the headers that tell a foreign page.
pub(crate) fn complete(headers: &mut HeaderMap, request: HeaderValue, https: bool, guarded: bool) {
    headers.insert(&request_id::HEADER, request);
    for (name, value) in &FIXED {
        headers.insert(name, value.clone());
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(STRICT_CSP);
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TWO_YEARS);
    }
    if guarded {
        headers.insert(header::VARY, VARY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(headers: &mut HeaderMap, https: bool) {
        complete(headers, HeaderValue::from_static("r"), https, true);
    }

    #[test]
    fn an_answer_is_neither_kept_nor_framed_nor_sniffed() {
        let mut headers = HeaderMap::new();
        completed(&mut headers, false);
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-request-id"], "r");
        assert!(
            headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("'none'")
        );
        assert!(!headers.contains_key("strict-transport-security"));
        completed(&mut headers, true);
        assert_eq!(headers["strict-transport-security"], "max-age=63072000");
    }

    #[test]
    fn pages_run_no_inline_code() {
        let csp = PAGE_CSP;
        let csp = csp.to_str().unwrap();
        assert!(!csp.contains("unsafe"), "{csp}");
        assert!(csp.contains("frame-ancestors 'none'"));
    }
}
