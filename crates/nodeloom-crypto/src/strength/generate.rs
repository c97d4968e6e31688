//! New keys from the generator of the operating system.

use zeroize::{Zeroize, Zeroizing};

use super::check;

/// Characters of a generated key: 64 of 62 kinds hold 381 bits.
const CHARACTERS: usize = 64;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct GenerateError(#[source] getrandom::Error);

/// Makes a root key string.
///
/// Returns 64 characters of `A-Za-z0-9`, each drawn uniformly from the generator of the operating
/// system (381 bits). The key passes [`check`]; one that would not, at odds below 2^-34, is drawn anew.
///
/// # Errors
/// [`GenerateError`] if the operating system gives no random bytes.
pub fn generate() -> Result<Zeroizing<String>, GenerateError> {
    loop {
        // Room for all from the start: a string that grows leaves copies behind.
        let mut key = Zeroizing::new(String::with_capacity(CHARACTERS));
        let mut pool = [0u8; 2 * CHARACTERS];
        while key.len() < CHARACTERS {
            getrandom::fill(&mut pool).map_err(GenerateError)?;
            // Bytes from 248 on are thrown away: 248 is the largest multiple of 62 below 256.
            let kept = pool
                .iter()
                .filter(|&&byte| byte < 248)
                .take(CHARACTERS - key.len());
            for &byte in kept {
                key.push(char::from(ALPHABET[usize::from(byte % 62)]));
            }
        }
        pool.zeroize();
        if check(key.as_bytes()).is_ok() {
            return Ok(key);
        }
    }
}
