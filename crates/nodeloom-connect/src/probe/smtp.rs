//! SMTP's sign-in (RFC 5321, RFC 3207, RFC 4954): `PLAIN` or `LOGIN`, over TLS unless the credential
//! says otherwise. No mail is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::outcome::{Stop, Success, TestCode};
use crate::guard::Host;
use crate::outbound::Outbound;
use crate::trust::Verify;
use crate::wire::Wire;

/// Most lines of one answer.
const MAX_LINES: usize = 100;

pub(super) async fn sign_in(outbound: &Outbound, fields: &Fields<'_>) -> Result<Success, Stop> {
    let (host, port) = fields.server(587)?;
    let account = match fields.text("username") {
        Some(user) => Some((user, fields.required("password")?)),
        None => None,
    };
    let security = fields.text("security").unwrap_or("starttls");
    if account.is_some_and(|(user, password)| user.contains('\0') || password.contains('\0')) {
        let text = "a field of the credential holds a NUL character";
        return Err(Stop::new(TestCode::Data, text));
    }
    let name = Host::parse(host).map_err(crate::ConnectError::from)?;
    let mut wire = Wire::connect(outbound, host, port).await?;
    if security == "tls" {
        wire = wire.into_tls(outbound, &name, Verify::Full).await?;
    }
    expect(&mut wire, 220, "this is no SMTP server").await?;
    let mut offers = hello(&mut wire).await?;
    if security == "starttls" {
        if !offers
            .iter()
            .any(|offer| offer.eq_ignore_ascii_case("STARTTLS"))
        {
            return Err(Stop::new(
                TestCode::Tls,
                "the server does not offer STARTTLS; the password was not sent; if the port is for \
                 TLS from the start, set security to tls",
            ));
        }
        wire.send(b"STARTTLS\r\n").await?;
        expect(&mut wire, 220, "the server refuses STARTTLS").await?;
        wire = wire.into_tls(outbound, &name, Verify::Full).await?;
        // What was offered before TLS counts no longer (RFC 3207, section 4.2).
        offers = hello(&mut wire).await?;
    }
    if let Some((user, password)) = account {
        authenticate(&mut wire, &offers, user, password).await?;
    }
    drop(wire.send(b"QUIT\r\n").await);

    let how = match (wire.is_tls(), wire.is_private() || account.is_none()) {
        (true, _) => "over TLS, certificate and name checked",
        (false, true) => "without TLS",
        (false, false) => {
            "without TLS, as its security says: the password crossed the network in the clear"
        }
    };
    Ok(match account {
        Some((user, _)) => {
            Success::signed_in(format!("signed in to the SMTP server as {user}, {how}"))
        }
        None => Success::reached(format!(
            "the SMTP server answers, {how}; the credential has no user name, so there was no sign-in"
        )),
    })
}

/// `EHLO`; returns the lines of what the server offers.
async fn hello(wire: &mut Wire) -> Result<Vec<String>, Stop> {
    // No name of the inside's is told to a stranger.
    wire.send(b"EHLO localhost\r\n").await?;
    expect(wire, 250, "the server refuses EHLO").await
}

async fn authenticate(
    wire: &mut Wire,
    offers: &[String],
    user: &str,
    password: &str,
) -> Result<(), Stop> {
    let methods: Vec<String> = offers
        .iter()
        .filter_map(|offer| {
            let (word, rest) = offer.split_at_checked(4)?;
            // Old servers write `AUTH=`.
            let rest = rest.strip_prefix([' ', '='])?;
            word.eq_ignore_ascii_case("AUTH").then_some(rest)
        })
        .flat_map(|rest| rest.split_ascii_whitespace())
        .map(str::to_ascii_uppercase)
        .collect();
    let has = |method: &str| methods.iter().any(|offered| offered == method);
    if has("PLAIN") {
        let text = Zeroizing::new(format!("\0{user}\0{password}"));
        let line = Zeroizing::new(format!("AUTH PLAIN {}\r\n", STANDARD.encode(&*text)));
        wire.send(line.as_bytes()).await?;
    } else if has("LOGIN") {
        wire.send(b"AUTH LOGIN\r\n").await?;
        for text in [user, password] {
            expect(wire, 334, "the server refuses the sign-in").await?;
            let line = Zeroizing::new(format!("{}\r\n", STANDARD.encode(text)));
            wire.send(line.as_bytes()).await?;
        }
    } else if methods.is_empty() {
        return Err(Stop::new(
            TestCode::Method,
            "the server offers no sign-in on this connection; many do only over TLS",
        ));
    } else {
        return Err(Stop::new(
            TestCode::Method,
            "the server offers no way of signing in that is supported (PLAIN, LOGIN); it offers",
        )
        .saying(methods.join(" ")));
    }
    expect(wire, 235, "the SMTP server refuses the sign-in").await?;
    Ok(())
}

/// Reads an answer (RFC 5321, section 4.2.1) and returns the texts of its lines, if it has the code.
async fn expect(wire: &mut Wire, code: u16, otherwise: &str) -> Result<Vec<String>, Stop> {
    let mut texts = Vec::new();
    while texts.len() < MAX_LINES {
        let line = wire.line().await?;
        let number = line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
        let (Some(number), rest) = (number, line.get(3..).unwrap_or_default()) else {
            return Err(Stop::protocol("this is no SMTP server"));
        };
        let (is_last, text) = match rest.strip_prefix('-') {
            Some(text) => (false, text),
            None => (true, rest.strip_prefix(' ').unwrap_or(rest)),
        };
        texts.push(text.to_owned());
        if !is_last {
            continue;
        }
        if number == code {
            return Ok(texts);
        }
        // 432, 454, 530, 534, 535, 538: about signing in (RFC 4954, section 6).
        let kind = match number {
            432 | 454 | 530 | 534 | 535 | 538 => TestCode::Rejected,
            _ => TestCode::NotAllowed,
        };
        return Err(Stop::new(kind, otherwise).saying(format!("{number} {}", texts.join(" "))));
    }
    Err(Stop::new(
        TestCode::TooLarge,
        "the server sent more than a sign-in takes",
    ))
}
