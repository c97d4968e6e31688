//! What a use-case can answer instead of its result. Callers map it to a status or
//! an exit code; nothing in it repeats a secret.

use nodeloom_crypto::{OpenError, RandomError, SealError};
use nodeloom_domain::{FieldErrors, policy::Denied};
use nodeloom_store::{ConflictKind, StoreError};

/// Why a use-case did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The input breaks a rule; every broken field is named.
    #[error("the input is not valid: {0}")]
    Invalid(FieldErrors),
    /// No session, or one that has ended.
    #[error("not signed in")]
    Unauthenticated,
    /// The e-mail address, the password or the code is wrong; which, is not said.
    #[error("the e-mail address or the password is wrong")]
    SignInRefused,
    /// Passwords are for break-glass accounts alone, and this one is wrong or for another account.
    #[error("people sign in here by single sign-on; passwords are for break-glass accounts alone")]
    PasswordOff,
    /// Too many failed attempts.
    #[error("too many attempts; try again in {retry_after_seconds} seconds")]
    Throttled {
        /// When the next attempt will be heard.
        retry_after_seconds: u64,
    },
    /// The policy said no.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such record, or none that the actor may know of.
    #[error("not found")]
    NotFound,
    /// Another record of the team has that name.
    #[error("the team already has a credential named \"{name}\"")]
    NameTaken {
        /// The name, as it would be stored.
        name: String,
    },
    /// Another team of the instance has that name.
    #[error("there is already a team named \"{name}\"")]
    TeamNameTaken {
        /// The name, as it would be stored.
        name: String,
    },
    /// Somebody must stay who can administer it.
    #[error("this would leave {of} without an active administrator; make somebody else one first")]
    LastAdmin {
        /// The instance, or the names of the teams.
        of: String,
    },
    /// An instance has at least one team.
    #[error("this is the last team; make another one first")]
    LastTeam,
    /// The record changed since the caller read it.
    #[error("the record has changed since it was read; it is now at revision {current}")]
    Stale {
        /// The revision that stands now.
        current: u64,
    },
    /// A value over the limit; refused before sealing.
    #[error("the value is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The stored value is malformed or not authentic. It is kept as it is.
    #[error("the stored value does not open: it is malformed or not authentic")]
    Quarantined,
    /// The key of the stored value is not held now.
    #[error("the key of the stored value is not held by this process")]
    Locked,
    /// The place that must have every event before it happens does not take them: nothing was
    /// written and nothing is shown.
    #[error("the audit sink does not take events, and nothing happens without it")]
    AuditUnavailable,
    /// The audit trail does not hold together: what is there is evidence, and stays.
    #[error("the audit trail is broken at event {sequence}")]
    AuditBroken {
        /// Where it breaks.
        sequence: u64,
    },
    /// The database cannot serve just now.
    #[error("the database is not available")]
    Unavailable(#[source] StoreError),
    /// Something that must not happen; the cause is for the log alone.
    #[error("internal error: {context}")]
    Internal {
        /// What was being done.
        context: &'static str,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl AppError {
    pub(crate) fn internal(context: &'static str) -> Self {
        Self::Internal {
            context,
            source: None,
        }
    }
}

impl From<FieldErrors> for AppError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

/// A broken database is never read as "absent": only what is known to pass with
/// time or with room on the disk becomes [`AppError::Unavailable`].
impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::PermitMismatch(_) => Self::Internal {
                context: "a write without its permit",
                source: Some(Box::new(error)),
            },
            // Two transactions crossed: nothing was written, the same call may succeed.
            StoreError::Conflict {
                kind: ConflictKind::Retry,
                ..
            } => Self::Unavailable(error),
            StoreError::Conflict { .. } => Self::Internal {
                context: "a write met a conflict",
                source: Some(Box::new(error)),
            },
            other => Self::Unavailable(other),
        }
    }
}

impl From<RandomError> for AppError {
    fn from(error: RandomError) -> Self {
        Self::Internal {
            context: "the operating system's generator failed",
            source: Some(Box::new(error)),
        }
    }
}

impl From<SealError> for AppError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge { .. } => Self::TooLarge {
                max_bytes: nodeloom_crypto::envelope::MAX_PLAINTEXT,
            },
            other => Self::Internal {
                context: "sealing failed",
                source: Some(Box::new(other)),
            },
        }
    }
}

impl From<OpenError> for AppError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::UnknownKey(_) => Self::Locked,
            _ => Self::Quarantined,
        }
    }
}
