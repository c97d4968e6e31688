//! Reads for those who check the whole instance.

use nodeloom_domain::{CredentialId, Role, TeamId, UserId};

use crate::{
    Store, StoreError,
    engine::{Param, signed},
};

/// A credential, and whether the value that its record names is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentValueRow {
    /// The credential.
    pub id: CredentialId,
    /// Its current generation.
    pub generation: u64,
    /// Whether the credential is deleted, and can still be undeleted.
    pub is_deleted: bool,
    /// Whether a sealed value of that generation is stored in the credential's own place.
    pub has_value: bool,
}

impl Store {
    /// Every membership: person, team, role.
    ///
    /// # Errors
    /// As any read.
    pub async fn all_memberships(&self) -> Result<Vec<(UserId, TeamId, Role)>, StoreError> {
        const SQL: &str =
            "SELECT user_id, team_id, role FROM memberships ORDER BY user_id, team_id";
        let rows = self.fetch(SQL, &[]).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("memberships");
                Ok((row.fixed()?, row.fixed()?, row.word()?))
            })
            .collect()
    }

    /// Up to `limit` credentials behind `after`, each with whether its current value is
    /// stored as kind `credential` in `field`.
    ///
    /// # Errors
    /// As any read.
    pub async fn current_values_page(
        &self,
        after: Option<CredentialId>,
        field: &str,
        limit: u64,
    ) -> Result<Vec<CurrentValueRow>, StoreError> {
        const SQL: &str = "SELECT c.id, c.generation, \
             CAST(CASE WHEN c.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT), \
             CAST(CASE WHEN s.id IS NULL THEN 0 ELSE 1 END AS BIGINT) \
             FROM (SELECT id, team_id, generation, deleted_at FROM credentials WHERE id > $1 \
             ORDER BY id LIMIT $3) c \
             LEFT JOIN sealed_values s ON s.team_id = c.team_id AND s.kind = 'credential' \
             AND s.owner_id = c.id AND s.field = $2 AND s.generation = c.generation \
             ORDER BY c.id";
        // No bytes at all stand before every id.
        let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
        let params = [Param::Bytes(after), field.into(), signed(limit)?.into()];
        let rows = self.fetch(SQL, &params).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("credentials");
                Ok(CurrentValueRow {
                    id: row.fixed()?,
                    generation: row.count()?,
                    is_deleted: row.count()? == 1,
                    has_value: row.count()? == 1,
                })
            })
            .collect()
    }
}
