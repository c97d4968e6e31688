//! Redis' sign-in (RESP 2): `AUTH`, then `SELECT` and `PING`.

use super::fields::Fields;
use super::outcome::{Stop, Success, TestCode};
use crate::guard::Host;
use crate::outbound::Outbound;
use crate::trust::Verify;
use crate::wire::{MAX_MESSAGE, Wire};

pub(super) async fn sign_in(outbound: &Outbound, fields: &Fields<'_>) -> Result<Success, Stop> {
    let (host, port) = fields.server(6379)?;
    let mut wire = Wire::connect(outbound, host, port).await?;
    if fields.flag("tls") {
        let name = Host::parse(host).map_err(crate::ConnectError::from)?;
        wire = wire.into_tls(outbound, &name, Verify::Full).await?;
    }
    let (user, password) = (fields.text("username"), fields.text("password"));
    match (user, password) {
        (Some(user), Some(password)) => authenticate(&mut wire, &["AUTH", user, password]).await?,
        (None, Some(password)) => authenticate(&mut wire, &["AUTH", password]).await?,
        (Some(_), None) => {
            return Err(Stop::new(
                TestCode::Data,
                "the credential has a user name and no password",
            ));
        }
        (None, None) => {}
    }
    let database = fields.number("database").unwrap_or(0).to_string();
    if database != "0" {
        proceed(&mut wire, &["SELECT", &database]).await?;
    }
    proceed(&mut wire, &["PING"]).await?;
    drop(command(&mut wire, &["QUIT"]).await);

    let how = match (wire.is_tls(), wire.is_private() || password.is_none()) {
        (true, _) => "over TLS, certificate and name checked",
        (false, true) => "without TLS",
        (false, false) => "without TLS: the password crossed the network in the clear",
    };
    Ok(match (user, password) {
        (Some(user), _) => Success::signed_in(format!("signed in to Redis as {user}, {how}")),
        (None, Some(_)) => Success::signed_in(format!("signed in to Redis, {how}")),
        (None, None) => Success::reached(format!("Redis answers, and asks for no password, {how}")),
    })
}

async fn authenticate(wire: &mut Wire, words: &[&str]) -> Result<(), Stop> {
    command(wire, words)
        .await?
        .map_err(|said| Stop::new(TestCode::Rejected, "Redis refuses the sign-in").saying(said))
}

/// A command after the sign-in. That a user may not run it says that there is such a user.
async fn proceed(wire: &mut Wire, words: &[&str]) -> Result<(), Stop> {
    match command(wire, words).await? {
        Ok(()) => Ok(()),
        Err(said) if said.starts_with("NOPERM") => Ok(()),
        Err(said) if said.starts_with("NOAUTH") => {
            Err(Stop::new(TestCode::Rejected, "Redis asks for a password").saying(said))
        }
        Err(said) => {
            let text = format!("Redis refuses {}", words[0]);
            Err(Stop::new(TestCode::NotAllowed, text).saying(said))
        }
    }
}

/// Sends a command and reads a simple answer: done, or Redis' own error.
async fn command(wire: &mut Wire, words: &[&str]) -> Result<Result<(), String>, Stop> {
    let mut request = zeroize::Zeroizing::new(format!("*{}\r\n", words.len()));
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    wire.send(request.as_bytes()).await?;
    let line = wire.line().await?;
    if let Some(said) = line.strip_prefix('-') {
        return Ok(Err(said.to_owned()));
    }
    if line.starts_with('+') {
        return Ok(Ok(()));
    }
    // PING of a user in subscription mode and some proxies answer with a bulk string.
    if let Some(length) = line.strip_prefix('$') {
        let length: Option<usize> = length.parse().ok();
        let length = length.filter(|length| *length < MAX_MESSAGE);
        let length = length.ok_or_else(not_redis)?;
        wire.exact(length + 2).await?;
        return Ok(Ok(()));
    }
    Err(not_redis())
}

fn not_redis() -> Stop {
    Stop::protocol("this is no Redis server")
}
