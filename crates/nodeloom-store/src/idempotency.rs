//! Idempotency keys: what a create has created.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    Timestamp,
    policy::{Action, Permit},
};

use crate::{Store, StoreError, Tx, engine::Param, store::require};

/// A create that carried a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRow {
    /// Who asked; 16 zero bytes for an operator.
    pub actor_id: [u8; 16],
    /// The key that they chose.
    pub key: String,
    /// Keyed hash of the request.
    pub tag: [u8; 32],
    /// The index key of `tag`.
    pub index_key_id: KeyId,
    /// What was created, such as `credential`.
    pub target_kind: String,
    /// Its id.
    pub target_id: [u8; 16],
    /// When.
    pub created_at: Timestamp,
}

impl Store {
    /// What this actor created under this key.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_idempotency(
        &self,
        actor: &[u8; 16],
        key: &str,
    ) -> Result<Option<IdempotencyRow>, StoreError> {
        const SQL: &str = "SELECT actor_id, key, tag, index_key_id, target_kind, target_id, \
             created_at FROM idempotency_keys WHERE actor_id = $1 AND key = $2";
        let rows = self.fetch(SQL, &[Param::Bytes(actor), key.into()]).await?;
        rows.first()
            .map(|row| {
                let mut row = row.columns("idempotency_keys");
                Ok(IdempotencyRow {
                    actor_id: row.fixed()?,
                    key: row.text()?,
                    tag: row.fixed()?,
                    index_key_id: row.fixed()?,
                    target_kind: row.text()?,
                    target_id: row.fixed()?,
                    created_at: row.time()?,
                })
            })
            .transpose()
    }
}

impl Tx {
    /// Notes a create under its key; one under the same key from `before` or earlier gives way.
    /// Takes no permit: it comes with a create, which has one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] in `idempotency_keys` when the key is in use.
    pub async fn insert_idempotency(
        &mut self,
        row: &IdempotencyRow,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        const CLEAR: &str = "DELETE FROM idempotency_keys \
             WHERE actor_id = $1 AND key = $2 AND created_at <= $3";
        let key = [Param::Bytes(&row.actor_id), row.key.as_str().into()];
        self.execute(CLEAR, &[key[0], key[1], before.into()])
            .await?;
        const SQL: &str = "INSERT INTO idempotency_keys (actor_id, key, tag, index_key_id, \
             target_kind, target_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let params = [
            key[0],
            key[1],
            Param::Bytes(&row.tag),
            Param::Bytes(row.index_key_id.as_bytes()),
            row.target_kind.as_str().into(),
            Param::Bytes(&row.target_id),
            row.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Forgets keys from before `before`, and says how many. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_old_idempotency(
        &mut self,
        permit: &Permit,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let covered = permit.covers_instance(Action::Housekeeping);
        require(covered, "old idempotency keys")?;
        const SQL: &str = "DELETE FROM idempotency_keys WHERE created_at < $1";
        self.execute(SQL, &[before.into()]).await
    }
}
