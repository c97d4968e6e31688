//! Signatures that a reader can check without holding a secret.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::id::KeyId;
use crate::key_material::KeyMaterial;

/// A random Ed25519 key that signs rotation certificates and audit checkpoints.
///
/// Wiped on drop.
pub struct SigningKey {
    id: KeyId,
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl SigningKey {
    /// The signing key `id`, whose seed (RFC 8032 section 5.1.5) is `material`.
    pub fn new(id: KeyId, material: KeyMaterial) -> Self {
        // EXPOSE: the bytes become the seed of the pair. "Unchecked" says that no public key is
        // given to compare with: the pair is computed from the seed.
        let pair = Ed25519KeyPair::from_seed_unchecked(material.expose())
            .expect("every 32 bytes are an Ed25519 seed");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("a public key has 32 bytes");
        Self { id, pair, public }
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The public key, 32 bytes as RFC 8032 encodes them.
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// Signs `message`. Returns 64 bytes. Deterministic.
    ///
    /// # Source
    /// Ed25519, RFC 8032 section 5.1.6.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair
            .sign(message)
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.id)
    }
}

/// Whether `signature` is an Ed25519 signature of `message` under the public key `public`.
///
/// A public key that is no point of the curve, or a signature that is not 64 bytes, verifies
/// nothing.
pub fn verify_signature(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}
