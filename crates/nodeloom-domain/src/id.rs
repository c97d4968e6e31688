//! Typed identifiers: 16 bytes in storage, a lower-case hyphenated UUIDv7 in text.

use std::{
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{NoContext, Uuid};

use crate::Timestamp;

/// The id of a record of kind `K`. Two kinds never mix.
///
/// New ids are UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74
/// random bits, so that records sort by birth. An id is a name, never a secret.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $alias:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        #[doc = concat!("The id of a `", stringify!($kind), "`.")]
        pub type $alias = Id<$kind>;
    )+};
}

kinds! {
    /// Marks ids of the one installation.
    Instance => InstanceId,
    /// Marks ids of teams.
    Team => TeamId,
    /// Marks ids of people.
    User => UserId,
    /// Marks ids of sessions.
    Session => SessionId,
    /// Marks ids of one-time set-up links.
    Setup => SetupId,
    /// Marks ids of API tokens.
    ApiToken => ApiTokenId,
    /// Marks ids of invitations.
    Invitation => InvitationId,
    /// Marks ids of recovery codes.
    RecoveryCode => RecoveryCodeId,
    /// Marks ids of sign-ins under way at an identity provider.
    SignInFlow => SignInFlowId,
    /// Marks ids of credentials.
    Credential => CredentialId,
    /// Marks ids of rows in `sealed_values`.
    SealedValue => SealedValueId,
    /// Marks ids of audit events.
    AuditEvent => AuditEventId,
}

impl<K> Id<K> {
    /// A new id born at `now`; the random part comes from the operating system.
    #[must_use]
    pub fn generate(now: Timestamp) -> Self {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1_000;
        let at = uuid::Timestamp::from_unix(NoContext, micros / 1_000_000, nanos);
        Self(Uuid::new_v7(at), PhantomData)
    }

    /// The id with these 16 bytes, as storage keeps it.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes), PhantomData)
    }

    /// The 16 bytes that storage and bindings use.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// The text is not a hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 36 characters like 018f4c6e-7d3a-7c2b-9a51-0123456789ab")]
pub struct ParseIdError;

impl<K> FromStr for Id<K> {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if text.len() != 36 {
            return Err(ParseIdError);
        }
        Uuid::try_parse(text)
            .map(|id| Self(id, PhantomData))
            .map_err(|_| ParseIdError)
    }
}

impl<K> TryFrom<&[u8]> for Id<K> {
    type Error = ParseIdError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
        bytes
            .try_into()
            .map(Self::from_bytes)
            .map_err(|_| ParseIdError)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_lower_case_version_7_uuid_and_reads_back() {
        let id = CredentialId::generate(Timestamp::from_micros(1_700_000_000_123_456));
        let text = id.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text, text.to_lowercase());
        assert_eq!(&text[14..15], "7");
        assert_eq!(text.parse::<CredentialId>().unwrap(), id);
        assert_eq!(
            CredentialId::try_from(id.as_bytes().as_slice()).unwrap(),
            id
        );
    }

    #[test]
    fn later_ids_sort_later() {
        let early = TeamId::generate(Timestamp::from_micros(1_700_000_000_000_000));
        let late = TeamId::generate(Timestamp::from_micros(1_700_000_000_002_000));
        assert!(early < late);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "x",
            "018f4c6e7d3a7c2b9a510123456789ab",
            "{018f4c6e-7d3a-7c2b-9a51-0123456789ab}",
        ] {
            assert!(text.parse::<TeamId>().is_err(), "{text}");
        }
    }
}
