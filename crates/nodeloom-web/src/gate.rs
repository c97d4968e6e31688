//! The one layer around everything: id, client, host, foreign pages, time limit,
//! panics, headers, the error body, the log line and the counters. One layer instead
//! of eight, since each would box the request once more.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use nodeloom_domain::audit::Origin;

use crate::{
    error::{Carried, Detail, Problem},
    guard::{client, csrf, host, rate::Rate, request_id},
    headers,
    settings::Mode,
    state::WebState,
};

/// The time a request has, its body included.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Walking the whole audit chain is the one thing that may rightly take longer.
const LONG_TIME_LIMIT: Duration = Duration::from_secs(300);
const LONG_ROUTE: &str = "/api/audit/verify";

/// Of a peer that the server did not name: never loopback, never trusted.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

pub(crate) async fn gate(
    State(web): State<WebState>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let _in_flight = web.metrics.enter();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let id = request_id::choose(request.headers(), &web.clock);

    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|c| c.0.ip());
    let trusted = &web.settings.trusted_proxies;
    let client = peer.map(|peer| client::address(peer, request.headers(), trusted));
    let is_probe = is_probe(uri.path());
    let rate = if is_probe {
        Rate::Unlimited
    } else {
        web.rates.count(client, request.headers())
    };
    let outcome = match within(rate).and_then(|()| check(&web, &request, peer)) {
        Ok(()) => {
            let extensions = request.extensions_mut();
            extensions.insert(Peer(peer));
            extensions.insert(Origin {
                request_id: id.clone(),
                address: client.map(|a| a.to_string()),
            });
            run(route, next.run(request)).await
        }
        Err(problem) => problem.into_response(),
    };

    let (mut response, problem) = render(outcome, &web, &method, uri.path(), &id);
    let header = HeaderValue::from_str(&id).expect("a request id is ASCII");
    let https = web
        .settings
        .base_url
        .as_ref()
        .is_some_and(|base| base.is_https());
    let guarded = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    headers::complete(response.headers_mut(), header, https, guarded);
    rate.write(response.headers_mut());

    let elapsed = started.elapsed();
    web.metrics
        .count(route, &method, response.status(), elapsed);
    record(
        &method,
        route,
        response.status(),
        elapsed,
        &id,
        problem.as_deref(),
    );
    response
}

/// Probes ask by address, as often as they like, and learn one word. /metrics has its own
/// rule, in ops.rs.
fn is_probe(path: &str) -> bool {
    path.starts_with("/health/") || path == "/metrics"
}

fn within(rate: Rate) -> Result<(), Problem> {
    match rate {
        Rate::Exceeded {
            retry_after_seconds,
            ..
        } => Err(Problem::too_many_requests(retry_after_seconds)),
        Rate::Unlimited | Rate::Within(_) => Ok(()),
    }
}

/// What is refused before anything is looked up or read.
fn check(web: &WebState, request: &Request, peer: Option<IpAddr>) -> Result<(), Problem> {
    let settings = &web.settings;
    let path = request.uri().path();
    if is_probe(path) {
        return Ok(());
    }
    let forwarded = peer.is_some_and(|peer| client::is_trusted(&settings.trusted_proxies, peer));
    let accepted = host::authority(request.uri(), request.headers(), forwarded)
        .and_then(|authority| host::accept(settings, authority))
        .ok_or_else(|| host_not_allowed(web))?;
    let facts = csrf::facts(request.method(), path, request.headers(), accepted);
    match csrf::decide(facts) {
        csrf::Decision::Pass => Ok(()),
        csrf::Decision::CrossSite => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "CROSS_SITE_REQUEST",
            "Another site sent this request, or a proxy changed its `Origin` or `Host`. Changes \
             are accepted from this address alone.",
        )),
        csrf::Decision::Unproven => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "ORIGIN_REQUIRED",
            "Nothing shows that this request comes from this site. A script adds the header \
             `Origin` with the address it calls, such as `Origin: https://vault.example.com`; a \
             proxy must pass `Origin` and `Sec-Fetch-Site` on.",
        )),
        csrf::Decision::NotJson => Err(Problem::unsupported_media_type()),
    }
}

fn host_not_allowed(web: &WebState) -> Problem {
    let message = match web.settings.mode {
        Mode::Production => {
            "The header `Host` does not name this instance. Use the address in APP_BASE_URL; a \
             proxy must pass `Host` on as it came."
                .to_owned()
        }
        Mode::Development => format!(
            "The header `Host` does not name this machine. Use http://localhost:{}, or set \
             APP_BASE_URL to the address that people use.",
            web.settings.listen.port()
        ),
    };
    Problem::new(StatusCode::FORBIDDEN, "HOST_NOT_ALLOWED", message)
}

/// Runs the handler within the time limit, and survives its panic.
async fn run(route: &str, handler: impl Future<Output = Response>) -> Response {
    let limit = if route == LONG_ROUTE {
        LONG_TIME_LIMIT
    } else {
        TIME_LIMIT
    };
    let mut handler = pin!(handler);
    let guarded = poll_fn(|cx| {
        // Nothing of the handler is used after a panic: it is dropped as a whole.
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(response),
            // The payload may hold anything, so only the fact is logged.
            Err(_) => {
                Poll::Ready(Problem::internal(Some("a handler panicked".into())).into_response())
            }
        }
    });
    match tokio::time::timeout(limit, guarded).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(Some("the request took longer than its limit".into()))
            .into_response(),
    }
}

/// Writes the error body where there is an error, whoever made it.
fn render(
    mut response: Response,
    web: &WebState,
    method: &Method,
    path: &str,
    id: &str,
) -> (Response, Option<Arc<Detail>>) {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return (response, None);
    }
    let carried = response.extensions_mut().remove::<Carried>().or_else(|| {
        Problem::from_status(status)
            .into_response()
            .extensions_mut()
            .remove::<Carried>()
    });
    let Some(Carried(detail)) = carried else {
        return (response, None);
    };
    let body = detail.body(web.clock.now().to_string(), path, id);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1: programs use a token, browsers the sign-in page.
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"nodeloom\""),
        );
    }
    if let Some(seconds) = detail.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = if *method == Method::HEAD {
        Body::empty()
    } else {
        body.into()
    };
    (response, Some(detail))
}

/// One event per request: the route as it was declared, never the path, since a path
/// may hold anything a client types.
fn record(
    method: &Method,
    route: &str,
    status: StatusCode,
    elapsed: Duration,
    request_id: &str,
    problem: Option<&Detail>,
) {
    let method = crate::metrics::method_label(method);
    let status = status.as_u16();
    let duration_ms = elapsed.as_secs_f64() * 1_000.0;
    let code = problem.map(|p| p.code);
    if status >= 500 {
        let cause = problem.and_then(Detail::cause_text);
        tracing::error!(
            method,
            route,
            status,
            duration_ms,
            request_id,
            code,
            cause,
            "request"
        );
    } else {
        tracing::info!(
            method,
            route,
            status,
            duration_ms,
            request_id,
            code,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_the_one_500() {
        let response = run("/x", async { panic!("a canary") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let Carried(detail) = response.extensions().get::<Carried>().cloned().unwrap();
        assert_eq!(detail.code, "INTERNAL_ERROR");
        assert!(!detail.cause_text().unwrap().contains("canary"));
    }
}
