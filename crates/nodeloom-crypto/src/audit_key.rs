//! The key that chains audit events.

use std::fmt;

use aws_lc_rs::hmac;

use crate::id::KeyId;
use crate::key_material::{KeyMaterial, length_prefixed};

/// A random key under which every audit event authenticates the one before it.
///
/// Wiped on drop.
pub struct AuditKey {
    id: KeyId,
    key: hmac::Key,
}

impl AuditKey {
    /// The audit key `id`.
    pub fn new(id: KeyId, material: KeyMaterial) -> Self {
        // EXPOSE: the bytes become the key of the hash.
        Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, material.expose()),
        }
    }

    /// The key's id, which names the segment of the chain.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The link of the event `message` to the link `previous` (32 bytes; zeros before the first
    /// event of a segment). Returns 32 bytes. Deterministic.
    ///
    /// # Source
    /// HMAC-SHA-256 (RFC 2104) over the fields `audit-link`, `previous` and `message`, each after
    /// its length as 4 bytes, most significant first. Version 1 of `docs/formats/envelope.md`.
    pub fn link(&self, previous: &[u8; 32], message: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.key, &length_prefixed(&[LABEL, previous, message]));
        tag.as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
    }

    /// Whether `link` is the one that [`AuditKey::link`] gives, compared in constant time.
    pub fn verify(&self, previous: &[u8; 32], message: &[u8], link: &[u8]) -> bool {
        hmac::verify(
            &self.key,
            &length_prefixed(&[LABEL, previous, message]),
            link,
        )
        .is_ok()
    }
}

const LABEL: &[u8] = b"audit-link";

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({}, ..)", self.id)
    }
}
