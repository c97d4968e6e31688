//! HTTP/1.1 requests through the guard (RFC 9110, RFC 9112).
//!
//! Each request has its own connection, to an address that the guard has checked. No proxy is
//! taken from the environment, nothing is decompressed, no cookie is kept, and redirects are
//! followed only when the request asks for it.

use std::fmt;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nodeloom_crypto::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::{Position, Url};

use crate::guard::Refused;
use crate::outbound::{ConnectError, Outbound};
use crate::trust::Verify;

/// Most redirects that a request may ask for.
pub const MAX_REDIRECTS: u8 = 3;

/// Most bytes of the status line and headers of an answer.
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 200;

const USER_AGENT: &str = concat!("nodeloom/", env!("CARGO_PKG_VERSION"));

/// One request. Headers, query and body may hold secrets: `Debug` shows neither.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to: http or https, without user information.
    pub url: Url,
    /// Headers; `Host`, `Content-Length`, `User-Agent` and `Accept-Encoding` are set when sending.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Secret<Vec<u8>>,
    /// How many redirects to follow, at most [`MAX_REDIRECTS`]; 0 returns them as they come. Only
    /// `GET` and `HEAD` are followed. To another origin no header of the request goes along.
    pub redirects: u8,
}

impl Request {
    /// A request without headers and body that follows no redirect.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Secret::new(Vec::new()),
            redirects: 0,
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.url[..Position::BeforePath];
        write!(f, "Request({} {origin}, ..)", self.method)
    }
}

/// An answer, read to its end. It may hold secrets: `Debug` shows the status alone.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Secret<Vec<u8>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, ..)", self.status.as_u16())
    }
}

/// Why there is no answer. The texts hold neither the URL nor anything that the peer sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection, or the guard refuses it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Request(&'static str),
    /// It took too long.
    #[error("no complete answer within the time limit")]
    TimeLimit,
    /// The answer is larger than the limit.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or what came is no HTTP.
    #[error("the exchange failed: {0}")]
    Exchange(#[source] hyper::Error),
    /// A redirect that is not followed: no or a bad address, to http, or one too many.
    #[error("the redirect is not followed: {0}")]
    Redirect(&'static str),
}

impl From<Refused> for HttpError {
    fn from(refused: Refused) -> Self {
        Self::Connect(refused.into())
    }
}

impl Outbound {
    /// Sends `request` and reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`HttpError`]; the limits of this [`Outbound`] hold for all hops together.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        timeout(self.limits().total, Box::pin(self.follow(request)))
            .await
            .map_err(|_| HttpError::TimeLimit)?
    }

    async fn follow(&self, mut request: Request) -> Result<Response, HttpError> {
        let mut left = request.redirects.min(MAX_REDIRECTS);
        let follows = left > 0 && matches!(request.method, Method::GET | Method::HEAD);
        loop {
            let response = self.exchange(&mut request).await?;
            if !follows || !is_redirect(response.status) {
                return Ok(response);
            }
            if left == 0 {
                return Err(HttpError::Redirect("there are too many in a row"));
            }
            left -= 1;
            let next = target(&request.url, &response.headers)?;
            if next.origin() != request.url.origin() {
                request.headers.clear();
            }
            request.url = next;
        }
    }

    async fn exchange(&self, request: &mut Request) -> Result<Response, HttpError> {
        let (host, port) = self.guard().check_url(&request.url)?;
        let stream = self.connect(&host.in_url(), port).await?;
        if request.url.scheme() == "https" {
            let stream = self.secure(stream, &host, Verify::Full).await?;
            self.talk(stream, request).await
        } else {
            self.talk(stream, request).await
        }
    }

    async fn talk<S>(&self, stream: S, request: &mut Request) -> Result<Response, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let prepared = prepare(request)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(HttpError::Exchange)?;
        // Ends with this function, also when the time limit drops it.
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let answer = sender.send_request(prepared).await;
        let (head, mut rest) = answer.map_err(HttpError::Exchange)?.into_parts();
        let limit = self.limits().answer_bytes;
        let mut body = Vec::new();
        while let Some(frame) = rest.frame().await {
            let frame = frame.map_err(HttpError::Exchange)?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if body.len() + data.len() > limit {
                return Err(HttpError::TooLarge(limit));
            }
            body.extend_from_slice(data);
        }
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: Secret::new(body),
        })
    }
}

/// Keeps the bytes wiped after they were sent.
struct Body(Secret<Vec<u8>>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        // EXPOSE: a request's body is sent to the host it is for.
        self.0.expose()
    }
}

/// The request as hyper takes it. The body moves: a request that has one is sent once.
fn prepare(request: &mut Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let url = &request.url;
    let target: Uri = url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .map_err(|_| HttpError::Request("its path cannot be sent"))?;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|_| HttpError::Request("its host cannot be sent"))?;
    let mut headers = request.headers.clone();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
    ] {
        headers.remove(name);
    }
    headers.insert(header::HOST, host);
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(USER_AGENT));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let body = std::mem::replace(&mut request.body, Secret::new(Vec::new()));
    let mut prepared = hyper::Request::new(Full::new(Bytes::from_owner(Body(body))));
    *prepared.method_mut() = request.method.clone();
    *prepared.uri_mut() = target;
    *prepared.headers_mut() = headers;
    Ok(prepared)
}

/// A header whose value is a secret: it is marked as one, so that no `Debug` shows it.
///
/// # Errors
/// If name or value cannot stand in a header.
pub fn secret_header(
    name: &str,
    value: &Secret<String>,
) -> Result<(HeaderName, HeaderValue), HttpError> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| HttpError::Request("a header's name cannot be sent"))?;
    // EXPOSE: the value goes into the request it authenticates.
    let mut value = HeaderValue::from_str(value.expose())
        .map_err(|_| HttpError::Request("a header's value cannot be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn target(from: &Url, headers: &HeaderMap) -> Result<Url, HttpError> {
    let next = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| from.join(text).ok())
        .ok_or(HttpError::Redirect("it has no readable address"))?;
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(HttpError::Redirect("it leads from https to http"));
    }
    Ok(next)
}
