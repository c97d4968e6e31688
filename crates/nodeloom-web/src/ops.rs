//! Health, metrics and the API's own description.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Problem,
    gate::Peer,
    guard::{client, host},
    headers,
    state::WebState,
};

/// The state of the process.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthView {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: HealthView = HealthView { status: "ok" };

/// Ask whether the process lives
#[utoipa::path(
    get, path = "/health/live", tag = "Operations", operation_id = "live",
    responses((status = 200, description = "It does.", body = HealthView)),
)]
pub(crate) async fn live() -> axum::Json<HealthView> {
    axum::Json(OK)
}

/// Ask whether the instance can serve
#[utoipa::path(
    get, path = "/health/ready", tag = "Operations", operation_id = "ready",
    responses((status = 200, description = "It can.", body = HealthView)),
)]
pub(crate) async fn ready(State(web): State<WebState>) -> Result<Response, Problem> {
    match web.app.ready().await {
        Ok(()) => Ok(axum::Json(OK).into_response()),
        // A probe wants one thing to test for, whatever the cause.
        Err(error) => Err(Problem::not_ready(Box::new(error))),
    }
}

/// Read the metrics
///
/// In the Prometheus text format. For this machine itself without a proxy in between,
/// or with the metrics token as bearer.
#[utoipa::path(
    get, path = "/metrics", tag = "Operations", operation_id = "metrics",
    security(("metricsToken" = []), ()),
    responses((status = 200, description = "The metrics.", body = String,
               content_type = "text/plain; version=0.0.4")),
)]
pub(crate) async fn metrics(
    State(web): State<WebState>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let peer = request
        .extensions()
        .get::<Peer>()
        .copied()
        .unwrap_or(Peer(None));
    if !may_read_metrics(&web, &request, peer) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "METRICS_NOT_ALLOWED",
            "Metrics are for this machine itself, or with the metrics token as `Authorization: \
             Bearer`.",
        ));
    }
    let mut text = web.metrics.render(web.settings.version);
    if let Some(sink) = web.app.audit_sink() {
        crate::metrics::write_sink(&mut text, &sink.state());
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// The token, or a peer on this machine that no proxy and no page stands behind: a
/// proxy on this machine makes everyone a local peer, and a page may rebind its name.
fn may_read_metrics(web: &WebState, request: &axum::extract::Request, Peer(peer): Peer) -> bool {
    if let (Some(token), Some(shown)) = (&web.settings.metrics_token, bearer(request.headers())) {
        return token.ct_eq(shown);
    }
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && !client::is_forwarded(request.headers())
        && host::authority(request.uri(), request.headers(), false)
            .is_some_and(host::Authority::is_loopback)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .as_bytes()
        .split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Read this document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "Operations", operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI document.", body = serde_json::Value)),
)]
pub(crate) async fn openapi_json(State(web): State<WebState>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], web.openapi_json.clone()).into_response()
}

/// Read this document as a page
#[utoipa::path(
    get, path = "/api/docs", tag = "Operations", operation_id = "docs",
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
pub(crate) async fn docs(State(web): State<WebState>) -> Response {
    page(web.docs_page.clone())
}

/// A page of ours.
pub(crate) fn page(html: impl Into<Bytes>) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, headers::PAGE_CSP),
    ];
    (headers, html.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_read_whatever_the_case_of_its_scheme() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(read("bearer abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(read("Basic abc"), None);
        assert_eq!(read("Bearer"), None);
    }
}
