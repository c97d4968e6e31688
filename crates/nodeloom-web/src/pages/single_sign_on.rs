//! The pages around a single sign-on. None of them shows anything that a request or a provider
//! brought, but for the reference to the log, whose form is checked.

use axum::response::Response;
use maud::{DOCTYPE, html};

use super::layout;
use crate::{api::START, error::Problem, extract::Parameters, guard::request_id, ops};

/// Where problems are told.
pub(super) const PROBLEM: &str = "/sign-in/problem";

/// The address of the page that tells this problem.
pub(crate) fn problem_path(code: &str, request_id: &str) -> String {
    format!("{PROBLEM}?reason={code}&ref={request_id}")
}

/// Asks before the browser goes to the provider: another site led it here.
pub(crate) fn ask(provider: &str) -> Response {
    let main = html! {
        h1 { "Sign in?" }
        section.card {
            p { "Another site led you here. Go on if you want to sign in to nodeloom." }
            p { a.button href=(START) { "Sign in with " (provider) } }
            p { a href="/" { "Back to the first page" } }
        }
    };
    ops::page(layout("Sign in", &[], &main).into_string())
}

/// Goes on to `path` by itself, from a page of this site: the browser came from the provider's,
/// and so would not send the new session's cookie on a plain redirect.
pub(crate) fn go_on(path: &str) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (path) };
                title { "Signed in · nodeloom" }
            }
            body { p { "You are signed in. " a href=(path) { "Go on" } } }
        }
    };
    ops::page(html.into_string())
}

/// Says what is wrong and what to do about it.
pub(super) async fn problem(Parameters(mut query): Parameters) -> Result<Response, Problem> {
    let reason = query.optional_text("reason").unwrap_or_default();
    let reference = query.optional_text("ref");
    query.finish()?;
    let reference = reference.filter(|text| request_id::is_harmless(text));
    let (what, next) = words(&reason);
    let main = html! {
        h1 { "You are not signed in" }
        section.card {
            p.alert role="alert" { (what) }
            p { (next) }
            p { a.button href=(START) { "Try again" } " " a href="/" { "Back to the first page" } }
            @if let Some(reference) = reference {
                p.hint { "For the log and the audit trail, this is request " code { (reference) } "." }
            }
        }
    };
    Ok(ops::page(layout("Not signed in", &[], &main).into_string()))
}

/// What happened, and what to do.
fn words(reason: &str) -> (&'static str, &'static str) {
    match reason {
        "access-denied" => (
            "The identity provider did not let you in, or you said no there.",
            "Try again, and agree to what the provider asks. If it does not know this application, \
             ask its administrator for access.",
        ),
        "no-such-flow" => (
            "This sign-in has ended, was used before, or began in another browser.",
            "A sign-in works once, for ten minutes, in the browser where it began. Begin again here.",
        ),
        "provider-unreachable" => (
            "The identity provider does not answer.",
            "Try again in a minute. If it goes on, the operator finds the cause in the log.",
        ),
        "provider-answer" => (
            "The identity provider's answer was refused.",
            "Try again. If it goes on, the operator finds in the log which check failed.",
        ),
        "email-not-verified" => (
            "The identity provider has not verified your e-mail address.",
            "Verify the address there, then try again.",
        ),
        "domain-not-allowed" => (
            "E-mail addresses of your domain are not accepted here.",
            "Sign in at the provider with another account, or ask an administrator of this instance.",
        ),
        "no-account" => (
            "There is no account here for your e-mail address.",
            "Ask an administrator of this instance for an invitation.",
        ),
        "not-linked" => (
            "The account with your e-mail address belongs to another identity, or is not linked.",
            "Ask an administrator of this instance.",
        ),
        "administrator-not-linked" => (
            "The account with your e-mail address administers this instance, or is kept for \
             emergencies. Such accounts are not linked by their address.",
            "Sign in with its password, or ask the operator, who may allow it with the setting \
             OIDC_LINK_ADMINISTRATORS.",
        ),
        "no-team" => (
            "The team that new people join does not exist.",
            "Ask the operator to correct the setting OIDC_DEFAULT_TEAM.",
        ),
        "deactivated" => (
            "Your account is deactivated.",
            "Ask an administrator of this instance.",
        ),
        "not-set-up" => (
            "This instance is not set up yet.",
            "The first administrator is made with the set-up link that the server printed.",
        ),
        _ => (
            "The sign-in did not succeed.",
            "Try again. If it goes on, the operator finds the cause in the log.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_reasons_have_the_one_answer() {
        assert_eq!(words("<script>"), words(""));
        assert_ne!(words("no-account"), words(""));
    }
}
