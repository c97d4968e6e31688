//! A connection that speaks a binary or a line protocol: bounded reads, and TLS in the middle.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::guard::Host;
use crate::outbound::{ConnectError, Outbound};
use crate::trust::Verify;

/// Most bytes of one message or line. None of the sign-ins here needs a tenth of it.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;
const READ_AT_ONCE: usize = 4096;

/// Why an exchange ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server sent more than a sign-in takes")]
    TooLarge,
    #[error("the connection broke: {0}")]
    Broken(#[source] io::Error),
    #[error("the server sent data before TLS began, which an attacker could have put there")]
    DataBeforeTls,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection. What a peer can make it read is bounded by the limits of its [`Outbound`].
pub(crate) struct Wire {
    stream: Stream,
    is_local: bool,
    unread: Vec<u8>,
    /// Bytes that may still be read.
    budget: usize,
}

impl Wire {
    pub(crate) async fn connect(
        outbound: &Outbound,
        host: &str,
        port: u16,
    ) -> Result<Self, WireError> {
        let stream = outbound.connect(host, port).await?;
        let peer = stream.peer_addr().map_err(WireError::Broken)?;
        Ok(Self {
            stream: Stream::Plain(stream),
            is_local: peer.ip().to_canonical().is_loopback(),
            unread: Vec::new(),
            budget: outbound.limits().answer_bytes,
        })
    }

    /// Goes on in TLS. Bytes that came before it must have been read: they are not of the peer
    /// that TLS vouches for.
    pub(crate) async fn into_tls(
        self,
        outbound: &Outbound,
        host: &Host,
        verify: Verify,
    ) -> Result<Self, WireError> {
        if !self.unread.is_empty() {
            return Err(WireError::DataBeforeTls);
        }
        let stream = match self.stream {
            Stream::Plain(stream) => outbound.secure(stream, host, verify).await?,
            Stream::Tls(stream) => *stream,
        };
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            ..self
        })
    }

    /// Whether nobody on the network can read along: TLS, or no network.
    pub(crate) const fn is_private(&self) -> bool {
        self.is_local || self.is_tls()
    }

    pub(crate) const fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => match stream.write_all(bytes).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
        };
        sent.map_err(WireError::Broken)
    }

    /// Exactly `count` bytes.
    pub(crate) async fn exact(&mut self, count: usize) -> Result<Vec<u8>, WireError> {
        if count > MAX_MESSAGE {
            return Err(WireError::TooLarge);
        }
        while self.unread.len() < count {
            self.fill().await?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// A line without its end; bytes that are no UTF-8 are replaced.
    pub(crate) async fn line(&mut self) -> Result<String, WireError> {
        let mut looked_at = 0;
        loop {
            let found = self.unread[looked_at..].iter().position(|b| *b == b'\n');
            if let Some(end) = found {
                let line: Vec<u8> = self.unread.drain(..=looked_at + end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            looked_at = self.unread.len();
            if looked_at > MAX_MESSAGE {
                return Err(WireError::TooLarge);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), WireError> {
        let mut part = [0; READ_AT_ONCE];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut part).await,
            Stream::Tls(stream) => stream.read(&mut part).await,
        };
        let count = match read {
            Ok(0) => return Err(WireError::Closed),
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
                ) =>
            {
                return Err(WireError::Closed);
            }
            Err(error) => return Err(WireError::Broken(error)),
        };
        self.budget = self.budget.checked_sub(count).ok_or(WireError::TooLarge)?;
        self.unread.extend_from_slice(&part[..count]);
        Ok(())
    }
}
