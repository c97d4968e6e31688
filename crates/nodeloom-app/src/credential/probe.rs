//! Testing a credential: its values leave for its own service, and what that says is kept.

use std::{future::Future, pin::Pin, time::Duration};

use nodeloom_domain::{
    CredentialId, Timestamp,
    audit::{AuditEvent, Outcome},
    credential_type::CredentialType,
    policy::{self, Action},
};
use nodeloom_store::CredentialTestRow;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{FIELD, KIND, find_kind, parse_data, record, usage::consumer};
use crate::{App, AppError, Ctx, keys::Unopened};

/// Tests that run at once in one process: a vault is no port scanner.
const AT_ONCE: usize = 8;
/// When to come again if so many run.
const RETRY_SECONDS: u64 = 5;

/// What is to be tested.
pub struct TestRequest<'a> {
    /// The credential's type.
    pub kind: &'static CredentialType,
    /// Its opened values.
    pub data: &'a Map<String, Value>,
    /// The only hosts it may be sent to; without any, those of its type.
    pub hosts: &'a [String],
    /// The time by the instance's clock, for signatures.
    pub now: Timestamp,
}

/// What a test found. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFinding {
    /// `ok`, `failed`, `refused` or `unsupported`.
    pub status: &'static str,
    /// The reason in one word.
    pub code: &'static str,
    /// The reason in a sentence.
    pub message: String,
    /// How long it took.
    pub duration: Duration,
}

/// The future of a test.
pub type Testing<'a> = Pin<Box<dyn Future<Output = TestFinding> + Send + 'a>>;

/// Signs in with a credential where it belongs. Has limits of time and size of its own.
pub trait ConnectionTester: Send + Sync {
    /// Tests once.
    fn test<'a>(&'a self, request: TestRequest<'a>) -> Testing<'a>;
}

/// A tester, and how many may use it at once.
pub(crate) struct Tests {
    tester: Box<dyn ConnectionTester>,
    free: Semaphore,
}

/// The answer to a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// `ok`, `failed`, `refused` or `unsupported`.
    pub status: &'static str,
    /// The reason in one word.
    pub code: &'static str,
    /// The reason in a sentence, without secrets.
    pub message: String,
    /// When it ended.
    pub tested_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Whether the outcome was stored: not when the values were replaced meanwhile.
    pub is_stored: bool,
}

impl App {
    /// Gives this process the means to test credentials; the first ones given stay.
    pub fn use_connection_tester(&self, tester: impl ConnectionTester + 'static) {
        self.set_tests(Tests {
            tester: Box::new(tester),
            free: Semaphore::new(AT_ONCE),
        });
    }

    /// Signs in with the credential where it belongs, and keeps what came of it.
    ///
    /// That it was opened for a test is in the audit trail before anything leaves; the outcome
    /// follows as an event of its own. No transaction is open in between.
    ///
    /// # Errors
    /// [`AppError::Denied`], [`AppError::NotFound`]; [`AppError::Quarantined`] or
    /// [`AppError::Locked`] when it does not open; [`AppError::Throttled`] when too many tests
    /// run. A test that fails is no error.
    pub async fn test_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
    ) -> Result<TestReport, AppError> {
        let action = Action::CredentialTest;
        let (row, _) = self.permitted(ctx, id, action).await?;
        let kind = find_kind(&row.kind)
            .map_err(|_| AppError::internal("a stored credential has an unknown type"))?;
        let tests = self
            .tests()
            .ok_or_else(|| AppError::internal("this process has no connection tester"))?;
        let Ok(_turn) = tests.free.try_acquire() else {
            return Err(AppError::Throttled {
                retry_after_seconds: RETRY_SECONDS,
            });
        };

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let row = tx
            .find_credential(row.id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        let sealed = tx
            .find_sealed(row.team_id, KIND, row.id.as_bytes(), FIELD, row.generation)
            .await?;
        let opened = match &sealed {
            Some(sealed) => self.open_current(&mut tx, &row, sealed).await?,
            None => Err(Unopened::Quarantined("no value is stored")),
        };
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("generation", row.generation);
        let event = if opened.is_ok() {
            tx.note_credential_use(&permit, &row, &consumer(&actor, now))
                .await?;
            event
        } else {
            event.ended(Outcome::Failed)
        };
        self.commit(tx, &event).await?;
        if let Some(sealed) = &sealed {
            let found = opened.as_ref().map(|_| ()).map_err(|unopened| *unopened);
            self.note_opening(ctx, row.team_id, &row.name, sealed, found)
                .await?;
        }
        let data = parse_data(&opened?)?;

        let found = tests
            .tester
            .test(TestRequest {
                kind,
                data: &data,
                hosts: &row.attributes.hosts,
                now,
            })
            .await;

        let tested_at = self.now();
        let outcome = CredentialTestRow {
            at: tested_at,
            status: found.status.to_owned(),
            code: found.code.to_owned(),
            message: found.message.clone(),
        };
        let mut tx = self.store().begin().await?;
        let is_stored = tx.record_credential_test(&permit, &row, &outcome).await?;
        let mut event =
            AuditEvent::new(tested_at, actor.audited(), "credential.tested", &ctx.origin)
                .in_team(row.team_id)
                .on(KIND, row.id.as_bytes(), row.name.clone())
                .with("generation", row.generation)
                .with("status", found.status)
                .with("code", found.code);
        if found.status != "ok" {
            event = event.ended(Outcome::Failed);
        }
        self.commit(tx, &event).await?;
        Ok(TestReport {
            status: found.status,
            code: found.code,
            message: found.message,
            tested_at,
            duration_ms: u64::try_from(found.duration.as_millis()).unwrap_or(u64::MAX),
            is_stored,
        })
    }
}
