//! What comes after a deletion: taking it back, or destroying what is left.

use nodeloom_domain::{
    CredentialId, TeamId, Timestamp,
    audit::AuditEvent,
    name_words,
    policy::{self, Action, Actor, Resource},
    sort_key,
};
use nodeloom_store::CredentialRow;
use serde::Serialize;

use super::{CredentialView, KIND, name_conflict, parse_name, record, update::check_revision};
use crate::{App, AppError, Ctx, keys::system};

/// Most deleted credentials of one page.
const MAX_SIZE: u32 = 1_000;
/// How many are purged by age in one go.
const PURGED_AT_ONCE: u64 = 200;

/// A credential that can still be undeleted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedCredential {
    /// As it was.
    #[serde(flatten)]
    pub view: CredentialView,
    /// When it was deleted.
    pub deleted_at: Timestamp,
    /// By whom.
    pub deleted_by: String,
}

impl App {
    /// The deleted credential, if the actor may do `action` to it; else the refusal, recorded.
    async fn permitted_deleted(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        action: Action,
    ) -> Result<(CredentialRow, Actor), AppError> {
        let actor = self.actor(ctx).await?;
        let row = self
            .store()
            .find_any_credential(id)
            .await?
            .ok_or(AppError::NotFound)?;
        let name = Some(row.name.as_str());
        self.allow(&actor, action, record(&row), ctx, name, self.now())
            .await?;
        if row.activity.deletion.is_none() {
            return Err(AppError::NotDeleted);
        }
        Ok((row, actor))
    }

    /// A page of the deleted credentials of a team, latest deletion first, and how many there
    /// are in all.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign team, [`AppError::Denied`].
    pub async fn deleted_credentials(
        &self,
        ctx: &Ctx,
        team: TeamId,
        page: u32,
        size: u32,
    ) -> Result<(Vec<DeletedCredential>, u64), AppError> {
        let actor = self.actor(ctx).await?;
        let (action, of) = (Action::CredentialRead, Resource::Team(team));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        let size = size.clamp(1, MAX_SIZE);
        let offset = u64::from(page) * u64::from(size);
        let (rows, total) = self
            .store()
            .list_deleted_credentials(team, offset, u64::from(size))
            .await?;
        let rows = rows
            .into_iter()
            .filter_map(|row| {
                let deletion = row.activity.deletion.clone()?;
                Some(DeletedCredential {
                    view: row.into(),
                    deleted_at: deletion.at,
                    deleted_by: deletion.by_name,
                })
            })
            .collect();
        Ok((rows, total))
    }

    /// Takes a deletion back, under another name if the old one is taken by now.
    ///
    /// # Errors
    /// [`AppError::NotDeleted`], [`AppError::NameTaken`], [`AppError::Stale`],
    /// [`AppError::Denied`], [`AppError::NotFound`].
    pub async fn undelete_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        name: Option<String>,
        expected_revision: Option<Vec<u64>>,
    ) -> Result<CredentialView, AppError> {
        let action = Action::CredentialUndelete;
        self.permitted_deleted(ctx, id, action).await?;
        let name = name.as_deref().map(parse_name).transpose()?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let mut row = tx
            .find_any_credential(id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        check_revision(&row, expected_revision.as_deref())?;
        let mut event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id);
        if let Some(name) = name
            && name.as_str() != row.name
        {
            event = event.with("formerName", row.name.clone());
            row.name = name.as_str().to_owned();
            row.sort_key = sort_key(&row.name);
        }
        let undone = tx
            .undelete_credential(&permit, &row, &name_words(&row.name))
            .await
            .map_err(|error| name_conflict(error, &row.name))?;
        if !undone {
            return Err(AppError::NotDeleted);
        }
        let event = event
            .on(KIND, row.id.as_bytes(), row.name.clone())
            .with("generation", row.generation);
        self.commit(tx, &event).await?;
        let row = self.store().find_credential(id).await?;
        row.map(Into::into).ok_or(AppError::NotFound)
    }

    /// Destroys a deleted credential with every version of its values. There is no way back but
    /// a backup.
    ///
    /// # Errors
    /// As [`App::undelete_credential`].
    pub async fn purge_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        expected_revision: Option<Vec<u64>>,
    ) -> Result<(), AppError> {
        let action = Action::CredentialPurge;
        self.permitted_deleted(ctx, id, action).await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let row = tx
            .find_any_credential(id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), now)?;
        check_revision(&row, expected_revision.as_deref())?;
        if row.activity.deletion.is_none() {
            return Err(AppError::NotDeleted);
        }
        let values = tx
            .delete_sealed_of(&permit, row.team_id, KIND, row.id.as_bytes())
            .await?;
        tx.purge_credential(&permit, &row).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name)
            .with("type", row.kind)
            .with("values", values);
        self.commit(tx, &event).await
    }

    /// Purges what was deleted more than `days` ago, and says how many. Two processes may do so
    /// at once.
    ///
    /// # Errors
    /// As any write; what was purged before stays so.
    pub async fn purge_deleted(&self, days: u32) -> Result<u64, AppError> {
        let cutoff = self.now().plus_seconds(-i64::from(days) * 24 * 60 * 60);
        let permit = policy::housekeeping();
        let origin = nodeloom_domain::audit::Origin {
            request_id: String::new(),
            address: None,
        };
        let mut purged = 0;
        loop {
            let found = self
                .store()
                .credentials_deleted_before(cutoff, PURGED_AT_ONCE)
                .await?;
            if found.is_empty() {
                return Ok(purged);
            }
            let before = purged;
            for id in found {
                let mut tx = self.store().begin().await?;
                let Some(row) = tx.find_any_credential(id).await? else {
                    continue;
                };
                // Undeleted, and perhaps deleted again, since it was found.
                let is_due = row
                    .activity
                    .deletion
                    .as_ref()
                    .is_some_and(|deletion| deletion.at < cutoff);
                if !is_due {
                    continue;
                }
                let values = tx
                    .delete_sealed_of(&permit, row.team_id, KIND, row.id.as_bytes())
                    .await?;
                tx.purge_credential(&permit, &row).await?;
                let action = Action::CredentialPurge.as_str();
                let event = AuditEvent::new(self.now(), system(), action, &origin)
                    .in_team(row.team_id)
                    .on(KIND, row.id.as_bytes(), row.name)
                    .with("type", row.kind)
                    .with("values", values)
                    .with("days", days);
                self.commit(tx, &event).await?;
                purged += 1;
            }
            if purged == before {
                return Ok(purged);
            }
        }
    }
}
