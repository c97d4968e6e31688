//! OpenID Connect sign-in by the authorization code flow.
//!
//! [`Client::begin`] gives the address to send the browser to and what to keep meanwhile;
//! [`Callback::parse`] reads what the browser brings back; [`Client::finish`] exchanges the code,
//! checks the ID token and answers an [`Identity`].
//!
//! What is checked, in this order: `state` (constant time), `iss` of the answer (RFC 9207), the
//! provider's error, the token answer, then of the ID token its algorithm, signature, `iss`,
//! `aud`, `azp`, `exp`, `iat`, `nbf`, `auth_time`, `nonce`, `at_hash`, `sub`, and of the person an e-mail
//! address that the provider has verified.

mod callback;
mod client;
mod discovery;
mod documents;
mod error;
mod exchange;
mod id_token;
mod jwk;
mod jws;
mod pending;
mod settings;

pub use callback::Callback;
pub use client::{Begun, Client};
pub use error::{
    CallbackError, DiscoveryError, ErrorCode, IdTokenError, KeysError, OidcError, ProviderError,
    SettingsError, TokenError, UserInfoError,
};
pub use id_token::Identity;
pub use pending::{Freshness, Pending};
pub use settings::{ClientSettings, Issuer, PlainHttp, Scopes};
