//! Proof key for code exchange, RFC 7636, and the random values of a flow.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodeloom_crypto::Secret;

/// A code verifier: 43 characters that hold 256 random bits.
#[derive(Debug)]
pub struct PkceVerifier(Secret<String>);

impl PkceVerifier {
    /// A new verifier.
    ///
    /// # Errors
    /// When the operating system's generator fails.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random_text().map(Self)
    }

    /// A verifier that was kept; `None` unless it has the shape of RFC 7636 section 4.1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved))
            .then(|| Self(Secret::new(text.to_owned())))
    }

    /// The text that goes into the token request.
    #[must_use]
    pub fn secret(&self) -> &Secret<String> {
        &self.0
    }

    /// The S256 challenge for the authorization request: RFC 7636 section 4.2.
    #[must_use]
    pub fn challenge(&self) -> String {
        // EXPOSE: what is sent is the hash.
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.expose().as_bytes()))
    }
}

/// 256 random bits as 43 characters of base64url.
pub(crate) fn random_text() -> Result<Secret<String>, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    let bytes = Secret::new(bytes);
    // EXPOSE: the bytes become the text that is kept as a secret itself.
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_of_rfc_7636_appendix_b() {
        let verifier = PkceVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn verifiers_are_random_and_have_the_shape() {
        let (one, two) = (
            PkceVerifier::generate().unwrap(),
            PkceVerifier::generate().unwrap(),
        );
        assert_ne!(one.challenge(), two.challenge());
        assert!(PkceVerifier::parse(one.secret().expose()).is_some());
        assert!(PkceVerifier::parse("short").is_none());
        assert!(PkceVerifier::parse(&"ü".repeat(30)).is_none());
    }
}
