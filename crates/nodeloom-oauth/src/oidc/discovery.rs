//! The provider's description of itself: Discovery 1.0 section 3, RFC 8414, RFC 9207.

use serde::Deserialize;
use url::Url;

use super::{ClientSettings, DiscoveryError, SettingsError, jws::Algorithm};

/// How the client proves itself at the token endpoint: OpenID Connect Core 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    /// HTTP Basic of the form-encoded id and secret.
    Basic,
    /// Both in the form.
    Post,
    /// The id in the form; there is no secret.
    Public,
}

/// What is used of a discovery document, checked.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) authentication: ClientAuthentication,
    /// RFC 9207: every authorization answer names its issuer.
    pub(super) answers_name_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Reads a discovery document for the configured client.
    pub(super) fn read(body: &[u8], settings: &ClientSettings) -> Result<Self, DiscoveryError> {
        let document: Document =
            serde_json::from_slice(body).map_err(|_| DiscoveryError::Malformed)?;
        if document.issuer != settings.issuer.as_str() {
            return Err(DiscoveryError::IssuerDiffers);
        }
        let endpoint = |name: &'static str, text: &str| {
            let refused = |rule| DiscoveryError::Endpoint { name, rule };
            let url = Url::parse(text).map_err(|_| refused(SettingsError::NotUrl))?;
            settings.plain_http.check(&url).map_err(refused)?;
            Ok(url)
        };
        if let Some(offered) = &document.id_token_signing_alg_values_supported
            && !offered.iter().any(|name| Algorithm::parse(name).is_some())
        {
            return Err(DiscoveryError::Algorithms);
        }
        Ok(Self {
            authorization_endpoint: endpoint(
                "authorization_endpoint",
                &document.authorization_endpoint,
            )?,
            token_endpoint: endpoint("token_endpoint", &document.token_endpoint)?,
            jwks_uri: endpoint("jwks_uri", &document.jwks_uri)?,
            userinfo_endpoint: document
                .userinfo_endpoint
                .map(|text| endpoint("userinfo_endpoint", &text))
                .transpose()?,
            authentication: authentication(
                settings.client_secret.is_some(),
                document.token_endpoint_auth_methods_supported.as_deref(),
            )?,
            answers_name_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

/// Basic is what a provider takes that does not say (Discovery 1.0 section 3). A client without a
/// secret is public whatever the list has: many providers leave `none` out of it.
fn authentication(
    has_secret: bool,
    offered: Option<&[String]>,
) -> Result<ClientAuthentication, DiscoveryError> {
    if !has_secret {
        return Ok(ClientAuthentication::Public);
    }
    let Some(offered) = offered else {
        return Ok(ClientAuthentication::Basic);
    };
    let offers = |method: &str| offered.iter().any(|name| name == method);
    if offers("client_secret_basic") {
        Ok(ClientAuthentication::Basic)
    } else if offers("client_secret_post") {
        Ok(ClientAuthentication::Post)
    } else {
        Err(DiscoveryError::ClientAuthentication)
    }
}
