//! Keyed tags by which tokens and sessions are recognised without being stored.

use std::fmt;

use aws_lc_rs::hmac;

use crate::id::KeyId;
use crate::key_material::{KeyMaterial, length_prefixed};

/// A random key that makes the tags under which bearer tokens and session ids are stored.
///
/// Whoever can write the database but does not hold the key can neither plant a token nor give
/// one to another owner, which an unkeyed hash would allow. Wiped on drop.
pub struct IndexKey {
    id: KeyId,
    key: hmac::Key,
}

impl IndexKey {
    /// The index key `id`.
    pub fn new(id: KeyId, material: KeyMaterial) -> Self {
        // EXPOSE: the bytes become the key of the hash.
        Self {
            id,
            key: hmac::Key::new(hmac::HMAC_SHA256, material.expose()),
        }
    }

    /// The key's id, which is stored beside each tag.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The tag of a secret of the sort `kind`, stored in row `row` (16 bytes) and belonging to the
    /// user or team `owner` (16 bytes). Returns 32 bytes. Deterministic.
    ///
    /// # Source
    /// HMAC-SHA-256 (RFC 2104) over the four fields, each after its length as 4 bytes, most
    /// significant first. Version 1 of `docs/formats/envelope.md`.
    pub fn tag(&self, kind: &str, row: &[u8; 16], owner: &[u8; 16], secret: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(
            &self.key,
            &length_prefixed(&[kind.as_bytes(), row, owner, secret]),
        );
        tag.as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
    }

    /// Whether `tag` is the one that [`IndexKey::tag`] gives, compared in constant time.
    pub fn verify(
        &self,
        kind: &str,
        row: &[u8; 16],
        owner: &[u8; 16],
        secret: &[u8],
        tag: &[u8],
    ) -> bool {
        let message = length_prefixed(&[kind.as_bytes(), row, owner, secret]);
        hmac::verify(&self.key, &message, tag).is_ok()
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexKey({}, ..)", self.id)
    }
}
