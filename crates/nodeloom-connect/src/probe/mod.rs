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

use nodeloom_domain::credential_type::CredentialType;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use crate::outbound::Outbound;

use fields::Fields;
use outcome::{Stop, Success};

pub use outcome::{TestCode, TestOutcome, TestStatus};
pub use redact::{MAX_SHOWN, Redactor};

/// Signs in with `data`, a credential of the type `kind`, within the limits of `outbound`.
///
/// Never fails: whatever goes wrong is the outcome.
pub async fn test_connection(
    outbound: &Outbound,
    kind: &CredentialType,
    data: &Map<String, Value>,
) -> TestOutcome {
    let started = Instant::now();
    let redactor = Redactor::new(kind, data);
    let limit = outbound.limits().total;
    let result = timeout(limit, Box::pin(sign_in(outbound, kind, data))).await;
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
) -> Result<Success, Stop> {
    let fields = Fields { kind, data };
    match kind.id.as_str() {
        "POSTGRESQL" => postgres::sign_in(outbound, &fields).await,
        "MYSQL" => mysql::sign_in(outbound, &fields).await,
        "REDIS" => redis::sign_in(outbound, &fields).await,
        "SMTP" => smtp::sign_in(outbound, &fields).await,
        _ => Err(Stop::new(
            TestCode::Unsupported,
            format!(
                "credentials of the type {} have no connection test",
                kind.name
            ),
        )),
    }
}
