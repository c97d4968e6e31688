//! The outbound guard: which hosts, addresses and URLs nodeloom may connect to.
//!
//! nodeloom holds secrets and stands inside somebody's network, so an address that a person may
//! choose must not reach what only that network should reach. [`Guard::resolve`] turns a host into
//! addresses once and checks every one of them; callers connect to those addresses and to no
//! other, so that a name that changes its answer between check and use gains nothing.

mod address;
mod allow;
mod host;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use url::Url;

pub use address::{AddressClass, classify};
pub use allow::{AllowEntry, AllowError, parse_allow};
pub use host::Host;

/// Most addresses taken from one answer of the resolver.
const MAX_ADDRESSES: usize = 32;

/// Names under which clouds offer the metadata of a machine. Their addresses are refused too; the
/// names make the refusal certain where a resolver answers something unusual.
const METADATA_NAMES: &[&str] = &[
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
];

/// What [`Resolve::resolve`] answers with, later.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns a name into addresses. Tests give their own.
pub trait Resolve: Send + Sync {
    /// Every address of `name`.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// How the guard is set up.
#[derive(Debug, Clone)]
pub struct GuardSettings {
    /// `APP_SSRF_PROTECTION_ENABLED`. Metadata addresses are refused either way.
    pub enabled: bool,
    /// `APP_SSRF_ALLOW`: what is reachable although it is not public.
    pub allow: Vec<AllowEntry>,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            allow: Vec::new(),
        }
    }
}

/// Why a connection is not made. The texts are for people and repeat only the host.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The host is not one that can be checked.
    #[error("the host cannot be used: {0}")]
    Host(&'static str),
    /// The URL is not one that may be requested.
    #[error("the address cannot be used: {0}")]
    Url(&'static str),
    /// The credential is bound to other hosts.
    #[error("the credential is bound to other hosts than this one")]
    NotBound,
    /// Where clouds keep the credentials of a machine; no setting allows it.
    #[error("{host} is a metadata or link-local address of the network, which no setting allows")]
    Metadata {
        /// The host, as normalised.
        host: Host,
    },
    /// Not a public address, and not on the list.
    #[error(
        "{host} {} {class}, and connections to it are refused; if it is yours, add \
         {} to APP_SSRF_ALLOW", verb(host), entry(host, *port)
    )]
    Address {
        /// The host, as normalised.
        host: Host,
        /// The port that was asked for.
        port: u16,
        /// What kind of address it is.
        class: AddressClass,
    },
    /// The name has no address, or it cannot be found out.
    #[error("no address was found for {host}")]
    Unresolved {
        /// The host, as normalised.
        host: Host,
        /// What the resolver said.
        #[source]
        source: Option<io::Error>,
    },
}

impl Refused {
    /// Whether a rule refused it; otherwise the name could not be resolved.
    #[must_use]
    pub const fn is_by_rule(&self) -> bool {
        !matches!(self, Self::Unresolved { .. })
    }
}

const fn verb(host: &Host) -> &'static str {
    match host {
        Host::Name(_) => "resolves to",
        Host::Address(_) => "is",
    }
}

/// The entry of `APP_SSRF_ALLOW` that would allow `host` at `port`, and nothing else.
fn entry(host: &Host, port: u16) -> String {
    match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Host::Address(IpAddr::V4(_)) | Host::Name(_) => format!("{host}:{port}"),
    }
}

/// Decides where connections may go. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    settings: Arc<GuardSettings>,
    resolver: Arc<dyn Resolve>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that asks the operating system for addresses.
    #[must_use]
    pub fn new(settings: GuardSettings) -> Self {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// A guard that asks `resolver` for addresses.
    #[must_use]
    pub fn with_resolver(settings: GuardSettings, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            settings: Arc::new(settings),
            resolver,
        }
    }

    /// Whether private and loopback addresses are refused.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// The addresses of `host`, each of them checked. The caller connects to these and looks
    /// nothing up again.
    ///
    /// # Errors
    /// If the host cannot be read, has no address, or any one of its addresses is not allowed.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        self.resolve_host(Host::parse(host)?, port).await
    }

    /// The same for a URL: [`Guard::check_url`], then [`Guard::resolve`] with the URL's port or
    /// the scheme's own.
    ///
    /// # Errors
    /// As those two.
    pub async fn resolve_url(&self, url: &Url) -> Result<Vec<SocketAddr>, Refused> {
        let (host, port) = self.check_url(url)?;
        self.resolve_host(host, port).await
    }

    /// Host and port of a URL that may be requested as far as its text shows: http or https, a
    /// host, no user information, no address that is refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_url(&self, url: &Url) -> Result<(Host, u16), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Url("only http and https addresses are requested"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Url("it must not hold a user name or password"));
        }
        let host = Host::parse(url.host_str().unwrap_or_default())?;
        let port = url
            .port_or_known_default()
            .ok_or(Refused::Url("it has no port"))?;
        match &host {
            Host::Address(address) => self.check(&host, port, *address)?,
            Host::Name(name) if is_metadata_name(name) => {
                return Err(Refused::Metadata { host });
            }
            Host::Name(_) => {}
        }
        Ok((host, port))
    }

    async fn resolve_host(&self, host: Host, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        if port == 0 {
            return Err(Refused::Host("port 0 is no port"));
        }
        let found = match &host {
            Host::Address(address) => vec![*address],
            Host::Name(name) if is_metadata_name(name) => {
                return Err(Refused::Metadata { host });
            }
            Host::Name(name) => match self.resolver.resolve(name).await {
                Ok(found) => found,
                Err(error) => {
                    let source = Some(error);
                    return Err(Refused::Unresolved { host, source });
                }
            },
        };
        let mut addresses = Vec::with_capacity(found.len().min(MAX_ADDRESSES));
        // All are checked, also those beyond the number that is kept.
        for address in found {
            let address = address.to_canonical();
            self.check(&host, port, address)?;
            let address = SocketAddr::new(address, port);
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(Refused::Unresolved { host, source: None });
        }
        Ok(addresses)
    }

    fn check(&self, host: &Host, port: u16, address: IpAddr) -> Result<(), Refused> {
        match classify(address) {
            AddressClass::Public => Ok(()),
            AddressClass::Metadata => Err(Refused::Metadata { host: host.clone() }),
            _ if !self.settings.enabled => Ok(()),
            _ if self
                .settings
                .allow
                .iter()
                .any(|entry| entry.allows(host, port, address)) =>
            {
                Ok(())
            }
            class => Err(Refused::Address {
                host: host.clone(),
                port,
                class,
            }),
        }
    }
}

fn is_metadata_name(name: &str) -> bool {
    METADATA_NAMES.contains(&name)
}
