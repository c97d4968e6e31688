//! The first page.

use axum::{extract::State, response::Response};
use maud::html;

use super::layout;
use crate::{api::START, error::Problem, ops, state::WebState};

pub(super) async fn page(State(web): State<WebState>) -> Result<Response, Problem> {
    let needed = web.app.needs_set_up().await?;
    let main = html! {
        h1 { "A home for the secrets of your workflows" }
        p.lead {
            "Teams keep credentials here, workflows use them by name, and nobody has to see them. \
             Values are AES-256-GCM encrypted at rest, under a key that you hold."
        }
        section.card aria-labelledby="state" {
            @if needed {
                h2 id="state" { span.badge.warn { "Set-up needed" } }
                p {
                    "There is no administrator yet. Open the set-up link that the server printed \
                     when it started, or wrote to " code { "setup-link" } " in its data directory. \
                     The link works once, for one hour."
                }
                p { a.button href="/setup" { "Go to set-up" } }
            } @else {
                h2 id="state" { span.badge.ok { "Running" } }
                p {
                    "This instance is set up. In this version you sign in and work over the API, "
                    "or with the " code { "nodeloom" } " command on the server."
                }
                @if let Some(rules) = web.app.single_sign_on_rules() {
                    p { a.button href=(START) { "Sign in with " (rules.name) } }
                }
                p { a.button href="/api/docs" { "Read the API documentation" } }
            }
        }
        h2 { "First steps" }
        pre tabindex="0" { code {
            "curl -c jar -H 'Content-Type: application/json' -H 'Origin: ADDRESS' \\\n"
            "  -d '{\"email\":\"…\",\"password\":\"…\"}' ADDRESS/api/auth/login\n"
            "curl -b jar ADDRESS/api/auth/me"
        } }
        p.hint {
            "ADDRESS is what stands in your browser's address bar, without the path. The header "
            code { "Origin" } " shows that a change comes from you and not from another site. "
            "Some versions of curl keep a " code { "Secure" } " cookie for https alone."
        }
    };
    Ok(ops::page(layout("Welcome", &[], &main).into_string()))
}
