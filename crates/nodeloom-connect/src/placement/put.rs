//! One value into one place of a request.

use ::http::header::{self, HeaderName, HeaderValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use nodeloom_crypto::Secret;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::PlacementError;
use crate::http::Request;

/// A header with a secret, in the place of one of that name. `Debug` does not show it.
pub(super) fn header(request: &mut Request, name: &str, value: &str) -> Result<(), PlacementError> {
    let (name, mut value) = header_of(name, value)?;
    value.set_sensitive(true);
    request.headers.insert(name, value);
    Ok(())
}

/// A header without a secret, unless the draft has one of that name.
pub(super) fn plain_header(
    request: &mut Request,
    name: &str,
    value: &str,
) -> Result<(), PlacementError> {
    let (name, value) = header_of(name, value)?;
    request.headers.entry(name).or_insert(value);
    Ok(())
}

fn header_of(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), PlacementError> {
    let unfit = |why| PlacementError::Unfit {
        what: "a header",
        why,
    };
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit("its name is no header name"))?;
    // These steer where the message goes and where it ends.
    if name == header::HOST || name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
        return Err(unfit("that header frames the request"));
    }
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| unfit("a line break or control character"))?;
    Ok((name, value))
}

/// RFC 6750, section 2.1.
pub(super) fn bearer(request: &mut Request, token: &str) -> Result<(), PlacementError> {
    let mut value = Zeroizing::new(String::with_capacity(7 + token.len()));
    value.push_str("Bearer ");
    value.push_str(token);
    header(request, "authorization", &value)
}

/// RFC 7617, section 2: UTF-8, no colon in the user-id, no control characters.
pub(super) fn basic(
    request: &mut Request,
    username: &str,
    password: &str,
) -> Result<(), PlacementError> {
    let unfit = |why| PlacementError::Unfit {
        what: "HTTP Basic",
        why,
    };
    if username.contains(':') {
        return Err(unfit("a colon in the user name"));
    }
    if username
        .chars()
        .chain(password.chars())
        .any(char::is_control)
    {
        return Err(unfit("a control character"));
    }
    let mut pair = Zeroizing::new(String::with_capacity(username.len() + 1 + password.len()));
    pair.push_str(username);
    pair.push(':');
    pair.push_str(password);
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    let mut value = Zeroizing::new(String::with_capacity(6 + encoded.len()));
    value.push_str("Basic ");
    value.push_str(&encoded);
    header(request, "authorization", &value)
}

/// A query parameter, in the place of every one of that name; the rest stays byte for byte.
pub(super) fn query(request: &mut Request, name: &str, value: &str) {
    let before = request.url.query().unwrap_or_default().to_owned();
    let mut query = Zeroizing::new(String::with_capacity(
        before.len() + 2 + (name.len() + value.len()) * 3,
    ));
    let others = before.split('&').filter(|pair| {
        !pair.is_empty()
            && form_urlencoded::parse(pair.as_bytes())
                .next()
                .is_none_or(|(n, _)| n != name)
    });
    for pair in others {
        query.push_str(pair);
        query.push('&');
    }
    push_encoded(&mut query, name);
    query.push('=');
    push_encoded(&mut query, value);
    request.url.set_query(Some(&query));
}

/// Percent-encodes all but the unreserved characters of RFC 3986, section 2.3.
pub(super) fn push_encoded(text: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// A prefix of the path, whose values are percent-encoded already.
pub(super) fn path(request: &mut Request, prefix: &str) {
    let rest = request.url.path();
    let mut path = Zeroizing::new(String::with_capacity(prefix.len() + rest.len()));
    path.push_str(prefix);
    path.push_str(rest);
    request.url.set_path(&path);
}

/// The whole address.
pub(super) fn url(request: &mut Request, address: &str) -> Result<(), PlacementError> {
    request.url = Url::parse(address).map_err(|_| PlacementError::Unfit {
        what: "the address",
        why: "it is none",
    })?;
    request.url.set_fragment(None);
    Ok(())
}

/// A member of the JSON body; an empty body is an empty object.
pub(super) fn body(request: &mut Request, name: &str, value: &str) -> Result<(), PlacementError> {
    // EXPOSE: the body is completed with the secret before it is sent.
    let before = request.body.expose();
    let object = if before.is_empty() {
        Ok(Map::new())
    } else {
        serde_json::from_slice(before)
    };
    let mut object: Map<String, Value> = object.map_err(|_| PlacementError::Unfit {
        what: "the body",
        why: "it is no JSON object",
    })?;
    object.insert(name.to_owned(), value.into());
    request.body = Secret::new(Value::Object(object).to_string().into_bytes());
    plain_header(request, "content-type", "application/json")
}
