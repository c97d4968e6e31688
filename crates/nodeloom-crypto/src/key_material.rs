//! The 32 bytes of a random key, on their way from a generator or a slot to the type that uses
//! them.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::random::{self, RandomError};

/// 32 secret bytes of a random key. Boxed, so that moves leave no copies; wiped on drop.
///
/// Not `Clone`. A key is wrapped from a reference, then moved into the type that its
/// [`Purpose`](crate::Purpose) calls for.
pub struct KeyMaterial(Box<[u8; 32]>);

impl KeyMaterial {
    /// Draws a new key from the operating system.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system's generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        let mut material = Self(Box::new([0; 32]));
        random::fill(&mut *material.0)?;
        Ok(material)
    }

    /// Copies 32 bytes, which the caller wipes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut material = Self(Box::new([0; 32]));
        material.0.copy_from_slice(bytes);
        material
    }

    /// Borrows the bytes. Each call site carries an `EXPOSE:` comment that says why.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(..)")
    }
}

impl Drop for KeyMaterial {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Fields of a keyed hash, each after its length: no two lists of fields give the same bytes.
/// Wiped on drop, since one of the fields may be a secret.
pub(crate) fn length_prefixed(fields: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let size = fields.iter().map(|field| 4 + field.len()).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are shorter than 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}
