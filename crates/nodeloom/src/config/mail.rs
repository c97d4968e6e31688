//! The server that takes mail.

use lettre::message::Mailbox;
use nodeloom_crypto::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Reader;

const URL: &str = "SMTP_URL";
const URL_FILE: &str = "SMTP_URL_FILE";
const FROM: &str = "SMTP_FROM";
const REMEDY: &str = "set it like smtps://name:password@smtp.example.com, with characters such as \
                      @ : / in name and password percent-encoded";

/// How mail goes out.
#[derive(Debug)]
pub(crate) struct MailConfig {
    pub(crate) server: MailServer,
    pub(crate) from: Mailbox,
}

/// The server that mail is handed to.
#[derive(Debug)]
pub(crate) struct MailServer {
    /// Name or address of the server.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    /// Name and password, for a server that wants them.
    pub(crate) account: Option<(String, Secret<String>)>,
}

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// From its first byte (RFC 8314, section 3.3).
    Wrapped,
    /// After STARTTLS, without which nothing is sent (RFC 3207).
    StartTls,
    /// Never.
    Plain,
}

impl Reader<'_> {
    pub(super) fn mail(&mut self) -> Option<MailConfig> {
        let from = self.setting(FROM, None);
        let Some(url) = self.secret_or_file(URL, URL_FILE) else {
            let is_refused = self.is_given(URL, false) || self.is_given(URL_FILE, false);
            if from.is_some() && !is_refused {
                let rule = format!("is set, and {URL} is not");
                self.refuse(FROM, &rule, format!("set {URL} too, or unset {FROM}"));
            }
            return None;
        };
        let from = self.mail_from(from.as_deref());
        // EXPOSE: taken apart into its fields. The text is not repeated in a refusal.
        match read_url(url.expose()) {
            Ok(server) => Some(MailConfig {
                server,
                from: from?,
            }),
            Err(rule) => {
                self.refuse(URL, rule, REMEDY);
                None
            }
        }
    }

    fn mail_from(&mut self, text: Option<&str>) -> Option<Mailbox> {
        let remedy = "set it like nodeloom@example.com or `Example vault <nodeloom@example.com>`";
        let Some(text) = text else {
            self.refuse(FROM, &format!("is not set, and {URL} is"), remedy);
            return None;
        };
        let mailbox = text.parse();
        if mailbox.is_err() {
            self.refuse(FROM, "is not an address that mail can come from", remedy);
        }
        mailbox.ok()
    }
}

/// # Errors
/// The rule that the address breaks.
fn read_url(text: &str) -> Result<MailServer, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not an address")?;
    let mut tls = None;
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("tls", "required") => tls = Some(MailTls::StartTls),
            ("tls", "none") => tls = Some(MailTls::Plain),
            ("tls", "opportunistic") => {
                return Err(
                    "must not ask for opportunistic TLS: whoever stands in between could turn it off",
                );
            }
            _ => return Err("knows no parameter but tls=required and tls=none"),
        }
    }
    let (tls, port) = match (url.scheme(), tls) {
        ("smtps", None) => (MailTls::Wrapped, 465),
        ("smtps", Some(_)) => return Err("is encrypted from the start with smtps: drop tls=…"),
        ("smtp", None | Some(MailTls::StartTls)) => (MailTls::StartTls, 587),
        ("smtp", Some(tls)) => (tls, 25),
        _ => return Err("must begin with smtps:// or smtp://"),
    };
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or("names no server")?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("must end after the port");
    }
    let decode = |text| {
        let text = percent_decode_str(text).decode_utf8();
        text.map_err(|_| "has a name or password that is not UTF-8")
    };
    let account = match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) => return Err("has a password and no name"),
        (_, None) => return Err("has a name and no password"),
        (name, Some(password)) => Some((
            decode(name)?.into_owned(),
            Secret::new(decode(password)?.into_owned()),
        )),
    };
    Ok(MailServer {
        host: host.to_owned(),
        port: url.port().unwrap_or(port),
        tls,
        account,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers() {
        let server = read_url("smtps://a%40b.example:p%2F%C3%A9%3A@smtp.example.com").unwrap();
        assert_eq!(
            (server.host.as_str(), server.port),
            ("smtp.example.com", 465)
        );
        assert_eq!(server.tls, MailTls::Wrapped);
        let (name, password) = server.account.as_ref().unwrap();
        assert_eq!(
            (name.as_str(), password.expose().as_str()),
            ("a@b.example", "p/\u{e9}:")
        );
        assert!(!format!("{server:?}").contains("p/"));
        for (text, port, tls) in [
            ("smtp://h", 587, MailTls::StartTls),
            ("smtp://h:2525?tls=required", 2525, MailTls::StartTls),
            ("smtp://h?tls=none", 25, MailTls::Plain),
            ("smtps://[::1]:4465/", 4465, MailTls::Wrapped),
        ] {
            let server = read_url(text).unwrap();
            assert_eq!((server.port, server.tls), (port, tls), "{text}");
            assert!(server.account.is_none());
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        for text in [
            "",
            "smtp.example.com",
            "http://h",
            "smtp://",
            "smtp://h/x",
            "smtp://h#x",
            "smtp://a@h",
            "smtp://:p@h",
            "smtp://a:%ff@h",
            "smtp://h?tls=opportunistic",
            "smtp://h?tls=yes",
            "smtp://h?timeout=3",
            "smtps://h?tls=none",
        ] {
            assert!(read_url(text).is_err(), "{text}");
        }
    }
}
