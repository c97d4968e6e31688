//! The bytes of a sealed value or wrapped key. Specified in `docs/formats/envelope.md`.

use crate::error::{OpenError, SealError};
use crate::id::KeyId;
use crate::random;
use crate::secret::Secret;
use crate::xaes::{NONCE, TAG, XaesKey};

/// The envelope format that this version writes.
pub const FORMAT: u8 = 0x01;

/// XAES-256-GCM, the only suite of format 1.
pub const SUITE: u8 = 0x01;

/// Bytes that an envelope has beyond its plaintext: header 10, nonce 24, tag 16.
pub const OVERHEAD: usize = HEADER + NONCE + TAG;

/// The most bytes that a plaintext may have: 1 MiB.
pub const MAX_PLAINTEXT: usize = 1 << 20;

/// Bytes before the nonce: format, suite and key id. They are also the start of the associated
/// data.
pub(crate) const HEADER: usize = 10;

/// The readable start of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The layout, [`FORMAT`].
    pub format: u8,
    /// The cipher, [`SUITE`].
    pub suite: u8,
    /// The id of the one key that opens the envelope: of a data key, or of a root key if the
    /// envelope holds a wrapped key.
    pub key_id: [u8; 8],
}

/// Reads an envelope's header. Needs no key and proves nothing about the rest.
///
/// # Errors
/// In this order: [`OpenError::Malformed`] if there are fewer than [`OVERHEAD`] bytes, or more
/// than the largest value takes; [`OpenError::Unsupported`] if format or suite are not known.
pub fn header(envelope: &[u8]) -> Result<Header, OpenError> {
    let length = envelope.len();
    if !(OVERHEAD..=OVERHEAD + MAX_PLAINTEXT).contains(&length) {
        return Err(OpenError::Malformed { length });
    }
    let (&[format, suite, ref key_id @ ..], _) = envelope
        .split_first_chunk::<HEADER>()
        .ok_or(OpenError::Malformed { length })?;
    if format != FORMAT || suite != SUITE {
        return Err(OpenError::Unsupported { format, suite });
    }
    Ok(Header {
        format,
        suite,
        key_id: *key_id,
    })
}

/// The header of an envelope under the key `key_id`.
pub(crate) fn header_bytes(key_id: &[u8; 8]) -> [u8; HEADER] {
    let mut bytes = [FORMAT, SUITE, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(key_id);
    bytes
}

/// Refuses a plaintext that is too large, before anything is copied or encrypted.
pub(crate) fn check_size(plaintext: &[u8]) -> Result<(), SealError> {
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(SealError::TooLarge {
            length: plaintext.len(),
            limit: MAX_PLAINTEXT,
        });
    }
    Ok(())
}

/// A fresh nonce.
pub(crate) fn nonce() -> Result<[u8; NONCE], SealError> {
    let mut nonce = [0; NONCE];
    random::fill(&mut nonce)?;
    Ok(nonce)
}

/// Writes an envelope. `nonce` must never have been used with `key` before.
pub(crate) fn seal_with_nonce(
    key: &XaesKey,
    header: &[u8; HEADER],
    nonce: &[u8; NONCE],
    associated: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    check_size(plaintext)?;
    let mut envelope = vec![0; OVERHEAD + plaintext.len()];
    envelope[..HEADER].copy_from_slice(header);
    envelope[HEADER..HEADER + NONCE].copy_from_slice(nonce);
    key.seal(
        nonce,
        associated,
        plaintext,
        &mut envelope[HEADER + NONCE..],
    )
    .map_err(|_| SealError::Cipher)?;
    Ok(envelope)
}

/// Opens an envelope whose header was read and whose key was chosen by it.
pub(crate) fn open(
    key: &XaesKey,
    associated: &[u8],
    envelope: &[u8],
) -> Result<Secret<Vec<u8>>, OpenError> {
    let length = envelope.len();
    let (_, body) = envelope
        .split_at_checked(HEADER)
        .ok_or(OpenError::Malformed { length })?;
    let (nonce, body) = body
        .split_first_chunk::<NONCE>()
        .ok_or(OpenError::Malformed { length })?;
    let (ciphertext, tag) = body
        .split_last_chunk::<TAG>()
        .ok_or(OpenError::Malformed { length })?;
    let mut plaintext = vec![0; ciphertext.len()];
    let result = key.open(nonce, associated, ciphertext, tag, &mut plaintext);
    let plaintext = Secret::of_bytes(plaintext);
    match result {
        Ok(()) => Ok(plaintext),
        Err(_) => Err(OpenError::NotAuthentic),
    }
}

/// The key id of a header, as errors name it.
pub(crate) fn unknown(header: &Header) -> OpenError {
    OpenError::UnknownKey(KeyId::from_bytes(header.key_id))
}
