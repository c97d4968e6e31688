//! Deleting a credential with every version of its data.

use nodeloom_domain::{
    CredentialId,
    audit::AuditEvent,
    policy::{self, Action},
};

use super::{KIND, record, update::check_revision};
use crate::{App, AppError, Ctx};

impl App {
    /// Deletes a credential and all its sealed values. There is no way back but a
    /// backup.
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
        tx.delete_sealed_of(&permit, row.team_id, KIND, row.id.as_bytes())
            .await?;
        tx.delete_credential(&permit, &row).await?;
        let event = AuditEvent::new(self.now(), actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on(KIND, row.id.as_bytes(), row.name)
            .with("type", row.kind)
            .with("generation", row.generation);
        self.commit(tx, &event).await
    }
}
