//! Passwords: which are accepted, and how they are kept.

use std::sync::OnceLock;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use nodeloom_crypto::Secret;
use nodeloom_domain::FieldErrors;
use tokio::sync::Semaphore;

use crate::AppError;

/// Fewest characters of a password.
pub const MIN_CHARS: usize = 12;
/// Most characters of a password.
pub const MAX_CHARS: usize = 256;

/// Memory in KiB, passes and lanes: the floor of OWASP's cheat sheet and of
/// ASVS 5.0 appendix C for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Each hash holds 19 MiB for tens of milliseconds; without a limit a burst of
/// sign-ins would take the machine's memory and both its cores.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Passwords that stand at the top of every list of leaked ones and are long enough
/// to pass the length rule, and texts that people type to fill twelve characters.
const BLOCKED: &[&str] = &include!("blocked_passwords.in");

/// Refuses what is too short, too long, common, or the person's own address.
/// There are no composition rules (NIST SP 800-63B, section 3.1.1.2).
///
/// # Errors
/// Names the field `password` and the rule.
pub fn check(password: &Secret<String>, email: &str) -> Result<(), FieldErrors> {
    check_as("password", password, email)
}

/// As [`check`] for a field of another name.
pub(crate) fn check_as(
    field: &str,
    password: &Secret<String>,
    email: &str,
) -> Result<(), FieldErrors> {
    let refuse = |rule: &str, message: &str| FieldErrors::one(field, rule, message);
    // EXPOSE: measured here, never kept.
    let text = password.expose();
    let chars = text.chars().take(MAX_CHARS + 1).count();
    if chars < MIN_CHARS {
        return Err(refuse(
            "too-short",
            "must have at least 12 characters; three unrelated words make a good one",
        ));
    }
    if chars > MAX_CHARS {
        return Err(refuse("too-long", "must have at most 256 characters"));
    }
    let folded: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect();
    let distinct = {
        let mut seen: Vec<char> = text.chars().collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    };
    let local = email.split('@').next().unwrap_or_default().to_lowercase();
    let is_own = text.to_lowercase() == email.to_lowercase()
        || (local.chars().count() >= MIN_CHARS && folded == local);
    if distinct < 5 || is_own || BLOCKED.contains(&folded.as_str()) || is_repeated_common(&folded) {
        return Err(refuse(
            "too-common",
            "is among the first that an attacker tries; choose another",
        ));
    }
    Ok(())
}

/// A blocked word, or a short run, written several times over.
fn is_repeated_common(folded: &str) -> bool {
    (1..=folded.len() / 2).any(|period| {
        folded.is_char_boundary(period)
            && folded.len().is_multiple_of(period)
            && period <= 6
            && folded
                .as_bytes()
                .chunks(period)
                .all(|chunk| chunk == &folded.as_bytes()[..period])
    })
}

fn hasher() -> Argon2<'static> {
    static PARAMS: OnceLock<Params> = OnceLock::new();
    let params = PARAMS.get_or_init(|| {
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the constants are in argon2's range")
    });
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

/// Hashes with argon2id, 19 MiB, two passes, off the async threads.
///
/// Returns a PHC string with a random 16-byte salt.
///
/// # Errors
/// [`AppError::Internal`] when the generator or the thread pool fails.
pub async fn hash(password: Secret<String>) -> Result<String, AppError> {
    run(move || {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| AppError::internal("no randomness for a salt"))?;
        hasher()
            // EXPOSE: the hash function reads it; the copy is wiped with the argument.
            .hash_password_with_salt(password.expose().as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|_| AppError::internal("hashing a password failed"))
    })
    .await
}

/// What a verification found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It is not the password.
    No,
    /// It is, and the hash is as strong as today's.
    Yes,
    /// It is, and the hash was made with weaker parameters: hash it again.
    YesButWeak,
}

/// Verifies a password against a stored hash. With no hash (an unknown account, or an empty
/// hash: one without a password) the same work is done on a hash that nobody's password has, so that the time of an
/// answer does not tell whether the account exists.
///
/// # Errors
/// [`AppError::Internal`] when the thread pool fails.
pub async fn verify(
    password: Secret<String>,
    stored: Option<String>,
) -> Result<Verified, AppError> {
    let stored = stored.filter(|hash| !hash.is_empty());
    run(move || {
        let known = stored.is_some();
        let text = stored.unwrap_or_else(|| nobody().to_owned());
        let Ok(hash) = PasswordHash::new(&text) else {
            return Ok(Verified::No);
        };
        // EXPOSE: the hash function reads it; the copy is wiped with the argument.
        let matches = hasher()
            .verify_password(password.expose().as_bytes(), &hash)
            .is_ok();
        Ok(match (known && matches, is_current(&hash)) {
            (false, _) => Verified::No,
            (true, true) => Verified::Yes,
            (true, false) => Verified::YesButWeak,
        })
    })
    .await
}

fn is_current(hash: &PasswordHash) -> bool {
    Params::try_from(hash).is_ok_and(|params| {
        params.m_cost() >= MEMORY_KIB && params.t_cost() >= PASSES && params.p_cost() >= LANES
    })
}

/// A hash under today's parameters of a random text that is thrown away.
fn nobody() -> &'static str {
    static NOBODY: OnceLock<String> = OnceLock::new();
    NOBODY.get_or_init(|| {
        let mut random = [0; 48];
        // Should the generator fail, zeros still cost the same work, and the outcome
        // of this comparison is never used.
        let _ = getrandom::fill(&mut random);
        hasher()
            .hash_password_with_salt(&random[..32], &random[32..])
            .map(|hash| hash.to_string())
            .unwrap_or_default()
    })
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    let _place = HASHING
        .acquire()
        .await
        .map_err(|_| AppError::internal("hashing is closed"))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| AppError::internal("a hashing thread ended early"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn common_short_and_own_passwords_are_refused() {
        for bad in [
            "short",
            "passwordpassword",
            "123456789012",
            "Password1234",
            "qwertyuiop12",
            "aaaaaaaaaaaaaaaa",
            "ada@example.com",
            "abcabcabcabc",
            "changeme1234",
        ] {
            assert!(check(&secret(bad), "ada@example.com").is_err(), "{bad}");
        }
        assert!(check(&secret(&"é".repeat(300)), "a@b").is_err());
        for good in [
            "correct horse battery staple",
            "tr0ub4dor&3-but-longer",
            "zwölf Zeichen!",
        ] {
            assert!(check(&secret(good), "ada@example.com").is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_alone() {
        let stored = hash(secret("a fine long password")).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        let check = |text: &'static str, stored: Option<String>| verify(secret(text), stored);
        assert_eq!(
            check("a fine long password", Some(stored.clone()))
                .await
                .unwrap(),
            Verified::Yes
        );
        assert_eq!(
            check("another password", Some(stored)).await.unwrap(),
            Verified::No
        );
        assert_eq!(
            check("a fine long password", None).await.unwrap(),
            Verified::No
        );
        assert_eq!(
            check("x", Some("not a hash".into())).await.unwrap(),
            Verified::No
        );
    }

    #[tokio::test]
    async fn a_weaker_hash_asks_to_be_made_again() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8 * 1024, 1, 1, None).unwrap(),
        );
        let stored = weak
            .hash_password_with_salt(b"a fine long password", &[7; 16])
            .unwrap()
            .to_string();
        let verified = verify(secret("a fine long password"), Some(stored))
            .await
            .unwrap();
        assert_eq!(verified, Verified::YesButWeak);
    }
}
