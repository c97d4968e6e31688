//! The text of an API token, and its tag.

use nodeloom_crypto::{IndexKey, Secret};
use nodeloom_domain::{ApiTokenId, UserId};
use nodeloom_store::TokenRow;

use crate::{
    AppError,
    session::{parse_token, random_secret, token_text},
};

const PREFIX: &str = "nlt_";
const KIND: &str = "api-token";

/// `nlt_<token id>.<43 characters>`: the row's id, and 256 random bits that the database
/// keeps only as an HMAC.
pub struct ApiToken {
    id: ApiTokenId,
    secret: Secret<[u8; 32]>,
}

impl ApiToken {
    /// Reads what follows `Bearer `. Anything else than the exact form is no token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = parse_token(PREFIX, text)?;
        Some(Self { id, secret })
    }

    /// The row's id, which is no secret.
    #[must_use]
    pub const fn id(&self) -> ApiTokenId {
        self.id
    }

    pub(super) fn generate(id: ApiTokenId) -> Result<Self, AppError> {
        Ok(Self {
            id,
            secret: random_secret()?,
        })
    }

    pub(super) fn text(&self) -> Secret<String> {
        token_text(PREFIX, self.id.as_bytes(), &self.secret)
    }

    /// The tag of this token with the limits of `row`.
    pub(super) fn tag(&self, key: &IndexKey, row: &TokenRow) -> [u8; 32] {
        // EXPOSE: goes into the HMAC and nowhere else.
        key.tag(
            &kind(row),
            self.id.as_bytes(),
            row.user_id.as_bytes(),
            self.secret.expose(),
        )
    }

    pub(super) fn matches(&self, key: &IndexKey, row: &TokenRow) -> bool {
        let owner: UserId = row.user_id;
        // EXPOSE: goes into the HMAC and nowhere else.
        key.verify(
            &kind(row),
            self.id.as_bytes(),
            owner.as_bytes(),
            self.secret.expose(),
            &row.tag,
        )
    }
}

/// The tag's kind holds the limits, so that whoever can write the database cannot widen
/// a token: not its team, its role, its scopes, its networks, its end.
fn kind(row: &TokenRow) -> String {
    let expires = row.expires_at.map_or(0, |at| at.as_micros());
    format!(
        "{KIND}/{}/{}/{}/{}/{expires}",
        row.team_id,
        row.role,
        row.scopes.join(","),
        row.addresses.join(","),
    )
}
