//! Where a second sink is, and how strict it is.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use super::{
    file::FileSink,
    https::Https,
    syslog::{Place, Syslog},
    worker::Transport,
};

/// A sink and its rules.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// Where it is.
    pub target: SinkTarget,
    /// Whether nothing happens without it.
    pub required: bool,
    /// How long one write may take.
    pub timeout: Duration,
    /// A file with the bearer token of an HTTPS sink, read anew for each request.
    pub token_file: Option<PathBuf>,
    /// Whom an HTTPS sink's certificate must come from, in DER; none: Mozilla's list.
    pub authorities: Arc<[Vec<u8>]>,
}

impl SinkSettings {
    /// How long a write may take if nothing else is set.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
}

/// Where a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkTarget(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File(PathBuf),
    Syslog(Place),
    Https(String),
}

/// The text names no sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a sink: expected file:/path, syslog:unix:/dev/log, syslog:udp:host:port, \
     syslog:tcp:host:port or https://host/path"
)]
pub struct ParseSinkError;

impl FromStr for SinkTarget {
    type Err = ParseSinkError;

    fn from_str(text: &str) -> Result<Self, ParseSinkError> {
        let absolute = |path: &str| {
            let path = PathBuf::from(path);
            path.is_absolute().then_some(path).ok_or(ParseSinkError)
        };
        let address = |text: &str| {
            let (host, port) = text.rsplit_once(':').ok_or(ParseSinkError)?;
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let good = !host.is_empty()
                && (bracketed || !host.contains(':'))
                && !host.contains(['/', '@'])
                && port.parse::<u16>().is_ok_and(|port| port > 0);
            good.then(|| text.to_owned()).ok_or(ParseSinkError)
        };
        let kind = if let Some(path) = text.strip_prefix("file:") {
            Kind::File(absolute(path)?)
        } else if let Some(path) = text.strip_prefix("syslog:unix:") {
            Kind::Syslog(Place::Unix(absolute(path)?))
        } else if let Some(to) = text.strip_prefix("syslog:udp:") {
            Kind::Syslog(Place::Udp(address(to)?))
        } else if let Some(to) = text.strip_prefix("syslog:tcp:") {
            Kind::Syslog(Place::Tcp(address(to)?))
        } else if let Some(rest) = text.strip_prefix("https://") {
            // The text is shown in logs and kept as the cursor's name: no place for secrets.
            let host = rest.split('/').next().unwrap_or_default();
            if host.is_empty()
                || rest.contains(['@', '?', '#'])
                || rest.contains(char::is_whitespace)
            {
                return Err(ParseSinkError);
            }
            Kind::Https(text.to_owned())
        } else {
            return Err(ParseSinkError);
        };
        Ok(Self(kind))
    }
}

impl fmt::Display for SinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::File(path) => write!(f, "file:{}", path.display()),
            Kind::Syslog(Place::Unix(path)) => write!(f, "syslog:unix:{}", path.display()),
            Kind::Syslog(Place::Udp(to)) => write!(f, "syslog:udp:{to}"),
            Kind::Syslog(Place::Tcp(to)) => write!(f, "syslog:tcp:{to}"),
            Kind::Https(url) => f.write_str(url),
        }
    }
}

impl SinkTarget {
    /// Whether a write that succeeds says anything about where the lines are. A UDP datagram is
    /// sent into the dark: a sink that nothing may happen without cannot be one.
    #[must_use]
    pub const fn can_be_required(&self) -> bool {
        !matches!(self.0, Kind::Syslog(Place::Udp(_)))
    }

    /// Whether it is a collector behind HTTPS.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        matches!(self.0, Kind::Https(_))
    }

    pub(super) fn transport(&self, settings: &SinkSettings) -> Box<dyn Transport> {
        match &self.0 {
            Kind::File(path) => Box::new(FileSink::new(path.clone())),
            Kind::Syslog(place) => Box::new(Syslog::new(place.clone(), settings.timeout)),
            Kind::Https(url) => Box::new(Https::new(url, settings)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_and_write_as_one() {
        for text in [
            "file:/var/log/nodeloom/audit.jsonl",
            "syslog:unix:/dev/log",
            "syslog:udp:192.0.2.1:514",
            "syslog:tcp:logs.example.com:601",
            "syslog:tcp:[::1]:601",
            "https://logs.example.com/ingest",
        ] {
            assert_eq!(text.parse::<SinkTarget>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "file:",
            "file:audit.jsonl",
            "/var/log/x",
            "syslog:",
            "syslog:/dev/log",
            "syslog:tcp:host",
            "syslog:tcp:host:0",
            "syslog:tcp::1:601",
            "syslog:udp:a@b:1",
            "http://logs.example.com/",
            "https://",
            "https://user:pw@host/",
            "https://host/?token=x",
        ] {
            assert_eq!(text.parse::<SinkTarget>(), Err(ParseSinkError), "{text}");
        }
        let udp: SinkTarget = "syslog:udp:a:1".parse().unwrap();
        assert!(!udp.can_be_required());
    }
}
