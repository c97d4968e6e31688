//! Who asks.

use super::TokenLimit;
use crate::{
    Role, TeamId, Timestamp, UserId,
    audit::{ActorKind, AuditActor},
};

/// A person's place in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The team.
    pub team: TeamId,
    /// Its name, for answers.
    pub team_name: String,
    /// What the person may do there.
    pub role: Role,
}

/// Whoever asks, as the database knows them inside the current transaction.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A signed-in person.
    User {
        /// The person.
        id: UserId,
        /// Their address, for the audit trail.
        email: String,
        /// Whether they administer the instance.
        instance_admin: bool,
        /// Their teams.
        memberships: Vec<Membership>,
        /// When they last proved who they are.
        authenticated_at: Timestamp,
        /// The API token through which they act; nothing in a session.
        token: Option<TokenLimit>,
    },
    /// A person at a shell of the machine, with the key and the database in hand.
    Operator {
        /// Name of the operating system's user.
        user: String,
        /// Name of the machine.
        host: String,
    },
}

impl Actor {
    /// The person's id; nothing for an operator.
    #[must_use]
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(*id),
            Self::Operator { .. } => None,
        }
    }

    /// How the audit trail names this actor.
    #[must_use]
    pub fn audited(&self) -> AuditActor {
        match self {
            Self::User {
                email,
                token: Some(token),
                ..
            } => AuditActor {
                kind: ActorKind::Token,
                id: Some(*token.id.as_bytes()),
                name: format!("{email} (token {})", token.name),
            },
            Self::User { id, email, .. } => AuditActor {
                kind: ActorKind::User,
                id: Some(*id.as_bytes()),
                name: email.clone(),
            },
            Self::Operator { user, host } => AuditActor {
                kind: ActorKind::Operator,
                id: None,
                name: format!("{user}@{host}"),
            },
        }
    }
}
