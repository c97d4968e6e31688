//! The versions of a credential's values, and the way back to one.

use nodeloom_domain::{
    CredentialId, Timestamp,
    audit::{AuditEvent, Outcome},
    name_words,
    policy::{self, Action},
};
use serde::Serialize;

use super::{
    CredentialView, FIELD, KIND, binding, by, field_names, find_kind, parse_data, plaintext,
    record,
    update::{check_revision, compare},
};
use crate::{App, AppError, Ctx, keys::Unopened};

/// One version: who made it, which fields it has, and how it differs from the one before. No
/// value, in no form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialVersion {
    /// Its number, from 1.
    pub version: u64,
    /// Whether it is the one in use.
    pub is_current: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// The fields that are set.
    pub fields: Vec<String>,
    /// How each field differs from the version before: `added`, `changed`, `removed`. Absent for
    /// the first, and where the one before could not be opened.
    pub changes: Option<std::collections::BTreeMap<String, &'static str>>,
    /// The version that it repeats.
    pub restored_from: Option<u64>,
}

impl App {
    /// The versions of a credential, newest first. Nothing is decrypted.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign id, alike.
    pub async fn credential_versions(
        &self,
        ctx: &Ctx,
        id: CredentialId,
    ) -> Result<Vec<CredentialVersion>, AppError> {
        let (row, _) = self.permitted(ctx, id, Action::CredentialRead).await?;
        let versions = self.store().credential_versions(row.id).await?;
        Ok(versions
            .into_iter()
            .map(|version| CredentialVersion {
                version: version.generation,
                is_current: version.generation == row.generation,
                created_at: version.created_at,
                created_by: version.created_by_name,
                fields: version.fields,
                changes: version.changes.map(|changes| {
                    let named =
                        |names: Vec<String>, word| names.into_iter().map(move |name| (name, word));
                    named(changes.added, "added")
                        .chain(named(changes.changed, "changed"))
                        .chain(named(changes.removed, "removed"))
                        .collect()
                }),
                restored_from: version.restored_from,
            })
            .collect())
    }

    /// Makes the values of a former version the current ones, as a new version. Where they may
    /// be sent is decided at each use, by the hosts that the credential is bound to now.
    ///
    /// # Errors
    /// [`AppError::NotFound`] also for a version that never was; [`AppError::Stale`];
    /// [`AppError::Quarantined`] or [`AppError::Locked`] when it does not open.
    pub async fn restore_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        version: u64,
        expected_revision: Option<Vec<u64>>,
    ) -> Result<CredentialView, AppError> {
        let action = Action::CredentialUpdate;
        let (before, _) = self.permitted(ctx, id, action).await?;
        let kind = find_kind(&before.kind)
            .map_err(|_| AppError::internal("a stored credential has an unknown type"))?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let mut row = tx
            .find_credential(before.id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        check_revision(&row, expected_revision.as_deref())?;
        let sealed = tx
            .find_sealed(row.team_id, KIND, row.id.as_bytes(), FIELD, version)
            .await?
            .ok_or(AppError::NotFound)?;
        let place = binding(&row, version);
        let opened = self
            .keys()
            .open_in(&mut tx, &place, &sealed.envelope)
            .await?;
        let mut event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("restoredFrom", version);
        let text = match opened {
            Ok(text) => text,
            Err(unopened) => {
                self.commit(tx, &event.ended(Outcome::Failed)).await?;
                self.note_opening(ctx, row.team_id, &row.name, &sealed, Err(unopened))
                    .await?;
                return Err(unopened.into());
            }
        };
        let data = parse_data(&text)?;
        // The type may have become stricter since.
        kind.validate(&data)?;
        let (current, _) = self.current_data(&mut tx, &row).await?;
        let changes = match current {
            Ok(current) => Some(compare(&current, &data)),
            Err(Unopened::Quarantined(_) | Unopened::Locked) => None,
        };
        let found_revision = row.revision;
        row.generation += 1;
        row.fields = field_names(&data);
        let text = plaintext(&data)?;
        self.seal_current(&mut tx, &permit, &row, &text, now)
            .await?;
        let (by_id, by_name) = by(&actor);
        row.revision += 1;
        row.updated_at = now;
        row.updated_by = by_id;
        row.updated_by_name = by_name;
        let kept = tx
            .update_credential(&permit, &row, &name_words(&row.name), found_revision)
            .await?;
        if !kept {
            return Err(AppError::Stale {
                current: found_revision,
            });
        }
        tx.describe_version(&permit, &row, changes.as_ref(), Some(version))
            .await?;
        event = event.with("generation", row.generation);
        self.commit(tx, &event).await?;
        self.shown(row).await
    }
}
