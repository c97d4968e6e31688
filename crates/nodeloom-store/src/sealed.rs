//! The one table of sealed values.

use nodeloom_crypto::{INSTANCE, KeyId};
use nodeloom_domain::{
    SealedValueId, TeamId, Timestamp,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Param, Row, Run, signed, words},
    instance::covers_birth,
    store::require,
};

words! {
    /// What is known of a sealed value.
    SealedState {
        /// Nothing bad.
        Ok = "ok",
        /// Malformed, or not authentic under a key that is held. Kept as it is.
        Quarantined = "quarantined",
    }
}

/// A sealed value. The columns say where it claims to belong; its envelope opens nowhere but
/// where it was sealed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Its id.
    pub id: SealedValueId,
    /// The team, 16 zero bytes for the instance.
    pub team_id: TeamId,
    /// What sort of record owns it, such as `credential`.
    pub kind: String,
    /// The owning record's id.
    pub owner_id: [u8; 16],
    /// Which of the record's values, such as `data`.
    pub field: String,
    /// The record's version, from 1.
    pub generation: u64,
    /// The data key that sealed it.
    pub key_id: KeyId,
    /// The envelope: 50 bytes more than the value.
    pub envelope: Vec<u8>,
    /// What is known of it.
    pub state: SealedState,
    /// Why it is quarantined.
    pub reason: Option<String>,
    /// When it was first sealed.
    pub created_at: Timestamp,
}

/// How many sealed values a key holds, per kind and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CensusRow {
    /// The data key.
    pub key_id: KeyId,
    /// The kind.
    pub kind: String,
    /// The state.
    pub state: SealedState,
    /// How many.
    pub count: u64,
}

impl SealedRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut row = row.columns("sealed_values");
        Ok(Self {
            id: row.fixed()?,
            team_id: row.fixed()?,
            kind: row.text()?,
            owner_id: row.fixed()?,
            field: row.text()?,
            generation: row.count()?,
            key_id: row.fixed()?,
            envelope: row.bytes()?,
            state: row.word()?,
            reason: row.opt_text()?,
            created_at: row.time()?,
        })
    }
}

async fn find_sealed(
    mut run: impl Run,
    team: TeamId,
    kind: &str,
    owner: &[u8; 16],
    field: &str,
    generation: u64,
) -> Result<Option<SealedRow>, StoreError> {
    const SQL: &str = "SELECT id, team_id, kind, owner_id, field, generation, key_id, envelope, \
         state, reason, created_at FROM sealed_values \
         WHERE team_id = $1 AND kind = $2 AND owner_id = $3 AND field = $4 AND generation = $5";
    let params = [
        (&team).into(),
        kind.into(),
        Param::Bytes(owner),
        field.into(),
        signed(generation)?.into(),
    ];
    run.fetch(SQL.into(), &params)
        .await?
        .first()
        .map(SealedRow::read)
        .transpose()
}

impl Store {
    /// The value sealed for this place.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_sealed(
        &self,
        team: TeamId,
        kind: &str,
        owner: &[u8; 16],
        field: &str,
        generation: u64,
    ) -> Result<Option<SealedRow>, StoreError> {
        find_sealed(self, team, kind, owner, field, generation).await
    }

    /// Up to `limit` values after the id `after`, by id: every value, page by page, from
    /// `None` on. For the verifier and `doctor`, which do not serve what they open.
    ///
    /// # Errors
    /// As any read. One row of the wrong shape fails its page; `limit` 1 finds it.
    pub async fn sealed_page(
        &self,
        after: Option<SealedValueId>,
        limit: u64,
    ) -> Result<Vec<SealedRow>, StoreError> {
        const SQL: &str = "SELECT id, team_id, kind, owner_id, field, generation, key_id, \
             envelope, state, reason, created_at FROM sealed_values \
             WHERE id > $1 ORDER BY id LIMIT $2";
        // No bytes at all stand before every id.
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
        let rows = self
            .fetch(SQL, &[Param::Bytes(after), signed(limit)?.into()])
            .await?;
        rows.iter().map(SealedRow::read).collect()
    }

    /// How many values each key holds, per kind and state.
    ///
    /// # Errors
    /// As any read.
    pub async fn census(&self) -> Result<Vec<CensusRow>, StoreError> {
        const SQL: &str = "SELECT key_id, kind, state, count(*) FROM sealed_values \
             GROUP BY key_id, kind, state ORDER BY key_id, kind, state";
        let rows = self.fetch(SQL, &[]).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("sealed_values");
                Ok(CensusRow {
                    key_id: row.fixed()?,
                    kind: row.text()?,
                    state: row.word()?,
                    count: row.count()?,
                })
            })
            .collect()
    }

    /// Up to `limit` quarantined values after the id `after`, by id.
    ///
    /// # Errors
    /// As any read.
    pub async fn quarantined_page(
        &self,
        after: Option<SealedValueId>,
        limit: u64,
    ) -> Result<Vec<SealedRow>, StoreError> {
        const SQL: &str = "SELECT id, team_id, kind, owner_id, field, generation, key_id, \
             envelope, state, reason, created_at FROM sealed_values \
             WHERE state = 'quarantined' AND id > $1 ORDER BY id LIMIT $2";
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes());
        let rows = self
            .fetch(SQL, &[Param::Bytes(after), signed(limit)?.into()])
            .await?;
        rows.iter().map(SealedRow::read).collect()
    }
}

impl Tx {
    /// As [`Store::find_sealed`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_sealed(
        &mut self,
        team: TeamId,
        kind: &str,
        owner: &[u8; 16],
        field: &str,
        generation: u64,
    ) -> Result<Option<SealedRow>, StoreError> {
        find_sealed(self, team, kind, owner, field, generation).await
    }

    /// Adds a sealed value. Permit: creating a credential in its team, or changing its owner;
    /// housekeeping or setting up for a value of the instance.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when its place is taken or its key is unknown.
    pub async fn insert_sealed(
        &mut self,
        permit: &Permit,
        sealed: &SealedRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_team(Action::CredentialCreate, sealed.team_id)
            || permit.covers_record(Action::CredentialUpdate, sealed.team_id, &sealed.owner_id)
            || (*sealed.team_id.as_bytes() == INSTANCE && covers_birth(permit));
        require(covered, "a sealed value of this owner")?;
        const SQL: &str = "INSERT INTO sealed_values (id, team_id, kind, owner_id, field, \
             generation, key_id, envelope, state, reason, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let params = [
            (&sealed.id).into(),
            (&sealed.team_id).into(),
            sealed.kind.as_str().into(),
            Param::Bytes(&sealed.owner_id),
            sealed.field.as_str().into(),
            signed(sealed.generation)?.into(),
            Param::Bytes(sealed.key_id.as_bytes()),
            Param::Bytes(&sealed.envelope),
            sealed.state.as_str().into(),
            Param::OptText(sealed.reason.as_deref()),
            sealed.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Deletes every value of an owner, all fields and generations, and says how many.
    /// Permit: purging that owner, or housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_sealed_of(
        &mut self,
        permit: &Permit,
        team: TeamId,
        kind: &str,
        owner: &[u8; 16],
    ) -> Result<u64, StoreError> {
        let covered = permit.covers_record(Action::CredentialPurge, team, owner);
        let by_age = permit.covers_instance(Action::Housekeeping);
        require(covered || by_age, "the sealed values of this owner")?;
        const SQL: &str = "DELETE FROM sealed_values \
             WHERE team_id = $1 AND kind = $2 AND owner_id = $3";
        self.execute(SQL, &[(&team).into(), kind.into(), Param::Bytes(owner)])
            .await
    }

    /// Quarantines a value, or clears it, if its envelope is still the one that was judged;
    /// `false` when it has changed or gone. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn mark_sealed(
        &mut self,
        permit: &Permit,
        id: SealedValueId,
        state: SealedState,
        reason: Option<&str>,
        expected_envelope: &[u8],
    ) -> Result<bool, StoreError> {
        require(
            permit.covers_instance(Action::Housekeeping),
            "the state of a sealed value",
        )?;
        const SQL: &str = "UPDATE sealed_values SET state = $2, reason = $3 \
             WHERE id = $1 AND envelope = $4";
        let params = [
            (&id).into(),
            state.as_str().into(),
            Param::OptText(reason),
            Param::Bytes(expected_envelope),
        ];
        Ok(self.execute(SQL, &params).await? > 0)
    }
}
