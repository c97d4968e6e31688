//! Bodies: read within a limit and a time, parsed without ever repeating what was sent.

use std::{fmt, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use nodeloom_crypto::Secret;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::{error::Problem, fields::Object, state::WebState};

/// For all but the values of credentials.
pub(crate) const SMALL: usize = 64 << 10;
/// A value of 1 MiB in which each byte is written as `\u00XX`, and room for the rest.
pub(crate) const CREDENTIAL: usize = 7 << 20;

/// How long a client may take to send a body.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// What is read and thrown away of a body that is too large, so that the client gets
/// to see the answer instead of a closed connection.
const DRAIN: usize = 8 << 20;
const DRAIN_LIMIT: Duration = Duration::from_secs(3);

/// A JSON object of at most `MAX` bytes.
pub(crate) struct Json<const MAX: usize>(pub(crate) Object);

/// The same, or nothing at all.
pub(crate) struct OptionalJson<const MAX: usize>(pub(crate) Object);

impl<const MAX: usize> FromRequest<WebState> for Json<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &WebState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, MAX).await?;
        if !parts.headers.contains_key(header::CONTENT_TYPE) {
            return Err(Problem::unsupported_media_type());
        }
        // EXPOSE: what was sent has to be parsed.
        parse(bytes.expose()).map(|map| Self(Object::new(map)))
    }
}

impl<const MAX: usize> FromRequest<WebState> for OptionalJson<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &WebState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, MAX).await?;
        // EXPOSE: what was sent has to be parsed.
        let bytes = bytes.expose();
        if bytes.is_empty() {
            return Ok(Self(Object::new(Map::new())));
        }
        if !parts.headers.contains_key(header::CONTENT_TYPE) {
            return Err(Problem::unsupported_media_type());
        }
        parse(bytes).map(|map| Self(Object::new(map)))
    }
}

/// The body, in a buffer that is wiped, since it may hold a password or a value.
async fn read(headers: &HeaderMap, mut body: Body, max: usize) -> Result<Secret<Vec<u8>>, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        // Who waits for `100 Continue` has sent nothing yet.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(Problem::body_too_large(max));
    }
    let mut buffer = Vec::with_capacity(announced);
    let collect = async {
        while let Some(data) = next(&mut body).await? {
            if data.len() > max - buffer.len() {
                return Ok(false);
            }
            buffer.extend_from_slice(&data);
        }
        Ok(true)
    };
    let outcome = tokio::time::timeout(READ_LIMIT, collect).await;
    let buffer = Secret::new(buffer);
    match outcome {
        Ok(Ok(true)) => Ok(buffer),
        Ok(Ok(false)) => {
            drain(&mut body).await;
            Err(Problem::body_too_large(max))
        }
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "BODY_TOO_SLOW",
            "The body did not arrive within 20 seconds. Send it again over a faster connection.",
        )),
    }
}

/// The next piece of data, skipping trailers.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "BODY_INCOMPLETE",
                    "The body ended before its announced length. Send it again.",
                ));
            }
        }
    }
}

async fn drain(body: &mut Body) {
    let rest = async {
        let mut seen = 0;
        while let Ok(Some(data)) = next(body).await {
            seen += data.len();
            if seen > DRAIN {
                break;
            }
        }
    };
    // Whoever is still sending then has had its chance.
    let _ = tokio::time::timeout(DRAIN_LIMIT, rest).await;
}

/// Parses one JSON object. Only line and column are told of a fault: the parser's own
/// words may quote the input.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let broken = |message: String| Problem::new(StatusCode::BAD_REQUEST, "INVALID_JSON", message);
    if bytes.is_empty() {
        return Err(broken("The body is empty. Send a JSON object.".to_owned()));
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) => Err(broken(
            "The body is JSON, but not an object. Send a JSON object.".to_owned(),
        )),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let what = if error.is_data() {
                "has an object with the same member twice"
            } else if error.is_eof() {
                "ends too early"
            } else {
                "is not valid JSON, or nested too deeply"
            };
            Err(broken(format!(
                "The body {what}: line {line}, column {column}."
            )))
        }
    }
}

/// A JSON value without repeated members: two readers could take different ones. The
/// parser itself ends at 128 levels.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom("a repeated member"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        let problem = parse(body.as_bytes()).unwrap_err();
        assert_eq!(problem.detail().code, "INVALID_JSON");
        problem.detail().message.clone().into_owned()
    }

    #[test]
    fn an_object_is_read_as_it_is() {
        let text = r#"{"a":{"b":[1,-2,0.5,"x",null,true]},"c":"caf\u00e9"}"#;
        let map = parse(text.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(map),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn a_fault_is_told_by_its_place_alone() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for body in [
            "",
            "hunter2",
            "{\"password\": hunter2}",
            "{\"password\": \"hunter2}",
            "{\"hunter2\": 1, \"hunter2\": 2}",
            "{\"a\": {\"hunter2\": 1, \"hunter2\": 2}}",
            "[\"hunter2\"]",
            "\"hunter2\"",
            "{\"a\": \"hunter2\"} {}",
            "{\"a\": 1e999}",
            "{\"a\": \"\\ud800\"}",
            deep.as_str(),
        ] {
            assert!(!refusal(body).contains("hunter2"), "{body}");
        }
        assert!(refusal("{\"a\": 1,\n \"a\": 2}").contains("line 2"));
        assert!(parse(b"{\"a\": \"\xff\"}").is_err());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_announced_or_not() {
        let headers = HeaderMap::new();
        let exact = read(&headers, Body::from(vec![b'x'; 10]), 10)
            .await
            .unwrap();
        assert_eq!(exact.expose().len(), 10);
        let over = read(&headers, Body::from(vec![b'x'; 11]), 10)
            .await
            .unwrap_err();
        assert_eq!(over.detail().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(over.detail().message.contains("10 bytes"));
    }
}
