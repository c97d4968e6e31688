//! Checking the chain in the database.

use nodeloom_crypto::{AuditKey, KeyId};

use super::{Anchor, AuditHead, ChainFault, ChainWalk, FaultKind, chain::PAGE, walk::at};
use crate::{
    Store, StoreError,
    engine::{Row, signed},
};

/// Events per page while checking.
const PAGE_SIZE: u64 = 1_000;

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
        anchors: &[Anchor],
    ) -> Result<ChainReport, StoreError>
    where
        F: Fn(KeyId) -> Option<&'a AuditKey> + Send,
    {
        self.verify_chain_from(AuditHead::ORIGIN, key_of, anchors)
            .await
    }

    /// As [`Store::verify_chain`], for a chain whose beginning was removed: it goes on behind
    /// `start`, which a seam vouches for.
    ///
    /// # Errors
    /// As [`Store::verify_chain`].
    pub async fn verify_chain_from<'a, F>(
        &self,
        start: AuditHead,
        key_of: F,
        anchors: &[Anchor],
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

        let mut walk = match ChainWalk::new(key_of, anchors, start) {
            Ok(walk) => walk,
            Err(fault) => {
                return Ok(ChainReport {
                    events: 0,
                    first_bad: Some(fault),
                    unchecked: None,
                    head,
                });
            }
        };
        let first_bad = self.walk(&mut walk, head, last).await?.err();
        Ok(ChainReport {
            events: walk.events(),
            first_bad,
            unchecked: walk.unchecked(),
            head,
        })
    }

    /// The outer error is the database's, the inner one the chain's.
    async fn walk<'a, F>(
        &self,
        walk: &mut ChainWalk<F>,
        head: AuditHead,
        last: i64,
    ) -> Result<Result<(), ChainFault>, StoreError>
    where
        F: Fn(KeyId) -> Option<&'a AuditKey> + Send,
    {
        let fault = |sequence, kind| Ok(Err(at(sequence, kind)));
        // An event numbered 0 or less would stand before the chain, where no page looks.
        const BEFORE: &str = "SELECT 1 FROM audit_events WHERE sequence < 1 LIMIT 1";
        if !self.fetch(BEFORE, &[]).await?.is_empty() {
            return fault(0, FaultKind::Malformed);
        }
        let mut page = self.chain_page(walk.head().sequence).await?;
        while !page.is_empty() && walk.head().sequence < head.sequence {
            // Where nothing is missing, the next page begins exactly one page on: the database
            // reads it while this one is hashed.
            let ahead = (walk.head().sequence + PAGE_SIZE < head.sequence).then(|| {
                let (store, after) = (self.clone(), walk.head().sequence + PAGE_SIZE);
                tokio::spawn(async move { store.chain_page(after).await })
            });
            for row in &page {
                if walk.head().sequence == head.sequence {
                    break;
                }
                if let Err(found) = walk.step_row(row) {
                    return Ok(Err(found));
                }
            }
            page = match ahead {
                Some(ahead) => ahead
                    .await
                    .map_err(|_| StoreError::other("the reading ahead ended early"))??,
                None => Vec::new(),
            };
        }
        let end = walk.head();
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
        for anchor in walk.anchors_ahead() {
            let rows = self.audit_page(anchor.sequence - 1, 1).await?;
            let here = rows
                .first()
                .is_some_and(|row| row.sequence == anchor.sequence && row.mac == anchor.mac);
            if !here {
                return fault(anchor.sequence, FaultKind::AnchorMismatch);
            }
        }
        Ok(Ok(()))
    }

    async fn chain_page(&self, after: u64) -> Result<Vec<Row>, StoreError> {
        self.fetch(PAGE, &[signed(after)?.into(), signed(PAGE_SIZE)?.into()])
            .await
    }
}
