//! Following the chain, event by event: what the database's check and the check of a copy share.

use nodeloom_crypto::{AuditKey, KeyId};

use super::{AuditHead, AuditRow, message::Message, row::RowView};
use crate::engine::Row;

/// A link that the chain is known to have had, from a checkpoint whose signature was good or
/// from a file kept outside the database. Only these show that a tail was cut together with
/// the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// The event's sequence.
    pub sequence: u64,
    /// Its link.
    pub mac: [u8; 32],
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
    /// A seam is not signed by this instance, was moved, or does not follow the one before.
    Seam,
}

/// A walk along the chain.
pub struct ChainWalk<F> {
    key_of: F,
    /// Ascending; those before `next_anchor` have been passed.
    anchors: Vec<Anchor>,
    next_anchor: usize,
    head: AuditHead,
    events: u64,
    unchecked: Option<(u64, u64, u64)>,
    message: Message,
}

impl<'k, F: Fn(KeyId) -> Option<&'k AuditKey>> ChainWalk<F> {
    /// Begins behind `start`: [`AuditHead::ORIGIN`], or where a seam lets the chain go on. Anchors
    /// of events that a seam has removed are passed over.
    ///
    /// # Errors
    /// [`FaultKind::AnchorMismatch`] when an anchor knows another link at the start itself.
    pub fn new(key_of: F, anchors: &[Anchor], start: AuditHead) -> Result<Self, ChainFault> {
        let mut anchors: Vec<Anchor> = anchors
            .iter()
            .copied()
            .filter(|anchor| anchor.sequence >= start.sequence)
            .collect();
        anchors.sort_unstable();
        anchors.dedup();
        let mut walk = Self {
            key_of,
            anchors,
            next_anchor: 0,
            head: start,
            events: 0,
            unchecked: None,
            message: Message::default(),
        };
        walk.pass_anchors()?;
        Ok(walk)
    }

    /// The last event that was good.
    #[must_use]
    pub const fn head(&self) -> AuditHead {
        self.head
    }

    /// How many events were checked and found good.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// First and last sequence and number of events whose key is not held.
    #[must_use]
    pub const fn unchecked(&self) -> Option<(u64, u64, u64)> {
        self.unchecked
    }

    /// The anchors of events that the walk has not reached.
    #[must_use]
    pub fn anchors_ahead(&self) -> &[Anchor] {
        &self.anchors[self.next_anchor..]
    }

    /// Checks the next event and makes it the last one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(&mut self, row: &AuditRow) -> Result<(), ChainFault> {
        self.advance(&row.view())
    }

    /// As [`ChainWalk::step`], with a row as the database gives it.
    pub(super) fn step_row(&mut self, row: &Row) -> Result<(), ChainFault> {
        let expected = self.head.sequence + 1;
        let sequence = row.columns("audit_events").count();
        match RowView::read(&mut row.columns("audit_events")) {
            Ok(view) => self.advance(&view),
            // A gap shows before what is wrong behind it.
            Err(_) if sequence.is_ok_and(|sequence| sequence != expected) => {
                Err(at(expected, FaultKind::Missing))
            }
            Err(_) => Err(at(expected, FaultKind::Malformed)),
        }
    }

    fn advance(&mut self, row: &RowView<'_>) -> Result<(), ChainFault> {
        let expected = self.head.sequence + 1;
        if row.sequence != expected {
            return Err(at(expected, FaultKind::Missing));
        }
        let follows = if self.head.key_id == Some(row.key_id) {
            row.segment == self.head.segment
        } else {
            row.segment == self.head.segment + 1
        };
        if !follows {
            return Err(at(expected, FaultKind::Segment));
        }
        match (self.key_of)(row.key_id) {
            Some(key) => {
                row.write_message(&mut self.message);
                if !key.verify(&self.head.mac, self.message.as_bytes(), &row.mac) {
                    return Err(at(expected, FaultKind::Altered));
                }
                self.events += 1;
            }
            None => {
                let (first, _, count) = self.unchecked.unwrap_or((expected, expected, 0));
                self.unchecked = Some((first, expected, count + 1));
            }
        }
        self.head = AuditHead {
            sequence: expected,
            segment: row.segment,
            key_id: Some(row.key_id),
            mac: row.mac,
        };
        self.pass_anchors()
    }

    fn pass_anchors(&mut self) -> Result<(), ChainFault> {
        while let Some(anchor) = self.anchors.get(self.next_anchor) {
            if anchor.sequence != self.head.sequence {
                break;
            }
            if anchor.mac != self.head.mac {
                return Err(at(anchor.sequence, FaultKind::AnchorMismatch));
            }
            self.next_anchor += 1;
        }
        Ok(())
    }
}

pub(super) const fn at(sequence: u64, kind: FaultKind) -> ChainFault {
    ChainFault { sequence, kind }
}
