//! What a use-case can answer instead of its result. Callers map it to a status or
//! an exit code; nothing in it repeats a secret.

use nodeloom_crypto::{KeyId, OpenError, RandomError, RootId, SealError};
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
    /// The password is right, and the account has a second factor.
    #[error("a code of the second factor is needed")]
    SecondFactorRequired,
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
    /// The idempotency key stood for another request.
    #[error("the idempotency key was used for another request; choose a new one")]
    IdempotencyMismatch,
    /// The same request under the same idempotency key is done by now.
    #[error("this was done already, under the same idempotency key")]
    Repeated,
    /// What the same request created before cannot be shown again.
    #[error("this was done already, under the same idempotency key: {what} {id}")]
    DoneBefore {
        /// What it created.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Only a deleted credential can be undeleted or purged.
    #[error("the credential is not deleted")]
    NotDeleted,
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
    /// Another person has that address.
    #[error("there is already a person with this e-mail address")]
    EmailTaken,
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
    /// This process holds only a root key that has been given up: it cannot make keys.
    #[error(
        "the root key {root} of this process is retired; restart it with the key that replaced it"
    )]
    RootRetired {
        /// The key that it holds.
        root: RootId,
    },
    /// A verb on keys would harm, or has nothing to do.
    #[error("{0}")]
    KeyRefused(KeyVerbRefusal),
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

/// Why a verb on keys was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyVerbRefusal {
    /// The database has never known this root key.
    #[error("no root key {0} is on record")]
    UnknownRoot(RootId),
    /// It was given up before.
    #[error("the root key {0} is retired already")]
    AlreadyRetired(RootId),
    /// It is the one that this process works under.
    #[error(
        "the root key {0} is the one that this process works under; start with its successor first"
    )]
    RootInUse(RootId),
    /// Processes are alive that could not open anything afterwards.
    #[error("the root key {root} is the only one that these live processes hold: {}", processes.join(", "))]
    HeldByProcesses {
        /// The root key.
        root: RootId,
        /// Host and process number of each.
        processes: Vec<String>,
    },
    /// These keys would be lost with it.
    #[error(
        "these data keys do not open under the root key {current}: {}",
        list_keys(keys)
    )]
    KeysNotHeld {
        /// The root key that is to stay.
        current: RootId,
        /// The keys.
        keys: Vec<KeyId>,
    },
    /// There is no previous root key to take over from.
    #[error("there is nothing to rewrap: every key has its slot under the root key {0}")]
    NothingToRewrap(RootId),
}

impl KeyVerbRefusal {
    /// What the operator can do, best first.
    #[must_use]
    pub const fn next_steps(&self) -> &'static [&'static str] {
        match self {
            Self::UnknownRoot(_) | Self::AlreadyRetired(_) => {
                &["see `nodeloom key status` for the root keys on record"]
            }
            Self::RootInUse(_) => &[
                "to change the key, set the new one as APP_ENCRYPTION_KEY and this one as \
                 APP_ENCRYPTION_KEY_PREVIOUS, and start again",
            ],
            Self::HeldByProcesses { .. } => &[
                "restart them with the new key, and run the command again",
                "a process that was killed counts as alive for one minute",
            ],
            Self::KeysNotHeld { .. } => &[
                "set the key to retire as APP_ENCRYPTION_KEY_PREVIOUS and run the command again: \
                 it then gives these keys their slot",
                "if that does not help, a slot is damaged: keep a copy of the database and run \
                 `nodeloom doctor`",
            ],
            Self::NothingToRewrap(_) => &[
                "the key is in place on every data key; to end the former one, use \
                 `nodeloom key retire`",
            ],
        }
    }
}

fn list_keys(keys: &[KeyId]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = keys.iter().take(SHOWN).map(ToString::to_string).collect();
    if keys.len() > SHOWN {
        text.push(format!("and {} more", keys.len() - SHOWN));
    }
    text.join(", ")
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
