//! What handlers share.

use std::{ops::Deref, sync::Arc};

use axum::body::Bytes;
use nodeloom_app::App;
use nodeloom_domain::Clock;
use utoipa::openapi::OpenApi;

use crate::{guard::rate::Rates, metrics::Metrics, openapi, pages, settings::WebSettings};

/// Made once; a clone is one more pointer.
#[derive(Clone)]
pub(crate) struct WebState(Arc<Shared>);

/// Read-only but for the counters.
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) settings: WebSettings,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) rates: Rates,
    /// Rendered once: neither depends on who asks.
    pub(crate) openapi_json: Bytes,
    pub(crate) docs_page: Bytes,
}

impl WebState {
    pub(crate) fn new(app: App, settings: WebSettings, document: &OpenApi) -> Self {
        let json = openapi::text(document);
        let docs = pages::docs::render(&json);
        let routes = document
            .paths
            .paths
            .keys()
            .map(String::as_str)
            .chain(pages::PATTERNS);
        Self(Arc::new(Shared {
            app,
            metrics: Metrics::new(routes),
            rates: Rates::new(settings.rate_limits),
            settings,
            clock: Clock::system(),
            openapi_json: json.into(),
            docs_page: docs.into(),
        }))
    }
}

impl Deref for WebState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
