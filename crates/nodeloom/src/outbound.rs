//! Outbound connections of this process, and what the other crates ask of them.

use std::sync::Arc;

use axum::http::{HeaderValue, Method, header};
use nodeloom_app::{ConnectionTester, SingleSignOn, TestFinding, TestRequest, Testing};
use nodeloom_connect::{
    ConnectError, Limits, Outbound, Trust, TrustError,
    guard::Guard,
    http::{HttpError, Request, secret_header},
    probe,
};
use nodeloom_crypto::Secret;
use nodeloom_domain::Clock;
use nodeloom_oauth::{Answer, Fetch, FetchError, Fetching, Method as FetchMethod, oidc::Client};

use crate::config::{OutboundConfig, SingleSignOnConfig};
use crate::output::{Failure, Outcome};

/// Most bytes of an identity provider's answer: a large key set has a tenth of it.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// What every outbound connection goes through.
///
/// # Errors
/// The file of further authorities cannot be used, or the system offers no TLS.
pub(crate) fn open(config: &OutboundConfig) -> Outcome<Outbound> {
    let trust = Trust::load(config.authorities.as_deref()).map_err(untrusted)?;
    let guard = Guard::new(config.guard.clone());
    Ok(Outbound::new(guard, trust, Limits::default()))
}

/// Whom connections trust that do not go through [`Outbound`], in DER; none: Mozilla's list.
///
/// # Errors
/// The file of further authorities cannot be used.
pub(crate) fn authorities(config: &OutboundConfig) -> Outcome<Vec<Vec<u8>>> {
    let found = nodeloom_connect::authorities(config.authorities.as_deref());
    let found = found.map_err(untrusted)?;
    Ok(found.into_iter().map(|one| one.to_vec()).collect())
}

fn untrusted(error: TrustError) -> Failure {
    Failure::configuration("outbound TLS cannot be set up")
        .because(error.to_string())
        .next_step("set APP_EXTRA_CA_FILE to a PEM file of certificates, or unset it")
}

/// Single sign-on as it is configured; the provider is asked when the first person comes.
pub(crate) fn single_sign_on(config: SingleSignOnConfig, outbound: &Outbound) -> SingleSignOn {
    let limits = Limits {
        answer_bytes: MAX_ANSWER_BYTES,
        ..*outbound.limits()
    };
    let fetch = Arc::new(Fetcher(outbound.with_limits(limits)));
    SingleSignOn {
        client: Client::new(config.client, fetch, Clock::system()),
        rules: config.rules,
    }
}

/// Connection tests, through the guard and to the hosts that the credential is bound to.
pub(crate) struct Tester(pub(crate) Outbound);

impl ConnectionTester for Tester {
    fn test<'a>(&'a self, request: TestRequest<'a>) -> Testing<'a> {
        Box::pin(async move {
            let outbound = self.0.bound_to(request.hosts);
            let outcome =
                probe::test_connection(&outbound, request.kind, request.data, request.now).await;
            TestFinding {
                status: outcome.status.as_str(),
                code: outcome.code.as_str(),
                message: outcome.message,
                duration: outcome.duration,
            }
        })
    }
}

/// The requests of OAuth, through the guard.
struct Fetcher(Outbound);

impl Fetch for Fetcher {
    fn fetch<'a>(&'a self, request: nodeloom_oauth::Request<'a>) -> Fetching<'a> {
        Box::pin(async move {
            let sent = prepare(&request).map_err(refusal)?;
            let response = self.0.send(sent).await.map_err(refusal)?;
            Ok(Answer {
                status: response.status.as_u16(),
                body: response.body,
            })
        })
    }
}

fn prepare(request: &nodeloom_oauth::Request<'_>) -> Result<Request, HttpError> {
    let method = match request.method {
        FetchMethod::Get => Method::GET,
        FetchMethod::PostForm => Method::POST,
    };
    let mut sent = Request::new(method, request.url.clone());
    let json = HeaderValue::from_static("application/json");
    sent.headers.insert(header::ACCEPT, json);
    if let Some(value) = request.authorization {
        let (name, value) = secret_header("authorization", value)?;
        sent.headers.insert(name, value);
    }
    if let Some(body) = request.body {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        sent.headers.insert(header::CONTENT_TYPE, form);
        // EXPOSE: the form goes to the endpoint it is for; the copy is wiped after sending.
        sent.body = Secret::new(body.expose().as_bytes().to_vec());
    }
    Ok(sent)
}

fn refusal(error: HttpError) -> FetchError {
    match error {
        HttpError::Connect(ConnectError::Refused(refused)) if refused.is_by_rule() => {
            FetchError::Refused(refused.to_string())
        }
        HttpError::TimeLimit | HttpError::Connect(ConnectError::TimeLimit) => FetchError::TimedOut,
        HttpError::TooLarge(_) => FetchError::TooLarge,
        other => FetchError::Failed(other.to_string()),
    }
}
