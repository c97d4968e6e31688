//! The instance as its callers see it: one value, cheap to clone.

use std::sync::{Arc, OnceLock};

use nodeloom_domain::{
    Clock, Timestamp,
    audit::{AuditEvent, Origin, Outcome},
    policy::{self, Action, Actor, Denied, Resource},
};
use nodeloom_store::{Store, Tx};

use crate::{
    AppError, AuditSink, Ctx, HeldRoots, KeyRefusal, OpenError, SingleSignOn, Verdict, Who,
    credential::Tests, judge_held, keys, keys::Keys,
};

/// An open instance: its database, the keys that this process holds, the clock.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    keys: Keys,
    clock: Clock,
    /// Random; tells this process from others on the same database.
    process: [u8; 16],
    sink: Option<AuditSink>,
    single_sign_on: OnceLock<SingleSignOn>,
    tests: OnceLock<Tests>,
}

impl App {
    /// Opens the instance behind a migrated `store` with the root keys that are held; on a fresh
    /// database first makes the instance, its keys and the team `Default`. Where the data know
    /// only the previous root key, every key first gets a slot under the current one.
    ///
    /// # Errors
    /// [`OpenError::Key`] when the key does not belong to the data; then nothing was
    /// changed.
    pub async fn open(
        store: Store,
        roots: impl Into<HeldRoots>,
        clock: Clock,
        origin: &Origin,
    ) -> Result<Self, OpenError> {
        Self::open_with_sink(store, roots.into(), clock, origin, None).await
    }

    /// As [`App::open`], with a second place that keeps the audit trail.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_with_sink(
        store: Store,
        roots: HeldRoots,
        clock: Clock,
        origin: &Origin,
        sink: Option<AuditSink>,
    ) -> Result<Self, OpenError> {
        match Self::judged(&store, &roots).await? {
            Verdict::Fresh => {
                let made =
                    keys::birth_instance(&store, &roots, &clock, origin, sink.as_ref()).await?;
                // Whoever lost the race to make it must hold the same key as the winner.
                if !made && !matches!(Self::judged(&store, &roots).await?, Verdict::Match) {
                    return Err(OpenError::Key(KeyRefusal::NeverSeen {
                        given: roots.current().id(),
                        expected: vec![],
                    }));
                }
            }
            Verdict::Rewrap => {
                let done = keys::rewrap(&store, &roots, &clock, origin, sink.as_ref()).await?;
                tracing::info!(
                    root.id = %roots.current().id(), keys = done.rewrapped,
                    "every key has a slot under the new root key"
                );
                // Nothing but a match will do, also when another process was quicker.
                if !matches!(Self::judged(&store, &roots).await?, Verdict::Match) {
                    return Err(AppError::internal("a rewrap that changed nothing").into());
                }
            }
            Verdict::Match if roots.previous().is_some() => {
                keys::rewrap(&store, &roots, &clock, origin, sink.as_ref()).await?;
            }
            Verdict::Match | Verdict::Refused(_) => {}
        }
        let keys = Keys::load(&store, roots).await?;
        let app = Self(Arc::new(Inner {
            store,
            keys,
            process: *nodeloom_domain::AuditEventId::generate(clock.now()).as_bytes(),
            clock,
            sink,
            single_sign_on: OnceLock::new(),
            tests: OnceLock::new(),
        }));
        app.touch_root().await?;
        Ok(app)
    }

    /// Opens the instance to look at it, as it is: nothing is written, not even that the root key
    /// was used. `store` may be a copy, opened with [`Store::open_to_read`].
    ///
    /// # Errors
    /// [`OpenError::Key`] when the key does not belong to the data, also when there are none.
    pub async fn open_to_read(
        store: Store,
        roots: impl Into<HeldRoots>,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let roots = roots.into();
        if !matches!(Self::judged(&store, &roots).await?, Verdict::Match) {
            return Err(OpenError::Key(KeyRefusal::NeverSeen {
                given: roots.current().id(),
                expected: vec![],
            }));
        }
        let keys = Keys::load(&store, roots).await?;
        Ok(Self(Arc::new(Inner {
            store,
            keys,
            process: *nodeloom_domain::AuditEventId::generate(clock.now()).as_bytes(),
            clock,
            sink: None,
            single_sign_on: OnceLock::new(),
            tests: OnceLock::new(),
        })))
    }

    async fn judged(store: &Store, roots: &HeldRoots) -> Result<Verdict, OpenError> {
        match judge_held(&store.survey_now().await?, roots) {
            Verdict::Refused(refusal) => Err(OpenError::Key(refusal)),
            verdict => Ok(verdict),
        }
    }

    /// Notes that the root key is in use, once at each start.
    async fn touch_root(&self) -> Result<(), AppError> {
        let mut tx = self.store().begin().await?;
        tx.touch_root(self.keys().root_id(), self.now()).await?;
        Ok(tx.commit_unaudited("the last use of a root key").await?)
    }

    pub(crate) fn set_single_sign_on(&self, single_sign_on: SingleSignOn) {
        // The first one stays.
        let _ = self.0.single_sign_on.set(single_sign_on);
    }

    pub(crate) fn single_sign_on(&self) -> Option<&SingleSignOn> {
        self.0.single_sign_on.get()
    }

    pub(crate) fn set_tests(&self, tests: Tests) {
        // The first ones stay.
        let _ = self.0.tests.set(tests);
    }

    pub(crate) fn tests(&self) -> Option<&Tests> {
        self.0.tests.get()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Id of the root key that this process works under; public.
    #[must_use]
    pub fn root_id(&self) -> nodeloom_crypto::RootId {
        self.keys().root_id()
    }

    pub(crate) fn process_id(&self) -> &[u8; 16] {
        &self.0.process
    }

    pub(crate) fn sink(&self) -> Option<&AuditSink> {
        self.0.sink.as_ref()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] when it does not.
    pub async fn ready(&self) -> Result<(), AppError> {
        Ok(self.store().ping().await?)
    }

    /// Waits for what is under way and closes the database.
    pub async fn close(&self) {
        self.store().close().await;
    }

    /// Who asks, by the database as it stands now. For reads.
    pub(crate) async fn actor(&self, ctx: &Ctx) -> Result<Actor, AppError> {
        match &ctx.who {
            Who::Operator { user, host } => Ok(Actor::Operator {
                user: user.clone(),
                host: host.clone(),
            }),
            Who::Session(token) => {
                let found = self.store().session_with_user(token.id()).await?;
                self.known(token, found).map(|(actor, _)| actor)
            }
            Who::Token(token) => {
                let found = self.store().token_with_owner(token.id()).await?;
                self.known_token(token, &ctx.origin, found)
                    .map(|(actor, _)| actor)
            }
        }
    }

    /// Who asks, by the database as the transaction sees it. For writes: a role that
    /// was lowered a moment ago is lowered here.
    pub(crate) async fn actor_in(&self, tx: &mut Tx, ctx: &Ctx) -> Result<Actor, AppError> {
        match &ctx.who {
            Who::Operator { user, host } => Ok(Actor::Operator {
                user: user.clone(),
                host: host.clone(),
            }),
            Who::Session(token) => {
                let found = tx.session_with_user(token.id()).await?;
                self.known(token, found).map(|(actor, _)| actor)
            }
            Who::Token(token) => {
                let found = tx.token_with_owner(token.id()).await?;
                self.known_token(token, &ctx.origin, found)
                    .map(|(actor, _)| actor)
            }
        }
    }

    /// Asks the policy; a refusal is written to the audit trail in a transaction of
    /// its own. Never call it while a write transaction is open: SQLite has one writer.
    pub(crate) async fn allow(
        &self,
        actor: &Actor,
        action: Action,
        resource: Resource,
        ctx: &Ctx,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<(), AppError> {
        match policy::authorise(actor, action, resource, now) {
            // A write asks again inside its transaction and keeps that permit.
            Ok(_permit) => Ok(()),
            Err(denied) => Err(self
                .refused(actor, action, resource, ctx, name, denied)
                .await),
        }
    }

    /// Records a refusal and answers it. A stranger's refusal answers like an unknown
    /// id; if the record cannot be written, that is the answer.
    pub(crate) async fn refused(
        &self,
        actor: &Actor,
        action: Action,
        resource: Resource,
        ctx: &Ctx,
        name: Option<&str>,
        denied: Denied,
    ) -> AppError {
        let mut event = AuditEvent::new(self.now(), actor.audited(), action.as_str(), &ctx.origin)
            .ended(Outcome::Refused)
            .with("reason", denied.to_string());
        match resource {
            // A stranger's refusal stands in no team's trail under the stranger's name
            // by accident: the team is the one that was aimed at.
            Resource::Team(team) => event = event.in_team(team),
            Resource::Record { team, id } => {
                event = event
                    .in_team(team)
                    .on("credential", &id, name.unwrap_or_default());
            }
            Resource::User(user) => event = event.on("user", user.as_bytes(), ""),
            Resource::Instance => {}
        }
        match self.record(&event).await {
            Err(error) => error,
            Ok(()) if denied == Denied::NotVisible => AppError::NotFound,
            Ok(()) => AppError::Denied(denied),
        }
    }

    /// Commits `tx` together with its audit event: both land or neither does. Every
    /// use-case ends here, and nothing may be shown or reported as done before.
    ///
    /// # Errors
    /// [`AppError::Unavailable`], [`AppError::AuditUnavailable`]; nothing has been written then.
    pub(crate) async fn commit(&self, tx: Tx, event: &AuditEvent) -> Result<(), AppError> {
        self.commit_all(tx, std::slice::from_ref(event)).await
    }

    /// As [`App::commit`], with several events in this order.
    ///
    /// # Errors
    /// As [`App::commit`]; also when there is no event at all.
    pub(crate) async fn commit_all(&self, tx: Tx, events: &[AuditEvent]) -> Result<(), AppError> {
        crate::audit::sink::commit_all(tx, events, self.keys().audit(), self.sink()).await
    }

    /// Writes one event that accompanies no other change.
    pub(crate) async fn record(&self, event: &AuditEvent) -> Result<(), AppError> {
        let tx = self.store().begin().await?;
        self.commit(tx, event).await
    }
}
