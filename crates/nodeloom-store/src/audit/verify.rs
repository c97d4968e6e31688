//! Checking the chain.

use nodeloom_crypto::{AuditKey, KeyId};

use super::{AuditHead, AuditRow, chain::PAGE};
use crate::{
    Store, StoreError,
    engine::{Row, signed},
};

/// Events per page while checking.
const PAGE_SIZE: u64 = 500;

/// A link that the chain is known to have had, from a checkpoint whose signature was good or
/// from a file kept outside the database. Only these show that a tail was cut together with
/// the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The event's sequence.
    pub sequence: u64,
    /// Its link.
    pub mac: [u8; 32],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// How many events were checked and found good.
    pub events: u64,
    /// The first thing that is wrong; checking ends there.
    pub first_bad: Option<ChainFault>,
    /// The first and last sequence of events whose key is not held, and how many there are:
    /// their order and number were checked, their content was not.
    pub unchecked: Option<(u64, u64, u64)>,
    /// Where the chain says that it ends.
    pub head: AuditHead,
}

impl ChainReport {
    /// Whether every event was checked and is good.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first_bad.is_none() && self.unchecked.is_none()
    }
}

/// Something wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainFault {
    /// The sequence that it shows at.
    pub sequence: u64,
    /// What it is.
    pub kind: FaultKind,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The link does not fit: the event or one before it was edited, moved or put in.
    Altered,
    /// No event has this sequence, and later ones are there: one was deleted.
    Missing,
    /// A column has a shape that nodeloom never writes.
    Malformed,
    /// Segments do not follow each other, or one has two keys.
    Segment,
    /// The chain says that it ends later: the last events were deleted.
    CutTail,
    /// There are events after the end of the chain: put in, or the head was moved back.
    BeyondHead,
    /// The last event is not the one that the head names.
    HeadMismatch,
    /// An anchor knows another link here, or an event here that is not there.
    AnchorMismatch,
}

/// What has been seen so far.
struct Walk<'a, F> {
    key_of: F,
    anchors: &'a [Anchor],
    head: AuditHead,
    report_events: u64,
    unchecked: Option<(u64, u64, u64)>,
}

impl<'a, F: Fn(KeyId) -> Option<&'a AuditKey>> Walk<'a, F> {
    /// Checks the next row and makes it the last one.
    fn step(&mut self, row: &Row) -> Option<ChainFault> {
        let expected = self.head.sequence + 1;
        let fault = |kind| {
            Some(ChainFault {
                sequence: expected,
                kind,
            })
        };
        let mut columns = row.columns("audit_events");
        let Ok(sequence) = columns.count() else {
            return fault(FaultKind::Malformed);
        };
        if sequence != expected {
            return fault(FaultKind::Missing);
        }
        let Ok(row) = AuditRow::read(&mut row.columns("audit_events")) else {
            return fault(FaultKind::Malformed);
        };
        let follows = if self.head.key_id == Some(row.key_id) {
            row.segment == self.head.segment
        } else {
            row.segment == self.head.segment + 1
        };
        if !follows {
            return fault(FaultKind::Segment);
        }
        match (self.key_of)(row.key_id) {
            Some(key) if key.verify(&self.head.mac, &row.message(), &row.mac) => {
                self.report_events += 1;
            }
            Some(_) => return fault(FaultKind::Altered),
            None => {
                let (first, _, count) = self.unchecked.unwrap_or((sequence, sequence, 0));
                self.unchecked = Some((first, sequence, count + 1));
            }
        }
        if self
            .anchors
            .iter()
            .any(|anchor| anchor.sequence == sequence && anchor.mac != row.mac)
        {
            return fault(FaultKind::AnchorMismatch);
        }
        self.head = AuditHead {
            sequence,
            segment: row.segment,
            key_id: Some(row.key_id),
            mac: row.mac,
        };
        None
    }
}

impl Store {
    /// Checks the whole chain, page by page, while it goes on growing: each event's link,
    /// numbers without gaps, segments, the head, and every anchor. `key_of` gives the audit
    /// keys that are held.
    ///
    /// Finds an edit of any column, a deletion, a reordering and an insertion, and a cut tail
    /// up to the newest anchor, or up to the head if that was left alone.
    ///
    /// # Errors
    /// Only when reading fails; what is wrong with the chain is in the report.
    pub async fn verify_chain<'a, F>(
        &self,
        key_of: F,
        anchors: &'a [Anchor],
    ) -> Result<ChainReport, StoreError>
    where
        F: Fn(KeyId) -> Option<&'a AuditKey> + Send,
    {
        // One statement, so that head and last event are of one moment. What stands before
        // them never changes.
        const END: &str = "SELECT h.sequence, h.segment, h.key_id, h.mac, \
             (SELECT coalesce(max(e.sequence), 0) FROM audit_events e) FROM audit_head h";
        let rows = self.fetch(END, &[]).await?;
        let Some(row) = rows.first() else {
            return Err(StoreError::corrupt("table audit_head, its row is gone"));
        };
        let mut columns = row.columns("audit_head");
        let head = AuditHead::read(&mut columns)?;
        let last = columns.int()?;

        let mut walk = Walk {
            key_of,
            anchors,
            head: AuditHead {
                sequence: 0,
                segment: 0,
                key_id: None,
                mac: [0; 32],
            },
            report_events: 0,
            unchecked: None,
        };
        let first_bad = self.walk(&mut walk, head, last).await?;
        Ok(ChainReport {
            events: walk.report_events,
            first_bad,
            unchecked: walk.unchecked,
            head,
        })
    }

    async fn walk<'a, F>(
        &self,
        walk: &mut Walk<'a, F>,
        head: AuditHead,
        last: i64,
    ) -> Result<Option<ChainFault>, StoreError>
    where
        F: Fn(KeyId) -> Option<&'a AuditKey> + Send,
    {
        let fault = |sequence, kind| Ok(Some(ChainFault { sequence, kind }));
        // An event numbered 0 or less would stand before the chain, where no page looks.
        const BEFORE: &str = "SELECT 1 FROM audit_events WHERE sequence < 1 LIMIT 1";
        if !self.fetch(BEFORE, &[]).await?.is_empty() {
            return fault(0, FaultKind::Malformed);
        }
        'pages: loop {
            let after = walk.head.sequence;
            let rows = self
                .fetch(PAGE, &[signed(after)?.into(), signed(PAGE_SIZE)?.into()])
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                if walk.head.sequence == head.sequence {
                    break 'pages;
                }
                if let Some(found) = walk.step(row) {
                    return Ok(Some(found));
                }
            }
        }
        let end = walk.head;
        if end.sequence < head.sequence {
            return fault(end.sequence + 1, FaultKind::CutTail);
        }
        if u64::try_from(last).is_ok_and(|last| last > head.sequence) {
            return fault(head.sequence + 1, FaultKind::BeyondHead);
        }
        if end != head {
            return fault(end.sequence, FaultKind::HeadMismatch);
        }
        // An anchor can be newer than the head that was read above, made in the meantime.
        for anchor in walk
            .anchors
            .iter()
            .filter(|anchor| anchor.sequence > end.sequence)
        {
            let rows = self.audit_page(anchor.sequence - 1, 1).await?;
            let here = rows
                .first()
                .is_some_and(|row| row.sequence == anchor.sequence && row.mac == anchor.mac);
            if !here {
                return fault(anchor.sequence, FaultKind::AnchorMismatch);
            }
        }
        Ok(None)
    }
}
