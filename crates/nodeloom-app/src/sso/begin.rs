//! The first half: from the button to the provider.

use nodeloom_crypto::Secret;
use nodeloom_domain::{SealedValueId, SessionId, SignInFlowId, TeamId, policy};
use nodeloom_oauth::oidc::{Begun, Freshness};
use nodeloom_store::{SealedRow, SealedState, SignInFlowRow};

use super::{
    Browser, SingleSignOnProblem,
    flow::{FlowToken, Kept, PLACE, binding},
    return_to,
};
use crate::{App, session::ABSOLUTE_SECONDS};

/// How long the person may take at the provider, in seconds.
const FLOW_SECONDS: i64 = 10 * 60;
/// Most expired flows that one beginning clears away.
const CLEARED_AT_ONCE: u64 = 20;

/// What the person has to do at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing, where the provider has signed them in no longer ago than a session here lasts.
    Recent,
    /// Prove again who they are, whatever the provider remembers.
    Fresh,
}

impl Proof {
    fn freshness(self) -> Freshness {
        match self {
            Self::Recent => Freshness::WithinSeconds(ABSOLUTE_SECONDS.unsigned_abs() as u32),
            Self::Fresh => Freshness::Now,
        }
    }
}

/// A flow that has begun.
#[derive(Debug)]
pub struct BegunSingleSignOn {
    /// Where the browser goes.
    pub location: String,
    /// What goes into the flow's own cookie and nowhere else; it works for ten minutes.
    pub cookie: Secret<String>,
}

impl App {
    /// Begins a sign-in at the identity provider. What needs a fresh proof here needs a
    /// fresh one there.
    ///
    /// # Errors
    /// [`SingleSignOnProblem::Off`], [`SingleSignOnProblem::Provider`] when the provider cannot
    /// be reached, [`crate::AppError::Invalid`] for a `return_to` that is no path of this host,
    /// [`crate::AppError::Throttled`].
    pub async fn begin_single_sign_on(
        &self,
        browser: &Browser,
        return_to: Option<&str>,
        proof: Proof,
    ) -> Result<BegunSingleSignOn, SingleSignOnProblem> {
        let sso = self.require_single_sign_on()?;
        let return_to = return_to::parse(return_to).map_err(crate::AppError::from)?;
        let limits = self.visits(browser.origin.address.as_deref());
        self.check_attempt(&limits.failed).await?;
        self.check_attempt(&limits.begun).await?;
        let previous = self.own_session(browser).await?;
        let Begun { url, pending } = sso
            .client
            .begin(proof.freshness())
            .await
            .map_err(SingleSignOnProblem::Provider)?;

        let now = self.now();
        let token = FlowToken::generate(SignInFlowId::generate(now))?;
        let index = self.keys().index();
        let row = SignInFlowRow {
            id: token.id,
            tag: token.tag(index),
            index_key_id: index.id(),
            return_to,
            created_at: now,
            expires_at: now.plus_seconds(FLOW_SECONDS),
        };
        let kept = Kept { pending, previous }.to_bytes();
        let permit = policy::housekeeping();
        let mut tx = self.store().begin().await?;
        self.count_failure(&mut tx, &limits.begun, now).await?;
        tx.delete_expired_sign_in_flows(&permit, now, CLEARED_AT_ONCE)
            .await?;
        tx.insert_sign_in_flow(&permit, &row).await?;
        let (kind, field, generation) = PLACE;
        // EXPOSE: sealed, for the time the browser is away.
        let (key_id, envelope) = self
            .keys()
            .seal_for_instance(&mut tx, &binding(row.id), kept.expose())
            .await?;
        let sealed = SealedRow {
            id: SealedValueId::generate(now),
            team_id: TeamId::from_bytes(nodeloom_crypto::INSTANCE),
            kind: kind.to_owned(),
            owner_id: *row.id.as_bytes(),
            field: field.to_owned(),
            generation,
            key_id,
            envelope,
            state: SealedState::Ok,
            reason: None,
            created_at: now,
        };
        tx.insert_sealed(&permit, &sealed).await?;
        tx.commit_unaudited("a sign-in that begins; its end is audited")
            .await?;
        Ok(BegunSingleSignOn {
            location: url.into(),
            cookie: token.text(),
        })
    }

    /// The live session that the browser shows, if it shows one.
    async fn own_session(
        &self,
        browser: &Browser,
    ) -> Result<Option<SessionId>, SingleSignOnProblem> {
        let Some(token) = &browser.session else {
            return Ok(None);
        };
        let found = self.store().session_with_user(token.id()).await?;
        Ok(self.known(token, found).ok().map(|_| token.id()))
    }
}
