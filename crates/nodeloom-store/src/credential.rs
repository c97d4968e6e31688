//! Credentials: everything about them but their values.

use nodeloom_domain::{
    CredentialId, TeamId, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Columns, Param, Run, Sql, json_list, signed},
    store::require,
};

/// A credential's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its id; also the owner of its sealed value.
    pub id: CredentialId,
    /// Its team.
    pub team_id: TeamId,
    /// Its name, unique in the team.
    pub name: String,
    /// The text it sorts by: `nodeloom_domain::sort_key` of the name.
    pub sort_key: String,
    /// Id of its type, such as `HTTP_BASIC`.
    pub kind: String,
    /// Version of its values, from 1; the generation of its sealed value.
    pub generation: u64,
    /// Version of the whole row, from 1: counts each change, of the name too.
    pub revision: u64,
    /// The names of the fields that are set, in order.
    pub fields: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By which person, if it was one.
    pub created_by: Option<UserId>,
    /// By whom, as people know them.
    pub created_by_name: String,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// By which person, if it was one.
    pub updated_by: Option<UserId>,
    /// By whom, as people know them.
    pub updated_by_name: String,
}

/// One version of a credential's values: who made it, and which fields it has. Stays when the
/// credential is deleted, so that no version number is used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialVersionRow {
    /// The credential.
    pub credential_id: CredentialId,
    /// The version, from 1.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// By which person, if it was one.
    pub created_by: Option<UserId>,
    /// By whom, as people know them.
    pub created_by_name: String,
    /// The names of the fields that are set.
    pub fields: Vec<String>,
}

impl CredentialRow {
    /// Columns in the order of the table.
    pub(crate) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            team_id: row.fixed()?,
            name: row.text()?,
            sort_key: row.text()?,
            kind: row.text()?,
            generation: row.count()?,
            revision: row.count()?,
            fields: row.list()?,
            created_at: row.time()?,
            created_by: row.opt_fixed()?,
            created_by_name: row.text()?,
            updated_at: row.time()?,
            updated_by: row.opt_fixed()?,
            updated_by_name: row.text()?,
        })
    }
}

const BY_ID: &str = "SELECT id, team_id, name, sort_key, type, generation, revision, fields, \
     created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name \
     FROM credentials WHERE id = $1";
// Whoever changes a credential holds it until the commit. SQLite has one writer.
const BY_ID_LOCKED: Sql = Sql::per_engine(
    BY_ID,
    "SELECT id, team_id, name, sort_key, type, generation, revision, fields, \
     created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name \
     FROM credentials WHERE id = $1 FOR UPDATE",
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
    const SQL: &str = "SELECT id, team_id, name, sort_key, type, generation, revision, fields, \
         created_at, created_by, created_by_name, updated_at, updated_by, updated_by_name \
         FROM credentials WHERE team_id = $1 AND name = $2";
    let rows = run
        .fetch(SQL.into(), &[(&team).into(), name.into()])
        .await?;
    rows.first()
        .map(|row| CredentialRow::read(&mut row.columns("credentials")))
        .transpose()
}

impl Store {
    /// The credential with this id, of whichever team.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_credential(
        &self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        find(self, BY_ID.into(), id).await
    }

    /// The credential of the team with exactly this name.
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
             created_by_name, fields FROM credential_versions WHERE credential_id = $1 \
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
                })
            })
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

    /// Adds a credential with its first version and its search words
    /// (`nodeloom_domain::name_words`). Permit: creating credentials in its team.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] in `credentials` when id or name is taken, in
    /// `credential_versions` when this version number was used before.
    pub async fn insert_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<(), StoreError> {
        require(
            permit.covers_team(Action::CredentialCreate, row.team_id),
            "a new credential here",
        )?;
        const SQL: &str = "INSERT INTO credentials (id, team_id, name, sort_key, type, generation, \
             revision, fields, created_at, created_by, created_by_name, updated_at, updated_by, \
             updated_by_name) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let fields = json_list(&row.fields);
        let params = [
            (&row.id).into(),
            (&row.team_id).into(),
            row.name.as_str().into(),
            row.sort_key.as_str().into(),
            row.kind.as_str().into(),
            signed(row.generation)?.into(),
            signed(row.revision)?.into(),
            fields.as_str().into(),
            row.created_at.into(),
            optional(row.created_by.as_ref()),
            row.created_by_name.as_str().into(),
            row.updated_at.into(),
            optional(row.updated_by.as_ref()),
            row.updated_by_name.as_str().into(),
        ];
        self.execute(SQL, &params).await?;
        self.insert_version(row).await?;
        self.insert_words(row, words).await?;
        // Last, since on PostgreSQL this row is shared by all who add to the team.
        self.count(row, 1).await
    }

    /// Writes name, sort key, type, generation, revision, fields and the `updated_` columns of
    /// a credential, if it still has `expected_revision`; `false`, and nothing written, when
    /// it has another or is gone. A generation that is new becomes a version. Permit:
    /// changing this credential.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken or the version number was used before.
    pub async fn update_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        words: &[String],
        expected_revision: u64,
    ) -> Result<bool, StoreError> {
        let covered =
            permit.covers_record(Action::CredentialUpdate, row.team_id, row.id.as_bytes());
        require(covered, "this credential")?;
        let Some(old) = self.find_credential(row.id).await? else {
            return Ok(false);
        };
        // The permit is for the team in `row`: what is stored decides.
        if old.revision != expected_revision || old.team_id != row.team_id {
            return Ok(false);
        }
        const SQL: &str = "UPDATE credentials SET name = $3, sort_key = $4, type = $5, \
             generation = $6, revision = $7, fields = $8, updated_at = $9, updated_by = $10, \
             updated_by_name = $11 WHERE id = $1 AND revision = $2";
        let fields = json_list(&row.fields);
        let params = [
            (&row.id).into(),
            signed(expected_revision)?.into(),
            row.name.as_str().into(),
            row.sort_key.as_str().into(),
            row.kind.as_str().into(),
            signed(row.generation)?.into(),
            signed(row.revision)?.into(),
            fields.as_str().into(),
            row.updated_at.into(),
            optional(row.updated_by.as_ref()),
            row.updated_by_name.as_str().into(),
        ];
        if self.execute(SQL, &params).await? == 0 {
            return Ok(false);
        }
        if row.generation != old.generation {
            self.insert_version(row).await?;
        }
        if (&row.name, &row.sort_key, &row.kind) != (&old.name, &old.sort_key, &old.kind) {
            self.delete_words(row.id).await?;
            self.insert_words(row, words).await?;
        }
        if row.kind != old.kind {
            self.count(&old, -1).await?;
            self.count(row, 1).await?;
        }
        Ok(true)
    }

    /// Deletes a credential and its search words, if it still has the revision of `row`;
    /// `false` when it has not. Its sealed values are deleted by [`Tx::delete_sealed_of`], its
    /// versions stay as a record. Permit: deleting this credential.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
    ) -> Result<bool, StoreError> {
        let covered =
            permit.covers_record(Action::CredentialDelete, row.team_id, row.id.as_bytes());
        require(covered, "this credential")?;
        let Some(old) = self.find_credential(row.id).await? else {
            return Ok(false);
        };
        if old.revision != row.revision || old.team_id != row.team_id {
            return Ok(false);
        }
        self.delete_words(row.id).await?;
        self.execute("DELETE FROM credentials WHERE id = $1", &[(&row.id).into()])
            .await?;
        self.count(&old, -1).await?;
        Ok(true)
    }

    async fn insert_version(&mut self, row: &CredentialRow) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO credential_versions (credential_id, generation, \
             created_at, created_by, created_by_name, fields) VALUES ($1, $2, $3, $4, $5, $6)";
        let fields = json_list(&row.fields);
        let params = [
            (&row.id).into(),
            signed(row.generation)?.into(),
            row.updated_at.into(),
            optional(row.updated_by.as_ref()),
            row.updated_by_name.as_str().into(),
            fields.as_str().into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    async fn insert_words(
        &mut self,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<(), StoreError> {
        // Four at a time: fewer statements, and few enough texts to stay prepared. A word that
        // fills an empty place is there already.
        const SQL: &str = "INSERT INTO credential_words \
             (team_id, word, sort_key, credential_id, type) VALUES ($1, $5, $3, $2, $4), \
             ($1, $6, $3, $2, $4), ($1, $7, $3, $2, $4), ($1, $8, $3, $2, $4) \
             ON CONFLICT DO NOTHING";
        for four in words.chunks(4) {
            let word = |index: usize| Param::Text(four.get(index).unwrap_or(&four[0]));
            let params = [
                (&row.team_id).into(),
                (&row.id).into(),
                row.sort_key.as_str().into(),
                row.kind.as_str().into(),
                word(0),
                word(1),
                word(2),
                word(3),
            ];
            self.execute(SQL, &params).await?;
        }
        Ok(())
    }

    async fn delete_words(&mut self, id: CredentialId) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM credential_words WHERE credential_id = $1";
        self.execute(SQL, &[(&id).into()]).await.map(drop)
    }

    async fn count(&mut self, row: &CredentialRow, change: i64) -> Result<(), StoreError> {
        // The first of its type is inserted, hence never with a negative total.
        const SQL: &str = "INSERT INTO credential_counts (team_id, type, total) VALUES ($1, $2, 1) \
             ON CONFLICT (team_id, type) DO UPDATE SET total = credential_counts.total + $3";
        let params = [
            (&row.team_id).into(),
            row.kind.as_str().into(),
            change.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }
}

fn optional<'a>(user: Option<&'a UserId>) -> Param<'a> {
    Param::OptBytes(user.map(|user| user.as_bytes().as_slice()))
}
