//! What people say about a credential, in requests.

use nodeloom_app::AttributeChange;
use nodeloom_domain::Timestamp;

use crate::fields::{NOT_AN_ID, Object};

/// Takes the attributes out of a request. `null` clears owner, dates and lists.
pub(super) fn pick(body: &mut Object) -> AttributeChange {
    let mut change = AttributeChange::default();
    if body.has("ownerId") {
        change.owner = match body.optional_text("ownerId") {
            None => Some(None),
            Some(text) => match text.parse() {
                Ok(id) => Some(Some(id)),
                Err(_) => body.refuse("ownerId", "id", NOT_AN_ID),
            },
        };
    }
    if body.has("notes") {
        change.notes = Some(body.optional_text("notes").unwrap_or_default());
    }
    if body.has("tags") {
        change.tags = Some(body.optional_texts("tags").unwrap_or_default());
    }
    if body.has("hosts") {
        change.hosts = Some(body.optional_texts("hosts").unwrap_or_default());
    }
    change.restricted = body.optional_bool("restricted");
    change.expires_at = time(body, "expiresAt");
    change.rotate_by = time(body, "rotateBy");
    change
}

fn time(body: &mut Object, name: &str) -> Option<Option<Timestamp>> {
    if !body.has(name) {
        return None;
    }
    match body.optional_text(name) {
        None => Some(None),
        Some(text) => match text.parse() {
            Ok(at) => Some(Some(at)),
            Err(_) => body.refuse(
                name,
                "time",
                "must be a time like 2027-01-31T23:59:59Z, or a day like 2027-01-31",
            ),
        },
    }
}
