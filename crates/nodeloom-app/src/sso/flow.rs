//! What binds a flow to one browser, and what is kept of it meanwhile.

use nodeloom_crypto::{Binding, INSTANCE, IndexKey, Secret};
use nodeloom_domain::{SessionId, SignInFlowId};
use nodeloom_oauth::oidc::Pending;
use nodeloom_store::SIGN_IN_FLOW_KIND;

use crate::{
    AppError,
    session::{parse_token, random_secret, token_text},
};

const PREFIX: &str = "nlsso_";
/// A flow belongs to nobody yet.
const NOBODY: [u8; 16] = [0; 16];
const FIELD: &str = "pending";

/// `nlsso_<flow id>.<43 characters>`: the row's id, and 256 random bits that the database keeps
/// only as an HMAC.
pub(super) struct FlowToken {
    pub(super) id: SignInFlowId,
    secret: Secret<[u8; 32]>,
}

impl FlowToken {
    pub(super) fn generate(id: SignInFlowId) -> Result<Self, AppError> {
        let secret = random_secret()?;
        Ok(Self { id, secret })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = parse_token(PREFIX, text)?;
        Some(Self { id, secret })
    }

    /// The text that the browser keeps.
    pub(super) fn text(&self) -> Secret<String> {
        token_text(PREFIX, self.id.as_bytes(), &self.secret)
    }

    pub(super) fn tag(&self, key: &IndexKey) -> [u8; 32] {
        // EXPOSE: goes into the HMAC and nowhere else.
        let secret = self.secret.expose();
        key.tag(SIGN_IN_FLOW_KIND, self.id.as_bytes(), &NOBODY, secret)
    }

    pub(super) fn matches(&self, key: &IndexKey, tag: &[u8]) -> bool {
        // EXPOSE: goes into the HMAC and nowhere else.
        let secret = self.secret.expose();
        key.verify(SIGN_IN_FLOW_KIND, self.id.as_bytes(), &NOBODY, secret, tag)
    }
}

/// Where a flow's value belongs.
pub(super) fn binding(id: SignInFlowId) -> Binding {
    Binding::of_record(INSTANCE, SIGN_IN_FLOW_KIND, *id.as_bytes(), FIELD, 1)
}

/// Kind, field and generation of a flow's value.
pub(super) const PLACE: (&str, &str, u64) = (SIGN_IN_FLOW_KIND, FIELD, 1);

/// What is sealed of a flow: the protocol's secrets, and the session that the new one replaces.
/// That session's cookie does not come along when the browser returns from another site.
pub(super) struct Kept {
    pub(super) pending: Pending,
    pub(super) previous: Option<SessionId>,
}

impl Kept {
    /// The protocol's bytes, then the session's id after a space.
    pub(super) fn to_bytes(&self) -> Secret<Vec<u8>> {
        let pending = self.pending.to_bytes();
        let previous = self.previous.map(|id| id.to_string()).unwrap_or_default();
        // EXPOSE: the bytes are a secret again, to be sealed.
        Secret::new([pending.expose(), previous.as_bytes()].join(&b' '))
    }

    pub(super) fn parse(bytes: &Secret<Vec<u8>>) -> Option<Self> {
        // EXPOSE: read back into what it was made of.
        let bytes = bytes.expose();
        let at = bytes.iter().position(|byte| *byte == b' ')?;
        let previous = std::str::from_utf8(&bytes[at + 1..]).ok()?;
        Some(Self {
            pending: Pending::parse(&bytes[..at])?,
            previous: previous.parse().ok(),
        })
    }
}
