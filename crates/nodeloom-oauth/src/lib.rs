//! OAuth 2.0 client protocol.
//!
//! [`oidc`] is OpenID Connect sign-in by the authorization code flow: OpenID Connect Core 1.0 and
//! Discovery 1.0, with PKCE (RFC 7636, S256) and the issuer in the authorization answer
//! (RFC 9207). Nothing here opens a connection: the caller brings a [`Fetch`], which decides what
//! addresses may be reached.

mod fetch;
mod form;
pub mod oidc;
mod pkce;
mod safe_text;

pub use fetch::{Answer, Fetch, FetchError, Fetching, Method, Request};
pub use pkce::PkceVerifier;
pub use safe_text::SafeText;
