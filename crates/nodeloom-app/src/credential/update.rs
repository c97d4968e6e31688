//! Changing a credential: a merge, checked as a whole, sealed as a new version.

use nodeloom_domain::{
    CredentialId, FieldErrors,
    audit::AuditEvent,
    credential_type::{CredentialType, merge},
    name_words,
    policy::{self, Action},
    sort_key,
};
use nodeloom_store::{CredentialRow, FieldChanges, SealedRow, Tx};
use serde_json::{Map, Value};

use super::{
    AttributeChange, CredentialView, FIELD, KIND, by, field_names, find_kind, name_conflict,
    parse_data, parse_name, plaintext, record,
};
use crate::{App, AppError, Ctx, keys::Unopened};

/// What to change; what is not named stays as it is.
#[derive(Default)]
pub struct CredentialChange {
    /// A new name.
    pub name: Option<String>,
    /// Fields to set, or to remove with `null` (RFC 7396).
    pub data: Option<Map<String, Value>>,
    /// What people say about it.
    pub attributes: AttributeChange,
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
        let attributes = change.attributes.check()?;

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
        let former_hosts = row.attributes.hosts.clone();
        let said = attributes.apply(&mut tx, &mut row).await?;
        let is_rebound = row.attributes.hosts != former_hosts;
        // Whoever may see the secret could carry it anywhere in any case.
        let may_see = !row.attributes.restricted
            && policy::authorise(&actor, Action::CredentialReveal, record(&row), now).is_ok();
        if !said.is_empty() {
            event = event.with("attributes", said);
        }
        let mut unreadable = None;
        let (former_generation, mut changes) = (row.generation, None);
        if is_rebound && !may_see && change.data.is_none() {
            require_secrets(kind, &row.fields, &Map::new(), &["hosts".into()])?;
        }
        if let Some(fields) = &change.data {
            let (current, sealed) = self.current_data(&mut tx, &row).await?;
            if !may_see {
                let mut moved = moved_destinations(kind, current.as_ref().ok(), fields);
                if is_rebound {
                    moved.push("hosts".into());
                }
                require_secrets(kind, &row.fields, fields, &moved)?;
            }
            let former = current.as_ref().ok().cloned();
            let (merged, replaced) = merged(kind, current, fields)?;
            changes = former.map(|former| compare(&former, &merged));
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
        if row.generation != former_generation {
            tx.describe_version(&permit, &row, changes.as_ref(), None)
                .await?;
        }
        let event = event
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("generation", row.generation);
        self.commit(tx, &event).await?;
        if let Some((sealed, unopened)) = unreadable {
            self.note_opening(ctx, row.team_id, &row.name, &sealed, Err(unopened))
                .await?;
        }
        self.shown(row).await
    }

    /// The data as they stand, or why they do not open, with the row they came from.
    pub(super) async fn current_data(
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

/// What became of each field.
pub(super) fn compare(former: &Map<String, Value>, now: &Map<String, Value>) -> FieldChanges {
    let mut changes = FieldChanges::default();
    for (name, value) in now {
        match former.get(name) {
            None => changes.added.push(name.clone()),
            Some(before) if before != value => changes.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    changes.removed = former
        .keys()
        .filter(|name| !now.contains_key(*name))
        .cloned()
        .collect();
    changes
}

/// The fields that say where a secret is sent and that this change gives another value.
fn moved_destinations(
    kind: &CredentialType,
    current: Option<&Map<String, Value>>,
    change: &Map<String, Value>,
) -> Vec<String> {
    // What does not open cannot be compared; then every secret is in the change in any case.
    let Some(current) = current else {
        return Vec::new();
    };
    kind.destination_fields()
        .filter(|field| {
            let stands = kind.value(current, &field.name);
            match change.get(&field.name) {
                None => false,
                Some(Value::Null) => stands != field.default.as_ref(),
                new => stands != new,
            }
        })
        .map(|field| field.name.clone())
        .collect()
}

/// Whoever says where a secret goes must know it or be allowed to see it now: else a right to
/// change would be a right to have it sent to a place of one's own. Every secret field that is
/// set has to be in the change.
fn require_secrets(
    kind: &CredentialType,
    set: &[String],
    change: &Map<String, Value>,
    moved: &[String],
) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if moved.is_empty() {
        return Ok(());
    }
    for field in kind.fields.iter().filter(|field| field.secret) {
        if set.contains(&field.name) && !change.contains_key(&field.name) {
            errors.push(
                format!("data.{}", field.name),
                "destination",
                format!(
                    "must be given again, since {} says where it is sent",
                    moved.join(", ")
                ),
            );
        }
    }
    errors.into_result()
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
