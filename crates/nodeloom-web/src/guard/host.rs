//! The host that a request names. A page of another site can make its own name
//! resolve to this machine (DNS rebinding) and is then "same origin" to the browser;
//! its requests still carry its own name, so any name but ours is refused.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, Uri, header};

use crate::settings::{Mode, PublicOrigin, WebSettings, default_port, split_scheme};

/// Host and port of an address, borrowed from its text. An IPv6 host keeps its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. User names, paths, spaces and
    /// an empty port are refused: a text that two programs may read differently is no host.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let host_length = if text.starts_with('[') {
            text.find(']')? + 1
        } else {
            text.find(':').unwrap_or(text.len())
        };
        let (host, rest) = text.split_at(host_length);
        let known = if let Some(inner) = host.strip_prefix('[') {
            inner.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok()
        } else {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        known.then_some(Self { host, port })
    }

    /// Whether this is `localhost` or an address that never leaves the machine.
    pub(crate) fn is_loopback(self) -> bool {
        let inner = self
            .host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'));
        match inner {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|a| a.is_loopback()),
            None => {
                self.host.eq_ignore_ascii_case("localhost")
                    || self.host.parse::<Ipv4Addr>().is_ok_and(|a| a.is_loopback())
            }
        }
    }

    fn is(self, origin: &PublicOrigin) -> bool {
        self.host.eq_ignore_ascii_case(&origin.host)
            && self.port.unwrap_or(default_port(origin.https)) == origin.port
    }
}

/// The host a request was accepted for, and the scheme where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted<'a> {
    pub(crate) authority: Authority<'a>,
    pub(crate) https: Option<bool>,
}

impl Accepted<'_> {
    /// Whether `origin`, as an `Origin` header writes it, is this very site.
    pub(crate) fn is_origin(self, origin: &str) -> bool {
        let Some((https, rest)) = split_scheme(origin) else {
            return false;
        };
        let Some(other) = Authority::parse(rest) else {
            return false;
        };
        let default = default_port(https);
        self.https.is_none_or(|expected| expected == https)
            && other.host.eq_ignore_ascii_case(self.authority.host)
            && other.port.unwrap_or(default) == self.authority.port.unwrap_or(default)
    }
}

/// The one authority that a request names, in its target (HTTP/2, or absolute form),
/// in `Host`, or in both alike. With `forwarded`, that is with a trusted proxy as the
/// peer, the last `X-Forwarded-Host` replaces it.
pub(crate) fn authority<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    forwarded: bool,
) -> Option<Authority<'a>> {
    if forwarded && let Some(last) = headers.get_all("x-forwarded-host").iter().next_back() {
        let last = last.to_str().ok()?.rsplit(',').next()?;
        return Authority::parse(last.trim());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        Some(host) => Some(Authority::parse(host.to_str().ok()?)?),
        None => None,
    };
    if hosts.next().is_some() {
        return None;
    }
    let target = match uri.authority() {
        Some(target) => Some(Authority::parse(target.as_str())?),
        None => None,
    };
    match (target, host) {
        (Some(target), Some(host)) => {
            let same = target.host.eq_ignore_ascii_case(host.host) && target.port == host.port;
            same.then_some(target)
        }
        (one, other) => one.or(other),
    }
}

/// Accepts the address from `APP_BASE_URL`; in development also this machine's own
/// names, on any port.
pub(crate) fn accept<'a>(settings: &WebSettings, authority: Authority<'a>) -> Option<Accepted<'a>> {
    if let Some(base) = &settings.base_url
        && authority.is(base)
    {
        return Some(Accepted {
            authority,
            https: Some(base.https),
        });
    }
    let local = settings.mode == Mode::Development && authority.is_loopback();
    // Behind a development proxy the scheme is anyone's guess, unless we end TLS here.
    local.then_some(Accepted {
        authority,
        https: settings.tls.then_some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: Mode, base: Option<&str>) -> WebSettings {
        WebSettings {
            mode,
            base_url: base.map(|b| b.parse().unwrap()),
            listen: "127.0.0.1:8080".parse().unwrap(),
            trusted_proxies: Vec::new(),
            tls: false,
            version: "0",
            metrics_token: None,
            audit_anchor: None,
            rate_limits: crate::settings::RateLimits::default(),
        }
    }

    fn accepts(settings: &WebSettings, host: &str) -> bool {
        Authority::parse(host).is_some_and(|a| accept(settings, a).is_some())
    }

    #[test]
    fn production_answers_to_its_own_address_alone() {
        let settings = settings(Mode::Production, Some("https://vault.example.com"));
        for host in [
            "vault.example.com",
            "Vault.Example.COM",
            "vault.example.com:443",
        ] {
            assert!(accepts(&settings, host), "{host}");
        }
        for host in [
            "vault.example.com:8080",
            "vault.example.com.",
            "vault.example.com.evil.test",
            "evil.test",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "user@vault.example.com",
            "vault.example.com:",
            "vault.example.com/",
            "",
        ] {
            assert!(!accepts(&settings, host), "{host}");
        }
    }

    #[test]
    fn development_answers_to_this_machine_on_any_port() {
        let settings = settings(Mode::Development, Some("http://box.test:9000"));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:8080",
            "box.test:9000",
        ] {
            assert!(accepts(&settings, host), "{host}");
        }
        for host in [
            "box.test",
            "evil.test",
            "localhost.evil.test",
            "10.0.0.1",
            "0.0.0.0",
            "127.1",
            "[::]",
            "[::1",
            "[::ffff:10.0.0.1]",
            "localhost:99999",
        ] {
            assert!(!accepts(&settings, host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_ours_only_with_scheme_host_and_port() {
        let production = settings(Mode::Production, Some("https://vault.example.com"));
        let own = accept(&production, Authority::parse("vault.example.com").unwrap()).unwrap();
        assert!(own.is_origin("https://vault.example.com"));
        assert!(own.is_origin("https://vault.example.com:443"));
        for other in [
            "http://vault.example.com",
            "https://vault.example.com:8443",
            "https://evil.test",
            "https://vault.example.com.evil.test",
            "https://vault.example.com/",
            "null",
            "",
        ] {
            assert!(!own.is_origin(other), "{other}");
        }
        let development = settings(Mode::Development, None);
        let own = accept(&development, Authority::parse("127.0.0.1:8080").unwrap()).unwrap();
        assert!(own.is_origin("http://127.0.0.1:8080"));
        for other in [
            "http://localhost:8080",
            "http://127.0.0.1:3000",
            "http://127.0.0.1",
            "null",
        ] {
            assert!(!own.is_origin(other), "{other}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let relative: Uri = "/x".parse().unwrap();
        let absolute: Uri = "https://a.test/x".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(authority(&relative, &headers, false), None);
        assert_eq!(
            authority(&absolute, &headers, false).unwrap().host,
            "a.test"
        );
        headers.insert(header::HOST, "a.test".parse().unwrap());
        assert_eq!(
            authority(&relative, &headers, false).unwrap().host,
            "a.test"
        );
        assert_eq!(
            authority(&absolute, &headers, false).unwrap().host,
            "a.test"
        );
        headers.insert("x-forwarded-host", "evil.test, front.test".parse().unwrap());
        assert_eq!(
            authority(&relative, &headers, false).unwrap().host,
            "a.test"
        );
        assert_eq!(
            authority(&relative, &headers, true).unwrap().host,
            "front.test"
        );
        headers.append(header::HOST, "a.test".parse().unwrap());
        assert_eq!(authority(&relative, &headers, false), None);
        headers.insert(header::HOST, "b.test".parse().unwrap());
        assert_eq!(authority(&absolute, &headers, false), None);
    }
}
