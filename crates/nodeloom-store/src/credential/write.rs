//! Adding and changing credentials.

use nodeloom_domain::{
    Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    CredentialRow, FieldChanges, StoreError, Tx,
    engine::{Param, json_list, signed},
    store::require,
};

impl Tx {
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
             updated_by_name, owner_id, notes, tags, hosts, restricted, expires_at, rotate_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
             $17, $18, $19, $20, $21)";
        let fields = json_list(&row.fields);
        let said = &row.attributes;
        let (tags, hosts) = (json_list(&said.tags), json_list(&said.hosts));
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
            optional(said.owner_id.as_ref()),
            said.notes.as_str().into(),
            tags.as_str().into(),
            hosts.as_str().into(),
            Param::Bool(said.restricted),
            opt_time(said.expires_at),
            opt_time(said.rotate_by),
        ];
        self.execute(SQL, &params).await?;
        self.insert_version(row).await?;
        self.index_credential(row, words).await
    }

    /// Writes name, sort key, type, generation, revision, fields, attributes and the
    /// `updated_` columns of a credential, if it still has `expected_revision`; `false`, and
    /// nothing written, when it has another or is gone. A generation that is new becomes a
    /// version. Permit: changing this credential.
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
             updated_by_name = $11, owner_id = $12, notes = $13, tags = $14, hosts = $15, \
             restricted = $16, expires_at = $17, rotate_by = $18 \
             WHERE id = $1 AND revision = $2";
        let fields = json_list(&row.fields);
        let said = &row.attributes;
        let (tags, hosts) = (json_list(&said.tags), json_list(&said.hosts));
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
            optional(said.owner_id.as_ref()),
            said.notes.as_str().into(),
            tags.as_str().into(),
            hosts.as_str().into(),
            Param::Bool(said.restricted),
            opt_time(said.expires_at),
            opt_time(said.rotate_by),
        ];
        if self.execute(SQL, &params).await? == 0 {
            return Ok(false);
        }
        if row.generation != old.generation {
            self.insert_version(row).await?;
        }
        self.reindex_credential(&old, row, words).await?;
        Ok(true)
    }

    /// Notes how the current version of `row` differs from the one before, and which one it
    /// repeats. Permit: changing this credential.
    ///
    /// # Errors
    /// As any write.
    pub async fn describe_version(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        changes: Option<&FieldChanges>,
        restored_from: Option<u64>,
    ) -> Result<(), StoreError> {
        let covered =
            permit.covers_record(Action::CredentialUpdate, row.team_id, row.id.as_bytes());
        require(covered, "this credential")?;
        const SQL: &str = "UPDATE credential_versions SET changes = $3, restored_from = $4 \
             WHERE credential_id = $1 AND generation = $2";
        let changes = changes
            .map(serde_json::to_string)
            .transpose()
            .map_err(|_| StoreError::other("names of fields did not serialise"))?;
        let params = [
            (&row.id).into(),
            signed(row.generation)?.into(),
            Param::OptText(changes.as_deref()),
            Param::OptInt(restored_from.map(signed).transpose()?),
        ];
        self.execute(SQL, &params).await.map(drop)
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
}

pub(super) fn optional<'a>(user: Option<&'a UserId>) -> Param<'a> {
    Param::OptBytes(user.map(|user| user.as_bytes().as_slice()))
}

fn opt_time<'a>(at: Option<Timestamp>) -> Param<'a> {
    Param::OptInt(at.map(Timestamp::as_micros))
}
