//! Giving a sink that is not required what has been committed.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use nodeloom_domain::policy;

use super::{AuditSink, Line, SinkState};
use crate::{App, AppError, audit::AuditRecord};

/// Events that are handed over at once.
const PAGE: u64 = 200;
/// How long this process keeps the delivery to itself after each page.
const LEASE_SECONDS: i64 = 60;
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl App {
    /// The sink, if one is set.
    #[must_use]
    pub fn audit_sink(&self) -> Option<&AuditSink> {
        self.sink()
    }

    /// Delivers for as long as the process runs. Ends at once where there is nothing to deliver
    /// to, or where every event is in the sink before it is committed.
    pub async fn follow_audit_sink(&self) {
        if self.sink().is_none_or(AuditSink::is_required) {
            return;
        }
        let mut pause = PAUSE;
        loop {
            pause = match self.deliver_audit().await {
                Ok(_) => PAUSE,
                Err(_) => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Delivers what the sink has not been given yet, and returns how many events that were: none
    /// while another process delivers.
    ///
    /// # Errors
    /// [`AppError::AuditUnavailable`] when the sink does not take them; they stay where they are
    /// and are delivered later. [`AppError::Unavailable`].
    pub async fn deliver_audit(&self) -> Result<u64, AppError> {
        let Some(sink) = self.sink().filter(|sink| !sink.is_required()) else {
            return Ok(0);
        };
        let (name, owner) = (sink.0.name.as_str(), &sink.0.owner);
        let permit = policy::housekeeping();
        let head = self.store().audit_head().await?.sequence;
        // Most of the time there is nothing to do, and then nothing is written.
        let known = self.store().sink_cursor(name).await?;
        let behind = head.saturating_sub(known.unwrap_or(0));
        sink.0.behind.store(behind, Relaxed);
        if known.is_some() && behind == 0 {
            return Ok(0);
        }
        let mut delivered = 0;
        loop {
            let now = self.now();
            let mut tx = self.store().begin().await?;
            let until = now.plus_seconds(LEASE_SECONDS);
            let claimed = tx.claim_sink(&permit, name, owner, now, until).await?;
            tx.commit_unaudited("the lease of a delivery").await?;
            let Some(cursor) = claimed else {
                return Ok(delivered);
            };
            let after = cursor.max(self.store().audit_start().await?);
            let rows = self.store().audit_page(after, PAGE).await?;
            let Some(last) = rows.last().map(|row| row.sequence) else {
                sink.0.behind.store(0, Relaxed);
                return Ok(delivered);
            };
            let count = u64::try_from(rows.len()).unwrap_or(PAGE);
            let lines = rows
                .into_iter()
                .map(|row| Line::Event(Box::new(AuditRecord::from(row))))
                .collect();
            if sink.append(lines).await.is_err() {
                return Err(AppError::AuditUnavailable);
            }
            let mut tx = self.store().begin().await?;
            let until = self.now().plus_seconds(LEASE_SECONDS);
            let kept = tx.advance_sink(&permit, name, owner, last, until).await?;
            tx.commit_unaudited("the cursor of a delivery").await?;
            delivered += count;
            sink.0.behind.store(head.saturating_sub(last), Relaxed);
            if !kept || count < PAGE {
                return Ok(delivered);
            }
        }
    }

    /// Leaves the delivery to other processes at once, when this one ends.
    ///
    /// # Errors
    /// As any write.
    pub async fn release_audit_sink(&self) -> Result<(), AppError> {
        let Some(sink) = self.sink().filter(|sink| !sink.is_required()) else {
            return Ok(());
        };
        let mut tx = self.store().begin().await?;
        tx.release_sink(&policy::housekeeping(), &sink.0.name, &sink.0.owner)
            .await?;
        tx.commit_unaudited("the lease of a delivery").await?;
        Ok(())
    }

    /// How far the sink has been given the trail; nothing where that limits nothing.
    pub(crate) async fn delivered_to_sink(&self) -> Result<Option<u64>, AppError> {
        let Some(sink) = self.sink().filter(|sink| !sink.is_required()) else {
            return Ok(None);
        };
        Ok(Some(
            self.store().sink_cursor(&sink.0.name).await?.unwrap_or(0),
        ))
    }

    /// How the sink does, asked just now; nothing where none is set.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn probe_audit_sink(&self) -> Result<Option<SinkState>, AppError> {
        let Some(sink) = self.sink() else {
            return Ok(None);
        };
        // Without lines it is only tried.
        let _ = sink.append(Vec::new()).await;
        let mut state = sink.state();
        if let Some(delivered) = self.delivered_to_sink().await? {
            let head = self.store().audit_head().await?.sequence;
            state.behind = head.saturating_sub(delivered);
        }
        Ok(Some(state))
    }
}
