//! The trail's evidence: signed checkpoints, and the check of the whole chain.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    Timestamp,
    policy::{self, Action, Resource},
};
use nodeloom_store::{Anchor, ChainReport, CheckpointRow, FaultKind};
use serde::{Deserialize, Serialize};

use crate::{App, AppError, Ctx, keys::hex};

/// A link of the chain that is kept outside the database, signed: one line of
/// `audit.anchor`. Hexadecimal throughout, so that `grep` and `diff` are enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditAnchor {
    /// The sequence of the last event.
    pub sequence: u64,
    /// When it was signed: microseconds since 1970, UTC.
    pub at_micros: i64,
    /// The link of that event, 64 hex digits.
    pub mac: String,
    /// The id of the signing key, 16 hex digits.
    pub sign_key_id: String,
    /// Its public half, 64 hex digits.
    pub public_key: String,
    /// Ed25519 over the message that `docs/formats/audit.md` gives, 128 hex digits.
    pub signature: String,
}

impl From<&CheckpointRow> for AuditAnchor {
    fn from(row: &CheckpointRow) -> Self {
        Self {
            sequence: row.sequence,
            at_micros: row.at.as_micros(),
            mac: hex(&row.mac),
            sign_key_id: row.sign_key_id.to_string(),
            public_key: hex(&row.public_key),
            signature: hex(&row.signature),
        }
    }
}

impl AuditAnchor {
    fn checkpoint(&self) -> Option<CheckpointRow> {
        Some(CheckpointRow {
            sequence: self.sequence,
            at: Timestamp::from_micros(self.at_micros),
            mac: unhex(&self.mac)?,
            sign_key_id: self.sign_key_id.parse::<KeyId>().ok()?,
            public_key: unhex(&self.public_key)?,
            signature: unhex(&self.signature)?,
        })
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// What a check of the chain found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// Whether every event is as it was written, none is missing, none was added.
    pub intact: bool,
    /// Events that were checked and are good.
    pub events: u64,
    /// The sequence at which the chain breaks, if it does.
    pub broken_at: Option<u64>,
    /// What is wrong there.
    pub finding: Option<String>,
    /// Events under an audit key that this process does not hold; only their order was
    /// checked.
    pub unchecked: u64,
    /// Signed links that the chain was held against.
    pub anchors: u64,
    /// Signed links whose signature is not this instance's.
    pub false_anchors: u64,
    /// The last event.
    pub head_sequence: u64,
    /// The link of the last event, 64 hex digits.
    pub head_mac: String,
}

impl AuditReport {
    /// Whether there is nothing to look into.
    #[must_use]
    pub const fn is_intact(&self) -> bool {
        self.intact
    }
}

impl App {
    /// Checks the whole chain against its head, the checkpoints in the database and
    /// the anchors given.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but instance administrators and operators;
    /// [`AppError::Unavailable`]. What is wrong with the chain is in the report.
    pub async fn verify_audit(
        &self,
        ctx: &Ctx,
        anchors: &[AuditAnchor],
    ) -> Result<AuditReport, AppError> {
        let actor = self.actor(ctx).await?;
        self.allow(
            &actor,
            Action::AuditRead,
            Resource::Instance,
            ctx,
            None,
            self.now(),
        )
        .await?;
        self.check_chain(anchors).await
    }

    pub(crate) async fn check_chain(
        &self,
        outside: &[AuditAnchor],
    ) -> Result<AuditReport, AppError> {
        let signing = self.keys().signing();
        let inside = self.store().checkpoints().await?;
        let read: Vec<Option<CheckpointRow>> = outside
            .iter()
            .map(AuditAnchor::checkpoint)
            .chain(inside.into_iter().map(Some))
            .collect();
        // A signature proves the instance's word; one under another key proves nothing,
        // whatever public key stands beside it.
        let genuine: Vec<Anchor> = read
            .iter()
            .flatten()
            .filter(|row| row.public_key == signing.public_key() && row.signature_is_good())
            .map(|row| Anchor {
                sequence: row.sequence,
                mac: row.mac,
            })
            .collect();
        let false_anchors = count(read.len() - genuine.len());
        let keys = self.keys();
        let chain: ChainReport = self
            .store()
            .verify_chain(|id| keys.audit_key(id), &genuine)
            .await?;
        let unchecked = chain.unchecked.map_or(0, |(_, _, count)| count);
        Ok(AuditReport {
            intact: chain.is_whole() && false_anchors == 0,
            events: chain.events,
            broken_at: chain.first_bad.map(|fault| fault.sequence),
            finding: chain.first_bad.map(|fault| finding(fault.kind).to_owned()),
            unchecked,
            anchors: count(genuine.len()),
            false_anchors,
            head_sequence: chain.head.sequence,
            head_mac: hex(&chain.head.mac),
        })
    }

    /// Signs the present end of the chain, if it has moved since the last time, and
    /// keeps it in the database. The caller keeps the same line outside of it.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn checkpoint(&self) -> Result<Option<AuditAnchor>, AppError> {
        let head = self.store().audit_head().await?;
        let newest = self
            .store()
            .checkpoints()
            .await?
            .last()
            .map(|row| row.sequence);
        if head.sequence == 0 || newest.is_some_and(|sequence| sequence >= head.sequence) {
            return Ok(None);
        }
        let signing = self.keys().signing();
        let at = self.now();
        let message = CheckpointRow::message(head.sequence, at, &head.mac, signing.id());
        let row = CheckpointRow {
            sequence: head.sequence,
            at,
            mac: head.mac,
            sign_key_id: signing.id(),
            public_key: signing.public_key(),
            signature: signing.sign(&message),
        };
        let mut tx = self.store().begin().await?;
        tx.add_checkpoint(&policy::housekeeping(), &row).await?;
        tx.commit_unaudited("a checkpoint of the audit trail")
            .await?;
        Ok(Some(AuditAnchor::from(&row)))
    }

    /// Drops what has expired: sessions and old counters of failed sign-ins.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn housekeeping(&self) -> Result<(), AppError> {
        let now = self.now();
        let permit = policy::housekeeping();
        let mut tx = self.store().begin().await?;
        tx.delete_expired_sessions(
            &permit,
            now.plus_seconds(-crate::session::ABSOLUTE_SECONDS),
            now.plus_seconds(-crate::session::IDLE_SECONDS),
        )
        .await?;
        tx.delete_stale_failures(&permit, now.plus_seconds(-24 * 60 * 60), 1_000)
            .await?;
        Ok(tx.commit_unaudited("expired sessions and counters").await?)
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

const fn finding(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Altered => "the event was edited, moved or put in",
        FaultKind::Missing => "an event was deleted",
        FaultKind::Malformed => "the event has a form that nodeloom never writes",
        FaultKind::Segment => "the segments do not follow each other",
        FaultKind::CutTail => "the newest events were deleted",
        FaultKind::BeyondHead => "events were put in behind the end, or the end was moved back",
        FaultKind::HeadMismatch => "the last event is not the one that the end names",
        FaultKind::AnchorMismatch => "a signed anchor knows another event here",
        _ => "the chain is broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back_and_nothing_else_does() {
        assert_eq!(unhex::<3>(&hex(&[0, 127, 255])), Some([0, 127, 255]));
        for bad in ["", "00", "0g0000", "+1+1+1", "é00000"] {
            assert_eq!(unhex::<3>(bad), None, "{bad}");
        }
    }
}
