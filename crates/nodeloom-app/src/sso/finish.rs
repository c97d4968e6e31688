//! The second half: the browser is back.

use nodeloom_domain::{
    audit::{ActorKind, AuditActor, AuditEvent, Outcome},
    policy,
};
use nodeloom_oauth::oidc::{Callback, ErrorCode, IdTokenError, Identity, OidcError};
use nodeloom_store::UserRow;

use super::{
    Browser, SingleSignOn, SingleSignOnProblem,
    flow::{FlowToken, Kept, PLACE, binding},
};
use crate::{
    App, SignedIn,
    session::{Lifetime, actor_of},
};

/// A sign-in that succeeded.
#[derive(Debug)]
pub struct FinishedSingleSignOn {
    /// The person and the new session.
    pub signed_in: SignedIn,
    /// Where the browser goes: a path of this host.
    pub return_to: String,
}

/// A flow that was taken, with the path to go to.
struct Taken {
    kept: Kept,
    return_to: String,
}

impl App {
    /// Ends a sign-in at the identity provider. `cookie` is the flow's own cookie, `query` what
    /// the provider added to the address.
    ///
    /// A flow is taken away before the provider is asked, so that it works once, whatever the
    /// answer. One with a foreign state stays: it may still be finished by its owner.
    ///
    /// # Errors
    /// [`SingleSignOnProblem`]. Each but throttling and failures of our own is in the audit trail
    /// as a refused `session.create`.
    pub async fn finish_single_sign_on(
        &self,
        browser: &Browser,
        cookie: Option<&str>,
        query: &str,
    ) -> Result<FinishedSingleSignOn, SingleSignOnProblem> {
        let sso = self.require_single_sign_on()?;
        let limits = self.visits(browser.origin.address.as_deref());
        self.check_attempt(&limits.failed).await?;
        let (person, outcome) = Box::pin(self.try_to_finish(sso, browser, cookie, query)).await;
        let problem = match outcome {
            Ok(finished) => return Ok(finished),
            Err(problem @ SingleSignOnProblem::App(_)) => return Err(problem),
            Err(problem) => problem,
        };
        let now = self.now();
        let mut tx = self.store().begin().await?;
        if problem.counts_as_failure() {
            self.count_failure(&mut tx, &limits.failed, now).await?;
        }
        let nobody = AuditActor {
            kind: ActorKind::Anonymous,
            id: None,
            name: person.unwrap_or_default(),
        };
        let event = AuditEvent::new(now, nobody, "session.create", &browser.origin)
            .ended(Outcome::Refused)
            .with("method", "oidc")
            .with("issuer", sso.client.settings().issuer.as_str())
            .with("reason", problem.code());
        self.commit(tx, &event).await?;
        Err(problem)
    }

    /// The address of the person, once it is known, and the outcome.
    async fn try_to_finish(
        &self,
        sso: &SingleSignOn,
        browser: &Browser,
        cookie: Option<&str>,
        query: &str,
    ) -> (
        Option<String>,
        Result<FinishedSingleSignOn, SingleSignOnProblem>,
    ) {
        let proved = async {
            let callback = Callback::parse(query).map_err(|_| SingleSignOnProblem::NoSuchFlow)?;
            let taken = self.take_flow(cookie, &callback).await?;
            let identity = sso.client.finish(&callback, &taken.kept.pending).await;
            Ok((taken, identity.map_err(of_provider)?))
        };
        match proved.await {
            Err(problem) => (None, Err(problem)),
            Ok((taken, identity)) => {
                let email = identity.email.clone();
                let outcome = self.open_session_for(sso, browser, taken, &identity).await;
                (Some(email), outcome)
            }
        }
    }

    /// Takes the flow of this browser and this answer away from the database.
    async fn take_flow(
        &self,
        cookie: Option<&str>,
        callback: &Callback,
    ) -> Result<Taken, SingleSignOnProblem> {
        let absent = || SingleSignOnProblem::NoSuchFlow;
        let token = cookie.and_then(FlowToken::parse).ok_or_else(absent)?;
        let mut tx = self.store().begin().await?;
        let row = tx.find_sign_in_flow(token.id).await?.ok_or_else(absent)?;
        let genuine = self
            .keys()
            .index_key(row.index_key_id)
            .is_some_and(|key| token.matches(key, &row.tag));
        if !genuine || self.now() >= row.expires_at {
            return Err(absent());
        }
        let (kind, field, generation) = PLACE;
        let instance = nodeloom_domain::TeamId::from_bytes(nodeloom_crypto::INSTANCE);
        let sealed = tx
            .find_sealed(instance, kind, token.id.as_bytes(), field, generation)
            .await?
            .ok_or_else(absent)?;
        let opened = self
            .keys()
            .open_in(&mut tx, &binding(token.id), &sealed.envelope)
            .await?
            .map_err(crate::AppError::from)?;
        let kept = Kept::parse(&opened).ok_or_else(absent)?;
        // EXPOSE: compared in constant time with what the browser brought.
        let state = callback.state().expose();
        if !kept.pending.state().ct_eq(state.as_bytes()) {
            return Err(absent());
        }
        if !tx
            .delete_sign_in_flow(&policy::housekeeping(), token.id)
            .await?
        {
            return Err(absent());
        }
        tx.commit_unaudited("a sign-in that is being finished; its end is audited")
            .await?;
        Ok(Taken {
            kept,
            return_to: row.return_to,
        })
    }

    async fn open_session_for(
        &self,
        sso: &SingleSignOn,
        browser: &Browser,
        taken: Taken,
        identity: &Identity,
    ) -> Result<FinishedSingleSignOn, SingleSignOnProblem> {
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let (user, mut events): (UserRow, Vec<AuditEvent>) =
            super::provision::person(self, &mut tx, &sso.rules, identity, &browser.origin).await?;
        let permit = policy::signed_in(user.id);
        if let Some(previous) = taken.kept.previous
            && let Some(found) = tx.session_with_user(previous).await?
            && found.user.id == user.id
        {
            tx.delete_session(&permit, previous).await?;
        }
        let lifetime = Lifetime {
            created_at: now,
            // What needs a fresh proof needs one at the provider.
            authenticated_at: identity.authenticated_at.map_or(now, |at| at.min(now)),
        };
        tx.note_sign_in(&permit, user.id, now).await?;
        let agent = browser.user_agent.as_deref();
        let (token, me) = self
            .new_session(&mut tx, &permit, user.id, lifetime, &browser.origin, agent)
            .await?;
        events.push(
            AuditEvent::new(now, actor_of(&user), "session.create", &browser.origin)
                .on("session", token.id().as_bytes(), "")
                .with("method", "oidc")
                .with("issuer", identity.issuer.as_str()),
        );
        self.commit_all(tx, &events).await?;
        Ok(FinishedSingleSignOn {
            signed_in: SignedIn {
                token: token.text(),
                me,
            },
            return_to: taken.return_to,
        })
    }
}

/// The problem that a person is told, and the operator through the log.
fn of_provider(error: OidcError) -> SingleSignOnProblem {
    match &error {
        OidcError::Provider(refused) if refused.code == ErrorCode::AccessDenied => {
            SingleSignOnProblem::AccessDenied
        }
        OidcError::IdToken(IdTokenError::EmailNotVerified | IdTokenError::EmailMissing) => {
            SingleSignOnProblem::EmailNotVerified
        }
        _ => SingleSignOnProblem::Provider(error),
    }
}
