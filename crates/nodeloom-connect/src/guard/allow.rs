//! `APP_SSRF_ALLOW`: what the guard lets through although it is not public.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Host;

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowEntry {
    /// Every address of a network, at any port.
    Network(IpNet),
    /// One host, by exactly this name or address, at one port.
    Host {
        /// The host.
        host: Host,
        /// The port.
        port: u16,
    },
}

/// What is wrong with an entry. The entry itself is repeated: the list holds no secrets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AllowError {
    /// Neither a network nor a host with a port.
    #[error(
        "`{0}` is neither a network such as 10.1.0.0/16 nor a host with a port such as db.internal:5432"
    )]
    Form(String),
    /// A name without a port.
    #[error("`{0}` needs a port, such as {0}:443")]
    NoPort(String),
    /// A network that is the whole internet.
    #[error(
        "`{0}` names every address; APP_SSRF_PROTECTION_ENABLED=false is the setting that \
         switches the guard off"
    )]
    Everything(String),
}

/// Reads a list of networks and hosts with ports, separated by commas. An address alone is the
/// network of that address; empty entries are skipped.
///
/// # Errors
/// The first entry that cannot be read.
pub fn parse_allow(text: &str) -> Result<Vec<AllowEntry>, AllowError> {
    let entries = text.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .map(parse_entry)
        .collect()
}

fn parse_entry(text: &str) -> Result<AllowEntry, AllowError> {
    let network = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if let Some(network) = network {
        if network.prefix_len() == 0 {
            return Err(AllowError::Everything(text.into()));
        }
        return Ok(AllowEntry::Network(network.trunc()));
    }
    let form = || AllowError::Form(text.into());
    if text.contains('/') {
        return Err(form());
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match Host::parse(text) {
            Ok(_) => AllowError::NoPort(text.into()),
            Err(_) => form(),
        });
    };
    // An IPv6 address has its own colons: with a port it stands in brackets.
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(form());
    }
    let port = port.parse().map_err(|_| form())?;
    let host = Host::parse(host).map_err(|_| form())?;
    if port == 0 {
        return Err(form());
    }
    Ok(AllowEntry::Host { host, port })
}

impl AllowEntry {
    /// Whether this entry lets `address` of `host` through at `port`.
    #[must_use]
    pub(super) fn allows(&self, host: &Host, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&address),
            Self::Host {
                host: allowed,
                port: at,
            } => *at == port && (allowed == host || *allowed == Host::Address(address)),
        }
    }
}
