//! A collector behind HTTPS: events as lines of JSON in the body of a POST.

use std::{fmt::Write as _, io, path::PathBuf, sync::Arc};

use ureq::{
    Agent, Error,
    http::Response,
    tls::{Certificate, RootCerts, TlsConfig},
};
use zeroize::Zeroizing;

use super::{line::Line, settings::SinkSettings, worker::Transport};

pub(super) struct Https {
    agent: Agent,
    url: String,
    token_file: Option<PathBuf>,
}

impl Https {
    /// Connects to nothing yet. `url` begins with `https://` and has neither user nor query.
    pub(super) fn new(url: &str, settings: &SinkSettings) -> Self {
        let roots = if settings.authorities.is_empty() {
            RootCerts::WebPki
        } else {
            let owned = |der: &Vec<u8>| Certificate::from_der(der).to_owned();
            RootCerts::Specific(Arc::new(settings.authorities.iter().map(owned).collect()))
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            // A redirect could take the token elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // Nothing in the environment decides where the trail goes.
            .proxy(None)
            .user_agent(concat!("nodeloom/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(settings.timeout))
            .build()
            .new_agent();
        Self {
            agent,
            url: url.to_owned(),
            token_file: settings.token_file.clone(),
        }
    }

    /// The header's value, wiped after use.
    fn authorization(&self) -> io::Result<Option<Zeroizing<String>>> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the token file cannot be read: {error}"),
            )
        })?);
        let token = text.trim_end_matches(['\n', '\r']);
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(io::Error::other(
                "the token file holds no token: one line of printable ASCII without spaces",
            ));
        }
        let mut value = Zeroizing::new(String::with_capacity(token.len() + 7));
        // Writing to a string does not fail.
        let _ = write!(value, "Bearer {token}");
        Ok(Some(value))
    }
}

impl Transport for Https {
    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let authorization = self.authorization()?;
        let header = authorization.as_deref().map(String::as_str);
        if lines.is_empty() {
            let mut request = self.agent.head(&self.url);
            if let Some(value) = header {
                request = request.header("authorization", value);
            }
            let response = request.call().map_err(plain)?;
            let status = response.status();
            // Most collectors know no HEAD; saying so is a sign of life.
            let is_there = !status.is_server_error() && !matches!(status.as_u16(), 401 | 403);
            return if is_there { Ok(()) } else { taken(&response) };
        }
        let mut body = String::new();
        for line in lines {
            body += &line.json();
            body.push('\n');
        }
        let mut request = self.agent.post(&self.url);
        if let Some(value) = header {
            request = request.header("authorization", value);
        }
        let request = request.header("content-type", "application/x-ndjson");
        taken(&request.send(&body).map_err(plain)?)
    }
}

fn taken<B>(response: &Response<B>) -> io::Result<()> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let code = status.as_u16();
    Err(io::Error::other(match code {
        401 | 403 => format!("the collector refuses the token (status {code})"),
        300..=399 => {
            format!("the collector is elsewhere (status {code}): redirects are not followed")
        }
        _ => format!("the collector answered with status {code}"),
    }))
}

/// What went wrong, without what the other side has sent.
fn plain(error: Error) -> io::Error {
    match error {
        Error::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "the sink hangs"),
        Error::Io(error) => io::Error::new(error.kind(), plain_io(&error)),
        Error::HostNotFound => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        Error::ConnectionFailed => io::Error::other("no connection to the collector"),
        Error::Tls(_) | Error::Rustls(_) => refused_tls(),
        _ => io::Error::other("the collector's answer is not understood"),
    }
}

fn plain_io(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => refused_tls().to_string(),
        _ => format!("no connection to the collector: {}", error.kind()),
    }
}

fn refused_tls() -> io::Error {
    io::Error::other("the collector's TLS or certificate was refused")
}
