//! The form for the first administrator. The code comes in the fragment of the link,
//! which browsers send to nobody; the script takes it out of the address bar.

use axum::response::Response;
use maud::{Markup, html};

use super::layout;
use crate::ops;

pub(super) async fn page() -> Response {
    let main = html! {
        h1 { "Set up nodeloom" }
        p.lead { "Make the first administrator. The link that brought you here works once." }
        noscript {
            p.alert { "This page needs JavaScript. Without it, send the same to "
                code { "POST /api/setup" } "; see " a href="/api/docs" { "the API" } "." }
        }
        form.card id="set-up" novalidate {
            p.alert id="problem" role="alert" hidden {}
            (field("code", "Set-up code", "text", "off", Some("From the link; filled in for you.")))
            (field("email", "E-mail address", "email", "username", None))
            (field("password", "Password", "password", "new-password",
                Some("12 to 256 characters. Long is good; no other rules.")))
            (field("repeat", "Password again", "password", "new-password", None))
            div.pair {
                (field("firstName", "First name (optional)", "text", "given-name", None))
                (field("lastName", "Last name (optional)", "text", "family-name", None))
            }
            button type="submit" { "Make the administrator" }
        }
        section.card id="done" tabindex="-1" hidden {
            h2 { span.badge.ok { "Done" } }
            p { "The instance is set up, and you are signed in as " strong id="who" {} "." }
            p {
                "In this version you work over the API, or with the " code { "nodeloom" }
                " command on the server."
            }
            p { a.button href="/api/docs" { "Read the API documentation" } }
        }
    };
    ops::page(layout("Set-up", &["set-up.js"], &main).into_string())
}

/// A labelled input with a place for its hint and its error.
pub(super) fn field(
    name: &str,
    label: &str,
    kind: &str,
    autocomplete: &str,
    hint: Option<&str>,
) -> Markup {
    let (hint_id, error_id) = (format!("{name}-hint"), format!("{name}-error"));
    let described = match hint {
        Some(_) => format!("{hint_id} {error_id}"),
        None => error_id.clone(),
    };
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) autocomplete=(autocomplete)
                autocapitalize="none" spellcheck="false" aria-describedby=(described);
            @if let Some(hint) = hint { p.hint id=(hint_id) { (hint) } }
            p.error id=(error_id) hidden {}
        }
    }
}
