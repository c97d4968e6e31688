//! XAES-256-GCM: AES-256-GCM with a nonce long enough to be random for every message.
//!
//! The specification is <https://c2sp.org/XAES-256-GCM>. A key and the first 12 bytes of the nonce
//! give a key of AES-256-GCM by one round of the counter-mode derivation of NIST SP 800-108r1 with
//! AES-CMAC; the last 12 bytes are that cipher's nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use zeroize::{Zeroize, Zeroizing};

/// Bytes in a nonce.
pub(crate) const NONCE: usize = 24;
/// Bytes in a tag.
pub(crate) const TAG: usize = 16;

/// The cipher failed: a tag that does not match, or a length beyond its limits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CipherError;

impl From<Unspecified> for CipherError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A 256-bit XAES key: its AES key schedule and the CMAC subkey K1, so that each message costs two
/// AES blocks on top of AES-256-GCM.
///
/// The two blocks are encrypted by aws-lc as well, and not by the `aes` crate: with AVX-512 that
/// one spreads all its round keys over wide registers for every call, which for two blocks takes
/// longer than encrypting them.
///
/// Boxed, so that moving the key leaves no copies. aws-lc-rs wipes the schedule on drop.
pub(crate) struct XaesKey(Box<Schedule>);

struct Schedule {
    aes: EncryptingKey,
    k1: [u8; 16],
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

impl Schedule {
    /// Encrypts each block of 16 bytes by itself, in place.
    fn encrypt(&self, blocks: &mut [u8]) {
        self.aes
            .encrypt(blocks)
            .expect("AES encrypts any whole number of blocks");
    }
}

impl XaesKey {
    /// Expands a key. Steps 1 and 2 of the specification.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let aes = UnboundCipherKey::new(&AES_256, key)
            .and_then(EncryptingKey::ecb)
            .expect("every 32 bytes are an AES-256 key");
        let mut schedule = Box::new(Schedule { aes, k1: [0; 16] });
        let mut block = Zeroizing::new([0; 16]);
        schedule.encrypt(&mut *block);
        // K1 is L doubled in GF(2^128), NIST SP 800-38B section 6.1, without a branch on the key.
        let l = u128::from_be_bytes(*block);
        schedule.k1 = ((l << 1) ^ ((l >> 127) * 0x87)).to_be_bytes();
        Self(schedule)
    }

    /// The AES-256-GCM key for a nonce that starts with `context`. Steps 3 to 5.
    pub(crate) fn subkey(&self, context: &[u8; 12]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        for (counter, block) in (1..).zip(key.chunks_exact_mut(16)) {
            // The derivation's input: counter, label `X`, a zero byte, context.
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(context);
            for (byte, mask) in block.iter_mut().zip(&self.0.k1) {
                *byte ^= mask;
            }
        }
        self.0.encrypt(&mut *key);
        key
    }

    /// The AES-256-GCM key and nonce for one message. Step 6.
    fn split<'n>(&self, nonce: &'n [u8; NONCE]) -> (Zeroizing<[u8; 32]>, &'n [u8; 12]) {
        let (context, _) = nonce
            .split_first_chunk()
            .expect("a nonce is longer than 12 bytes");
        let (_, nonce) = nonce
            .split_last_chunk()
            .expect("a nonce is longer than 12 bytes");
        (self.subkey(context), nonce)
    }

    /// Encrypts `plaintext` into `sealed`, which is longer by [`TAG`]: ciphertext, then tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plaintext: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), CipherError> {
        let (key, nonce) = self.split(nonce);
        gcm_seal(&key, nonce, associated, plaintext, sealed)
    }

    /// Checks the tag and decrypts `ciphertext` into `plaintext`, which has the same length.
    /// `plaintext` holds nothing of use if the tag does not match.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG],
        plaintext: &mut [u8],
    ) -> Result<(), CipherError> {
        let (key, nonce) = self.split(nonce);
        gcm_open(&key, nonce, associated, ciphertext, tag, plaintext)
    }
}

/// AES-256-GCM, NIST SP 800-38D section 7.1: encrypts `plaintext` into `sealed`, which is longer by
/// [`TAG`]: ciphertext, then tag.
pub(crate) fn gcm_seal(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    plaintext: &[u8],
    sealed: &mut [u8],
) -> Result<(), CipherError> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let associated = Aad::from(associated);
    let (ciphertext, tag) = sealed
        .split_at_mut_checked(plaintext.len())
        .ok_or(CipherError)?;
    // From one buffer to the other, so that the plaintext is never in the output, not even when
    // something fails.
    Ok(key.seal_out_of_place_scatter(nonce, associated, plaintext, ciphertext, &[], tag)?)
}

/// AES-256-GCM, NIST SP 800-38D section 7.2: checks the tag and decrypts.
pub(crate) fn gcm_open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG],
    plaintext: &mut [u8],
) -> Result<(), CipherError> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    Ok(key.open_separate_gather(nonce, Aad::from(associated), ciphertext, tag, plaintext)?)
}
