//! The HTTP requests that the protocol needs, without a client for them.

use std::{fmt, pin::Pin};

use nodeloom_crypto::Secret;
use url::Url;

/// The two requests that an OAuth client sends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`, asking for JSON.
    Get,
    /// `POST` of `application/x-www-form-urlencoded`, asking for JSON.
    PostForm,
}

/// One request to a provider.
#[derive(Debug)]
pub struct Request<'a> {
    /// What to send.
    pub method: Method,
    /// Where to.
    pub url: &'a Url,
    /// The value of the `Authorization` header, scheme included.
    pub authorization: Option<&'a Secret<String>>,
    /// The body of a [`Method::PostForm`], already encoded.
    pub body: Option<&'a Secret<String>>,
}

/// A provider's answer. The body may hold tokens.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as it came.
    pub body: Secret<Vec<u8>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, ..)", self.status)
    }
}

/// Why there is no answer. The texts are this program's own, never a peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is one that this program must not connect to.
    #[error("{0}")]
    Refused(String),
    /// The time limit passed.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is larger than the fetcher reads.
    #[error("the answer is too large")]
    TooLarge,
    /// No connection, or it broke.
    #[error("the connection failed: {0}")]
    Failed(String),
}

/// A request under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send + 'a>>;

/// Sends requests.
///
/// An implementation follows no redirects, limits time and size of an answer, checks certificates,
/// and holds the rules on which addresses may be reached.
pub trait Fetch: Send + Sync {
    /// Sends one request and reads the answer to its end.
    fn fetch<'a>(&'a self, request: Request<'a>) -> Fetching<'a>;
}
