//! Showing the values of a credential to a person: rare, permitted, audited.

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    CredentialId, FieldErrors,
    audit::{AuditEvent, Outcome},
    policy::{self, Action, Denied},
};

use super::{CredentialView, FIELD, KIND, record, usage::consumer};
use crate::{App, AppError, Ctx, keys::Unopened};

/// Most characters of a reason.
const MAX_REASON_CHARS: usize = 500;

/// An opened credential.
pub struct Revealed {
    /// Its metadata.
    pub view: CredentialView,
    /// Its `data` object as JSON text in UTF-8.
    pub data: Secret<Vec<u8>>,
}

impl App {
    /// Opens the current version. The audit event is on disk before the plaintext
    /// leaves this function.
    ///
    /// # Errors
    /// [`AppError::Denied`] (also without a fresh proof of identity),
    /// [`AppError::Quarantined`], [`AppError::Locked`], [`AppError::NotFound`].
    pub async fn reveal_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        reason: Option<String>,
    ) -> Result<Revealed, AppError> {
        let action = Action::CredentialReveal;
        let (row, actor) = self.permitted(ctx, id, action).await?;
        if row.attributes.restricted {
            let restricted = Denied::Restricted;
            return Err(self
                .refused(
                    &actor,
                    action,
                    record(&row),
                    ctx,
                    Some(&row.name),
                    restricted,
                )
                .await);
        }
        let reason = check_reason(reason)?;

        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let row = tx
            .find_credential(row.id)
            .await?
            .ok_or(AppError::NotFound)?;
        let now = self.now();
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        // Restricted since it was looked at.
        if row.attributes.restricted {
            return Err(Denied::Restricted.into());
        }
        let sealed = tx
            .find_sealed(row.team_id, KIND, row.id.as_bytes(), FIELD, row.generation)
            .await?;
        let mut event = AuditEvent::new(self.now(), actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("generation", row.generation)
            .with("fields", row.fields.clone());
        if let Some(reason) = reason {
            event = event.with("reason", reason);
        }
        let opened = match &sealed {
            Some(sealed) => self.open_current(&mut tx, &row, sealed).await?,
            // The record names a version whose value is gone: nothing opens there.
            None => Err(Unopened::Quarantined("no value is stored")),
        };
        if row.attributes.expires_at.is_some_and(|at| at <= now) {
            event = event.with("expired", true);
        }
        let event = if opened.is_ok() {
            tx.note_credential_use(&permit, &row, &consumer(&actor, now))
                .await?;
            event
        } else {
            event.ended(Outcome::Failed)
        };
        self.commit(tx, &event).await?;
        if let Some(sealed) = &sealed {
            let found = opened.as_ref().map(|_| ()).map_err(|unopened| *unopened);
            self.note_opening(ctx, row.team_id, &row.name, sealed, found)
                .await?;
        }
        Ok(Revealed {
            data: opened?,
            view: row.into(),
        })
    }
}

fn check_reason(reason: Option<String>) -> Result<Option<String>, AppError> {
    let Some(reason) = reason else {
        return Ok(None);
    };
    let reason = reason.trim();
    if reason.chars().take(MAX_REASON_CHARS + 1).count() > MAX_REASON_CHARS {
        let message = "must have at most 500 characters";
        return Err(FieldErrors::one("reason", "too-long", message).into());
    }
    if reason.chars().any(char::is_control) {
        let message = "must be one line without control characters";
        return Err(FieldErrors::one("reason", "control-character", message).into());
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}
