//! What people say about a credential beside its values: checked texts.

use std::fmt;

use crate::{FieldErrors, Name, sort_key};

/// Most characters of notes.
pub const MAX_NOTES_CHARS: usize = 10_000;
/// Most tags of one credential.
pub const MAX_TAGS: usize = 20;
/// Most characters of a tag.
pub const MAX_TAG_CHARS: usize = 50;
/// Most hosts of one credential.
pub const MAX_HOSTS: usize = 20;

/// Notes without control characters but line ends and tabs; line ends become `\n`, white space
/// at the end goes.
///
/// # Errors
/// Field `notes`.
pub fn parse_notes(text: &str) -> Result<String, FieldErrors> {
    // A first cut by bytes, as for names.
    let too_long = text.len() > MAX_NOTES_CHARS * 4;
    if too_long || text.chars().count() > MAX_NOTES_CHARS {
        let message = format!("must have at most {MAX_NOTES_CHARS} characters");
        return Err(FieldErrors::one("notes", "too-long", message));
    }
    let text = text.replace("\r\n", "\n");
    let is_bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(is_bad) {
        let message = "must not contain control or text-direction characters";
        return Err(FieldErrors::one("notes", "control-character", message));
    }
    Ok(text.trim_end().to_owned())
}

/// Tags as they are shown, in the order given. Two that differ in case alone are one: the first.
///
/// # Errors
/// Field `tags`.
pub fn parse_tags(texts: &[String]) -> Result<Vec<String>, FieldErrors> {
    let mut tags: Vec<String> = Vec::new();
    if texts.len() > MAX_TAGS {
        let message = format!("must have at most {MAX_TAGS} entries");
        return Err(FieldErrors::one("tags", "too-many", message));
    }
    for text in texts {
        let tag = Name::parse(text)
            .map_err(|error| FieldErrors::one("tags", error.rule(), format!("each {error}")))?;
        if tag.as_str().chars().count() > MAX_TAG_CHARS {
            let message = format!("each must have at most {MAX_TAG_CHARS} characters");
            return Err(FieldErrors::one("tags", "too-long", message));
        }
        let folded = sort_key(tag.as_str());
        if tags.iter().all(|known| sort_key(known) != folded) {
            tags.push(tag.as_str().to_owned());
        }
    }
    Ok(tags)
}

/// One place that a credential may be sent to: a host name, `*.` and a name for all below it, or
/// an address; with a port, that port alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundHost {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Exact(String),
    Below(String),
    V6(std::net::Ipv6Addr),
}

impl BoundHost {
    /// Reads `host`, `host:port`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]:443`. An address
    /// has one way to be written here: no octal, no decimal, no short forms.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => {
                let number: u16 = port.parse().ok().filter(|port| *port > 0)?;
                (number.to_string() == port).then_some(())?;
                (host, Some(number))
            }
            _ => (text, None),
        };
        if let Some(inner) = host.strip_prefix('[') {
            let address = inner.strip_suffix(']')?.parse().ok()?;
            let host = Host::V6(address);
            return Some(Self { host, port });
        }
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_below = name.len() != host.len();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return None;
        }
        // What ends in a number is an address (WHATWG URL, section 3.5), and only in full.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number =
            last.bytes().all(|b| b.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x");
        if is_number && (is_below || name.parse::<std::net::Ipv4Addr>().is_err()) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let host = if is_below {
            if !name.contains('.') {
                return None;
            }
            Host::Below(name)
        } else {
            Host::Exact(name)
        };
        Some(Self { host, port })
    }

    /// Whether `host` (a name, or an address with or without brackets) and `port` are meant.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .trim_end_matches('.')
            .to_ascii_lowercase();
        match &self.host {
            Host::Exact(name) => host == *name,
            Host::Below(name) => host
                .strip_suffix(name.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            Host::V6(address) => host.parse() == Ok(*address),
        }
    }
}

impl fmt::Display for BoundHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Exact(name) => f.write_str(name)?,
            Host::Below(name) => write!(f, "*.{name}")?,
            Host::V6(address) => write!(f, "[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Hosts in the one form that they are stored in.
///
/// # Errors
/// Field `hosts`.
pub fn parse_hosts(texts: &[String]) -> Result<Vec<String>, FieldErrors> {
    if texts.len() > MAX_HOSTS {
        let message = format!("must have at most {MAX_HOSTS} entries");
        return Err(FieldErrors::one("hosts", "too-many", message));
    }
    let mut hosts: Vec<String> = Vec::new();
    for text in texts {
        let host = BoundHost::parse(text.trim()).ok_or_else(|| {
            FieldErrors::one(
                "hosts",
                "host",
                "each must be a host like api.example.com, *.example.com, db.internal:5432 or \
                 [2001:db8::1]:443",
            )
        })?;
        let host = host.to_string();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Whether a credential that is bound to `hosts` may be sent to `host` and `port`. One that is
/// bound to none may: then its type decides.
#[must_use]
pub fn hosts_allow(hosts: &[String], host: &str, port: u16) -> bool {
    hosts.is_empty()
        || hosts
            .iter()
            .filter_map(|bound| BoundHost::parse(bound))
            .any(|bound| bound.allows(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (given, kept) in [
            ("API.Example.com", "api.example.com"),
            ("*.example.com", "*.example.com"),
            ("db:5432", "db:5432"),
            ("192.0.2.1:443", "192.0.2.1:443"),
            ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(BoundHost::parse(given).unwrap().to_string(), kept);
        }
        for bad in [
            "",
            "*",
            "*.com",
            "a..b",
            "-a.example",
            "https://a.example",
            "a.example/",
            "a@b.example",
            "a b",
            "a:0",
            "a:099",
            "a:65536",
            "a:",
            "192.0.2",
            "0300.0.2.1",
            "0x7f.1",
            "2130706433",
            "*.0.2.1",
            "::1",
            "[::1",
            "ex\u{e4}mple.com",
            "a.example\r\nx",
        ] {
            assert!(BoundHost::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_binding_names_hosts_and_ports() {
        let allows = |bound: &str, host: &str, port| {
            hosts_allow(&parse_hosts(&[bound.to_owned()]).unwrap(), host, port)
        };
        assert!(hosts_allow(&[], "anything", 1));
        assert!(allows("api.example.com", "API.example.com", 443));
        assert!(allows("api.example.com", "api.example.com.", 443));
        assert!(!allows("api.example.com", "xapi.example.com", 443));
        assert!(!allows("api.example.com", "api.example.com.evil.test", 443));
        assert!(allows("*.example.com", "a.b.example.com", 80));
        assert!(!allows("*.example.com", "example.com", 80));
        assert!(!allows("*.example.com", "badexample.com", 80));
        assert!(allows("db:5432", "db", 5432));
        assert!(!allows("db:5432", "db", 5433));
        assert!(allows("[::1]:6379", "0:0::1", 6379));
    }

    #[test]
    fn tags_and_notes_are_checked() {
        let tags =
            |list: &[&str]| parse_tags(&list.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>());
        assert_eq!(tags(&[" Prod ", "prod", "eu"]).unwrap(), ["Prod", "eu"]);
        assert_eq!(
            tags(&["a\u{202e}b"]).unwrap_err().0[0].rule,
            "control-character"
        );
        assert_eq!(tags(&[""]).unwrap_err().0[0].rule, "required");
        assert_eq!(tags(&[&"x".repeat(51)]).unwrap_err().0[0].rule, "too-long");
        assert_eq!(tags(&["x"; 21]).unwrap_err().0[0].rule, "too-many");
        assert_eq!(parse_notes("a\r\nb\t c \n").unwrap(), "a\nb\t c");
        assert_eq!(
            parse_notes("a\0").unwrap_err().0[0].rule,
            "control-character"
        );
        assert_eq!(
            parse_notes(&"x".repeat(MAX_NOTES_CHARS + 1)).unwrap_err().0[0].rule,
            "too-long"
        );
    }
}
