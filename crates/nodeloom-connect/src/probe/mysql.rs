//! The sign-in of MySQL and MariaDB (client/server protocol 4.1 and later): `mysql_native_password`,
//! `caching_sha2_password`, and clear text over TLS.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::outcome::{Stop, Success, TestCode};
use super::tls_mode::{TlsMode, in_the_clear, no_tls};
use crate::guard::Host;
use crate::outbound::Outbound;
use crate::wire::Wire;

// Capabilities, as the protocol numbers them.
const LONG_PASSWORD: u32 = 0x1;
const CONNECT_WITH_DATABASE: u32 = 0x8;
const PROTOCOL_41: u32 = 0x200;
const TLS: u32 = 0x800;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x8_0000;
const PLUGIN_AUTH_LENGTH: u32 = 0x20_0000;

/// `utf8mb4_general_ci`, which every version knows.
const CHARACTER_SET: u8 = 45;
const MAX_PACKET: u32 = 1 << 16;
/// A sign-in is over after a handful of packets.
const MAX_STEPS: usize = 8;

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
const CLEAR: &str = "mysql_clear_password";

pub(super) async fn sign_in(outbound: &Outbound, fields: &Fields<'_>) -> Result<Success, Stop> {
    let mode = TlsMode::parse(fields.text("sslMode"))?;
    let (host, port) = fields.server(3306)?;
    let user = fields.required("username")?;
    let password = fields.required("password")?.as_bytes();
    let database = fields.text("database");
    if [Some(user), database]
        .into_iter()
        .flatten()
        .any(|text| text.contains('\0'))
    {
        return Err(Stop::new(
            TestCode::Data,
            "a field of the credential holds a NUL character",
        ));
    }

    let mut link = Link {
        wire: Wire::connect(outbound, host, port).await?,
        turn: 0,
    };
    let greeting = Greeting::parse(&link.read().await?)?;
    let mut wanted =
        LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | PLUGIN_AUTH_LENGTH;
    if database.is_some() {
        wanted |= CONNECT_WITH_DATABASE;
    }
    let has_tls = greeting.capabilities & TLS != 0;
    if mode != TlsMode::Disable && has_tls {
        wanted |= TLS;
    }
    let capabilities = wanted & (greeting.capabilities | LONG_PASSWORD);
    if capabilities & (PROTOCOL_41 | SECURE_CONNECTION) != PROTOCOL_41 | SECURE_CONNECTION {
        return Err(Stop::protocol(
            "the server is too old: it lacks the sign-in of MySQL 4.1",
        ));
    }
    let mut opening = Vec::new();
    opening.extend_from_slice(&capabilities.to_le_bytes());
    opening.extend_from_slice(&MAX_PACKET.to_le_bytes());
    opening.push(CHARACTER_SET);
    opening.extend_from_slice(&[0; 23]);
    if capabilities & TLS != 0 {
        link.send(&opening).await?;
        let name = Host::parse(host).map_err(crate::ConnectError::from)?;
        link.wire = link.wire.into_tls(outbound, &name, mode.verify()).await?;
    } else if mode.is_strict() {
        return Err(no_tls());
    }

    // A method that is not known here is answered as the oldest; the server then asks again.
    let first = match greeting.method.as_str() {
        CACHING_SHA2 => CACHING_SHA2,
        _ => NATIVE,
    };
    let answer = scrambled(first, password, &greeting.salt).unwrap_or_default();
    opening.extend_from_slice(user.as_bytes());
    opening.push(0);
    // Both forms of the length agree below 251 bytes, and an answer has at most 32.
    opening.push(u8::try_from(answer.len()).unwrap_or_default());
    opening.extend_from_slice(&answer);
    if let Some(database) = database.filter(|_| capabilities & CONNECT_WITH_DATABASE != 0) {
        opening.extend_from_slice(database.as_bytes());
        opening.push(0);
    }
    if capabilities & PLUGIN_AUTH != 0 {
        opening.extend_from_slice(first.as_bytes());
        opening.push(0);
    }
    link.send(&opening).await?;
    link.authenticate(first.to_owned(), password).await?;

    let is_tls = link.wire.is_tls();
    link.turn = 0;
    // COM_QUIT; the sign-in is done, whether it arrives changes nothing.
    drop(link.send(&[1]).await);
    Ok(Success::signed_in(format!(
        "signed in to {} as {user}, {}",
        greeting.product(),
        mode.describe(is_tls)
    )))
}

/// The connection and the number of the next packet.
struct Link {
    wire: Wire,
    turn: u8,
}

impl Link {
    async fn read(&mut self) -> Result<Vec<u8>, Stop> {
        let head = self.wire.exact(4).await?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        if length > MAX_PACKET || head[3] != self.turn {
            return Err(not_mysql());
        }
        self.turn = self.turn.wrapping_add(1);
        let length = usize::try_from(length).map_err(|_| not_mysql())?;
        let packet = self.wire.exact(length).await?;
        match packet.first() {
            Some(0xff) => Err(rejected(&packet)),
            Some(_) => Ok(packet),
            None => Err(not_mysql()),
        }
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), Stop> {
        let length = u32::try_from(packet.len())
            .ok()
            .filter(|length| *length < MAX_PACKET)
            .ok_or_else(|| Stop::new(TestCode::Data, "a field of the credential is too long"))?;
        let mut framed = Zeroizing::new(length.to_le_bytes().to_vec());
        framed[3] = self.turn;
        framed.extend_from_slice(packet);
        self.turn = self.turn.wrapping_add(1);
        Ok(self.wire.send(&framed).await?)
    }

    /// Answers until the server says yes; its no is an error of [`Link::read`].
    async fn authenticate(&mut self, mut method: String, password: &[u8]) -> Result<(), Stop> {
        for _ in 0..MAX_STEPS {
            let packet = self.read().await?;
            match packet[..] {
                [0, ..] => return Ok(()),
                // Another method, with a salt of its own. Without a name: that of before 4.1.
                [0xfe, ref rest @ ..] => {
                    let (name, salt) = split_text(rest).ok_or_else(|| unknown_method("old"))?;
                    method = name;
                    let salt = salt.strip_suffix(&[0]).unwrap_or(salt);
                    if method == CLEAR {
                        self.send_clear(password).await?;
                        continue;
                    }
                    let answer = scrambled(&method, password, salt)
                        .ok_or_else(|| unknown_method(&method))?;
                    self.send(&answer).await?;
                }
                // caching_sha2_password: known, so it goes on.
                [1, 3] if method == CACHING_SHA2 => {}
                // Not in the server's cache: it needs the password once.
                [1, 4] if method == CACHING_SHA2 => self.send_clear(password).await?,
                _ => return Err(Stop::protocol("the server's answer is out of order")),
            }
        }
        Err(Stop::protocol("the sign-in does not come to an end"))
    }

    async fn send_clear(&mut self, password: &[u8]) -> Result<(), Stop> {
        if !self.wire.is_private() {
            return Err(in_the_clear());
        }
        let mut packet = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        packet.extend_from_slice(password);
        packet.push(0);
        self.send(&packet).await
    }
}

/// The server's first packet (protocol version 10).
struct Greeting {
    version: String,
    capabilities: u32,
    salt: Vec<u8>,
    method: String,
}

impl Greeting {
    fn parse(packet: &[u8]) -> Result<Self, Stop> {
        Self::read(packet).ok_or_else(not_mysql)
    }

    fn read(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(&[10])?;
        let (version, rest) = split_text(rest)?;
        let (_connection, rest) = rest.split_at_checked(4)?;
        let (first_salt, rest) = rest.split_at_checked(8)?;
        let rest = rest.strip_prefix(&[0])?;
        let (low, rest) = rest.split_first_chunk::<2>()?;
        let (_set_and_status, rest) = rest.split_at_checked(3)?;
        let (high, rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first()?;
        let (_reserved, rest) = rest.split_at_checked(10)?;
        let capabilities = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
        let more = usize::from(*length).saturating_sub(8).max(13);
        let (second_salt, rest) = rest.split_at_checked(more)?;
        let mut salt = first_salt.to_vec();
        salt.extend_from_slice(second_salt.strip_suffix(&[0]).unwrap_or(second_salt));
        let method = split_text(rest).map_or_else(
            || String::from_utf8_lossy(rest).into_owned(),
            |(name, _)| name,
        );
        Some(Self {
            version,
            capabilities,
            salt,
            method,
        })
    }

    fn product(&self) -> String {
        // MariaDB hides behind a version that old clients took for MySQL's.
        let version = self.version.strip_prefix("5.5.5-").unwrap_or(&self.version);
        if version.contains("MariaDB") {
            let number = version.split('-').next().unwrap_or_default();
            format!("MariaDB {number}")
        } else {
            format!("MySQL {version}")
        }
    }
}

/// A text that ends with NUL, and what follows it.
fn split_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((
        String::from_utf8_lossy(&bytes[..end]).into_owned(),
        &bytes[end + 1..],
    ))
}

/// What proves the password under `salt`; `None` for a method that is not known. An empty password
/// is an empty proof.
fn scrambled(method: &str, password: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
    if password.is_empty() && matches!(method, NATIVE | CACHING_SHA2) {
        return Some(Vec::new());
    }
    let hash = |algorithm, parts: &[&[u8]]| {
        let mut context = digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        context.finish()
    };
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    match method {
        // SHA1(password) xor SHA1(salt, SHA1(SHA1(password)))
        NATIVE => {
            let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
            let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[once.as_ref()]);
            let mask = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[salt, twice.as_ref()]);
            Some(xor(once.as_ref(), mask.as_ref()))
        }
        // SHA256(password) xor SHA256(SHA256(SHA256(password)), salt)
        CACHING_SHA2 => {
            let once = hash(&SHA256, &[password]);
            let twice = hash(&SHA256, &[once.as_ref()]);
            let mask = hash(&SHA256, &[twice.as_ref(), salt]);
            Some(xor(once.as_ref(), mask.as_ref()))
        }
        _ => None,
    }
}

/// An error packet: code, then since 4.1 `#` and SQLSTATE, then the text.
fn rejected(packet: &[u8]) -> Stop {
    let code = match packet {
        [_, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => return not_mysql(),
    };
    let rest = &packet[3..];
    let text = if rest.first() == Some(&b'#') {
        rest.get(6..).unwrap_or_default()
    } else {
        rest
    };
    let (kind, own) = match code {
        // Wrong password, no such user, plugin refused, must change the password.
        1045 | 1698 | 1699 | 1862 => (TestCode::Rejected, "the server refuses the sign-in"),
        _ => (TestCode::NotAllowed, "the server refuses the connection"),
    };
    Stop::new(kind, own).saying(String::from_utf8_lossy(text))
}

fn not_mysql() -> Stop {
    Stop::protocol("this is no MySQL or MariaDB server")
}

fn unknown_method(name: &str) -> Stop {
    Stop::new(
        TestCode::Method,
        "the server asks for a way of signing in that is not supported; mysql_native_password and \
         caching_sha2_password are; it asks for",
    )
    .saying(name)
}

#[cfg(test)]
mod tests;
