//! What is kept of a flow while the browser is at the provider.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodeloom_crypto::Secret;

use super::Issuer;
use crate::pkce::{PkceVerifier, random_text};

/// Length of `state` and `nonce`, in characters.
const RANDOM_CHARACTERS: usize = 43;

/// How long ago the person may have proved who they are, at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// At most so many seconds ago (`max_age`): an older sign-in is done again there.
    WithinSeconds(u32),
    /// Now: whatever the provider remembers, it asks again (`prompt=login`).
    Now,
}

impl Freshness {
    pub(super) fn max_age_seconds(self) -> u32 {
        match self {
            Self::WithinSeconds(seconds) => seconds,
            Self::Now => 0,
        }
    }
}

/// A flow that has begun: `state`, `nonce`, the PKCE verifier, the oldest proof that it accepts
/// and the issuer it began with.
///
/// Keep it sealed, give it back once, to the browser that began the flow, within ten minutes.
#[derive(Debug)]
pub struct Pending {
    pub(super) state: Secret<String>,
    pub(super) nonce: Secret<String>,
    pub(super) verifier: PkceVerifier,
    /// The earliest `auth_time`, in seconds since the epoch.
    pub(super) oldest_proof: i64,
    pub(super) issuer: String,
}

impl Pending {
    pub(super) fn generate(issuer: &Issuer, oldest_proof: i64) -> Result<Self, getrandom::Error> {
        Ok(Self {
            state: random_text()?,
            nonce: random_text()?,
            verifier: PkceVerifier::generate()?,
            oldest_proof,
            issuer: issuer.as_str().to_owned(),
        })
    }

    /// The state, by which the flow is found again.
    #[must_use]
    pub fn state(&self) -> &Secret<String> {
        &self.state
    }

    /// The bytes to keep: `state.nonce.verifier.oldest.issuer`, the issuer in base64url.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<Vec<u8>> {
        let issuer = URL_SAFE_NO_PAD.encode(&self.issuer);
        let oldest_proof = self.oldest_proof.to_string();
        // EXPOSE: the bytes are a secret again, to be sealed.
        let parts = [
            self.state.expose().as_bytes(),
            self.nonce.expose().as_bytes(),
            // EXPOSE: as above.
            self.verifier.secret().expose().as_bytes(),
            oldest_proof.as_bytes(),
            issuer.as_bytes(),
        ];
        Secret::new(parts.join(&b'.'))
    }

    /// Reads what [`Pending::to_bytes`] gave; `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.split('.');
        let (state, nonce, verifier) = (parts.next()?, parts.next()?, parts.next()?);
        let (oldest_proof, issuer) = (parts.next()?, parts.next()?);
        if parts.next().is_some()
            || [state, nonce]
                .iter()
                .any(|part| part.len() != RANDOM_CHARACTERS)
        {
            return None;
        }
        Some(Self {
            state: Secret::new(state.to_owned()),
            nonce: Secret::new(nonce.to_owned()),
            verifier: PkceVerifier::parse(verifier)?,
            oldest_proof: oldest_proof.parse().ok()?,
            issuer: String::from_utf8(URL_SAFE_NO_PAD.decode(issuer).ok()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::PlainHttp;
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let issuer = Issuer::parse("https://id.example.com/a.b", PlainHttp::Refuse).unwrap();
        let pending = Pending::generate(&issuer, -7).unwrap();
        let bytes = pending.to_bytes();
        let again = Pending::parse(bytes.expose()).unwrap();
        assert_eq!(again.state.expose(), pending.state.expose());
        assert_eq!(again.nonce.expose(), pending.nonce.expose());
        assert_eq!(again.oldest_proof, -7);
        assert_eq!(again.issuer, "https://id.example.com/a.b");
        assert_eq!(again.verifier.challenge(), pending.verifier.challenge());
        assert_ne!(pending.state.expose(), pending.nonce.expose());
        for broken in [
            &b""[..],
            b"a.b.c.d",
            &bytes.expose()[1..],
            &[bytes.expose(), &b"."[..]].concat(),
        ] {
            assert!(Pending::parse(broken).is_none());
        }
        assert!(!format!("{pending:?}").contains(pending.state.expose()));
    }
}
