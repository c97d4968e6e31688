//! The actions that the policy knows.

/// Something that an actor may want to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// See the credentials of a team: names and metadata.
    CredentialRead,
    /// Store a new credential.
    CredentialCreate,
    /// Change a credential's name or values.
    CredentialUpdate,
    /// See the values of a credential.
    CredentialReveal,
    /// Delete a credential with all its versions.
    CredentialDelete,
    /// Check the audit chain and read it.
    AuditRead,
    /// See which keys there are and how many values each holds.
    KeyStatus,
    /// End one's own sessions.
    SessionEnd,
    /// See and prove one's own account.
    AccountRead,
    /// Open a session; given by [`super::signed_in`] alone.
    SessionCreate,
    /// Make the first administrator; given by [`super::first_admin`] alone.
    InstanceSetUp,
    /// What the program does on its own; given by [`super::housekeeping`] alone.
    Housekeeping,
}

impl Action {
    /// Every action that a person can ask for.
    pub const ASKED: [Self; 9] = [
        Self::CredentialRead,
        Self::CredentialCreate,
        Self::CredentialUpdate,
        Self::CredentialReveal,
        Self::CredentialDelete,
        Self::AuditRead,
        Self::KeyStatus,
        Self::SessionEnd,
        Self::AccountRead,
    ];

    /// The name as `noun.verb`, which refusals and the audit trail use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRead => "credential.read",
            Self::CredentialCreate => "credential.create",
            Self::CredentialUpdate => "credential.update",
            Self::CredentialReveal => "credential.reveal",
            Self::CredentialDelete => "credential.delete",
            Self::AuditRead => "audit.read",
            Self::KeyStatus => "key.status",
            Self::SessionEnd => "session.end",
            Self::AccountRead => "account.read",
            Self::SessionCreate => "session.create",
            Self::InstanceSetUp => "instance.set-up",
            Self::Housekeeping => "housekeeping",
        }
    }

    /// Whether a person must have proved who they are within the last five minutes.
    #[must_use]
    pub const fn needs_fresh_proof(self) -> bool {
        matches!(self, Self::CredentialReveal)
    }
}
