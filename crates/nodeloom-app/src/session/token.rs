//! The text of a session id and its keyed tag.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nodeloom_crypto::{IndexKey, Secret};
use nodeloom_domain::{Id, SessionId, UserId};
use zeroize::Zeroizing;

use crate::AppError;

/// `nls_<session id>.<43 characters>`: the row's id, and 256 random bits that the
/// database keeps only as an HMAC.
pub struct SessionToken {
    id: SessionId,
    secret: Secret<[u8; 32]>,
}

const PREFIX: &str = "nls_";
/// The kind that a session's tag is computed for, so that no other token fits.
const KIND: &str = "session";

impl SessionToken {
    /// Reads the cookie's value. Anything else than the exact form is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = parse_token(PREFIX, text)?;
        Some(Self { id, secret })
    }

    /// The row's id, which is no secret.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn generate(id: SessionId) -> Result<Self, AppError> {
        Ok(Self {
            id,
            secret: random_secret()?,
        })
    }

    /// The text that the browser keeps.
    pub(crate) fn text(&self) -> Secret<String> {
        token_text(PREFIX, self.id.as_bytes(), &self.secret)
    }

    pub(crate) fn tag(&self, key: &IndexKey, user: UserId) -> [u8; 32] {
        // EXPOSE: goes into the HMAC and nowhere else.
        key.tag(
            KIND,
            self.id.as_bytes(),
            user.as_bytes(),
            self.secret.expose(),
        )
    }

    pub(crate) fn matches(&self, key: &IndexKey, user: UserId, tag: &[u8]) -> bool {
        // EXPOSE: goes into the HMAC and nowhere else.
        key.verify(
            KIND,
            self.id.as_bytes(),
            user.as_bytes(),
            self.secret.expose(),
            tag,
        )
    }
}

pub(crate) fn random_secret() -> Result<Secret<[u8; 32]>, AppError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)
        .map_err(|_| AppError::internal("the operating system's generator failed"))?;
    Ok(Secret::new(*bytes))
}

pub(crate) fn token_text(
    prefix: &str,
    row: &[u8; 16],
    secret: &Secret<[u8; 32]>,
) -> Secret<String> {
    let row: SessionId = Id::from_bytes(*row);
    // EXPOSE: this is the one text that leaves, towards its owner.
    let mut text = format!("{prefix}{row}.");
    URL_SAFE_NO_PAD.encode_string(secret.expose(), &mut text);
    Secret::new(text)
}

pub(crate) fn parse_token<K>(prefix: &str, text: &str) -> Option<(Id<K>, Secret<[u8; 32]>)> {
    let (id, secret) = text.strip_prefix(prefix)?.split_once('.')?;
    if secret.len() != 43 {
        return None;
    }
    // The decoder asks for room in whole groups of three bytes.
    let mut bytes = Zeroizing::new([0; 33]);
    // One text per token: the decoder refuses non-zero trailing bits.
    let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut *bytes).ok()?;
    let exact: [u8; 32] = bytes.get(..length)?.try_into().ok()?;
    Some((id.parse().ok()?, Secret::new(exact)))
}

#[cfg(test)]
mod tests {
    use nodeloom_crypto::{KeyId, KeyMaterial};

    use super::*;

    #[test]
    fn a_token_reads_back_and_matches_only_its_user() {
        let token = SessionToken::generate(SessionId::from_bytes([3; 16])).unwrap();
        let text = token.text();
        let read = SessionToken::parse(text.expose()).unwrap();
        let key = IndexKey::new(KeyId::from_bytes([1; 8]), KeyMaterial::from_bytes(&[9; 32]));
        let user = UserId::from_bytes([5; 16]);
        let tag = token.tag(&key, user);
        assert!(read.matches(&key, user, &tag));
        assert!(!read.matches(&key, UserId::from_bytes([6; 16]), &tag));
    }

    #[test]
    fn other_texts_are_no_token() {
        let token = SessionToken::generate(SessionId::from_bytes([3; 16])).unwrap();
        let good = token.text().expose().clone();
        let shorter = &good[..good.len() - 1];
        let longer = format!("{good}A");
        let upper = good.to_uppercase();
        for bad in [
            "",
            "nls_",
            shorter,
            &longer,
            &upper,
            &good[4..],
            &good.replace('.', ":"),
        ] {
            assert!(SessionToken::parse(bad).is_none(), "{bad}");
        }
    }
}
