//! The HTTP face of nodeloom: the API, its document, a few pages, health and
//! metrics.
//!
//! A request passes the gate (`gate.rs`), which knows its id, its client and its host,
//! and refuses what another site could have sent, before anything looks at a session
//! or a body. A handler then parses, calls one use-case and renders. What the policy
//! says and what the database holds is none of this crate's business.

mod api;
mod body;
mod error;
mod extract;
mod fields;
mod gate;
mod guard;
mod headers;
mod metrics;
mod openapi;
mod ops;
mod pages;
mod settings;
mod state;

use axum::{Router, middleware};
use nodeloom_app::App;

pub use settings::{Mode, ParseOriginError, PublicOrigin, RateLimits, WebSettings};
use state::WebState;

/// Everything that is served. The server must add the peer's address as
/// `ConnectInfo<SocketAddr>`: a request without one counts as neither loopback nor
/// trusted.
pub fn router(app: App, settings: WebSettings) -> Router {
    let (api, document) = api::router().split_for_parts();
    let document = openapi::complete(document);
    let state = WebState::new(app, settings, &document);
    api.merge(pages::router())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), gate::gate))
        .with_state(state)
}

/// The OpenAPI document as pretty JSON: the same text for the same program.
pub fn openapi() -> String {
    openapi::text(&openapi::complete(api::router().into_openapi()))
}
