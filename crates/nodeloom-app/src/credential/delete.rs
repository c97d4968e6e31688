//! Deleting a credential, so that it can be undeleted.

use nodeloom_domain::{
    CredentialId,
    audit::AuditEvent,
    policy::{self, Action},
};
use nodeloom_store::DeletionRow;

use super::{KIND, by, record, update::check_revision};
use crate::{App, AppError, Ctx};

impl App {
    /// Deletes a credential: it is out of every list, opens for nobody and frees its name.
    /// Its values stay until it is purged.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Denied`], [`AppError::Stale`].
    pub async fn delete_credential(
        &self,
        ctx: &Ctx,
        id: CredentialId,
        expected_revision: Option<Vec<u64>>,
    ) -> Result<(), AppError> {
        let action = Action::CredentialDelete;
        let (row, _) = self.permitted(ctx, id, action).await?;
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let row = tx
            .find_credential(row.id)
            .await?
            .ok_or(AppError::NotFound)?;
        let permit = policy::authorise(&actor, action, record(&row), self.now())?;
        check_revision(&row, expected_revision.as_deref())?;
        let (by, by_name) = by(&actor);
        let now = self.now();
        let deletion = DeletionRow {
            at: now,
            by,
            by_name,
        };
        tx.delete_credential(&permit, &row, &deletion).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name)
            .with("type", row.kind)
            .with("generation", row.generation);
        self.commit(tx, &event).await
    }
}
