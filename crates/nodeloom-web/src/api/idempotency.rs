//! `Idempotency-Key`: a create that is sent twice happens once.

use axum::http::{HeaderMap, HeaderName};
use nodeloom_app::{Ctx, Once};
use nodeloom_crypto::Secret;
use nodeloom_domain::FieldErrors;

use crate::{error::Problem, fields::Object};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Puts the key of the request into `ctx`, if there is one. Call it before anything is picked from
/// the body, which is part of what makes two requests the same.
pub(super) fn once(
    mut ctx: Ctx,
    headers: &HeaderMap,
    operation: &str,
    body: &Object,
) -> Result<Ctx, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(key) = keys.next() else {
        return Ok(ctx);
    };
    if keys.next().is_some() {
        let message = "must be given once";
        let twice = FieldErrors::one("Idempotency-Key", "duplicate", message);
        return Err(Problem::invalid(twice));
    }
    let key = key.to_str().unwrap_or_default();
    // The draft writes the key as a quoted string; most clients leave the quotes out.
    let key = key
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(key);
    let mut request = format!("{operation}\n").into_bytes();
    // EXPOSE: hashed under a key, with the operation before it.
    request.extend_from_slice(body.fingerprint().expose());
    ctx.once = Some(Once::new(key, Secret::new(request)).map_err(Problem::invalid)?);
    Ok(ctx)
}
