//! Removing the beginning of the trail, and the signed seam that is left in its place.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    Timestamp,
    policy::{Action, Permit},
};

use super::{AuditHead, chain::HEAD_LOCKED, message::Message};
use crate::{
    Store, StoreError, Tx,
    engine::{Columns, Param, Run, signed},
    store::require,
};

/// A signed statement that the events up to one place were removed on purpose, and with which
/// link the chain goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeamRow {
    /// The first event that was removed: 1, or the one after the seam before.
    pub first: u64,
    /// The last one. Segment, key and link are those of this event.
    pub last: u64,
    /// The link of the last removed event, to which the first kept one is linked.
    pub mac: [u8; 32],
    /// Its segment.
    pub segment: u64,
    /// Its audit key.
    pub key_id: KeyId,
    /// When they were removed.
    pub at: Timestamp,
    /// `operator`, `user`, or `system` for the retention setting.
    pub actor_kind: String,
    /// Who, as people know them.
    pub actor_name: String,
    /// The signing key.
    pub sign_key_id: KeyId,
    /// Its public half, 32 bytes.
    pub public_key: [u8; 32],
    /// Ed25519 signature over [`SeamRow::message`], 64 bytes.
    pub signature: [u8; 64],
}

impl SeamRow {
    /// How many events were removed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// Where the chain goes on.
    #[must_use]
    pub const fn head(&self) -> AuditHead {
        AuditHead {
            sequence: self.last,
            segment: self.segment,
            key_id: Some(self.key_id),
            mac: self.mac,
        }
    }

    /// The bytes that the signature covers: the label `nodeloom/audit-seam/v1`, then first and
    /// last sequence, link, segment, audit key id, time, actor kind, actor name and signing key
    /// id, encoded as in [`super::AuditRow::message`].
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut message = Message::default();
        message.begin("nodeloom/audit-seam/v1");
        message.put(&self.first.to_be_bytes());
        message.put(&self.last.to_be_bytes());
        message.put(&self.mac);
        message.put(&self.segment.to_be_bytes());
        message.put(self.key_id.as_bytes());
        message.put(&self.at.as_micros().to_be_bytes());
        message.put(self.actor_kind.as_bytes());
        message.put(self.actor_name.as_bytes());
        message.put(self.sign_key_id.as_bytes());
        message.into_bytes()
    }

    /// Whether the signature is good under the public key in this row. Whose that key is,
    /// the row cannot prove: compare it with the instance's.
    #[must_use]
    pub fn signature_is_good(&self) -> bool {
        nodeloom_crypto::verify_signature(&self.public_key, &self.message(), &self.signature)
    }

    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            last: row.count()?,
            first: row.count()?,
            mac: row.fixed()?,
            segment: row.count()?,
            key_id: row.fixed()?,
            at: row.time()?,
            actor_kind: row.text()?,
            actor_name: row.text()?,
            sign_key_id: row.fixed()?,
            public_key: row.fixed()?,
            signature: row.fixed()?,
        })
    }
}

async fn seams(mut run: impl Run) -> Result<Vec<SeamRow>, StoreError> {
    const SQL: &str = "SELECT last_sequence, first_sequence, mac, segment, key_id, at, \
         actor_kind, actor_name, sign_key_id, public_key, signature FROM audit_seams \
         ORDER BY last_sequence";
    let rows = run.fetch(SQL.into(), &[]).await?;
    rows.iter()
        .map(|row| SeamRow::read(&mut row.columns("audit_seams")))
        .collect()
}

fn may_prune(permit: &Permit) -> Result<(), StoreError> {
    let covered =
        permit.covers_instance(Action::AuditPrune) || permit.covers_instance(Action::Housekeeping);
    require(covered, "the pruning of the audit trail")
}

impl Store {
    /// The seams, oldest first. Their signatures are unchecked.
    ///
    /// # Errors
    /// As any read.
    pub async fn audit_seams(&self) -> Result<Vec<SeamRow>, StoreError> {
        seams(self).await
    }

    /// The sequence of the last removed event, 0 when none was. Nothing before it counts.
    ///
    /// # Errors
    /// As any read.
    pub async fn audit_start(&self) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT coalesce(max(last_sequence), 0) FROM audit_seams";
        let rows = self.fetch(SQL, &[]).await?;
        rows.first()
            .map_or(Ok(0), |row| row.columns("audit_seams").count())
    }

    /// The first event at or after `at`, in the order of the chain.
    ///
    /// # Errors
    /// As any read.
    pub async fn first_event_since(&self, at: Timestamp) -> Result<Option<u64>, StoreError> {
        const SQL: &str = "SELECT sequence FROM audit_events WHERE at >= $1 AND sequence > \
             (SELECT coalesce(max(last_sequence), 0) FROM audit_seams) ORDER BY sequence LIMIT 1";
        let rows = self.fetch(SQL, &[at.into()]).await?;
        rows.first()
            .map(|row| row.columns("audit_events").count())
            .transpose()
    }
}

impl Tx {
    /// The seams as the transaction sees them; no other process adds one before it ends.
    ///
    /// # Errors
    /// As any read.
    pub async fn audit_seams_locked(&mut self) -> Result<Vec<SeamRow>, StoreError> {
        self.fetch(HEAD_LOCKED, &[]).await?;
        seams(self).await
    }

    /// Keeps a signed seam: from now on the trail begins behind it. The rows go with
    /// [`Tx::delete_pruned`]. Permit: pruning, or housekeeping.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one for that place.
    pub async fn add_seam(&mut self, permit: &Permit, seam: &SeamRow) -> Result<(), StoreError> {
        may_prune(permit)?;
        const SQL: &str = "INSERT INTO audit_seams (last_sequence, first_sequence, mac, segment, \
             key_id, at, actor_kind, actor_name, sign_key_id, public_key, signature) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let params = [
            signed(seam.last)?.into(),
            signed(seam.first)?.into(),
            Param::Bytes(&seam.mac),
            signed(seam.segment)?.into(),
            Param::Bytes(seam.key_id.as_bytes()),
            seam.at.into(),
            seam.actor_kind.as_str().into(),
            seam.actor_name.as_str().into(),
            Param::Bytes(seam.sign_key_id.as_bytes()),
            Param::Bytes(&seam.public_key),
            Param::Bytes(&seam.signature),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Deletes up to `limit` events that stand before the newest seam, oldest first, and the
    /// checkpoints of events that are gone. Returns how many events went. Permit: as
    /// [`Tx::add_seam`].
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_pruned(&mut self, permit: &Permit, limit: u64) -> Result<u64, StoreError> {
        may_prune(permit)?;
        const EVENTS: &str = "DELETE FROM audit_events WHERE sequence IN (SELECT sequence \
             FROM audit_events WHERE sequence <= (SELECT coalesce(max(last_sequence), 0) \
             FROM audit_seams) ORDER BY sequence LIMIT $1)";
        const CHECKPOINTS: &str = "DELETE FROM audit_checkpoints WHERE sequence < \
             (SELECT coalesce(max(last_sequence), 0) FROM audit_seams)";
        let gone = self.execute(EVENTS, &[signed(limit)?.into()]).await?;
        self.execute(CHECKPOINTS, &[]).await?;
        Ok(gone)
    }
}
