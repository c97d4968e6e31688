//! What an API token narrows.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::{ApiTokenId, Role, TeamId};

/// A sensitive thing that a token may do only when it was made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenScope {
    /// Reveal credentials.
    Reveal,
    /// Export secrets.
    Export,
    /// Change keys.
    Keys,
    /// Give roles.
    Grants,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Reveal, Self::Export, Self::Keys, Self::Grants];

    /// The name in the API and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Export => "export",
            Self::Keys => "keys",
            Self::Grants => "grants",
        }
    }
}

impl Serialize for TokenScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: use reveal, export, keys or grants")]
pub struct ParseTokenScopeError;

impl FromStr for TokenScope {
    type Err = ParseTokenScopeError;

    fn from_str(text: &str) -> Result<Self, ParseTokenScopeError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(ParseTokenScopeError)
    }
}

/// The token through which a person acts. It only takes away: what the person may not
/// do, the token may not do either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLimit {
    /// The token's id.
    pub id: ApiTokenId,
    /// Its name, for the audit trail.
    pub name: String,
    /// The one team that it works in.
    pub team: TeamId,
    /// The most that it may do there.
    pub role: Role,
    /// The sensitive things that it may do.
    pub scopes: Vec<TokenScope>,
}
