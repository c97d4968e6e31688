//! What can go wrong between this program, the browser and the provider.
//!
//! The texts are this program's own. A provider's words appear as [`SafeText`] alone.

use std::fmt;

use crate::{FetchError, SafeText};

/// Why a sign-in did not begin or did not end in an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The provider did not answer, or may not be asked.
    #[error("the identity provider cannot be reached")]
    Unreachable(#[source] FetchError),
    /// The provider's description of itself cannot be used.
    #[error("the identity provider's discovery document cannot be used")]
    Discovery(#[from] DiscoveryError),
    /// The provider's keys cannot be used.
    #[error("the identity provider's keys cannot be used")]
    Keys(#[from] KeysError),
    /// The browser's return does not belong to this flow.
    #[error("the answer does not belong to this sign-in")]
    Callback(#[from] CallbackError),
    /// The provider says that it does not sign the person in.
    #[error("the identity provider refused: {0}")]
    Provider(#[from] ProviderError),
    /// The token endpoint's answer cannot be used.
    #[error("the identity provider's token answer cannot be used")]
    Token(#[from] TokenError),
    /// The ID token is refused.
    #[error("the ID token is refused")]
    IdToken(#[from] IdTokenError),
    /// The user info endpoint's answer is refused.
    #[error("the user info answer is refused")]
    UserInfo(#[from] UserInfoError),
    /// The operating system's random generator failed.
    #[error("the operating system's random generator failed")]
    Random,
}

/// A setting that no provider can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The issuer is not a URL.
    #[error("is not a URL")]
    NotUrl,
    /// The scheme is neither https, nor http where that is allowed.
    #[error("must begin with https:// (http:// is for loopback addresses that are listed)")]
    Scheme,
    /// The URL carries a name or password, a query or a fragment.
    #[error("must not have a user name, a query or a fragment")]
    Extra,
    /// The list of scopes is malformed or lacks `openid`.
    #[error("must be scopes divided by spaces, with openid among them")]
    Scopes,
}

/// Discovery 1.0, section 4.3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// Not 200.
    #[error("it was answered with status {0}")]
    Status(u16),
    /// Not the JSON object that is specified.
    #[error("it is not a discovery document")]
    Malformed,
    /// The document speaks for another issuer than the configured one.
    #[error("it names another issuer than the configured one, compared exactly")]
    IssuerDiffers,
    /// An endpoint that must not be used.
    #[error("its {name}: {rule}")]
    Endpoint {
        /// The member.
        name: &'static str,
        /// What it breaks.
        rule: SettingsError,
    },
    /// The provider signs with nothing that is accepted here.
    #[error("it offers none of RS256, PS256, ES256 and EdDSA")]
    Algorithms,
    /// The provider takes client credentials in no way that is known here.
    #[error("its token endpoint takes neither of the client authentication methods known here")]
    ClientAuthentication,
}

/// RFC 7517.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// Not 200.
    #[error("they were answered with status {0}")]
    Status(u16),
    /// Not a key set, or one of more than 100 keys.
    #[error("the document is not a key set")]
    Malformed,
}

/// What is wrong with the browser's return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// Neither a code with a state nor an error with a state; or a parameter stands twice.
    #[error("the answer is malformed")]
    Malformed,
    /// The state is another flow's.
    #[error("the state is not the one of this flow")]
    StateDiffers,
    /// The flow began with another issuer.
    #[error("the flow began with another issuer")]
    OtherFlow,
    /// RFC 9207: the provider promises an issuer in each answer, and this one has none.
    #[error("the answer does not name its issuer although the provider always does")]
    IssuerMissing,
    /// RFC 9207: the answer is another provider's.
    #[error("the answer names another issuer")]
    IssuerDiffers,
}

/// An error that the provider answered, at its authorization or its token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// What went wrong.
    pub code: ErrorCode,
    /// The provider's own words.
    pub description: Option<SafeText>,
}

/// The codes of RFC 6749 sections 4.1.2.1 and 5.2, and of OpenID Connect Core 3.1.2.6.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The person or the provider said no.
    AccessDenied,
    /// The person would have to sign in, choose an account or consent.
    InteractionRequired,
    /// The client id, its secret or its rights are wrong.
    InvalidClient,
    /// The code is unknown, used, expired or another client's.
    InvalidGrant,
    /// A request of ours that the provider does not understand.
    InvalidRequest,
    /// A scope that the provider does not know.
    InvalidScope,
    /// The provider is out of order for now.
    Unavailable,
    /// Anything else, as the provider wrote it.
    Other(Option<SafeText>),
}

impl ProviderError {
    /// Reads the two members of an error answer.
    pub(crate) fn read(code: &str, description: Option<&str>) -> Self {
        let code = match code {
            "access_denied" => ErrorCode::AccessDenied,
            "interaction_required"
            | "login_required"
            | "account_selection_required"
            | "consent_required" => ErrorCode::InteractionRequired,
            "invalid_client" | "unauthorized_client" => ErrorCode::InvalidClient,
            "invalid_grant" => ErrorCode::InvalidGrant,
            "invalid_request" | "unsupported_response_type" | "unsupported_grant_type" => {
                ErrorCode::InvalidRequest
            }
            "invalid_scope" => ErrorCode::InvalidScope,
            "server_error" | "temporarily_unavailable" => ErrorCode::Unavailable,
            other => ErrorCode::Other(SafeText::clean(other)),
        };
        Self {
            code,
            description: description.and_then(SafeText::clean),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessDenied => "access denied",
            Self::InteractionRequired => "interaction required",
            Self::InvalidClient => "invalid client",
            Self::InvalidGrant => "invalid code",
            Self::InvalidRequest => "invalid request",
            Self::InvalidScope => "invalid scope",
            Self::Unavailable => "out of order",
            Self::Other(Some(text)) => text.as_str(),
            Self::Other(None) => "unnamed error",
        })
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(text) => write!(f, "{} ({text})", self.code),
            None => self.code.fmt(f),
        }
    }
}

impl std::error::Error for ProviderError {}

/// What is wrong with the token endpoint's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Neither 200 nor an error answer.
    #[error("it has status {0}")]
    Status(u16),
    /// Not the JSON object that is specified, or not a Bearer token.
    #[error("it is not a token answer")]
    Malformed,
    /// There is no ID token in it.
    #[error("it has no ID token")]
    NoIdToken,
}

/// Which check the ID token fails: OpenID Connect Core 3.1.3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// Not a compact JWS of JSON, or a claim has another type.
    #[error("it is malformed")]
    Malformed,
    /// Five parts: a JWE.
    #[error("it is encrypted, which is not supported")]
    Encrypted,
    /// `none`, an HMAC, or anything else that is not on the list.
    #[error("its algorithm is not one of RS256, PS256, ES256 and EdDSA")]
    Algorithm,
    /// A header that has to be understood (`crit`) and is not.
    #[error("it has critical headers")]
    Critical,
    /// The provider has no such key.
    #[error("the provider has no key that it names")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("its signature is wrong")]
    Signature,
    /// `iss` is another.
    #[error("it is of another issuer")]
    Issuer,
    /// `aud` does not have the client id.
    #[error("it is for another client")]
    Audience,
    /// `azp` is another, or is absent beside several audiences.
    #[error("it was given to another client")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("it has expired; compare the clocks")]
    Expired,
    /// `iat` or `nbf` is to come.
    #[error("it is of the future; compare the clocks")]
    Future,
    /// `auth_time` is older than this flow accepts.
    #[error("the provider did not ask the person to sign in again")]
    Stale,
    /// `nonce` is not this flow's.
    #[error("its nonce is not the one of this flow")]
    Nonce,
    /// `at_hash` is not the access token's.
    #[error("its at_hash is not the access token's")]
    AccessTokenHash,
    /// `sub` is empty, longer than 255 or not ASCII.
    #[error("its subject is not 1 to 255 ASCII characters")]
    Subject,
    /// The provider gives no e-mail address.
    #[error("there is no e-mail address; the scope email may be missing")]
    EmailMissing,
    /// The provider does not vouch for the e-mail address.
    #[error("the e-mail address is not verified by the provider")]
    EmailNotVerified,
}

/// What is wrong with the user info endpoint's answer: OpenID Connect Core 5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserInfoError {
    /// Not 200.
    #[error("it has status {0}")]
    Status(u16),
    /// Not the JSON object that is specified.
    #[error("it is malformed")]
    Malformed,
    /// It is about somebody else than the ID token.
    #[error("it is about another subject")]
    SubjectDiffers,
}
