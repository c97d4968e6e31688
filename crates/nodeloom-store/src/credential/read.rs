//! Reading credentials one by one, and their versions.

use nodeloom_domain::{CredentialId, TeamId, Timestamp};

use super::row::credential_columns;
use crate::{
    CredentialRow, CredentialVersionRow, Store, StoreError, Tx,
    engine::{Run, Sql, signed},
};

const BY_ID: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials c WHERE c.id = $1"
);
const BY_NAME: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials c WHERE c.team_id = $1 AND c.name = $2 AND c.deleted_at IS NULL"
);
// Whoever changes a credential holds it until the commit. SQLite has one writer.
const BY_ID_LOCKED: Sql = Sql::per_engine(
    BY_ID,
    concat!(
        "SELECT ",
        credential_columns!(),
        " FROM credentials c WHERE c.id = $1 FOR UPDATE"
    ),
);

async fn find(
    mut run: impl Run,
    sql: Sql,
    id: CredentialId,
) -> Result<Option<CredentialRow>, StoreError> {
    let rows = run.fetch(sql, &[(&id).into()]).await?;
    rows.first()
        .map(|row| CredentialRow::read(&mut row.columns("credentials")))
        .transpose()
}

async fn find_by_name(
    mut run: impl Run,
    team: TeamId,
    name: &str,
) -> Result<Option<CredentialRow>, StoreError> {
    let rows = run
        .fetch(BY_NAME.into(), &[(&team).into(), name.into()])
        .await?;
    rows.first()
        .map(|row| CredentialRow::read(&mut row.columns("credentials")))
        .transpose()
}

fn live(row: Option<CredentialRow>) -> Option<CredentialRow> {
    row.filter(|row| row.activity.deletion.is_none())
}

impl Store {
    /// The credential with this id, of whichever team, unless it is deleted.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_credential(
        &self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        self.find_any_credential(id).await.map(live)
    }

    /// The credential with this id, of whichever team, also when it is deleted.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_any_credential(
        &self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        find(self, BY_ID.into(), id).await
    }

    /// The credential of the team with exactly this name, unless it is deleted.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_credential_by_name(
        &self,
        team: TeamId,
        name: &str,
    ) -> Result<Option<CredentialRow>, StoreError> {
        find_by_name(self, team, name).await
    }

    /// The versions of a credential, newest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn credential_versions(
        &self,
        id: CredentialId,
    ) -> Result<Vec<CredentialVersionRow>, StoreError> {
        const SQL: &str = "SELECT credential_id, generation, created_at, created_by, \
             created_by_name, fields, changes, restored_from FROM credential_versions WHERE credential_id = $1 \
             ORDER BY generation DESC";
        let rows = self.fetch(SQL, &[(&id).into()]).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("credential_versions");
                Ok(CredentialVersionRow {
                    credential_id: row.fixed()?,
                    generation: row.count()?,
                    created_at: row.time()?,
                    created_by: row.opt_fixed()?,
                    created_by_name: row.text()?,
                    fields: row.list()?,
                    changes: match row.opt_str()? {
                        None => None,
                        Some(text) => Some(serde_json::from_str(text).map_err(|_| row.corrupt())?),
                    },
                    restored_from: row.opt_count()?,
                })
            })
            .collect()
    }

    /// The deleted credentials of a team, latest deletion first, and how many there are.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_deleted_credentials(
        &self,
        team: TeamId,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<CredentialRow>, u64), StoreError> {
        const LIST: &str = concat!(
            "SELECT ",
            credential_columns!(),
            " FROM credentials c WHERE c.team_id = $1 AND c.deleted_at IS NOT NULL \
             ORDER BY c.deleted_at DESC, c.id LIMIT $2 OFFSET $3"
        );
        const TOTAL: &str = "SELECT count(*) FROM credentials \
             WHERE team_id = $1 AND deleted_at IS NOT NULL";
        let params = [
            (&team).into(),
            signed(limit)?.into(),
            signed(offset)?.into(),
        ];
        let rows = self.fetch(LIST, &params).await?;
        let total = self.fetch(TOTAL, &params[..1]).await?;
        let total = total
            .first()
            .map_or(Ok(0), |row| row.columns("credentials").count())?;
        let rows = rows
            .iter()
            .map(|row| CredentialRow::read(&mut row.columns("credentials")))
            .collect::<Result<_, _>>()?;
        Ok((rows, total))
    }

    /// Up to `limit` credentials of whichever team that were deleted before `before`, oldest
    /// deletion first.
    ///
    /// # Errors
    /// As any read.
    pub async fn credentials_deleted_before(
        &self,
        before: Timestamp,
        limit: u64,
    ) -> Result<Vec<CredentialId>, StoreError> {
        const SQL: &str = "SELECT id FROM credentials WHERE deleted_at < $1 \
             ORDER BY deleted_at LIMIT $2";
        let rows = self
            .fetch(SQL, &[before.into(), signed(limit)?.into()])
            .await?;
        rows.iter()
            .map(|row| row.columns("credentials").fixed())
            .collect()
    }
}

impl Tx {
    /// As [`Store::find_credential`], and holds the row until this transaction ends.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds it for long.
    pub async fn find_credential(
        &mut self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        self.find_any_credential(id).await.map(live)
    }

    /// As [`Store::find_any_credential`], and holds the row until this transaction ends.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds it for long.
    pub async fn find_any_credential(
        &mut self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        find(self, BY_ID_LOCKED, id).await
    }

    /// As [`Store::find_credential_by_name`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_credential_by_name(
        &mut self,
        team: TeamId,
        name: &str,
    ) -> Result<Option<CredentialRow>, StoreError> {
        find_by_name(self, team, name).await
    }
}
