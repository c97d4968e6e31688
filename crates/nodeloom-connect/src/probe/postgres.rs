//! PostgreSQL's sign-in (frontend/backend protocol 3.0): SCRAM-SHA-256, MD5 and clear text.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

use super::fields::Fields;
use super::outcome::{Stop, Success, TestCode};
use super::tls_mode::{TlsMode, in_the_clear, no_tls};
use crate::guard::Host;
use crate::outbound::Outbound;
use crate::wire::{MAX_MESSAGE, Wire};

/// Most rounds of SCRAM's key derivation that a server may ask for; PostgreSQL's own number is 4096.
const MAX_ROUNDS: u32 = 500_000;

/// PostgreSQL's code for a connection that its rules of access turn away.
const NOT_AUTHORISED: &str = "28000";

pub(super) async fn sign_in(outbound: &Outbound, fields: &Fields<'_>) -> Result<Success, Stop> {
    let mode = TlsMode::parse(fields.text("sslMode"))?;
    let begins_with_tls = !matches!(mode, TlsMode::Disable | TlsMode::Allow);
    let first = attempt(outbound, fields, mode, begins_with_tls).await;
    match first {
        // As libpq does: the other way, where the mode leaves it open and the server's rules ask.
        Err(Failure {
            code: Some(code), ..
        }) if code == NOT_AUTHORISED && matches!(mode, TlsMode::Allow | TlsMode::Prefer) => {
            attempt(outbound, fields, mode, !begins_with_tls).await
        }
        other => other,
    }
    .map_err(|failure| failure.stop)
}

struct Failure {
    stop: Stop,
    /// PostgreSQL's SQLSTATE, if it was the server that ended it.
    code: Option<String>,
}

impl<E: Into<Stop>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            stop: error.into(),
            code: None,
        }
    }
}

async fn attempt(
    outbound: &Outbound,
    fields: &Fields<'_>,
    mode: TlsMode,
    with_tls: bool,
) -> Result<Success, Failure> {
    let (host, port) = fields.server(5432)?;
    let user = fields.required("username")?;
    let password = fields.required("password")?.as_bytes();
    let mut wire = Wire::connect(outbound, host, port).await?;
    let mut out = BytesMut::new();
    if with_tls {
        frontend::ssl_request(&mut out);
        wire.send(&out.split()).await?;
        match wire.exact(1).await?[..] {
            [b'S'] => {
                let name = Host::parse(host).map_err(crate::ConnectError::from)?;
                wire = wire.into_tls(outbound, &name, mode.verify()).await?;
            }
            [b'N'] if mode.is_strict() => return Err(no_tls().into()),
            [b'N'] => {}
            _ => return Err(Stop::protocol("this is no PostgreSQL server").into()),
        }
    }
    let mut parameters = vec![("user", user), ("client_encoding", "UTF8")];
    parameters.extend(fields.text("database").map(|name| ("database", name)));
    parameters.push(("application_name", "nodeloom"));
    frontend::startup_message(parameters, &mut out).map_err(unsendable)?;
    wire.send(&out.split()).await?;

    let mut version = None;
    loop {
        match read(&mut wire).await? {
            Message::AuthenticationOk | Message::BackendKeyData(_) | Message::NoticeResponse(_) => {
            }
            Message::AuthenticationCleartextPassword => {
                if !wire.is_private() {
                    return Err(in_the_clear().into());
                }
                frontend::password_message(password, &mut out).map_err(unsendable)?;
                wire.send(&out.split()).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(user.as_bytes(), password, body.salt());
                frontend::password_message(hash.as_bytes(), &mut out).map_err(unsendable)?;
                wire.send(&out.split()).await?;
            }
            Message::AuthenticationSasl(body) => {
                scram(&mut wire, &body, password).await?;
            }
            Message::ParameterStatus(body) if body.name().is_ok_and(|n| n == "server_version") => {
                version = body.value().ok().map(str::to_owned);
            }
            Message::ParameterStatus(_) => {}
            Message::ReadyForQuery(_) => break,
            Message::ErrorResponse(body) => return Err(rejected(&body)),
            Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential => return Err(unknown_method().into()),
            _ => return Err(Stop::protocol("the server's answer is out of order").into()),
        }
    }
    frontend::terminate(&mut out);
    // The sign-in is done; whether the farewell arrives changes nothing.
    drop(wire.send(&out).await);
    Ok(Success::signed_in(format!(
        "signed in to PostgreSQL {} as {user}, {}",
        version.unwrap_or_default(),
        mode.describe(wire.is_tls())
    )))
}

async fn scram(
    wire: &mut Wire,
    offered: &AuthenticationSaslBody,
    password: &[u8],
) -> Result<(), Failure> {
    let mut mechanisms = offered.mechanisms();
    let mut is_offered = false;
    while let Ok(Some(mechanism)) = mechanisms.next() {
        is_offered |= mechanism == SCRAM_SHA_256;
    }
    if !is_offered {
        return Err(unknown_method().into());
    }
    let mut state = ScramSha256::new(password, ChannelBinding::unsupported());
    let mut out = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, state.message(), &mut out)
        .map_err(unsendable)?;
    wire.send(&out.split()).await?;
    let challenge = match read(wire).await? {
        Message::AuthenticationSaslContinue(body) => body,
        Message::ErrorResponse(body) => return Err(rejected(&body)),
        _ => return Err(Stop::protocol("the server's answer is out of order").into()),
    };
    let text = challenge.data().to_vec();
    if rounds(&text).is_none_or(|rounds| rounds > MAX_ROUNDS) {
        return Err(Stop::protocol("the server asks for too much work to sign in").into());
    }
    // The rounds take a while; other tasks of this thread must not wait for them.
    let work = tokio::task::spawn_blocking(move || state.update(&text).map(|()| state));
    let mut state = match work.await {
        Ok(Ok(state)) => state,
        Ok(Err(_)) | Err(_) => {
            return Err(Stop::protocol("the server's challenge cannot be read").into());
        }
    };
    frontend::sasl_response(state.message(), &mut out).map_err(unsendable)?;
    wire.send(&out.split()).await?;
    match read(wire).await? {
        Message::AuthenticationSaslFinal(body) => state.finish(body.data()).map_err(|_| {
            let text = "the server did not prove that it knows the password: it may be another one";
            Stop::new(TestCode::Rejected, text).into()
        }),
        Message::ErrorResponse(body) => Err(rejected(&body)),
        _ => Err(Stop::protocol("the server's answer is out of order").into()),
    }
}

/// The `i=` of a SCRAM challenge (RFC 5802, section 5.1).
fn rounds(challenge: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(challenge).ok()?;
    let mut attributes = text.split(',');
    attributes.find_map(|part| part.strip_prefix("i=")?.parse().ok())
}

/// One message. Its length is checked before anything is reserved for it.
async fn read(wire: &mut Wire) -> Result<Message, Stop> {
    let head = wire.exact(5).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let length = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_sub(4))
        .filter(|length| *length <= MAX_MESSAGE)
        .ok_or_else(|| Stop::protocol("this is no PostgreSQL server"))?;
    let mut bytes = BytesMut::from(&head[..]);
    bytes.extend_from_slice(&wire.exact(length).await?);
    match Message::parse(&mut bytes) {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(_) => Err(Stop::protocol("the server's answer cannot be read")),
    }
}

fn rejected(body: &ErrorResponseBody) -> Failure {
    let (mut code, mut said) = (None, None);
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = Some(value),
            b'M' => said = Some(value),
            _ => {}
        }
    }
    // Class 28 is about who signs in; others come before or after that.
    let is_sign_in = code.as_ref().is_none_or(|code| code.starts_with("28"));
    let (kind, text) = if is_sign_in {
        (TestCode::Rejected, "PostgreSQL refuses the sign-in")
    } else {
        (TestCode::NotAllowed, "PostgreSQL refuses the connection")
    };
    let stop = Stop::new(kind, text).saying(said.unwrap_or_default());
    Failure { stop, code }
}

fn unknown_method() -> Stop {
    Stop::new(
        TestCode::Method,
        "the server asks for a way of signing in that is not supported; SCRAM-SHA-256, MD5 and \
         clear text are",
    )
}

fn unsendable(_: std::io::Error) -> Stop {
    Stop::new(
        TestCode::Data,
        "a field of the credential holds a NUL character",
    )
}
