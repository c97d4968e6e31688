//! What a test ends with.

use std::time::Duration;

use super::redact::Redactor;
use crate::outbound::ConnectError;
use crate::wire::WireError;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestStatus {
    /// The server accepted the credential.
    Ok,
    /// It did not, or there was no way to find out.
    Failed,
    /// nodeloom did not connect, by a rule of its own: see [`crate::guard`].
    Refused,
    /// There is no test for such a credential.
    Unsupported,
}

impl TestStatus {
    /// The status as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Why it ended so, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestCode {
    /// Accepted.
    SignedIn,
    /// The server answers, and the credential has nothing to sign in with.
    Reached,
    /// The guard does not let the connection pass.
    AddressRefused,
    /// The host has no address.
    HostNotFound,
    /// No TCP connection.
    NoConnection,
    /// No TLS, or a certificate that is not trusted.
    Tls,
    /// No answer in time.
    TimeLimit,
    /// More came than is read.
    TooLarge,
    /// The server closed the connection, or it broke.
    Closed,
    /// What came is not of the protocol.
    Protocol,
    /// The server does not accept the credential.
    Rejected,
    /// The server accepts the credential, and not what was asked for next.
    NotAllowed,
    /// The service answers that it cannot answer: too many requests, or an error of its own.
    Unavailable,
    /// The server wants the password in the clear, where others could read it: it was not sent.
    Plaintext,
    /// The server asks for a way of signing in that nodeloom does not know.
    Method,
    /// The credential lacks what a test needs.
    Data,
    /// There is no test for this type.
    Unsupported,
}

impl TestCode {
    /// The code as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed-in",
            Self::Reached => "reached",
            Self::AddressRefused => "address-refused",
            Self::HostNotFound => "host-not-found",
            Self::NoConnection => "no-connection",
            Self::Tls => "tls",
            Self::TimeLimit => "time-limit",
            Self::TooLarge => "too-large",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Rejected => "rejected",
            Self::NotAllowed => "not-allowed",
            Self::Unavailable => "unavailable",
            Self::Plaintext => "plaintext",
            Self::Method => "method",
            Self::Data => "data",
            Self::Unsupported => "unsupported",
        }
    }

    const fn status(self) -> TestStatus {
        match self {
            Self::SignedIn | Self::Reached => TestStatus::Ok,
            Self::AddressRefused => TestStatus::Refused,
            Self::Unsupported => TestStatus::Unsupported,
            _ => TestStatus::Failed,
        }
    }
}

/// The result of a test. Safe to store and to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// How it ended.
    pub status: TestStatus,
    /// Why, for programs.
    pub code: TestCode,
    /// Why, for people: at most [`super::MAX_SHOWN`] characters on one line, without secrets.
    pub message: String,
    /// How long it took.
    pub duration: Duration,
}

impl TestOutcome {
    pub(super) fn new(
        result: Result<Success, Stop>,
        redactor: &Redactor,
        duration: Duration,
    ) -> Self {
        let stop = match result {
            Ok(success) => Stop::new(success.code, success.text),
            Err(stop) => stop,
        };
        let said = stop.said.as_deref().and_then(|said| redactor.foreign(said));
        let message = match said {
            Some(said) => format!("{}: {said}", stop.text),
            None => stop.text,
        };
        Self {
            status: stop.code.status(),
            code: stop.code,
            message: redactor.own(&message),
            duration,
        }
    }
}

/// What a test that succeeded says.
pub(super) struct Success {
    code: TestCode,
    text: String,
}

impl Success {
    pub(super) const fn signed_in(text: String) -> Self {
        let code = TestCode::SignedIn;
        Self { code, text }
    }

    pub(super) const fn reached(text: String) -> Self {
        let code = TestCode::Reached;
        Self { code, text }
    }
}

/// Why a test ended without success.
pub(super) struct Stop {
    pub(super) code: TestCode,
    /// In nodeloom's words.
    text: String,
    /// In the server's words, as they came.
    said: Option<String>,
}

impl Stop {
    pub(super) fn new(code: TestCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            said: None,
        }
    }

    pub(super) fn protocol(text: &str) -> Self {
        Self::new(TestCode::Protocol, text)
    }

    pub(super) fn saying(mut self, said: impl Into<String>) -> Self {
        self.said = Some(said.into());
        self
    }
}

impl From<WireError> for Stop {
    fn from(error: WireError) -> Self {
        let text = error.to_string();
        let code = match error {
            WireError::Connect(error) => return error.into(),
            WireError::Closed | WireError::Broken(_) => TestCode::Closed,
            WireError::TooLarge => TestCode::TooLarge,
            WireError::DataBeforeTls => TestCode::Tls,
        };
        Self::new(code, text)
    }
}

impl From<ConnectError> for Stop {
    fn from(error: ConnectError) -> Self {
        let text = error.to_string();
        match error {
            ConnectError::Refused(refused) if refused.is_by_rule() => {
                Self::new(TestCode::AddressRefused, text)
            }
            ConnectError::Refused(_) => Self::new(TestCode::HostNotFound, text),
            ConnectError::Tcp(_) => Self::new(TestCode::NoConnection, text),
            ConnectError::TimeLimit => Self::new(TestCode::TimeLimit, text),
            // The reason may repeat names out of the certificate.
            ConnectError::Tls(reason) => {
                Self::new(TestCode::Tls, "no TLS connection").saying(reason.to_string())
            }
        }
    }
}
