//! The trail's evidence: signed checkpoints, the check of the whole chain, looking into it,
//! copies, seams, and a second place that keeps it.

mod copy;
mod csv;
mod export;
mod prune;
mod read;
mod record;
pub(crate) mod sink;

pub use copy::CopyError;
pub use export::{AuditExport, ExportFormat};
pub use prune::AuditSeam;
pub use read::{AuditList, AuditSearch, ListAudit, MOST_SKIPPED};
pub use record::{AuditRecord, RecordActor, RecordTarget};
pub use sink::{AuditSink, ParseSinkError, SinkSettings, SinkState, SinkTarget};

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    Timestamp,
    policy::{self, Action, Resource},
};
use nodeloom_store::{
    Anchor, AuditHead, ChainFault, ChainReport, CheckpointRow, FaultKind, SeamRow,
};
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
    /// The lines of a file such as `audit.anchor`. A line that is no anchor, as a crash can leave
    /// one, counts as an anchor that is not this instance's. Blocks.
    ///
    /// # Errors
    /// The file cannot be read; one that is not there has no lines.
    pub fn read_file(path: &std::path::Path) -> std::io::Result<Vec<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Ok(lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| Self::unreadable()))
            .collect())
    }

    const fn unreadable() -> Self {
        Self {
            sequence: 0,
            at_micros: 0,
            mac: String::new(),
            sign_key_id: String::new(),
            public_key: String::new(),
            signature: String::new(),
        }
    }

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
    /// Where the trail begins, if its beginning was removed.
    pub seam: Option<AuditSeam>,
}

/// A signed link and when it was signed.
type Genuine = (Timestamp, Anchor);

impl AuditReport {
    fn new(
        head: AuditHead,
        events: u64,
        fault: Option<ChainFault>,
        unchecked: Option<(u64, u64, u64)>,
        seam: Option<&SeamRow>,
        anchors: usize,
        false_anchors: u64,
    ) -> Self {
        Self {
            intact: fault.is_none() && unchecked.is_none() && false_anchors == 0,
            events,
            broken_at: fault.map(|fault| fault.sequence),
            finding: fault.map(|fault| finding(fault.kind).to_owned()),
            unchecked: unchecked.map_or(0, |(_, _, count)| count),
            anchors: count(anchors),
            false_anchors,
            head_sequence: head.sequence,
            head_mac: hex(&head.mac),
            seam: seam.map(AuditSeam::from),
        }
    }

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
        let inside = self.store().checkpoints().await?;
        let (genuine, false_anchors) = self.genuine(outside, inside).await?;
        let anchors: Vec<Anchor> = genuine.iter().map(|(_, anchor)| *anchor).collect();
        let keys = self.keys();
        loop {
            let seams = self.store().audit_seams().await;
            let (seams, begun) = match seams {
                Ok(seams) => {
                    let begun = self.start_of(&seams);
                    (seams, begun)
                }
                // A column of a shape that nodeloom never writes.
                Err(nodeloom_store::StoreError::Corrupt { .. }) => {
                    let sequence = self.store().audit_start().await.unwrap_or(0);
                    let kind = FaultKind::Seam;
                    (Vec::new(), Err(ChainFault { sequence, kind }))
                }
                Err(error) => return Err(error.into()),
            };
            let chain: ChainReport = match begun {
                Ok(start) => {
                    let key_of = |id| keys.audit_key(id);
                    self.store()
                        .verify_chain_from(start, key_of, &anchors)
                        .await?
                }
                Err(fault) => ChainReport {
                    events: 0,
                    first_bad: Some(fault),
                    unchecked: None,
                    head: self.store().audit_head().await?,
                },
            };
            // A walk that met a pruning under way is no witness: it begins again at the new seam.
            if chain.first_bad.is_some()
                && self.store().audit_seams().await.ok().as_ref() != Some(&seams)
            {
                let newest = self.store().audit_start().await?;
                if seams.last().is_some_and(|seam| seam.last < newest)
                    || (seams.is_empty() && newest > 0 && begun.is_ok())
                {
                    continue;
                }
            }
            return Ok(AuditReport::new(
                chain.head,
                chain.events,
                chain.first_bad,
                chain.unchecked,
                seams.last(),
                genuine.len(),
                false_anchors,
            ));
        }
    }

    /// Where the chain goes on behind its seams: each must be signed by this instance and follow
    /// the one before, so that none can be forged, moved or left out.
    fn start_of(&self, seams: &[SeamRow]) -> Result<AuditHead, ChainFault> {
        let mut start = AuditHead::ORIGIN;
        for seam in seams {
            let own = seam.public_key == self.keys().signing().public_key();
            let follows = seam.first == start.sequence + 1 && seam.last >= seam.first;
            if !(own && follows && seam.signature_is_good()) {
                return Err(ChainFault {
                    sequence: seam.last,
                    kind: FaultKind::Seam,
                });
            }
            start = seam.head();
        }
        Ok(start)
    }

    /// Those of the links whose signature is this instance's, each once, and how many are not.
    async fn genuine(
        &self,
        outside: &[AuditAnchor],
        inside: Vec<CheckpointRow>,
    ) -> Result<(Vec<Genuine>, u64), AppError> {
        let own = self.keys().signing().public_key();
        let outside: Vec<AuditAnchor> = outside.to_vec();
        let checked = tokio::task::spawn_blocking(move || {
            let mut unreadable = 0;
            let mut rows = inside;
            for anchor in &outside {
                match anchor.checkpoint() {
                    Some(row) => rows.push(row),
                    None => unreadable += 1,
                }
            }
            // The file has most of the table's rows too.
            rows.sort_unstable_by_key(|row| (row.sequence, row.at, row.signature));
            rows.dedup();
            let all = rows.len();
            // A signature proves the instance's word; one under another key proves nothing,
            // whatever public key stands beside it.
            let genuine: Vec<Genuine> = rows
                .iter()
                .filter(|row| row.public_key == own && row.signature_is_good())
                .map(|row| {
                    let (sequence, mac) = (row.sequence, row.mac);
                    (row.at, Anchor { sequence, mac })
                })
                .collect();
            let refused = count(all - genuine.len()) + unreadable;
            (genuine, refused)
        });
        checked
            .await
            .map_err(|_| AppError::internal("the check of signatures ended early"))
    }

    /// Signs the present end of the chain, if it has moved since the last time, and
    /// keeps it in the database. The caller keeps the same line outside of it.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn checkpoint(&self) -> Result<Option<AuditAnchor>, AppError> {
        let head = self.store().audit_head().await?;
        let newest = self.store().newest_checkpoint().await?;
        if head.sequence == 0 || newest.is_some_and(|sequence| sequence >= head.sequence) {
            return Ok(None);
        }
        let row = self.signed_checkpoint(head.sequence, head.mac);
        let mut tx = self.store().begin().await?;
        tx.add_checkpoint(&policy::housekeeping(), &row).await?;
        tx.commit_unaudited("a checkpoint of the audit trail")
            .await?;
        Ok(Some(AuditAnchor::from(&row)))
    }

    /// Drops what has expired: sessions, single sign-ons and old counters of failed sign-ins.
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
        tx.delete_expired_sign_in_flows(&permit, now, 1_000).await?;
        tx.delete_old_idempotency(&permit, now.plus_seconds(-24 * 60 * 60))
            .await?;
        Ok(tx
            .commit_unaudited("expired sessions, sign-ins and counters")
            .await?)
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
        FaultKind::Seam => "the record of a pruning is forged, moved or missing",
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
