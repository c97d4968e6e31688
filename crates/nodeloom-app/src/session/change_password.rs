//! Choosing another password: whoever else sits in a session of the person is out.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    FieldErrors,
    audit::AuditEvent,
    policy::{self, Action, Actor, Resource},
};

use super::{Lifetime, SignedIn};
use crate::{App, AppError, Ctx, Who, password};

impl App {
    /// Changes one's own password. The current one is the fresh proof of identity that
    /// this needs. Every other session of the person ends, and this one gets a new id;
    /// its absolute limit stays.
    ///
    /// # Errors
    /// [`AppError::SignInRefused`] for a wrong current password and
    /// [`AppError::Throttled`] after too many of them, counted together with sign-ins;
    /// [`AppError::Invalid`] names `newPassword`; [`AppError::Unauthenticated`] without
    /// a session.
    pub async fn change_password(
        &self,
        ctx: &Ctx,
        current: Secret<String>,
        new: Secret<String>,
    ) -> Result<SignedIn, AppError> {
        let Who::Session(token) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        let found = self.store().session_with_user(token.id()).await?;
        let (_, found) = self.known(token, found)?;
        password::check_as("newPassword", &new, &found.user.email)?;
        let attempt = self.attempt(&found.user.email, ctx.origin.address.as_deref());
        self.check_attempt(&attempt).await?;
        // EXPOSE: both are the caller's own, compared here and never kept.
        let same = current.expose() == new.expose();
        let (email, known_hash) = (
            found.user.email.clone(),
            Secret::new(found.user.password_hash.clone()),
        );
        self.prove(Some(found.user), current, &email, &attempt, &ctx.origin)
            .await?;
        if same {
            return Err(AppError::Invalid(FieldErrors::one(
                "newPassword",
                "same",
                "must differ from the current password",
            )));
        }
        let hash = password::hash(new).await?;

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let found = tx.session_with_user(token.id()).await?;
        let (mut actor, found) = self.known(token, found)?;
        // EXPOSE: compared with the row, so that the proof is of the password that stands.
        if *known_hash.expose() != found.user.password_hash {
            return Err(AppError::SignInRefused);
        }
        if let Actor::User {
            authenticated_at, ..
        } = &mut actor
        {
            *authenticated_at = now;
        }
        let user = found.user.id;
        let permit = policy::authorise(&actor, Action::PasswordChange, Resource::User(user), now)?;
        tx.change_password(&permit, user, &hash, now).await?;
        self.forgive(&mut tx, &attempt).await?;
        let own = policy::signed_in(user);
        let ended = tx.delete_sessions_of(&own, user).await?;
        let lifetime = Lifetime {
            created_at: found.session.created_at,
            authenticated_at: now,
        };
        let agent = found.session.user_agent.as_deref();
        let (token, me) = self
            .new_session(&mut tx, &own, user, lifetime, &ctx.origin, agent)
            .await?;
        let event = AuditEvent::new(
            now,
            actor.audited(),
            Action::PasswordChange.as_str(),
            &ctx.origin,
        )
        .on("user", user.as_bytes(), &email)
        .with("otherSessionsEnded", ended.saturating_sub(1).to_string());
        self.commit(tx, &event).await?;
        Ok(SignedIn {
            token: token.text(),
            me,
        })
    }
}
