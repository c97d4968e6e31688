//! Testing a credential: connect as its type says, sign in, and tell what happened.
//!
//! A test really signs in, and does nothing else. Its message is for people: it never holds a
//! secret of the credential, also when the server repeats one ([`Redactor`]).

mod fields;
mod mysql;
mod outcome;
mod postgres;
mod redact;
mod redis;
mod smtp;
mod tls_mode;
mod web;

use nodeloom_domain::Timestamp;
use nodeloom_domain::credential_type::{CredentialType, Protocol};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use crate::outbound::Outbound;
use crate::placement::{TestPlan, test_plan};

use fields::Fields;
use outcome::{Stop, Success};

pub use outcome::{TestCode, TestOutcome, TestStatus};
pub use redact::{MAX_SHOWN, Redactor};

/// Signs in with `data`, a credential of the type `kind`, within the limits of `outbound`. Signed
/// requests carry the time `now`.
///
/// Never fails: whatever goes wrong is the outcome.
pub async fn test_connection(
    outbound: &Outbound,
    kind: &CredentialType,
    data: &Map<String, Value>,
    now: Timestamp,
) -> TestOutcome {
    let started = Instant::now();
    let redactor = Redactor::new(kind, data);
    let limit = outbound.limits().total;
    let result = timeout(limit, Box::pin(sign_in(outbound, kind, data, now))).await;
    let result = result.unwrap_or_else(|_| {
        Err(Stop::new(
            TestCode::TimeLimit,
            format!("the server did not answer within {} s", limit.as_secs_f32()),
        ))
    });
    TestOutcome::new(result, &redactor, started.elapsed())
}

async fn sign_in(
    outbound: &Outbound,
    kind: &CredentialType,
    data: &Map<String, Value>,
    now: Timestamp,
) -> Result<Success, Stop> {
    let fields = Fields { kind, data };
    match test_plan(kind, data, now)? {
        TestPlan::Http { placed, expect } => web::request(outbound, placed, &expect).await,
        TestPlan::Token(request) => web::token(outbound, *request).await,
        TestPlan::Protocol(Protocol::Postgresql) => postgres::sign_in(outbound, &fields).await,
        TestPlan::Protocol(Protocol::Mysql) => mysql::sign_in(outbound, &fields).await,
        TestPlan::Protocol(Protocol::Redis) => redis::sign_in(outbound, &fields).await,
        TestPlan::Protocol(Protocol::Smtp) => smtp::sign_in(outbound, &fields).await,
        TestPlan::Protocol(Protocol::Mongodb) => Err(Stop::new(
            TestCode::Unsupported,
            "this version has no connection test by MongoDB's protocol",
        )),
        TestPlan::None { reason } => Err(Stop::new(TestCode::Unsupported, reason)),
    }
}
