//! Creates that can be asked for twice and happen once: the idempotency key.
//!
//! The key is written in the transaction that creates, with the id of what it created and a keyed
//! hash of what was asked: a second request finds all of it or nothing.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header, sections 2 and 3.

use nodeloom_crypto::Secret;
use nodeloom_domain::{FieldErrors, policy::Actor};
use nodeloom_store::{IdempotencyRow, StoreError, Tx};

use crate::{App, AppError, Ctx};

/// Most characters of a key.
const MAX_KEY_CHARS: usize = 255;
/// For so long a repeated request is recognised.
const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// The kind that the tag of a request is computed for.
const KIND: &str = "idempotency";

/// An idempotency key and the request that it stands for.
pub struct Once {
    key: String,
    request: Secret<Vec<u8>>,
}

impl Once {
    /// `key` is what the caller chose, `request` whatever makes two requests the same.
    ///
    /// # Errors
    /// Field `Idempotency-Key`: 1 to 255 visible ASCII characters.
    pub fn new(key: &str, request: Secret<Vec<u8>>) -> Result<Self, FieldErrors> {
        if key.is_empty()
            || key.len() > MAX_KEY_CHARS
            || !key.bytes().all(|byte| byte.is_ascii_graphic())
        {
            let message = "must be 1 to 255 visible ASCII characters";
            return Err(FieldErrors::one("Idempotency-Key", "format", message));
        }
        Ok(Self {
            key: key.to_owned(),
            request,
        })
    }
}

/// Who asks, as far as keys are told apart: two people may choose the same one.
fn asker(actor: &Actor) -> [u8; 16] {
    actor.audited().id.unwrap_or_default()
}

impl App {
    /// The id of what this request created before, if it did.
    ///
    /// # Errors
    /// [`AppError::IdempotencyMismatch`] when the key stood for another request.
    pub(crate) async fn created_before(
        &self,
        ctx: &Ctx,
        actor: &Actor,
        target_kind: &str,
    ) -> Result<Option<[u8; 16]>, AppError> {
        let Some(once) = &ctx.once else {
            return Ok(None);
        };
        let asker = asker(actor);
        let Some(row) = self.store().find_idempotency(&asker, &once.key).await? else {
            return Ok(None);
        };
        if row.created_at <= self.now().plus_seconds(-KEPT_SECONDS) {
            return Ok(None);
        }
        let same = self.keys().index_key(row.index_key_id).is_some_and(|key| {
            // EXPOSE: goes into the HMAC and nowhere else.
            key.verify(KIND, &asker, &asker, once.request.expose(), &row.tag)
        });
        if !same || row.target_kind != target_kind {
            return Err(AppError::IdempotencyMismatch);
        }
        Ok(Some(row.target_id))
    }

    /// Notes, inside the transaction that creates it, what this request has created.
    ///
    /// # Errors
    /// [`AppError::Repeated`] when the same request is done by now: ask
    /// [`App::created_before`] again.
    pub(crate) async fn note_created(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        actor: &Actor,
        target_kind: &str,
        target_id: &[u8; 16],
    ) -> Result<(), AppError> {
        let Some(once) = &ctx.once else {
            return Ok(());
        };
        let now = self.now();
        let asker = asker(actor);
        let key = self.keys().index();
        let row = IdempotencyRow {
            actor_id: asker,
            key: once.key.clone(),
            // EXPOSE: goes into the HMAC and nowhere else.
            tag: key.tag(KIND, &asker, &asker, once.request.expose()),
            index_key_id: key.id(),
            target_kind: target_kind.to_owned(),
            target_id: *target_id,
            created_at: now,
        };
        match tx
            .insert_idempotency(&row, now.plus_seconds(-KEPT_SECONDS))
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if error.is_duplicate_in("idempotency_keys") => Err(AppError::Repeated),
            Err(StoreError::Conflict { .. }) => Err(AppError::Repeated),
            Err(error) => Err(error.into()),
        }
    }
}
