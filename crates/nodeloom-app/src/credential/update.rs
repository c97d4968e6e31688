//! Changing a credential: a merge, checked as a whole, sealed as a new version.

use nodeloom_domain::{
    CredentialId, FieldErrors,
    audit::AuditEvent,
    credential_type::{CredentialType, merge},
    name_words,
    policy::{self, Action},
    sort_key,
};
use nodeloom_store::{CredentialRow, SealedRow, Tx};
use serde_json::{Map, Value};

use super::{
    CredentialView, FIELD, KIND, by, field_names, find_kind, name_conflict, parse_data, parse_name,
    plaintext, record,
};
use crate::{App, AppError, Ctx, keys::Unopened};

/// What to change; what is not named stays as it is.
#[derive(Default)]
pub struct CredentialChange {
    /// A new name.
    pub name: Option<String>,
    /// Fields to set, or to remove with `null` (RFC 7396).
    pub data: Option<Map<String, Value>>,
    /// Change only if the record stands at one of these revisions.
    pub expected_revision: Option<Vec<u64>>,
}

/// `If-Match`, decided inside the transaction.
pub(super) fn check_revision(
    row: &CredentialRow,
    expected: Option<&[u64]>,
) -> Result<(), AppError> {
    match expected {
        Some(revisions) if !revisions.contains(&row.revision) => Err(AppError::Stale {
            current: row.revision,
        }),
        _ => Ok(()),
    }
}

impl App {
    /// Merges a change into a credential.
    ///
    /// Data make a new generation, sealed anew; the former one stays as a version. A
    /// credential whose value does not open can be replaced by naming every required
    /// field: the unreadable version is kept as it is.
    ///
    /// # Errors
    /// [`AppError::Invalid`], [`AppError::Stale`], [`AppError::NameTaken`],
    /// [`AppError::Quarantined`] or [`AppError::Locked`] when the merge would need a
    /// value that does not open.
    pub async fn update_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        change: CredentialChange,
    ) -> Result<CredentialView, AppError> {
        let action = Action::CredentialUpdate;
        let (before, _) = self.permitted(ctx, id, action).await?;
        let kind = find_kind(&before.kind)
            .map_err(|_| AppError::internal("a stored credential has an unknown type"))?;
        let new_name = change.name.as_deref().map(parse_name).transpose()?;
        if let Some(data) = &change.data {
            check_names(kind, data)?;
        }

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let mut row = tx
            .find_credential(before.id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        check_revision(&row, change.expected_revision.as_deref())?;
        let found_revision = row.revision;
        let (by_id, by_name) = by(&actor);
        let mut event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id);

        if let Some(name) = new_name
            && name.as_str() != row.name
        {
            event = event.with("formerName", row.name.clone());
            row.name = name.as_str().to_owned();
            row.sort_key = sort_key(&row.name);
        }
        let mut unreadable = None;
        if let Some(fields) = &change.data {
            let (current, sealed) = self.current_data(&mut tx, &row).await?;
            let (merged, replaced) = merged(kind, current, fields)?;
            if let (Some(unopened), Some(sealed)) = (replaced, sealed) {
                event = event.with("replacesUnreadable", true);
                unreadable = Some((sealed, unopened));
            }
            let text = plaintext(&merged)?;
            row.generation += 1;
            row.fields = field_names(&merged);
            self.seal_current(&mut tx, &permit, &row, &text, now)
                .await?;
            event = event.with("changedFields", field_names(fields));
        }
        row.revision += 1;
        row.updated_at = now;
        row.updated_by = by_id;
        row.updated_by_name = by_name;
        let kept = tx
            .update_credential(&permit, &row, &name_words(&row.name), found_revision)
            .await
            .map_err(|error| name_conflict(error, &row.name))?;
        if !kept {
            return Err(AppError::Stale {
                current: found_revision,
            });
        }
        let event = event
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("generation", row.generation);
        self.commit(tx, &event).await?;
        if let Some((sealed, unopened)) = unreadable {
            self.note_opening(ctx, row.team_id, &row.name, &sealed, Err(unopened))
                .await?;
        }
        Ok(row.into())
    }

    /// The data as they stand, or why they do not open, with the row they came from.
    async fn current_data(
        &self,
        tx: &mut Tx,
        row: &CredentialRow,
    ) -> Result<(Result<Map<String, Value>, Unopened>, Option<SealedRow>), AppError> {
        let sealed = tx
            .find_sealed(row.team_id, KIND, row.id.as_bytes(), FIELD, row.generation)
            .await?;
        let Some(sealed) = sealed else {
            return Ok((Err(Unopened::Quarantined("no value is stored")), None));
        };
        let opened = self.open_current(tx, row, &sealed).await?;
        Ok((
            opened
                .map(|text| parse_data(&text))
                .map_or_else(|e| Ok(Err(e)), |d| d.map(Ok))?,
            Some(sealed),
        ))
    }
}

/// The change alone when nothing can be opened and it is complete; else the merge.
fn merged(
    kind: &CredentialType,
    current: Result<Map<String, Value>, Unopened>,
    change: &Map<String, Value>,
) -> Result<(Map<String, Value>, Option<Unopened>), AppError> {
    match current {
        Ok(mut data) => {
            merge(&mut data, change);
            kind.validate(&data)?;
            Ok((data, None))
        }
        Err(unopened) => {
            let mut data = Map::new();
            merge(&mut data, change);
            match kind.validate(&data) {
                Ok(()) => Ok((data, Some(unopened))),
                Err(_) => Err(unopened.into()),
            }
        }
    }
}

/// Unknown names are refused before the stored value is opened.
fn check_names(kind: &CredentialType, change: &Map<String, Value>) -> Result<(), FieldErrors> {
    let unknown: Map<String, Value> = change
        .iter()
        .filter(|(name, _)| kind.field(name).is_none())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut refused = kind.validate(&unknown).err().unwrap_or_default();
    refused.0.retain(|error| error.rule == "unknown");
    refused.into_result()
}
