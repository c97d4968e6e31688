//! The page that an invitation's link opens. The code comes in the fragment of the link, which
//! browsers send to nobody; the script takes it out of the address bar.

use axum::response::Response;
use maud::html;

use super::{layout, set_up::field};
use crate::{api::START, ops};

pub(super) async fn page() -> Response {
    let main = html! {
        h1 { "Join a team" }
        noscript {
            p.alert { "This page needs JavaScript. Without it, send the code of your link to "
                code { "POST /api/invitations/accept" } "; see " a href="/api/docs" { "the API" }
                "." }
        }
        p.alert id="problem" role="alert" tabindex="-1" hidden {}
        form.card id="ask" novalidate hidden {
            (field("code", "Invitation code", "text", "off",
                Some("What stands behind # in the link that you were given.")))
            button type="submit" { "Show the invitation" }
        }
        section.card id="offer" tabindex="-1" hidden {
            p { strong id="inviter" {} " invites " strong id="invited" {} " into the team "
                strong id="team" {} " with the role " strong id="role" {} "." }
            p.hint { "The invitation works once, until " span id="until" {} "." }
            form id="new-account" novalidate hidden {
                div.pair {
                    (field("firstName", "First name (optional)", "text", "given-name", None))
                    (field("lastName", "Last name (optional)", "text", "family-name", None))
                }
                (field("password", "Password", "password", "new-password",
                    Some("12 to 256 characters. Long is good; no other rules.")))
                (field("repeat", "Password again", "password", "new-password", None))
                button type="submit" { "Make the account and join" }
            }
            form id="join" novalidate hidden {
                p { "You are signed in with this address." }
                button type="submit" { "Join the team" }
            }
            form id="sign-in" novalidate hidden {
                p { "There is an account with this address. Sign in to join." }
                (field("current", "Password", "password", "current-password", None))
                div id="second-factor" hidden {
                    (field("factor", "Code", "text", "one-time-code",
                        Some("Six digits of your authenticator app, or a recovery code.")))
                }
                button type="submit" { "Sign in and join" }
                p.hint { "Where you use single sign-on, " a href=(START) { "sign in there" }
                    " first, then open the link again." }
            }
            p id="other-account" hidden {
                "Somebody with another address is signed in here. Sign out, then open the link "
                "again."
            }
        }
        section.card id="done" tabindex="-1" hidden {
            h2 { span.badge.ok { "Done" } }
            p { "You are a member of " strong id="joined" {} ", signed in as " strong id="who" {}
                "." }
            p { a.button href="/" { "Go on" } }
        }
    };
    ops::page(layout("Invitation", &["invitation.js"], &main).into_string())
}
