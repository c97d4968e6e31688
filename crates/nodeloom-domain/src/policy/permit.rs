//! The proof that the policy was asked.

use super::{Action, TokenScope};
use crate::{Role, TeamId, UserId};

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The installation.
    Instance,
    /// A team, for actions on records that do not exist yet.
    Team(TeamId),
    /// A record of a team.
    Record {
        /// The team it belongs to, read from the record.
        team: TeamId,
        /// Its id.
        id: [u8; 16],
    },
    /// A person's own account.
    User(UserId),
}

/// The right to do one action on one resource, for the length of one transaction.
/// Only the policy makes one; it can be neither copied nor built elsewhere.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    action: Action,
    resource: Resource,
}

impl Permit {
    pub(super) const fn new(action: Action, resource: Resource) -> Self {
        Self { action, resource }
    }

    /// The permitted action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Whether this permits `action` on the record `id` of `team`.
    #[must_use]
    pub fn covers_record(&self, action: Action, team: TeamId, id: &[u8; 16]) -> bool {
        self.action == action
            && matches!(&self.resource, Resource::Record { team: t, id: i } if *t == team && i == id)
    }

    /// Whether this permits `action` in `team` as a whole.
    #[must_use]
    pub fn covers_team(&self, action: Action, team: TeamId) -> bool {
        self.action == action && matches!(self.resource, Resource::Team(t) if t == team)
    }

    /// Whether this permits `action` on the account of `user`.
    #[must_use]
    pub fn covers_user(&self, action: Action, user: UserId) -> bool {
        self.action == action && matches!(self.resource, Resource::User(u) if u == user)
    }

    /// Whether this permits `action` on the instance.
    #[must_use]
    pub fn covers_instance(&self, action: Action) -> bool {
        self.action == action && matches!(self.resource, Resource::Instance)
    }
}

/// Why the policy said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The actor is no member: the resource does not exist for them.
    #[error("no such resource")]
    NotVisible,
    /// A member whose role is too low.
    #[error("this needs the role {needs} in the team")]
    RoleTooLow {
        /// The weakest role that may.
        needs: Role,
    },
    /// Only an administrator of the instance may.
    #[error("this needs an administrator of the instance")]
    InstanceAdminOnly,
    /// The last proof of identity is older than five minutes.
    #[error("this needs a proof of identity from the last five minutes")]
    ReauthenticationRequired,
    /// An API token cannot do this at all.
    #[error("an API token cannot do this; sign in")]
    NotForTokens,
    /// The API token was not made for this.
    #[error("this needs an API token with the scope {}", .scope.as_str())]
    TokenScopeMissing {
        /// The scope that is missing.
        scope: TokenScope,
    },
    /// The credential is write-only: nobody reads it, whatever their role.
    #[error("the credential is restricted: it can be replaced and used, never shown")]
    Restricted,
    /// The first administrator exists already.
    #[error("this instance is set up already")]
    AlreadySetUp,
}
