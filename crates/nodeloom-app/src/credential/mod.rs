//! Credentials: stored sealed, listed by name, opened for a reason.

mod attributes;
mod create;
mod delete;
mod due;
mod life;
mod list;
mod probe;
mod reminder;
mod reveal;
mod update;
mod usage;
mod version;
mod view;

pub use attributes::AttributeChange;
pub use create::NewCredential;
pub use due::{DueCredential, DueDate};
pub use life::DeletedCredential;
pub use list::{CredentialList, ListCredentials, TagCount};
pub(crate) use probe::Tests;
pub use probe::{ConnectionTester, TestFinding, TestReport, TestRequest, Testing};
pub use reminder::{Mail, MailError, Mailer, Mailing, RemindersSent};
pub use reveal::Revealed;
pub use update::CredentialChange;
pub use usage::CredentialUse;
pub use version::CredentialVersion;
pub use view::CredentialView;

use nodeloom_crypto::{Binding, Secret};
use nodeloom_domain::{
    CredentialId, FieldErrors, Name, SealedValueId, Timestamp,
    audit::{AuditEvent, Outcome},
    credential_type::{self, CredentialType},
    policy::{self, Action, Actor, Permit, Resource},
};
use nodeloom_store::{ConflictKind, CredentialRow, SealedRow, SealedState, StoreError, Tx};
use serde_json::{Map, Value};

use crate::{
    App, AppError, Ctx,
    keys::{Unopened, system},
};

/// The kind of a credential's sealed value.
pub(crate) const KIND: &str = "credential";
/// The one sealed field of a credential: its whole `data` object.
pub(crate) const FIELD: &str = "data";

/// Where the value of `generation` of this credential belongs: made from the record
/// that is being served, never from the sealed row.
pub(crate) fn binding(row: &CredentialRow, generation: u64) -> Binding {
    Binding::of_record(
        *row.team_id.as_bytes(),
        KIND,
        *row.id.as_bytes(),
        FIELD,
        generation,
    )
}

pub(crate) fn record(row: &CredentialRow) -> Resource {
    Resource::Record {
        team: row.team_id,
        id: *row.id.as_bytes(),
    }
}

/// The name of the actor, for "created by".
pub(crate) fn by(actor: &Actor) -> (Option<nodeloom_domain::UserId>, String) {
    (actor.user_id(), actor.audited().name)
}

fn parse_name(text: &str) -> Result<Name, FieldErrors> {
    Name::parse(text).map_err(|error| FieldErrors::one("name", error.rule(), error.to_string()))
}

fn find_kind(id: &str) -> Result<&'static CredentialType, FieldErrors> {
    credential_type::find_type(id).ok_or_else(|| {
        let known: Vec<&str> = credential_type::list_types()
            .iter()
            .map(|kind| kind.id.as_str())
            .collect();
        FieldErrors::one(
            "type",
            "unknown",
            format!("must be one of {}", known.join(", ")),
        )
    })
}

/// `data` as the text that is sealed. Too large is refused here, before any key is
/// touched.
fn plaintext(data: &Map<String, Value>) -> Result<Secret<Vec<u8>>, AppError> {
    let text = serde_json::to_vec(data)
        .map_err(|_| AppError::internal("a JSON object did not serialise"))?;
    let text = Secret::new(text);
    // EXPOSE: measured, not read.
    if text.expose().len() > credential_type::MAX_DATA_BYTES {
        return Err(AppError::TooLarge {
            max_bytes: credential_type::MAX_DATA_BYTES,
        });
    }
    Ok(text)
}

/// Names of the fields that are set, for masks that need no decryption.
fn field_names(data: &Map<String, Value>) -> Vec<String> {
    data.keys().cloned().collect()
}

fn parse_data(plaintext: &Secret<Vec<u8>>) -> Result<Map<String, Value>, AppError> {
    // EXPOSE: parsed for a merge inside this process.
    serde_json::from_slice(plaintext.expose())
        .map_err(|_| AppError::internal("a sealed value is authentic and no JSON object"))
}

fn name_conflict(error: StoreError, name: &str) -> AppError {
    match error {
        StoreError::Conflict {
            kind: ConflictKind::Duplicate,
            ..
        } => AppError::NameTaken {
            name: name.to_owned(),
        },
        other => other.into(),
    }
}

impl App {
    /// The credential, if the actor may do `action` to it; else the refusal, recorded.
    /// For reads.
    pub(crate) async fn permitted(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        action: Action,
    ) -> Result<(CredentialRow, Actor), AppError> {
        let actor = self.actor(ctx).await?;
        let row = self
            .store()
            .find_credential(id)
            .await?
            .ok_or(AppError::NotFound)?;
        self.allow(
            &actor,
            action,
            record(&row),
            ctx,
            Some(&row.name),
            self.now(),
        )
        .await?;
        Ok((row, actor))
    }

    /// The credential as its callers see it, after a change.
    async fn shown(&self, row: CredentialRow) -> Result<CredentialView, AppError> {
        // Only the name of the owner is not in the row that was written.
        if row.attributes.owner_id.is_none() {
            return Ok(row.into());
        }
        let stored = self.store().find_any_credential(row.id).await?;
        Ok(stored.unwrap_or(row).into())
    }

    /// Seals `text` as the credential's current generation, in its own place.
    async fn seal_current(
        &self,
        tx: &mut Tx,
        permit: &Permit,
        row: &CredentialRow,
        text: &Secret<Vec<u8>>,
        now: Timestamp,
    ) -> Result<(), AppError> {
        let place = binding(row, row.generation);
        // EXPOSE: into the cipher.
        let (key_id, envelope) = self
            .keys()
            .seal(tx, row.team_id, &place, text.expose())
            .await?;
        let sealed = SealedRow {
            id: SealedValueId::generate(now),
            team_id: row.team_id,
            kind: KIND.into(),
            owner_id: *row.id.as_bytes(),
            field: FIELD.into(),
            generation: row.generation,
            key_id,
            envelope,
            state: SealedState::Ok,
            reason: None,
            created_at: now,
        };
        Ok(tx.insert_sealed(permit, &sealed).await?)
    }

    /// Opens the current value of a credential inside its transaction's view.
    pub(crate) async fn open_current(
        &self,
        tx: &mut Tx,
        row: &CredentialRow,
        sealed: &SealedRow,
    ) -> Result<Result<Secret<Vec<u8>>, Unopened>, AppError> {
        self.keys()
            .open_in(tx, &binding(row, row.generation), &sealed.envelope)
            .await
    }

    /// Notes what an attempt to open has found: a value that is not authentic is
    /// quarantined, kept as it is and named in the trail; one that opens again is
    /// cleared. A locked value is left alone: locked is computed, never stored.
    pub(crate) async fn note_opening(
        &self,
        ctx: &Ctx,
        team: nodeloom_domain::TeamId,
        name: &str,
        sealed: &SealedRow,
        found: Result<(), Unopened>,
    ) -> Result<(), AppError> {
        let (state, reason, action) = match found {
            Ok(()) if sealed.state != SealedState::Ok => (SealedState::Ok, None, "value.clear"),
            Err(Unopened::Quarantined(reason)) if sealed.state != SealedState::Quarantined => {
                (SealedState::Quarantined, Some(reason), "value.quarantine")
            }
            _ => return Ok(()),
        };
        let mut tx = self.store().begin().await?;
        let permit = policy::housekeeping();
        let id: SealedValueId = sealed.id;
        if !tx
            .mark_sealed(&permit, id, state, reason, &sealed.envelope)
            .await?
        {
            // Replaced since it was read: the finding is about a value that is gone.
            return Ok(());
        }
        let mut event = AuditEvent::new(self.now(), system(), action, &ctx.origin)
            .in_team(team)
            .on(KIND, &sealed.owner_id, name)
            .with("generation", sealed.generation)
            .with("field", sealed.field.clone());
        if let Some(reason) = reason {
            event = event.ended(Outcome::Failed).with("reason", reason);
            tracing::error!(
                team.id = %team, value.kind = %sealed.kind, value.generation = sealed.generation,
                reason, "a stored value does not open and is quarantined"
            );
        }
        self.commit(tx, &event).await
    }
}
