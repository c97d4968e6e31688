//! What an operator configures.

use std::net::IpAddr;

use nodeloom_crypto::Secret;
use url::{Host, Url};

use super::SettingsError;

/// Whether a provider may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Never.
    Refuse,
    /// On this machine alone: `localhost`, 127.0.0.0/8 and `::1`.
    Loopback,
}

impl PlainHttp {
    /// Checks an endpoint's URL.
    pub(super) fn check(self, url: &Url) -> Result<(), SettingsError> {
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(SettingsError::Extra);
        }
        let loopback = match url.host() {
            None => return Err(SettingsError::NotUrl),
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if loopback && self == Self::Loopback => Ok(()),
            _ => Err(SettingsError::Scheme),
        }
    }
}

/// An issuer identifier, kept character for character: comparisons are of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Reads a configured issuer.
    ///
    /// # Errors
    /// [`SettingsError`] unless it is an https URL (or an allowed http one) without query and
    /// fragment: OpenID Connect Core 2, `iss`.
    pub fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, SettingsError> {
        let url = Url::parse(text).map_err(|_| SettingsError::NotUrl)?;
        plain_http.check(&url)?;
        if url.query().is_some() {
            return Err(SettingsError::Extra);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the discovery document is: Discovery 1.0 section 4.
    pub(super) fn discovery_url(&self) -> Result<Url, SettingsError> {
        let base = self.0.strip_suffix('/').unwrap_or(&self.0);
        Url::parse(&format!("{base}/.well-known/openid-configuration"))
            .map_err(|_| SettingsError::NotUrl)
    }
}

/// The scopes to ask for: RFC 6749 section 3.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(String);

impl Scopes {
    /// Reads scopes divided by spaces.
    ///
    /// # Errors
    /// [`SettingsError::Scopes`] when a scope has a character that is not allowed or `openid` is
    /// missing.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let scopes: Vec<&str> = text.split_ascii_whitespace().collect();
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let good =
            scopes.contains(&"openid") && scopes.iter().all(|scope| scope.bytes().all(allowed));
        good.then(|| Self(scopes.join(" ")))
            .ok_or(SettingsError::Scopes)
    }

    /// The scopes, one space between.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `openid email profile`.
impl Default for Scopes {
    fn default() -> Self {
        Self("openid email profile".to_owned())
    }
}

/// One client at one provider.
#[derive(Debug)]
pub struct ClientSettings {
    /// The provider.
    pub issuer: Issuer,
    /// The id that the provider gave this program.
    pub client_id: String,
    /// The secret that goes with it; none for a public client.
    pub client_secret: Option<Secret<String>>,
    /// Where the browser comes back to. Registered at the provider, character for character.
    pub redirect_uri: Url,
    /// What to ask for.
    pub scopes: Scopes,
    /// Whether endpoints may be without TLS.
    pub plain_http: PlainHttp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_or_listed_loopback() {
        let table = [
            ("https://id.example.com", PlainHttp::Refuse, Ok(())),
            (
                "https://id.example.com/realms/a/",
                PlainHttp::Refuse,
                Ok(()),
            ),
            ("http://127.0.0.1:9/a", PlainHttp::Loopback, Ok(())),
            ("http://[::1]:9", PlainHttp::Loopback, Ok(())),
            ("http://localhost:9", PlainHttp::Loopback, Ok(())),
            (
                "http://127.0.0.1:9",
                PlainHttp::Refuse,
                Err(SettingsError::Scheme),
            ),
            (
                "http://10.0.0.1",
                PlainHttp::Loopback,
                Err(SettingsError::Scheme),
            ),
            (
                "http://localhost.example.com",
                PlainHttp::Loopback,
                Err(SettingsError::Scheme),
            ),
            (
                "ftp://id.example.com",
                PlainHttp::Loopback,
                Err(SettingsError::Scheme),
            ),
            (
                "https://u:p@id.example.com",
                PlainHttp::Refuse,
                Err(SettingsError::Extra),
            ),
            (
                "https://id.example.com?x",
                PlainHttp::Refuse,
                Err(SettingsError::Extra),
            ),
            (
                "https://id.example.com#x",
                PlainHttp::Refuse,
                Err(SettingsError::Extra),
            ),
            (
                "id.example.com",
                PlainHttp::Refuse,
                Err(SettingsError::NotUrl),
            ),
            ("", PlainHttp::Refuse, Err(SettingsError::NotUrl)),
        ];
        for (text, plain_http, expected) in table {
            assert_eq!(
                Issuer::parse(text, plain_http).map(|_| ()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn the_discovery_document_lies_below_the_issuer() {
        for (issuer, url) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/b/",
                "https://a.example/b/.well-known/openid-configuration",
            ),
        ] {
            let issuer = Issuer::parse(issuer, PlainHttp::Refuse).unwrap();
            assert_eq!(issuer.discovery_url().unwrap().as_str(), url);
        }
    }

    #[test]
    fn scopes_hold_openid() {
        assert_eq!(
            Scopes::parse(" openid  email ").unwrap().as_str(),
            "openid email"
        );
        assert_eq!(Scopes::parse("email"), Err(SettingsError::Scopes));
        assert_eq!(Scopes::parse("openid \"x\""), Err(SettingsError::Scopes));
        assert_eq!(Scopes::parse(""), Err(SettingsError::Scopes));
    }
}
