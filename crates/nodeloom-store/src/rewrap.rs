//! Moving every key from one root key to another: slots in bulk, and the end of a root.

use std::sync::LazyLock;

use nodeloom_crypto::{KeyId, RootId};
use nodeloom_domain::policy::{Action, Permit};

use crate::{
    KeySlotRow, StoreError, Tx,
    engine::{Param, Sql, signed},
    instance::covers_birth,
    key::{KeyWithSlots, grouped},
    store::require,
};

/// Slots of one statement.
const AT_ONCE: usize = 32;

static INSERT_MANY: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<String> = (0..AT_ONCE)
        .map(|row| {
            let first = row * 4;
            format!(
                "(${}, ${}, ${}, ${})",
                first + 1,
                first + 2,
                first + 3,
                first + 4
            )
        })
        .collect();
    format!(
        "INSERT INTO key_slots (data_key_id, root_id, envelope, created_at) VALUES {}",
        rows.join(", ")
    )
});

impl Tx {
    /// The ids of the active root keys, which stay active until this transaction ends: whoever
    /// makes a key wraps it under each of these that it holds.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds them for long.
    pub async fn hold_active_roots(&mut self) -> Result<Vec<RootId>, StoreError> {
        // SQLite has one writer, which needs no lock and knows no such clause.
        let sql = Sql::per_engine(
            "SELECT id FROM root_keys WHERE state = 'active' ORDER BY id",
            "SELECT id FROM root_keys WHERE state = 'active' ORDER BY id FOR SHARE",
        );
        let rows = self.fetch(sql, &[]).await?;
        rows.iter()
            .map(|row| row.columns("root_keys").fixed())
            .collect()
    }

    /// Up to `limit` keys behind `after` that are not destroyed, by id, with all their slots;
    /// with `without`, only those that have no slot under that root.
    ///
    /// # Errors
    /// As any read.
    pub async fn wrapped_keys_page(
        &mut self,
        without: Option<RootId>,
        after: Option<KeyId>,
        limit: u64,
    ) -> Result<Vec<KeyWithSlots>, StoreError> {
        const SQL: &str = "SELECT k.id, k.team_id, k.purpose, k.state, k.created_at, \
             s.data_key_id, s.root_id, s.envelope, s.created_at \
             FROM (SELECT * FROM data_keys d WHERE d.id > $1 AND d.state <> 'destroyed' \
             AND NOT EXISTS (SELECT 1 FROM key_slots n WHERE n.data_key_id = d.id \
             AND n.root_id = $2) ORDER BY d.id LIMIT $3) k \
             LEFT JOIN key_slots s ON s.data_key_id = k.id ORDER BY k.id, s.root_id";
        // No bytes at all stand before every id, and are nobody's id.
        let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
        let without: &[u8] = without.as_ref().map_or(&[], |id| id.as_bytes());
        let params = [
            Param::Bytes(after),
            Param::Bytes(without),
            signed(limit)?.into(),
        ];
        grouped(&self.fetch(SQL, &params).await?)
    }

    /// Adds slots. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a key has a slot under that root, or when a key or root is
    /// unknown.
    pub async fn insert_slots(
        &mut self,
        permit: &Permit,
        slots: &[KeySlotRow],
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "key slots")?;
        let mut chunks = slots.chunks_exact(AT_ONCE);
        for many in &mut chunks {
            let mut params = Vec::with_capacity(AT_ONCE * 4);
            for slot in many {
                params.extend([
                    Param::Bytes(slot.data_key_id.as_bytes()),
                    Param::Bytes(slot.root_id.as_bytes()),
                    Param::Bytes(&slot.envelope),
                    slot.created_at.into(),
                ]);
            }
            let sql: &'static str = &INSERT_MANY;
            self.execute(sql, &params).await?;
        }
        for slot in chunks.remainder() {
            self.insert_slot(permit, slot).await?;
        }
        Ok(())
    }

    /// Marks a root key as retired; `false` when it is not an active one. Waits for whoever is
    /// making a key under it. Permit: retiring root keys.
    ///
    /// # Errors
    /// As any write.
    pub async fn retire_root(&mut self, permit: &Permit, root: RootId) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::KeyRetire), "a root key")?;
        const SQL: &str =
            "UPDATE root_keys SET state = 'retired' WHERE id = $1 AND state = 'active'";
        let params = [Param::Bytes(root.as_bytes())];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Deletes every slot under a root key and says how many. Permit: retiring root keys.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_slots_of_root(
        &mut self,
        permit: &Permit,
        root: RootId,
    ) -> Result<u64, StoreError> {
        require(
            permit.covers_instance(Action::KeyRetire),
            "the slots of a root key",
        )?;
        const SQL: &str = "DELETE FROM key_slots WHERE root_id = $1";
        self.execute(SQL, &[Param::Bytes(root.as_bytes())]).await
    }
}
