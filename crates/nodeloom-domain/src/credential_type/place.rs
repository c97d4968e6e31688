//! Where a type's secrets go in a request, and how its connection is tested. These are
//! statements read from the type's file; the crate of outbound connections acts on them.

use std::fmt;

use serde::Deserialize;

use super::{Template, When};

/// One placement and its condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Auth {
    /// Where.
    pub place: Place,
    /// When it is applied; always, without one.
    pub when: Option<When>,
}

/// A place in a request for a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Place {
    /// A header.
    Header {
        /// Its name.
        name: Template,
        /// Its value.
        value: Template,
    },
    /// A parameter of the query, where proxies and servers may log it.
    Query {
        /// Its name.
        name: Template,
        /// Its value.
        value: Template,
    },
    /// HTTP Basic (RFC 7617), UTF-8.
    Basic {
        /// The user-id; it cannot hold a colon.
        username: Template,
        /// The password.
        password: Template,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer {
        /// The token.
        token: Template,
    },
    /// A member at the top of a JSON body.
    Body {
        /// Its name.
        name: String,
        /// Its value, a text.
        value: Template,
    },
    /// Put before the request's path, such as `/bot{token}`.
    Path {
        /// Begins with a slash; values are percent-encoded.
        prefix: Template,
    },
    /// The whole address is the secret, as with webhooks. The draft's address is not used.
    Url {
        /// The address.
        value: Template,
    },
    /// AWS Signature Version 4.
    AwsSigv4 {
        /// The access key's id.
        access_key_id: Template,
        /// The secret access key.
        secret_access_key: Template,
        /// The session token of temporary keys.
        session_token: Option<Template>,
        /// The region, where the request's host does not name one.
        region: Template,
    },
    /// A token got with a signed JWT (RFC 7523), then sent as bearer.
    GoogleServiceAccount {
        /// The key file, a JSON object.
        key: Template,
        /// Scopes, separated by spaces.
        scope: Template,
        /// The user to act for.
        subject: Option<Template>,
        /// The token endpoint. That of the key file is not used.
        token_url: Template,
    },
    /// A token got with OAuth 2.0 client credentials (RFC 6749, section 4.4), then sent as bearer.
    ClientCredentials {
        /// The token endpoint.
        token_url: Template,
        /// The client's id.
        client_id: Template,
        /// The client's secret.
        client_secret: Template,
        /// Scopes, separated by spaces.
        scope: Option<Template>,
        /// The audience that some servers ask for.
        audience: Option<Template>,
        /// `basic` or `body`: where the client's id and secret go (section 2.3.1).
        client_auth: Template,
    },
    /// Nowhere in an HTTP request.
    None {
        /// What happens instead, a sentence.
        reason: String,
    },
}

impl Place {
    /// Every template in it.
    #[must_use]
    pub fn templates(&self) -> Vec<&Template> {
        let mut all = self.needed();
        all.extend(self.optional());
        all
    }

    /// The templates that must have a value.
    pub(super) fn needed(&self) -> Vec<&Template> {
        match self {
            Self::Header { name, value } | Self::Query { name, value } => vec![name, value],
            Self::Basic { username, password } => vec![username, password],
            Self::Bearer { token } => vec![token],
            Self::Body { value, .. } | Self::Url { value } => vec![value],
            Self::Path { prefix } => vec![prefix],
            Self::AwsSigv4 {
                access_key_id,
                secret_access_key,
                region,
                ..
            } => vec![access_key_id, secret_access_key, region],
            Self::GoogleServiceAccount {
                key,
                scope,
                token_url,
                ..
            } => vec![key, scope, token_url],
            Self::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                client_auth,
                ..
            } => vec![token_url, client_id, client_secret, client_auth],
            Self::None { .. } => vec![],
        }
    }

    fn optional(&self) -> Vec<&Template> {
        match self {
            Self::AwsSigv4 { session_token, .. } => session_token.iter().collect(),
            Self::GoogleServiceAccount { subject, .. } => subject.iter().collect(),
            Self::ClientCredentials {
                scope, audience, ..
            } => scope.iter().chain(audience).collect(),
            _ => vec![],
        }
    }

    /// The templates that may not name a secret: names, and the endpoint of a token.
    pub(super) fn public(&self) -> Vec<&Template> {
        match self {
            Self::Header { name, .. } | Self::Query { name, .. } => vec![name],
            Self::AwsSigv4 { region, .. } => vec![region],
            Self::GoogleServiceAccount { token_url, .. } => vec![token_url],
            Self::ClientCredentials {
                token_url,
                client_auth,
                ..
            } => vec![token_url, client_auth],
            _ => vec![],
        }
    }

    /// The token endpoint, of places that need a token first.
    #[must_use]
    pub fn token_url(&self) -> Option<&Template> {
        match self {
            Self::GoogleServiceAccount { token_url, .. }
            | Self::ClientCredentials { token_url, .. } => Some(token_url),
            _ => None,
        }
    }
}

/// One line for a reviewer.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, value } => write!(f, "header {name}: {value}"),
            Self::Query { name, value } => write!(f, "query {name}={value}"),
            Self::Basic { username, password } => write!(f, "basic {username}:{password}"),
            Self::Bearer { token } => write!(f, "bearer {token}"),
            Self::Body { name, value } => write!(f, "body {name}={value}"),
            Self::Path { prefix } => write!(f, "path {prefix}"),
            Self::Url { value } => write!(f, "address {value}"),
            Self::AwsSigv4 {
                access_key_id,
                secret_access_key,
                ..
            } => write!(f, "aws-sigv4 {access_key_id} {secret_access_key}"),
            Self::GoogleServiceAccount { key, token_url, .. } => {
                write!(f, "google-service-account {key} at {token_url}")
            }
            Self::ClientCredentials {
                token_url,
                client_id,
                client_secret,
                ..
            } => write!(
                f,
                "client-credentials {client_id} {client_secret} at {token_url}"
            ),
            Self::None { reason } => write!(f, "none: {reason}"),
        }
    }
}

/// A header without a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Template,
    /// When it is sent; always, without one.
    pub when: Option<When>,
}

/// A test and its condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// How.
    pub by: By,
    /// When; always, without one.
    pub when: Option<When>,
}

/// The ways to test a connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum By {
    /// An authenticated request that changes nothing.
    Http(HttpTest),
    /// A sign-in by the service's own protocol, with the fields `host`, `port` and so on.
    Protocol(Protocol),
    /// The token endpoint's answer is the test.
    Token {},
    /// There is no test.
    None {
        /// Why, a sentence.
        reason: String,
    },
}

/// A test by HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpTest {
    /// `GET`, `HEAD` or `POST`.
    pub method: String,
    /// The address before authentication, mostly `{base}/…`.
    pub url: Template,
    /// The statuses that say that the credential works.
    #[serde(default = "ok_alone")]
    pub expect: Vec<u16>,
    /// A JSON pointer (RFC 6901) to a member of the answer that must be `true`, for services
    /// that answer 200 to a bad key.
    pub json_true: Option<String>,
}

fn ok_alone() -> Vec<u16> {
    vec![200]
}

/// Protocols that a connection test speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Postgresql,
    Mysql,
    Redis,
    Smtp,
    Mongodb,
}

impl Protocol {
    /// Its name, as in the files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Smtp => "smtp",
            Self::Mongodb => "mongodb",
        }
    }
}

impl By {
    /// The way as one word: `http`, the protocol's name, `token` or `none`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Protocol(protocol) => protocol.as_str(),
            Self::Token {} => "token",
            Self::None { .. } => "none",
        }
    }
}
