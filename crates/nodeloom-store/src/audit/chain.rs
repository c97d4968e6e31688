//! Appending to the chain, and reading it.

use nodeloom_crypto::AuditKey;
use nodeloom_domain::{
    audit::AuditEvent,
    policy::{Action, Permit},
};

use super::{AuditHead, AuditRow, CheckpointRow};
use crate::{
    Store, StoreError, Tx,
    engine::{EngineTx, Param, Run, Sql, signed},
    store::require,
};

const HEAD: &str = "SELECT sequence, segment, key_id, mac FROM audit_head";
// Writers append one after the other: each links to the one before. SQLite has one writer.
pub(super) const HEAD_LOCKED: Sql = Sql::per_engine(
    HEAD,
    "SELECT sequence, segment, key_id, mac FROM audit_head FOR UPDATE",
);

async fn head(mut run: impl Run, sql: Sql) -> Result<AuditHead, StoreError> {
    let rows = run.fetch(sql, &[]).await?;
    match rows.first() {
        Some(row) => AuditHead::read(&mut row.columns("audit_head")),
        None => Err(StoreError::corrupt("table audit_head, its row is gone")),
    }
}

/// A transaction that has its audit events and awaits its end. What it did is undone when it is
/// dropped.
pub struct Prepared {
    inner: EngineTx,
    rows: Vec<AuditRow>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared(..)")
    }
}

impl Prepared {
    /// The events as they will be stored.
    #[must_use]
    pub fn rows(&self) -> &[AuditRow] {
        &self.rows
    }

    /// Makes the change and its events lasting, both or neither.
    ///
    /// # Errors
    /// As [`Tx::commit`].
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await
    }

    /// Undoes everything. Dropping does the same, later.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database has gone, which undoes it too.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.inner.rollback().await
    }
}

impl Tx {
    /// Appends the event to the chain and commits: both land or neither does. This is the
    /// only way to commit a change.
    ///
    /// When `chain` is not the key of the last event, a new segment begins, provided that it
    /// is the instance's active audit key.
    ///
    /// # Errors
    /// As any write; nothing has been written then, except that after
    /// [`StoreError::Unavailable`] the outcome can be unknown: the connection may have broken
    /// while the database was committing. [`StoreError::AuditKeyNotActive`].
    pub async fn commit(self, event: &AuditEvent, chain: &AuditKey) -> Result<(), StoreError> {
        self.commit_all(std::slice::from_ref(event), chain).await
    }

    /// As [`Tx::commit`], with several events in this order.
    ///
    /// # Errors
    /// As [`Tx::commit`]; also when there is no event at all.
    pub async fn commit_all(
        self,
        events: &[AuditEvent],
        chain: &AuditKey,
    ) -> Result<(), StoreError> {
        self.prepare(events, chain).await?.commit().await
    }

    /// The first half of [`Tx::commit_all`]: the events have their places and links, and nothing
    /// is committed. Between the halves they can be kept elsewhere.
    ///
    /// # Errors
    /// As [`Tx::commit_all`].
    pub async fn prepare(
        mut self,
        events: &[AuditEvent],
        chain: &AuditKey,
    ) -> Result<Prepared, StoreError> {
        if events.is_empty() {
            return Err(StoreError::other("a commit needs an audit event"));
        }
        let mut head = head(&mut self, HEAD_LOCKED).await?;
        let segment = if head.key_id == Some(chain.id()) {
            head.segment
        } else {
            self.require_active(chain).await?;
            head.segment + 1
        };
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let mut row = AuditRow::after(&head, segment, chain.id(), event);
            row.mac = chain.link(&head.mac, &row.message());
            self.append(&row).await?;
            head = AuditHead {
                sequence: row.sequence,
                segment,
                key_id: Some(row.key_id),
                mac: row.mac,
            };
            rows.push(row);
        }
        const SQL: &str = "UPDATE audit_head SET sequence = $1, segment = $2, key_id = $3, \
             mac = $4 WHERE singleton = 1";
        let params = [
            signed(head.sequence)?.into(),
            signed(head.segment)?.into(),
            Param::OptBytes(head.key_id.as_ref().map(|id| id.as_bytes().as_slice())),
            Param::Bytes(&head.mac),
        ];
        if self.execute(SQL, &params).await? != 1 {
            return Err(StoreError::corrupt("table audit_head, its row is gone"));
        }
        Ok(Prepared {
            inner: self.inner,
            rows,
        })
    }

    /// A process that still holds an old audit key must not go on with it beside the others.
    async fn require_active(&mut self, chain: &AuditKey) -> Result<(), StoreError> {
        const SQL: &str = "SELECT 1 FROM data_keys WHERE id = $1 AND purpose = 'audit' \
             AND state = 'active' AND team_id IS NULL";
        let rows = self
            .fetch(SQL, &[Param::Bytes(chain.id().as_bytes())])
            .await?;
        if rows.is_empty() {
            Err(StoreError::AuditKeyNotActive)
        } else {
            Ok(())
        }
    }

    async fn append(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO audit_events (sequence, id, at, segment, key_id, \
             actor_kind, actor_id, actor_name, team_id, action, target_kind, target_id, \
             target_name, outcome, request_id, address, detail, mac) VALUES ($1, $2, $3, $4, $5, \
             $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
        let params = [
            signed(row.sequence)?.into(),
            (&row.id).into(),
            row.at.into(),
            signed(row.segment)?.into(),
            Param::Bytes(row.key_id.as_bytes()),
            row.actor_kind.as_str().into(),
            Param::OptBytes(row.actor_id.as_deref()),
            row.actor_name.as_str().into(),
            Param::OptBytes(row.team_id.as_ref().map(|team| team.as_bytes().as_slice())),
            row.action.as_str().into(),
            Param::OptText(row.target_kind.as_deref()),
            Param::OptBytes(row.target_id.as_deref()),
            Param::OptText(row.target_name.as_deref()),
            row.outcome.as_str().into(),
            row.request_id.as_str().into(),
            Param::OptText(row.address.as_deref()),
            row.detail.as_str().into(),
            Param::Bytes(&row.mac),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Keeps a signed checkpoint. Permit: housekeeping.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one for that sequence.
    pub async fn add_checkpoint(
        &mut self,
        permit: &Permit,
        checkpoint: &CheckpointRow,
    ) -> Result<(), StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a checkpoint")?;
        const SQL: &str = "INSERT INTO audit_checkpoints \
             (sequence, at, mac, sign_key_id, public_key, signature) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let params = [
            signed(checkpoint.sequence)?.into(),
            checkpoint.at.into(),
            Param::Bytes(&checkpoint.mac),
            Param::Bytes(checkpoint.sign_key_id.as_bytes()),
            Param::Bytes(&checkpoint.public_key),
            Param::Bytes(&checkpoint.signature),
        ];
        self.execute(SQL, &params).await.map(drop)
    }
}

pub(super) const PAGE: &str = "SELECT sequence, id, at, segment, key_id, actor_kind, actor_id, \
     actor_name, team_id, action, target_kind, target_id, target_name, outcome, request_id, \
     address, detail, mac FROM audit_events WHERE sequence > $1 ORDER BY sequence LIMIT $2";

impl Store {
    /// Where the chain ends.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row that says so is gone.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        head(self, HEAD.into()).await
    }

    /// Up to `limit` events after the sequence `after`, in order; from 0 on for all.
    ///
    /// # Errors
    /// As any read.
    pub async fn audit_page(&self, after: u64, limit: u64) -> Result<Vec<AuditRow>, StoreError> {
        let rows = self
            .fetch(PAGE, &[signed(after)?.into(), signed(limit)?.into()])
            .await?;
        rows.iter()
            .map(|row| AuditRow::read(&mut row.columns("audit_events")))
            .collect()
    }

    /// The event of this sequence, unless it was pruned.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_audit_event(&self, sequence: u64) -> Result<Option<AuditRow>, StoreError> {
        let Ok(sequence) = signed(sequence) else {
            return Ok(None);
        };
        const SQL: &str = "SELECT sequence, id, at, segment, key_id, actor_kind, actor_id, \
             actor_name, team_id, action, target_kind, target_id, target_name, outcome, \
             request_id, address, detail, mac FROM audit_events WHERE sequence = $1 AND \
             sequence > (SELECT coalesce(max(last_sequence), 0) FROM audit_seams)";
        let rows = self.fetch(SQL, &[sequence.into()]).await?;
        rows.first()
            .map(|row| AuditRow::read(&mut row.columns("audit_events")))
            .transpose()
    }

    /// The newest checkpoint's sequence, if there is one.
    ///
    /// # Errors
    /// As any read.
    pub async fn newest_checkpoint(&self) -> Result<Option<u64>, StoreError> {
        const SQL: &str = "SELECT sequence FROM audit_checkpoints ORDER BY sequence DESC LIMIT 1";
        let rows = self.fetch(SQL, &[]).await?;
        rows.first()
            .map(|row| row.columns("audit_checkpoints").count())
            .transpose()
    }

    /// The checkpoints kept in this database, oldest first. Their signatures are unchecked.
    ///
    /// # Errors
    /// As any read.
    pub async fn checkpoints(&self) -> Result<Vec<CheckpointRow>, StoreError> {
        const SQL: &str = "SELECT sequence, at, mac, sign_key_id, public_key, signature \
             FROM audit_checkpoints ORDER BY sequence";
        let rows = self.fetch(SQL, &[]).await?;
        rows.iter()
            .map(|row| CheckpointRow::read(&mut row.columns("audit_checkpoints")))
            .collect()
    }
}
