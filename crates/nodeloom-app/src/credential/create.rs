//! Storing a new credential.

use nodeloom_domain::{
    CredentialId, TeamId,
    audit::AuditEvent,
    name_words,
    policy::{self, Action, Resource},
    sort_key,
};
use nodeloom_store::{CredentialActivity, CredentialAttributes, CredentialRow};
use serde_json::{Map, Value};

use super::{
    AttributeChange, CredentialView, KIND, by, field_names, find_kind, name_conflict, parse_name,
    plaintext,
};
use crate::{App, AppError, Ctx};

/// A credential to store.
pub struct NewCredential {
    /// The team that shall own it.
    pub team: TeamId,
    /// Its name, unique in the team.
    pub name: String,
    /// The id of its type.
    pub kind: String,
    /// Its data, by the type's schema.
    pub data: Map<String, Value>,
}

impl App {
    /// Seals and stores a credential.
    ///
    /// # Errors
    /// [`AppError::Invalid`], [`AppError::TooLarge`], [`AppError::NameTaken`],
    /// [`AppError::Denied`]; with any of them nothing was written but the refusal.
    pub async fn create_credential(
        &self,
        ctx: &Ctx,
        new: NewCredential,
    ) -> Result<CredentialView, AppError> {
        self.create_credential_with(ctx, new, AttributeChange::default())
            .await
    }

    /// As [`App::create_credential`], with what people say about it.
    ///
    /// # Errors
    /// As [`App::create_credential`].
    pub async fn create_credential_with(
        &self,
        ctx: &Ctx,
        new: NewCredential,
        attributes: AttributeChange,
    ) -> Result<CredentialView, AppError> {
        // The right first: a stranger learns nothing about names and types.
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::CredentialCreate, Resource::Team(new.team));
        self.allow(&actor, action, team, ctx, Some(&new.name), self.now())
            .await?;
        if let Some(before) = self.created_before(ctx, &actor, KIND).await? {
            return self
                .created_credential(ctx, CredentialId::from_bytes(before))
                .await;
        }
        let mut errors = nodeloom_domain::FieldErrors::default();
        let name = parse_name(&new.name).map_err(|e| errors.0.extend(e.0)).ok();
        match find_kind(&new.kind) {
            Ok(kind) => {
                if let Err(refused) = kind.validate(&new.data) {
                    errors.0.extend(refused.0);
                }
            }
            Err(refused) => errors.0.extend(refused.0),
        }
        let attributes = attributes
            .check()
            .map_err(|refused| errors.0.extend(refused.0));
        errors.into_result()?;
        let attributes = attributes.unwrap_or_default();
        let name = name.ok_or_else(|| AppError::internal("an unchecked name"))?;
        let text = plaintext(&new.data)?;

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        let (by_id, by_name) = by(&actor);
        let mut row = CredentialRow {
            id: CredentialId::generate(now),
            team_id: new.team,
            sort_key: sort_key(name.as_str()),
            name: name.as_str().to_owned(),
            kind: new.kind,
            generation: 1,
            revision: 1,
            fields: field_names(&new.data),
            created_at: now,
            created_by: by_id,
            created_by_name: by_name.clone(),
            updated_at: now,
            updated_by: by_id,
            updated_by_name: by_name,
            attributes: CredentialAttributes::default(),
            activity: CredentialActivity::default(),
        };
        let id = *row.id.as_bytes();
        match self.note_created(&mut tx, ctx, &actor, KIND, &id).await {
            Err(AppError::Repeated) => {
                tx.rollback().await?;
                let before = self.created_before(ctx, &actor, KIND).await?;
                let before = before.ok_or(AppError::Repeated)?;
                return self
                    .created_credential(ctx, CredentialId::from_bytes(before))
                    .await;
            }
            noted => noted?,
        }
        let said = attributes.apply(&mut tx, &mut row).await?;
        tx.insert_credential(&permit, &row, &name_words(&row.name))
            .await
            .map_err(|error| name_conflict(error, &row.name))?;
        self.seal_current(&mut tx, &permit, &row, &text, now)
            .await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("type", row.kind.clone())
            .with("generation", row.generation)
            .with("fields", row.fields.clone());
        let event = if said.is_empty() {
            event
        } else {
            event.with("attributes", said)
        };
        self.commit(tx, &event).await?;
        self.shown(row).await
    }

    /// What the same request created before, as it stands now.
    async fn created_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
    ) -> Result<CredentialView, AppError> {
        match self.credential(ctx, id).await {
            Err(AppError::NotFound) => Err(AppError::DoneBefore {
                what: KIND,
                id: id.to_string(),
            }),
            found => found,
        }
    }
}
