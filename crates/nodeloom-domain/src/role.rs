//! What a member may do in a team.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A member's role. `ADMIN` includes `BUILDER`, which includes `OPERATOR`, which
/// includes `VIEWER`; `AUDITOR` is a viewer who also sees the audit trail and the
/// state of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sees names and metadata.
    Viewer,
    /// A viewer who also reads the audit trail and the state of the keys.
    Auditor,
    /// Runs workflows and tests credentials.
    Operator,
    /// Makes and changes credentials and workflows, and may reveal a secret.
    Builder,
    /// Everything in the team, its members included.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Auditor,
        Self::Operator,
        Self::Builder,
        Self::Admin,
    ];

    /// Whether this role may do all that `other` may: a change to one that does not is a
    /// loss.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Builder => matches!(other, Self::Builder | Self::Operator | Self::Viewer),
            Self::Operator => matches!(other, Self::Operator | Self::Viewer),
            Self::Auditor => matches!(other, Self::Auditor | Self::Viewer),
            Self::Viewer => matches!(other, Self::Viewer),
        }
    }

    /// The name used in the API and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Auditor => "AUDITOR",
            Self::Operator => "OPERATOR",
            Self::Builder => "BUILDER",
            Self::Admin => "ADMIN",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a role: use ADMIN, BUILDER, OPERATOR, VIEWER or AUDITOR")]
pub struct ParseRoleError;

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str().eq_ignore_ascii_case(text))
            .ok_or(ParseRoleError)
    }
}
