//! What the binary decides and this crate obeys.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use ipnet::IpNet;
use nodeloom_crypto::Secret;

use crate::guard::host::Authority;

/// How the instance is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Reachable under one https address.
    Production,
    /// On this machine alone.
    Development,
}

/// The settings of the HTTP side.
#[derive(Debug)]
pub struct WebSettings {
    /// Production or development.
    pub mode: Mode,
    /// The address that people use, from `APP_BASE_URL`.
    pub base_url: Option<PublicOrigin>,
    /// Where the server listens; named in the remedy of a refused host.
    pub listen: SocketAddr,
    /// The proxies whose `X-Forwarded-For` is believed, from `APP_TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether this process itself ends TLS.
    pub tls: bool,
    /// The program's version, for the document and `/metrics`.
    pub version: &'static str,
    /// The bearer token that opens `/metrics` to others than this machine.
    pub metrics_token: Option<Secret<String>>,
    /// The file with the signed ends of the audit chain.
    pub audit_anchor: Option<PathBuf>,
    /// How many requests are served.
    pub rate_limits: RateLimits,
}

/// Requests a minute, all of which may come at once; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Of one client address (of IPv6: one /64), from `APP_RATE_LIMIT_PER_ADDRESS`.
    pub per_address: u32,
    /// With one API token, from `APP_RATE_LIMIT_PER_TOKEN`.
    pub per_token: u32,
}

impl Default for RateLimits {
    /// Far above what people and workflows do, below what holds a machine down.
    fn default() -> Self {
        Self {
            per_address: 600_000,
            per_token: 60_000,
        }
    }
}

/// The origin of the address that people use: scheme, host, port, and no path, since
/// the session cookie covers the whole host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicOrigin {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl PublicOrigin {
    /// Whether the scheme is https.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }
}

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address like https://vault.example.com: scheme and host, perhaps a port, no path")]
pub struct ParseOriginError;

impl FromStr for PublicOrigin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (https, rest) = split_scheme(text).ok_or(ParseOriginError)?;
        let authority = Authority::parse(rest).ok_or(ParseOriginError)?;
        Ok(Self {
            https,
            host: authority.host.to_ascii_lowercase(),
            port: authority.port.unwrap_or(default_port(https)),
        })
    }
}

/// As a browser writes an origin: the default port of the scheme is left out.
impl fmt::Display for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != default_port(self.https) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Whether the scheme is https, and what follows `://`.
pub(crate) fn split_scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme.eq_ignore_ascii_case("https") {
        Some((true, rest))
    } else if scheme.eq_ignore_ascii_case("http") {
        Some((false, rest))
    } else {
        None
    }
}

/// The port that a browser leaves out.
pub(crate) const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_and_writes_as_a_browser_does() {
        for (text, shown) in [
            ("https://vault.example.com", "https://vault.example.com"),
            (
                "https://Vault.Example.com:443/",
                "https://vault.example.com",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<PublicOrigin>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn other_texts_are_no_origins() {
        for text in [
            "",
            "vault.example.com",
            "ftp://vault.example.com",
            "https://",
            "https://a@b",
            "https://a/path",
            "https://a?x",
            "https://a:0x10",
            "https://a b",
        ] {
            assert!(text.parse::<PublicOrigin>().is_err(), "{text}");
        }
    }
}
