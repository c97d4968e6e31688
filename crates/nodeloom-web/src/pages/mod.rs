//! The few pages of this version. They work without third-party files, inline scripts
//! or inline styles; all that changes something goes through the API.

mod asset;
pub(crate) mod docs;
mod invitation;
mod landing;
mod set_up;
pub(crate) mod single_sign_on;

use axum::{Router, routing::get};
use maud::{DOCTYPE, Markup, html};

use crate::state::WebState;

/// The route patterns of this module, for the counters.
pub(crate) const PATTERNS: [&str; 5] = [
    "/",
    "/setup",
    "/assets/{name}",
    single_sign_on::PROBLEM,
    "/invitation",
];

/// The routes of the pages and their files.
pub(crate) fn router() -> Router<WebState> {
    let [landing, set_up, assets, problem, invited] = PATTERNS;
    Router::new()
        .route(invited, get(invitation::page))
        .route(landing, get(landing::page))
        .route(set_up, get(set_up::page))
        .route(assets, get(asset::serve))
        .route(problem, get(single_sign_on::problem))
}

/// A whole page around `main`.
fn layout(title: &str, scripts: &[&str], main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · nodeloom" }
                link rel="icon" href=(asset::path("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(asset::path("nodeloom.css"));
                @for script in scripts {
                    script src=(asset::path(script)) defer {}
                }
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/" { "nodeloom" }
                    nav aria-label="Main" { a href="/api/docs" { "API" } }
                }
                main id="main" { (main) }
            }
        }
    }
}
