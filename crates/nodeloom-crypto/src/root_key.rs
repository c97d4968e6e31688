//! The key made from the operator's string. It wraps keys and never touches data.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::binding::KeyBinding;
use crate::envelope;
use crate::error::{OpenError, SealError};
use crate::id::RootId;
use crate::key_material::KeyMaterial;
use crate::xaes::{NONCE, XaesKey};

/// The key made from the string in `APP_ENCRYPTION_KEY`. Wraps random keys, never touches data.
///
/// Wiped on drop. `Debug` shows the root id alone.
pub struct RootKey {
    id: RootId,
    kek: XaesKey,
}

impl RootKey {
    /// Derives the root key and its id from the bytes of the root string, exactly as given.
    ///
    /// Deterministic. Any string is accepted: whether it is strong enough is judged before, by
    /// [`strength`](crate::strength). Derivation is fast and does not make up for a weak string.
    ///
    /// # Source
    /// RFC 5869 with SHA-256: salt `nodeloom/root/v1`, info `nodeloom/v1/kek` for 32 bytes of key
    /// and `nodeloom/v1/root-id` for 8 bytes of public id. Version 1 of
    /// `docs/formats/envelope.md`.
    pub fn derive(string: &[u8]) -> Self {
        let (kek, id) = derive_bytes(string);
        Self {
            id: RootId::from_bytes(id),
            kek: XaesKey::new(&kek),
        }
    }

    /// The public id: 8 bytes that tell root keys apart and reveal nothing about the string.
    pub fn id(&self) -> RootId {
        self.id
    }

    /// Wraps `material` for the place `binding`. Returns an envelope of 82 bytes.
    ///
    /// Random: wrapping twice gives different envelopes.
    ///
    /// # Errors
    /// [`SealError::Random`] if no nonce could be drawn.
    pub fn wrap_key(
        &self,
        binding: &KeyBinding,
        material: &KeyMaterial,
    ) -> Result<Vec<u8>, SealError> {
        self.wrap_key_with_nonce(binding, &envelope::nonce()?, material)
    }

    pub(crate) fn wrap_key_with_nonce(
        &self,
        binding: &KeyBinding,
        nonce: &[u8; NONCE],
        material: &KeyMaterial,
    ) -> Result<Vec<u8>, SealError> {
        let header = envelope::header_bytes(self.id.as_bytes());
        let associated = binding.associated_data(&header);
        // EXPOSE: the key is the plaintext of its slot.
        let plaintext = material.expose();
        envelope::seal_with_nonce(&self.kek, &header, nonce, associated.as_bytes(), plaintext)
    }

    /// Unwraps a key that was wrapped under this root for the place `binding`.
    ///
    /// # Errors
    /// In this order: [`OpenError::Malformed`] and [`OpenError::Unsupported`] as
    /// [`envelope::header`] gives them; [`OpenError::UnknownKey`] with the root id that the
    /// envelope names if it is another root's; [`OpenError::NotAuthentic`] if the envelope was
    /// changed or belongs elsewhere; [`OpenError::Malformed`] if it does not hold 32 bytes.
    pub fn unwrap_key(
        &self,
        binding: &KeyBinding,
        envelope: &[u8],
    ) -> Result<KeyMaterial, OpenError> {
        let header = envelope::header(envelope)?;
        if header.key_id != *self.id.as_bytes() {
            return Err(envelope::unknown(&header));
        }
        let associated = binding.associated_data(&envelope::header_bytes(&header.key_id));
        let plaintext = envelope::open(&self.kek, associated.as_bytes(), envelope)?;
        // EXPOSE: the key leaves its slot for the type that uses it.
        let bytes = plaintext.expose().as_slice();
        let bytes = bytes.try_into().map_err(|_| OpenError::Malformed {
            length: envelope.len(),
        })?;
        Ok(KeyMaterial::from_bytes(bytes))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({}, ..)", self.id)
    }
}

/// The key-encryption key and the root id of a root string.
pub(crate) fn derive_bytes(string: &[u8]) -> (Zeroizing<[u8; 32]>, [u8; 8]) {
    let mut kek = Zeroizing::new([0; 32]);
    let mut id = [0; 8];
    hkdf_sha256(SALT, string, b"nodeloom/v1/kek", &mut *kek)
        .and_then(|()| hkdf_sha256(SALT, string, b"nodeloom/v1/root-id", &mut id))
        .expect("HKDF-SHA-256 gives up to 8160 bytes");
    (kek, id)
}

const SALT: &[u8] = b"nodeloom/root/v1";

/// HKDF-SHA-256, extract and expand: RFC 5869 sections 2.2 and 2.3.
pub(crate) fn hkdf_sha256(
    salt: &[u8],
    secret: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), Unspecified> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], Length(out.len()))?
        .fill(out)
}
