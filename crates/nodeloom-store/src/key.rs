//! Root keys, data keys, and the slots that wrap the second under the first.

use nodeloom_crypto::{KeyId, Purpose, RootId};
use nodeloom_domain::{
    TeamId, Timestamp,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Columns, Param, Row, Run, Sql, words},
    instance::covers_birth,
    store::require,
};

words! {
    /// Where a root key stands. Its id is kept for ever.
    RootState {
        /// Wraps keys.
        Active = "active",
        /// No slot is under it any more.
        Retired = "retired",
    }
}

words! {
    /// Where a data key stands.
    KeyState {
        /// New values are sealed with it; one per team and purpose.
        Active = "active",
        /// Opens what it sealed, while its values move to the active key.
        Draining = "draining",
        /// Its slots are gone; the row stays as a record.
        Destroyed = "destroyed",
    }
}

/// A root key that this database has known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKeyRow {
    /// Its id.
    pub id: RootId,
    /// Where it stands.
    pub state: RootState,
    /// When a process first came with it.
    pub first_seen: Timestamp,
    /// When a process last came with it.
    pub last_seen: Timestamp,
    /// The root string wrapped by a key service, where one is used.
    pub wrapped: Option<Vec<u8>>,
}

/// A data, index, audit or signing key. The key itself is only in its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataKeyRow {
    /// Its id.
    pub id: KeyId,
    /// Its team; nothing for the instance.
    pub team_id: Option<TeamId>,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One wrapping of a data key under a root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlotRow {
    /// The wrapped key.
    pub data_key_id: KeyId,
    /// The root key that it is wrapped under.
    pub root_id: RootId,
    /// The wrapped key: an envelope of 82 bytes.
    pub envelope: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl RootKeyRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut row = row.columns("root_keys");
        Ok(Self {
            id: row.fixed()?,
            state: row.word()?,
            first_seen: row.time()?,
            last_seen: row.time()?,
            wrapped: row.opt_bytes()?,
        })
    }
}

impl DataKeyRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            team_id: row.opt_fixed()?,
            purpose: row.word()?,
            state: row.word()?,
            created_at: row.time()?,
        })
    }
}

impl KeySlotRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            data_key_id: row.fixed()?,
            root_id: row.fixed()?,
            envelope: row.bytes()?,
            created_at: row.time()?,
        })
    }
}

pub(crate) async fn roots(mut run: impl Run) -> Result<Vec<RootKeyRow>, StoreError> {
    const SQL: &str = "SELECT id, state, first_seen, last_seen, wrapped FROM root_keys \
         ORDER BY first_seen, id";
    run.fetch(SQL.into(), &[])
        .await?
        .iter()
        .map(RootKeyRow::read)
        .collect()
}

pub(crate) async fn data_keys(mut run: impl Run) -> Result<Vec<DataKeyRow>, StoreError> {
    const SQL: &str = "SELECT id, team_id, purpose, state, created_at FROM data_keys \
         ORDER BY created_at, id";
    let rows = run.fetch(SQL.into(), &[]).await?;
    rows.iter()
        .map(|row| DataKeyRow::read(&mut row.columns("data_keys")))
        .collect()
}

pub(crate) async fn slots_of(mut run: impl Run, key: KeyId) -> Result<Vec<KeySlotRow>, StoreError> {
    const SQL: &str = "SELECT data_key_id, root_id, envelope, created_at FROM key_slots \
         WHERE data_key_id = $1 ORDER BY root_id";
    let rows = run
        .fetch(SQL.into(), &[Param::Bytes(key.as_bytes())])
        .await?;
    rows.iter()
        .map(|row| KeySlotRow::read(&mut row.columns("key_slots")))
        .collect()
}

async fn data_key(mut run: impl Run, id: KeyId) -> Result<Option<DataKeyRow>, StoreError> {
    const SQL: &str = "SELECT id, team_id, purpose, state, created_at FROM data_keys \
         WHERE id = $1";
    let rows = run
        .fetch(SQL.into(), &[Param::Bytes(id.as_bytes())])
        .await?;
    rows.first()
        .map(|row| DataKeyRow::read(&mut row.columns("data_keys")))
        .transpose()
}

async fn key_with_slots(mut run: impl Run, id: KeyId) -> Result<Option<KeyWithSlots>, StoreError> {
    const SQL: &str = "SELECT k.id, k.team_id, k.purpose, k.state, k.created_at, \
         s.data_key_id, s.root_id, s.envelope, s.created_at \
         FROM data_keys k LEFT JOIN key_slots s ON s.data_key_id = k.id \
         WHERE k.id = $1 ORDER BY s.root_id";
    let rows = run
        .fetch(SQL.into(), &[Param::Bytes(id.as_bytes())])
        .await?;
    Ok(grouped(&rows)?.pop())
}

/// A data key and all its slots.
pub type KeyWithSlots = (DataKeyRow, Vec<KeySlotRow>);

/// Rows of a key joined with its slots, one key after the other.
pub(crate) fn grouped(rows: &[Row]) -> Result<Vec<KeyWithSlots>, StoreError> {
    let mut keys: Vec<KeyWithSlots> = Vec::new();
    for row in rows {
        let mut row = row.columns("data_keys");
        let key = DataKeyRow::read(&mut row)?;
        if keys.last().is_none_or(|(last, _)| last.id != key.id) {
            keys.push((key, Vec::new()));
        }
        let Some(data_key_id) = row.opt_fixed()? else {
            continue;
        };
        let slot = KeySlotRow {
            data_key_id,
            root_id: row.fixed()?,
            envelope: row.bytes()?,
            created_at: row.time()?,
        };
        if let Some((_, slots)) = keys.last_mut() {
            slots.push(slot);
        }
    }
    Ok(keys)
}

async fn active(
    mut run: impl Run,
    sql: Sql,
    team: Option<TeamId>,
    purpose: Purpose,
) -> Result<Option<DataKeyRow>, StoreError> {
    let team = team.as_ref().map(|team| team.as_bytes().as_slice());
    let params: &[Param<'_>] = match team {
        Some(team) => &[purpose.as_str().into(), Param::Bytes(team)],
        None => &[purpose.as_str().into()],
    };
    let rows = run.fetch(sql, params).await?;
    rows.first()
        .map(|row| DataKeyRow::read(&mut row.columns("data_keys")))
        .transpose()
}

const ACTIVE_OF_TEAM: &str = "SELECT id, team_id, purpose, state, created_at FROM data_keys \
     WHERE state = 'active' AND purpose = $1 AND team_id = $2";
const ACTIVE_OF_INSTANCE: &str = "SELECT id, team_id, purpose, state, created_at FROM data_keys \
     WHERE state = 'active' AND purpose = $1 AND team_id IS NULL";
// A writer holds its key until it commits, so that no rotation can start to drain it in
// between. SQLite has one writer, which needs no lock and knows no such clause.
const ACTIVE_OF_TEAM_LOCKED: Sql = Sql::per_engine(
    ACTIVE_OF_TEAM,
    "SELECT id, team_id, purpose, state, created_at FROM data_keys \
     WHERE state = 'active' AND purpose = $1 AND team_id = $2 FOR SHARE",
);
const ACTIVE_OF_INSTANCE_LOCKED: Sql = Sql::per_engine(
    ACTIVE_OF_INSTANCE,
    "SELECT id, team_id, purpose, state, created_at FROM data_keys \
     WHERE state = 'active' AND purpose = $1 AND team_id IS NULL FOR SHARE",
);

impl Store {
    /// Every root key ever seen, oldest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn roots(&self) -> Result<Vec<RootKeyRow>, StoreError> {
        roots(self).await
    }

    /// Every data key, oldest first, destroyed ones included.
    ///
    /// # Errors
    /// As any read.
    pub async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        data_keys(self).await
    }

    /// The data key with this id.
    ///
    /// # Errors
    /// As any read.
    pub async fn data_key(&self, id: KeyId) -> Result<Option<DataKeyRow>, StoreError> {
        data_key(self, id).await
    }

    /// The slots of a data key.
    ///
    /// # Errors
    /// As any read.
    pub async fn slots_of(&self, key: KeyId) -> Result<Vec<KeySlotRow>, StoreError> {
        slots_of(self, key).await
    }

    /// The keys that have a slot under a root key, by id.
    ///
    /// # Errors
    /// As any read.
    pub async fn keys_under_root(&self, root: RootId) -> Result<Vec<KeyId>, StoreError> {
        const SQL: &str =
            "SELECT data_key_id FROM key_slots WHERE root_id = $1 ORDER BY data_key_id";
        let rows = self.fetch(SQL, &[Param::Bytes(root.as_bytes())]).await?;
        rows.iter()
            .map(|row| row.columns("key_slots").fixed())
            .collect()
    }

    /// The data key with this id, and its slots.
    ///
    /// # Errors
    /// As any read.
    pub async fn key_with_slots(&self, id: KeyId) -> Result<Option<KeyWithSlots>, StoreError> {
        key_with_slots(self, id).await
    }

    /// The key that new values of the team (or the instance) are sealed, indexed, chained or
    /// signed with. It may be replaced the next moment; a write asks [`Tx::active_data_key`].
    ///
    /// # Errors
    /// As any read.
    pub async fn active_data_key(
        &self,
        team: Option<TeamId>,
        purpose: Purpose,
    ) -> Result<Option<DataKeyRow>, StoreError> {
        let sql = if team.is_some() {
            ACTIVE_OF_TEAM
        } else {
            ACTIVE_OF_INSTANCE
        };
        active(self, sql.into(), team, purpose).await
    }
}

impl Tx {
    /// As [`Store::active_data_key`], and keeps it active until this transaction ends.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds its lock for long.
    pub async fn active_data_key(
        &mut self,
        team: Option<TeamId>,
        purpose: Purpose,
    ) -> Result<Option<DataKeyRow>, StoreError> {
        let sql = if team.is_some() {
            ACTIVE_OF_TEAM_LOCKED
        } else {
            ACTIVE_OF_INSTANCE_LOCKED
        };
        active(self, sql, team, purpose).await
    }

    /// As [`Store::key_with_slots`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn key_with_slots(&mut self, id: KeyId) -> Result<Option<KeyWithSlots>, StoreError> {
        key_with_slots(self, id).await
    }

    /// As [`Store::roots`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn roots(&mut self) -> Result<Vec<RootKeyRow>, StoreError> {
        roots(self).await
    }

    /// Notes a root key. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is known.
    pub async fn insert_root(
        &mut self,
        permit: &Permit,
        root: &RootKeyRow,
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "a root key")?;
        const SQL: &str = "INSERT INTO root_keys (id, state, first_seen, last_seen, wrapped) \
             VALUES ($1, $2, $3, $4, $5)";
        let params = [
            Param::Bytes(root.id.as_bytes()),
            root.state.as_str().into(),
            root.first_seen.into(),
            root.last_seen.into(),
            Param::OptBytes(root.wrapped.as_deref()),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Notes that a process came with this root key; never moves backwards. `false` when the
    /// root is unknown or was seen later.
    ///
    /// # Errors
    /// As any write.
    pub async fn touch_root(&mut self, id: RootId, at: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE root_keys SET last_seen = $2 WHERE id = $1 AND last_seen <= $2";
        Ok(self
            .execute(SQL, &[Param::Bytes(id.as_bytes()), at.into()])
            .await?
            > 0)
    }

    /// Adds a data key, without any slot yet. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, the team does not exist, or the key is
    /// active and there is an active one of that team and purpose.
    pub async fn insert_data_key(
        &mut self,
        permit: &Permit,
        key: &DataKeyRow,
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "a data key")?;
        const SQL: &str = "INSERT INTO data_keys (id, team_id, purpose, state, created_at) \
             VALUES ($1, $2, $3, $4, $5)";
        let params = [
            Param::Bytes(key.id.as_bytes()),
            Param::OptBytes(key.team_id.as_ref().map(|team| team.as_bytes().as_slice())),
            key.purpose.as_str().into(),
            key.state.as_str().into(),
            key.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Adds a slot. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the key has a slot under that root, or when key or root
    /// is unknown.
    pub async fn insert_slot(
        &mut self,
        permit: &Permit,
        slot: &KeySlotRow,
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "a key slot")?;
        const SQL: &str = "INSERT INTO key_slots (data_key_id, root_id, envelope, created_at) \
             VALUES ($1, $2, $3, $4)";
        let params = [
            Param::Bytes(slot.data_key_id.as_bytes()),
            Param::Bytes(slot.root_id.as_bytes()),
            Param::Bytes(&slot.envelope),
            slot.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Moves a data key from one state to another; `false` when it was not in `from`.
    /// Permit: housekeeping.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it would become active beside another.
    pub async fn set_key_state(
        &mut self,
        permit: &Permit,
        id: KeyId,
        from: KeyState,
        to: KeyState,
    ) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a data key")?;
        const SQL: &str = "UPDATE data_keys SET state = $3 WHERE id = $1 AND state = $2";
        let params = [
            Param::Bytes(id.as_bytes()),
            from.as_str().into(),
            to.as_str().into(),
        ];
        Ok(self.execute(SQL, &params).await? > 0)
    }
}
