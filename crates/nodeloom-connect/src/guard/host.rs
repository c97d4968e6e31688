//! A host as a person or a URL writes it, brought to one form. Every way of writing an IPv4 address
//! that some resolver understands (decimal, octal, hexadecimal, short, full-width) ends as that
//! address, by the rules of the WHATWG URL standard.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::Refused;

/// Most characters of a host name (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// A host in its one form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name: lower case, ASCII (Punycode where needed), without a dot at its end.
    Name(String),
    /// An address. IPv4 in IPv6 is IPv4.
    Address(IpAddr),
}

impl Host {
    /// Reads a host: a name, an IPv4 address in any notation, an IPv6 address with or without
    /// brackets.
    ///
    /// # Errors
    /// [`Refused::Host`] with the reason; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.is_empty() {
            return Err(Refused::Host("it is empty"));
        }
        if text.contains('@') {
            return Err(Refused::Host("it must not hold a user name"));
        }
        // `%` begins an escape in URLs and a zone in addresses; a host field has neither.
        if text.contains('%') {
            return Err(Refused::Host("it must not hold `%`: no zones, no escapes"));
        }
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if inner.is_some() || text.contains(':') {
            let address: Ipv6Addr = inner.unwrap_or(text).parse().map_err(|_| {
                Refused::Host("it is no IPv6 address, and a port belongs in its own field")
            })?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Refused::Host("it must not hold white space"));
        }
        match url::Host::parse(text) {
            Ok(url::Host::Ipv4(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Ipv6(address)) => Ok(Self::Address(IpAddr::V6(address).to_canonical())),
            Ok(url::Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                if name.len() > MAX_NAME
                    || name.split('.').any(str::is_empty)
                    || !name.bytes().all(plain)
                {
                    return Err(Refused::Host("it is no host name"));
                }
                Ok(Self::Name(name.to_owned()))
            }
            Err(_) => Err(Refused::Host("it is no host name and no address")),
        }
    }

    /// The host as TLS names it and as the `Host` header holds it: IPv6 in brackets.
    #[must_use]
    pub fn in_url(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Address(IpAddr::V4(_)) | Self::Name(_) => self.to_string(),
        }
    }

    /// Whether it can only be this machine: `localhost` or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}
