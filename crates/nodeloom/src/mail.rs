//! Mail, handed to the operator's server.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport as _, Message, Tokio1Executor};
use nodeloom_app::{Mail, MailError, Mailer, Mailing};

use crate::config::{MailConfig, MailServer, MailTls};
use crate::output::{Failure, Outcome};

/// How long the server may take for one command.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Sends mail to one server, each over a connection of its own.
pub(crate) struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: lettre::message::Mailbox,
}

impl SmtpMailer {
    /// Connects to nothing yet. `authorities` are those to trust, in DER; none: Mozilla's list.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(config: MailConfig, authorities: &[Vec<u8>]) -> Outcome<Self> {
        let MailConfig { server, from } = config;
        let tls = tls(&server, authorities)?;
        if server.tls == MailTls::Plain {
            tracing::warn!(
                "SMTP_URL asks for no TLS: mail and the password of the mail server cross the \
                 network in clear"
            );
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host)
            .port(server.port)
            .tls(tls)
            .timeout(Some(TIME_LIMIT));
        if let Some((name, password)) = server.account {
            // EXPOSE: the library signs in with it and keeps its copy for as long as the server runs.
            builder = builder.credentials(Credentials::new(name, password.expose().clone()));
        }
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }

    async fn deliver(&self, mail: Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        let sent = self.transport.send(message).await;
        sent.map(|_| ()).map_err(|error| MailError(reason(&error)))
    }

    fn message(&self, mail: Mail) -> Result<Message, MailError> {
        let wrong = |what: &str| MailError(format!("the {what} cannot be put into a mail"));
        let to = mail.to.parse().map_err(|_| wrong("recipient's address"))?;
        // Nobody's vacation notice answers it (RFC 3834, section 5).
        let automatic = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".into(),
        );
        Message::builder()
            .from(self.from.clone())
            .to(lettre::message::Mailbox::new(None, to))
            .subject(mail.subject)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text)
            .map_err(|_| wrong("text"))
    }
}

impl Mailer for SmtpMailer {
    fn send(&self, mail: Mail) -> Mailing<'_> {
        Box::pin(self.deliver(mail))
    }
}

fn tls(server: &MailServer, authorities: &[Vec<u8>]) -> Outcome<Tls> {
    let wrap = match server.tls {
        MailTls::Plain => return Ok(Tls::None),
        MailTls::StartTls => Tls::Required,
        MailTls::Wrapped => Tls::Wrapper,
    };
    let store = if authorities.is_empty() {
        CertificateStore::WebpkiRoots
    } else {
        CertificateStore::None
    };
    let mut parameters = TlsParameters::builder(server.host.clone()).certificate_store(store);
    // One that cannot be read is left out, as with every other outbound connection.
    for certificate in authorities {
        if let Ok(certificate) = Certificate::from_der(certificate.clone()) {
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    let parameters = parameters.build_rustls().map_err(|error| {
        Failure::configuration("TLS to the server of SMTP_URL cannot be set up")
            .because(reason(&error))
            .next_step("correct SMTP_URL, or unset it")
    })?;
    Ok(wrap(parameters))
}

/// A handshake that fails reaches the library as an error of reading.
fn is_from_tls(error: &SmtpError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What went wrong, without the server's own words: they may repeat what was sent to it.
fn reason(error: &SmtpError) -> String {
    if let Some(code) = error.status() {
        // Two codes of RFC 4954, section 6, have one remedy.
        let code = code.to_string();
        return if matches!(code.as_str(), "534" | "535") {
            format!("the mail server refused the name or password of SMTP_URL ({code})")
        } else {
            format!("the mail server refused with code {code}")
        };
    }
    let what = if error.is_timeout() {
        "the mail server did not answer in time"
    } else if error.is_tls() || is_from_tls(error) {
        "the mail server's TLS or certificate was refused"
    } else if error.is_client() {
        "the mail server does not offer what SMTP_URL asks for (TLS, or a way to sign in)"
    } else if error.is_response() {
        "the mail server answered something that is no SMTP"
    } else {
        "the mail server cannot be reached, or ended the connection"
    };
    what.to_owned()
}
