//! Opening a session: the same answer and the same work for a wrong address, a wrong
//! password and a deactivated account.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    Email, FieldErrors, SessionId, Timestamp, UserId,
    audit::{ActorKind, AuditActor, AuditEvent, Origin, Outcome},
    policy::{self, Permit},
};
use nodeloom_store::{SessionRow, SessionWithUser, Tx, UserRow, UserState};

use super::{Me, SessionToken, SignedIn, me, throttle::Attempt};
use crate::{
    App, AppError, Ctx, Who,
    password::{self, Verified},
};

/// Most characters that are kept of what a browser says of itself.
const USER_AGENT_CHARS: usize = 200;

impl App {
    /// Signs a person in. `previous` is the session of the same browser; it ends.
    ///
    /// # Errors
    /// [`AppError::SignInRefused`] for a wrong address or password, alike in words
    /// and work; [`AppError::Throttled`] after too many of them.
    pub async fn sign_in(
        &self,
        email: &str,
        password: Secret<String>,
        previous: Option<&SessionToken>,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<SignedIn, AppError> {
        self.sign_in_with_code(email, password, None, previous, origin, user_agent)
            .await
    }

    /// As [`App::sign_in`], with a code of the second factor: of the authenticator app, or a
    /// recovery code.
    ///
    /// # Errors
    /// As [`App::sign_in`]; [`AppError::SecondFactorRequired`] when the password is right and a
    /// code is missing. A wrong code counts like a wrong password.
    pub async fn sign_in_with_code(
        &self,
        email: &str,
        password: Secret<String>,
        code: Option<&Secret<String>>,
        previous: Option<&SessionToken>,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<SignedIn, AppError> {
        let email = Email::parse(email).map_err(|error| {
            AppError::Invalid(FieldErrors::one("email", error.rule(), error.to_string()))
        })?;
        let attempt = self.attempt(email.as_str(), origin.address.as_deref());
        self.check_attempt(&attempt).await?;
        let user = self.store().find_user_by_email(&email).await?;
        let (user, rehash) = self
            .prove(user, password, email.as_str(), &attempt, origin)
            .await?;

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let permit = policy::signed_in(user.id);
        let factor = match self.take_factor(&mut tx, &permit, user.id, code).await {
            Err(AppError::SignInRefused) => {
                tx.rollback().await?;
                return Err(self.refuse_code(email.as_str(), &attempt, origin).await);
            }
            taken => taken?,
        };
        if let Some(previous) = previous
            && let Some(found) = tx.session_with_user(previous.id()).await?
            && found.user.id == user.id
        {
            // Only one's own: a foreign session, should its id be planted here, stays.
            tx.delete_session(&permit, previous.id()).await?;
        }
        if let Some(hash) = rehash {
            tx.set_password_hash(&permit, user.id, &hash, now).await?;
        }
        self.forgive(&mut tx, &attempt).await?;
        tx.note_sign_in(&permit, user.id, now).await?;
        let lifetime = Lifetime {
            created_at: now,
            authenticated_at: now,
        };
        let (token, me) = self
            .new_session(&mut tx, &permit, user.id, lifetime, origin, user_agent)
            .await?;
        let mut event = AuditEvent::new(now, actor_of(&user), "session.create", origin).on(
            "session",
            token.id().as_bytes(),
            "",
        );
        if let Some(factor) = factor {
            event = event.with("secondFactor", factor.as_str());
        }
        self.commit(tx, &event).await?;
        Ok(SignedIn {
            token: token.text(),
            me,
        })
    }

    /// Proves again who sits at the browser. The session gets a new id; its absolute
    /// limit stays.
    ///
    /// # Errors
    /// As [`App::sign_in`], and [`AppError::Unauthenticated`] without a session.
    pub async fn reauthenticate(
        &self,
        ctx: &Ctx,
        password: Secret<String>,
    ) -> Result<SignedIn, AppError> {
        self.reauthenticate_with_code(ctx, password, None).await
    }

    /// As [`App::reauthenticate`], with a code of the second factor.
    ///
    /// # Errors
    /// As [`App::sign_in_with_code`].
    pub async fn reauthenticate_with_code(
        &self,
        ctx: &Ctx,
        password: Secret<String>,
        code: Option<&Secret<String>>,
    ) -> Result<SignedIn, AppError> {
        let Who::Session(token) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        let found = self.store().session_with_user(token.id()).await?;
        let (_, found) = self.known(token, found)?;
        let attempt = self.attempt(&found.user.email, ctx.origin.address.as_deref());
        self.check_attempt(&attempt).await?;
        let email = found.user.email.clone();
        self.prove(Some(found.user), password, &email, &attempt, &ctx.origin)
            .await?;
        let action = "session.reauthenticate";
        let proof = Some(Proof {
            at: self.now(),
            code,
        });
        match self.replace_session(ctx, proof, action).await {
            Err(AppError::SignInRefused) => {
                Err(self.refuse_code(&email, &attempt, &ctx.origin).await)
            }
            replaced => replaced,
        }
    }

    /// Counts and records a wrong code of somebody whose password was right.
    async fn refuse_code(&self, email: &str, attempt: &Attempt, origin: &Origin) -> AppError {
        match self
            .record_failure(email, attempt, origin, Some("second factor"))
            .await
        {
            Ok(()) => AppError::SignInRefused,
            Err(error) => error,
        }
    }

    /// Gives the session a new id; nothing else about it changes.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn refresh_session(&self, ctx: &Ctx) -> Result<SignedIn, AppError> {
        self.replace_session(ctx, None, "session.refresh").await
    }

    async fn replace_session(
        &self,
        ctx: &Ctx,
        proof: Option<Proof<'_>>,
        action: &'static str,
    ) -> Result<SignedIn, AppError> {
        let Who::Session(old) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        let mut tx = self.store().begin().await?;
        let found = tx.session_with_user(old.id()).await?;
        let (actor, found) = self.known(old, found)?;
        let permit = policy::signed_in(found.user.id);
        if let Some(proof) = &proof {
            self.take_factor(&mut tx, &permit, found.user.id, proof.code)
                .await?;
        }
        tx.delete_session(&permit, old.id()).await?;
        let lifetime = Lifetime {
            created_at: found.session.created_at,
            authenticated_at: proof.map_or(found.session.authenticated_at, |proof| proof.at),
        };
        let agent = found.session.user_agent.as_deref();
        let (token, me) = self
            .new_session(
                &mut tx,
                &permit,
                found.user.id,
                lifetime,
                &ctx.origin,
                agent,
            )
            .await?;
        let event = AuditEvent::new(self.now(), actor.audited(), action, &ctx.origin).on(
            "session",
            token.id().as_bytes(),
            "",
        );
        self.commit(tx, &event).await?;
        Ok(SignedIn {
            token: token.text(),
            me,
        })
    }

    /// Verifies a password; counts and records a failure. Returns the account, and a
    /// new hash where the stored one is weaker than today's.
    pub(super) async fn prove(
        &self,
        user: Option<UserRow>,
        password: Secret<String>,
        email: &str,
        attempt: &Attempt,
        origin: &Origin,
    ) -> Result<(UserRow, Option<String>), AppError> {
        // Where passwords are off, everybody else's is as good as wrong: the answer does not
        // tell which accounts may.
        let is_off = self.is_password_off();
        let usable =
            user.filter(|user| user.state == UserState::Active && (user.break_glass || !is_off));
        let stored = usable.as_ref().map(|user| user.password_hash.clone());
        // EXPOSE: a second copy for the case that it must be hashed again; wiped too.
        let again = Secret::new(password.expose().clone());
        let verified = password::verify(password, stored).await?;
        if let (Some(user), Verified::Yes | Verified::YesButWeak) = (usable, verified) {
            let rehash = match verified {
                Verified::YesButWeak => Some(password::hash(again).await?),
                _ => None,
            };
            return Ok((user, rehash));
        }
        self.record_failure(email, attempt, origin, None).await?;
        Err(if is_off {
            AppError::PasswordOff
        } else {
            AppError::SignInRefused
        })
    }

    /// Counts a failed attempt and writes it into the trail.
    async fn record_failure(
        &self,
        email: &str,
        attempt: &Attempt,
        origin: &Origin,
        what: Option<&'static str>,
    ) -> Result<(), AppError> {
        let now = self.now();
        let mut tx = self.store().begin().await?;
        self.count_failure(&mut tx, attempt, now).await?;
        // The address typed is a name in the trail, as the owner's trail of attempts on
        // an account must be readable; it is not logged elsewhere.
        let nobody = AuditActor {
            kind: ActorKind::Anonymous,
            id: None,
            name: email.to_owned(),
        };
        let mut event =
            AuditEvent::new(now, nobody, "session.create", origin).ended(Outcome::Refused);
        if let Some(what) = what {
            event = event.with("wrong", what);
        }
        self.commit(tx, &event).await
    }

    pub(crate) async fn new_session(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        user: UserId,
        lifetime: Lifetime,
        origin: &Origin,
        user_agent: Option<&str>,
    ) -> Result<(SessionToken, Me), AppError> {
        let now = self.now();
        let token = SessionToken::generate(SessionId::generate(now))?;
        let index = self.keys().index();
        let row = SessionRow {
            id: token.id(),
            user_id: user,
            tag: token.tag(index, user),
            index_key_id: index.id(),
            created_at: lifetime.created_at,
            last_seen_at: now,
            authenticated_at: lifetime.authenticated_at,
            address: origin.address.clone(),
            user_agent: user_agent.map(|text| {
                text.chars()
                    .filter(|c| !c.is_control())
                    .take(USER_AGENT_CHARS)
                    .collect()
            }),
        };
        tx.insert_session(permit, &row).await?;
        let found: SessionWithUser = tx
            .session_with_user(token.id())
            .await?
            .ok_or_else(|| AppError::internal("a session just inserted is absent"))?;
        Ok((token, me(&found)))
    }
}

/// A proof of identity that a session is renewed for.
struct Proof<'a> {
    at: Timestamp,
    code: Option<&'a Secret<String>>,
}

/// The two times of a session that a new id inherits.
pub(crate) struct Lifetime {
    pub(crate) created_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
}

pub(crate) fn actor_of(user: &UserRow) -> AuditActor {
    AuditActor {
        kind: ActorKind::User,
        id: Some(*user.id.as_bytes()),
        name: user.email.clone(),
    }
}
