//! AWS Signature Version 4, in the Authorization header.
//!
//! Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use aws_lc_rs::{digest, hmac};
use nodeloom_domain::Timestamp;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{PlacementError, aws_scope::Scope, put};
use crate::http::Request;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key.
pub(super) struct Keys<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) session: Option<Zeroizing<String>>,
}

/// Signs the request: method, path, query, body, and the headers `host`, `content-type` and
/// `x-amz-*`. The query is written as it is signed, so that both ends see the same bytes.
pub(super) fn sign(
    request: &mut Request,
    keys: &Keys<'_>,
    scope: &Scope,
    now: Timestamp,
) -> Result<(), PlacementError> {
    let s3 = scope.service == "s3";
    let time = basic_format(now);
    // EXPOSE: the signature covers the body's digest.
    let payload = hex(digest::digest(&digest::SHA256, request.body.expose()).as_ref());
    request.headers.remove(AUTHORIZATION);
    for name in ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        request.headers.remove(name);
    }
    put::header(request, "x-amz-date", &time)?;
    if let Some(session) = &keys.session {
        put::header(request, "x-amz-security-token", session)?;
    }
    if s3 {
        put::header(request, "x-amz-content-sha256", &payload)?;
    }
    let query = canonical_query(request.url.query().unwrap_or_default());
    request
        .url
        .set_query((!query.is_empty()).then_some(query.as_str()));

    let (headers, names) = canonical_headers(request)?;
    let canonical = Zeroizing::new(format!(
        "{}\n{}\n{query}\n{}\n{names}\n{payload}",
        request.method,
        canonical_path(request.url.path(), s3),
        *headers,
    ));
    let day = time.get(..8).unwrap_or_default();
    let place = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{time}\n{place}\n{digest}");

    let mut first = Zeroizing::new(Vec::with_capacity(4 + keys.secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(keys.secret.as_bytes());
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
    for step in [day, &scope.region, &scope.service, "aws4_request"] {
        let tag = hmac::sign(&key, step.as_bytes());
        key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
    }
    let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
    let value = format!(
        "{ALGORITHM} Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        keys.id
    );
    put::header(request, "authorization", &value)
}

/// `20150830T123600Z`.
fn basic_format(now: Timestamp) -> String {
    let text = now.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    let mut time: String = seconds
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    time.push('Z');
    time
}

/// Each segment encoded once more, without empty ones; for S3 encoded once, and as it is.
fn canonical_path(path: &str, s3: bool) -> String {
    let mut canonical = String::with_capacity(path.len() * 3);
    for segment in path.split('/').skip(1) {
        if s3 {
            canonical.push('/');
            push_encoded_bytes(&mut canonical, &percent_decoded(segment));
        } else if !segment.is_empty() {
            canonical.push('/');
            put::push_encoded(&mut canonical, segment);
        }
    }
    if canonical.is_empty() || (!s3 && path.ends_with('/')) {
        canonical.push('/');
    }
    canonical
}

/// Decoded as a form, encoded as AWS wants it, sorted by name and value.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            let mut pair = (String::new(), String::new());
            put::push_encoded(&mut pair.0, &name);
            put::push_encoded(&mut pair.1, &value);
            pair
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

/// The lines of the headers that are signed, and their names.
fn canonical_headers(request: &Request) -> Result<(Zeroizing<String>, String), PlacementError> {
    let unfit = |why| PlacementError::Unfit {
        what: "an AWS signature",
        why,
    };
    let host = request.url.host_str().ok_or_else(|| unfit("no host"))?;
    let host = match request.url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut lines = vec![("host", Zeroizing::new(host))];
    for name in request.headers.keys() {
        if *name != CONTENT_TYPE && !name.as_str().starts_with("x-amz-") {
            continue;
        }
        let mut joined = Zeroizing::new(String::new());
        for (index, value) in request.headers.get_all(name).iter().enumerate() {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| unfit("a header"))?;
            if index > 0 {
                joined.push(',');
            }
            for (index, word) in text.split_ascii_whitespace().enumerate() {
                if index > 0 {
                    joined.push(' ');
                }
                joined.push_str(word);
            }
        }
        lines.push((name.as_str(), joined));
    }
    lines.sort_by_key(|(name, _)| *name);
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let room = lines
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (name, value) in &lines {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    Ok((text, names.join(";")))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, pair) {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    decoded
}

fn push_encoded_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii() {
            put::push_encoded(text, char::from(*byte).encode_utf8(&mut [0; 4]));
        } else {
            text.push('%');
            text.push_str(&hex(&[*byte]).to_ascii_uppercase());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderName, HeaderValue, Method};
    use nodeloom_crypto::Secret;
    use serde_json::Value;
    use url::Url;

    use super::*;

    /// 2015-08-30T12:36:00Z, as in AWS's examples.
    const NOW: Timestamp = Timestamp::from_micros(1_440_938_160_000_000);

    /// The first vector is AWS's own (User Guide, "Create a signed AWS API request": ListUsers);
    /// all were made by botocore 1.44.5 with `python3 tests/vectors/sigv4.py`.
    #[test]
    fn signatures_are_those_of_aws() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/vectors/sigv4.json")).unwrap();
        assert!(vectors.len() >= 6);
        for vector in &vectors {
            let text = |name: &str| vector[name].as_str().unwrap().to_owned();
            let mut request = Request::new(
                Method::from_bytes(text("method").as_bytes()).unwrap(),
                Url::parse(&text("url")).unwrap(),
            );
            for (name, value) in vector["headers"].as_object().unwrap() {
                request.headers.insert(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
                );
            }
            request.body = Secret::new(text("body").into_bytes());
            let keys = Keys {
                id: "AKIDEXAMPLE",
                secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                session: vector["session"].as_str().map(|s| s.to_owned().into()),
            };
            let scope = Scope {
                region: text("region"),
                service: text("service"),
            };
            sign(&mut request, &keys, &scope, NOW).unwrap();
            assert_eq!(
                request.headers[AUTHORIZATION],
                text("authorization"),
                "{vector}"
            );
        }
        let listed = vectors[0]["authorization"].as_str().unwrap();
        assert!(
            listed.ends_with("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
        );
    }

    #[test]
    fn a_plus_in_the_query_is_a_space_and_is_sent_as_it_is_signed() {
        let url = Url::parse("https://sqs.eu-west-1.amazonaws.com/?b=1+2&a=x%2By").unwrap();
        let mut request = Request::get(url);
        let keys = Keys {
            id: "A",
            secret: "s",
            session: None,
        };
        let scope = Scope {
            region: "eu-west-1".into(),
            service: "sqs".into(),
        };
        sign(&mut request, &keys, &scope, NOW).unwrap();
        assert_eq!(request.url.query(), Some("a=x%2By&b=1%202"));
    }

    #[test]
    fn any_change_changes_the_signature() {
        let signed = |address: &str, body: &str, secret: &str, now: Timestamp| {
            let mut request = Request::get(Url::parse(address).unwrap());
            request.body = Secret::new(body.as_bytes().to_vec());
            let keys = Keys {
                id: "A",
                secret,
                session: None,
            };
            let scope = Scope {
                region: "eu-west-1".into(),
                service: "sqs".into(),
            };
            sign(&mut request, &keys, &scope, now).unwrap();
            request.headers[AUTHORIZATION].clone()
        };
        let address = "https://sqs.eu-west-1.amazonaws.com/a?b=1";
        let first = signed(address, "", "s", NOW);
        assert_eq!(first, signed(address, "", "s", NOW));
        assert_ne!(
            first,
            signed("https://sqs.eu-west-1.amazonaws.com/a?b=2", "", "s", NOW)
        );
        assert_ne!(
            first,
            signed("https://sqs.eu-west-1.amazonaws.com/b?b=1", "", "s", NOW)
        );
        assert_ne!(
            first,
            signed("https://x.eu-west-1.amazonaws.com/a?b=1", "", "s", NOW)
        );
        assert_ne!(first, signed(address, "x", "s", NOW));
        assert_ne!(first, signed(address, "", "t", NOW));
        assert_ne!(first, signed(address, "", "s", NOW.plus_seconds(1)));
    }
}
