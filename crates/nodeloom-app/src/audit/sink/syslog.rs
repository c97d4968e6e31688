//! Syslog: RFC 5424 messages, on TCP with the octet counts of RFC 6587.

use std::{
    fmt::Write as _,
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _, UdpSocket},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::Duration,
};

use super::{line::Line, worker::Transport};
use crate::audit::record::escape;

/// The facility "log audit" of RFC 5424, section 6.2.1.
const FACILITY: u8 = 13;
/// The structured data's name: RFC 5612 sets this enterprise number aside for programs that have
/// none of their own.
const DATA: &str = "nodeloom@32473";

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Unix(PathBuf),
    Udp(String),
    Tcp(String),
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

pub(super) struct Syslog {
    place: Place,
    host: String,
    timeout: Duration,
    socket: Option<Socket>,
}

impl Syslog {
    pub(super) fn new(place: Place, timeout: Duration) -> Self {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            place,
            host: word(&host, 255),
            timeout,
            socket: None,
        }
    }

    fn connect(&self) -> io::Result<Socket> {
        Ok(match &self.place {
            Place::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(self.timeout))?;
                socket.connect(path)?;
                Socket::Unix(socket)
            }
            Place::Udp(address) => {
                let to = resolve(address)?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Socket::Udp(socket)
            }
            Place::Tcp(address) => {
                let socket = TcpStream::connect_timeout(&resolve(address)?, self.timeout)?;
                socket.set_write_timeout(Some(self.timeout))?;
                socket.set_nodelay(true)?;
                Socket::Tcp(socket)
            }
        })
    }

    fn send(&mut self, lines: &[Line]) -> io::Result<()> {
        if let Some(Socket::Tcp(stream)) = &mut self.socket
            && is_closed(stream)
        {
            // Without this look the first message after a restart of the server would be lost.
            self.socket = None;
        }
        if self.socket.is_none() {
            self.socket = Some(self.connect()?);
        }
        let socket = self.socket.as_mut().expect("it was connected just now");
        for line in lines {
            let message = message(line, &self.host);
            match socket {
                Socket::Unix(socket) => {
                    socket.send(message.as_bytes())?;
                }
                Socket::Udp(socket) => {
                    socket.send(message.as_bytes())?;
                }
                Socket::Tcp(stream) => {
                    stream.write_all(format!("{} {message}", message.len()).as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

impl Transport for Syslog {
    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let result = self.send(lines);
        if result.is_err() {
            self.socket = None;
        }
        result
    }
}

fn resolve(address: &str) -> io::Result<std::net::SocketAddr> {
    address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Whether the other side has ended the connection. Syslog servers never send anything.
fn is_closed(stream: &mut TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let read = stream.read(&mut [0; 64]);
    let closed = match read {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    closed || stream.set_nonblocking(false).is_err()
}

/// One message: `<PRI>1 TIME HOST APP PROCID MSGID [DATA] JSON`.
fn message(line: &Line, host: &str) -> String {
    let process = std::process::id();
    let json = line.json();
    match line {
        Line::Event(event) => {
            // Informational, warning, error.
            let severity = match event.outcome.as_str() {
                "success" => 6,
                "refused" => 4,
                _ => 3,
            };
            let mut data = String::new();
            let target = event.target.as_ref();
            let of_target = |pick: fn(&crate::audit::RecordTarget) -> &Option<String>| {
                target.and_then(|target| pick(target).clone())
            };
            for (name, value) in [
                ("sequence", Some(event.sequence.to_string())),
                ("actor", Some(event.actor.name.clone())),
                ("team", event.team_id.map(|team| team.to_string())),
                ("target", of_target(|target| &target.id)),
                ("targetName", of_target(|target| &target.name)),
                ("outcome", Some(event.outcome.clone())),
                ("requestId", Some(event.request_id.clone())),
                ("mac", Some(event.mac.clone())),
            ] {
                if let Some(value) = value {
                    let _ = write!(data, " {name}=\"{}\"", value_text(&value));
                }
            }
            format!(
                "<{}>1 {} {host} nodeloom {process} {} [{DATA}{data}] {json}",
                FACILITY * 8 + severity,
                word(&event.at, 32),
                word(&event.action, 32),
            )
        }
        Line::Aborted { sequence, .. } => format!(
            "<{}>1 - {host} nodeloom {process} aborted [{DATA} sequence=\"{sequence}\"] {json}",
            FACILITY * 8 + 4
        ),
    }
}

/// A header field: printable ASCII without spaces, cut to what the field may hold.
fn word(text: &str, most: usize) -> String {
    let word: String = text
        .chars()
        .filter(char::is_ascii_graphic)
        .take(most)
        .collect();
    if word.is_empty() { "-".into() } else { word }
}

/// A value of structured data: RFC 5424, section 6.3.3, escapes `"`, `\` and `]`. Controls are
/// first written as in JSON.
fn value_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in escape(text).chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_place() {
        assert_eq!(value_text("a\"] [x y=\"\\"), "a\\\"\\] [x y=\\\"\\\\");
        assert_eq!(value_text("a\nb\u{1b}"), "a\\\\u000ab\\\\u001b");
        assert_eq!(word("a b\nc", 32), "abc");
        assert_eq!(word("\u{e9}", 32), "-");
        assert_eq!(word("abcdef", 3), "abc");
    }
}
