//! Opening a connection: the guard's addresses, one after the other, and TLS over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nodeloom_domain::attributes::hosts_allow;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::guard::{Guard, Host, Refused};
use crate::trust::{Trust, Verify};

/// How long and how much an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start until the connection stands: resolving, TCP.
    pub connect: Duration,
    /// The whole exchange, connecting included.
    pub total: Duration,
    /// Most bytes read from the peer, beyond TLS.
    pub answer_bytes: usize,
}

impl Default for Limits {
    /// 10 seconds for each, 1 MiB.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(10),
            answer_bytes: 1 << 20,
        }
    }
}

/// Why there is no connection. No text of the peer is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The guard does not let it pass, or the name has no address.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No address could be connected to.
    #[error("no connection: {0}")]
    Tcp(#[source] io::Error),
    /// TLS did not come about, most often because of the certificate.
    #[error("no TLS connection: {0}")]
    Tls(#[source] io::Error),
    /// It took too long.
    #[error("no connection within the time limit")]
    TimeLimit,
}

/// What every outbound connection needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    guard: Guard,
    trust: Trust,
    limits: Limits,
    /// The only hosts to connect to; none: all that the guard lets through.
    bound_to: Arc<[String]>,
}

impl Outbound {
    /// Connections that `guard` lets through, to peers that `trust` vouches for, within `limits`.
    #[must_use]
    pub fn new(guard: Guard, trust: Trust, limits: Limits) -> Self {
        Self {
            guard,
            trust,
            limits,
            bound_to: Arc::default(),
        }
    }

    /// The same, to these hosts alone (`nodeloom_domain::attributes::hosts_allow`).
    #[must_use]
    pub fn bound_to(&self, hosts: &[String]) -> Self {
        Self {
            bound_to: hosts.into(),
            ..self.clone()
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

    /// The guard.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Connects to one of the addresses that the guard returns for `host`, and to no other.
    ///
    /// # Errors
    /// If the guard refuses, no address answers, or the limit passes.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        if !hosts_allow(&self.bound_to, host, port) {
            return Err(Refused::NotBound.into());
        }
        let deadline = Instant::now() + self.limits.connect;
        let addresses = timeout_at(deadline, self.guard.resolve(host, port))
            .await
            .map_err(|_| ConnectError::TimeLimit)??;
        dial(&addresses, deadline).await
    }

    /// Makes a connection a TLS one. `host` is what the certificate must name.
    ///
    /// # Errors
    /// [`ConnectError::Tls`].
    pub async fn secure(
        &self,
        stream: TcpStream,
        host: &Host,
        verify: Verify,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = ServerName::try_from(host.to_string())
            .map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
        let connector = TlsConnector::from(self.trust.config(verify));
        connector
            .connect(name, stream)
            .await
            .map_err(ConnectError::Tls)
    }
}

/// Tries the addresses in their order. Each gets an equal part of the time that is left, so that
/// one that swallows packets does not use up the turn of the others.
async fn dial(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::TimeLimit;
    for (index, address) in addresses.iter().enumerate() {
        let waiting = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let now = Instant::now();
        let turn = now + deadline.saturating_duration_since(now) / waiting;
        match timeout_at(turn, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Every protocol here asks and waits for the answer.
                stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = ConnectError::Tcp(error),
            Err(_) => last = ConnectError::TimeLimit,
        }
    }
    Err(last)
}
