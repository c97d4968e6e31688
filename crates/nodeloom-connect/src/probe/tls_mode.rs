//! How much TLS a connection to a database has, by the names and meanings of PostgreSQL's `sslmode`
//! (<https://www.postgresql.org/docs/current/libpq-ssl.html>).

use super::outcome::{Stop, TestCode};
use crate::trust::Verify;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsMode {
    Disable,
    /// Without TLS, and with it if the server insists.
    Allow,
    /// With TLS, and without it if the server has none.
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl TlsMode {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Stop> {
        Ok(match text.unwrap_or("prefer") {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(Stop::new(TestCode::Data, "the sslMode is not known")),
        })
    }

    pub(super) const fn verify(self) -> Verify {
        match self {
            Self::VerifyFull => Verify::Full,
            Self::VerifyCa => Verify::Chain,
            _ => Verify::Nothing,
        }
    }

    /// Whether a connection without TLS is no connection.
    pub(super) const fn is_strict(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }

    /// How the connection was protected, for the message.
    pub(super) const fn describe(self, is_tls: bool) -> &'static str {
        match (is_tls, self) {
            (true, Self::VerifyFull) => "over TLS, certificate and name checked",
            (true, Self::VerifyCa) => "over TLS, certificate checked, its name not",
            (true, _) => "over TLS, certificate not checked; sslMode verify-full checks it",
            (false, Self::Prefer) => "without TLS, since the server has none and sslMode is prefer",
            (false, _) => "without TLS",
        }
    }
}

/// The server wants the password itself where others on the network could read it.
pub(super) fn in_the_clear() -> Stop {
    Stop::new(
        TestCode::Plaintext,
        "the server asks for the password in the clear on a connection without TLS; it was not \
         sent; set sslMode to require or stricter",
    )
}

pub(super) fn no_tls() -> Stop {
    Stop::new(
        TestCode::Tls,
        "the server has no TLS, and the credential's sslMode requires it",
    )
}
