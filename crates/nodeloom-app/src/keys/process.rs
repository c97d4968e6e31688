//! Processes say that they live and which root keys they hold, so that no root key is given up
//! under the feet of one.

use std::time::Duration;

use nodeloom_domain::{Timestamp, policy};
use nodeloom_store::ProcessRow;
use serde::Serialize;

use crate::{App, AppError};

/// A process that is silent for longer counts as gone.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// A process of this instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveProcess {
    /// Name of its machine.
    pub host: String,
    /// Its process number there.
    pub pid: u32,
    /// Ids of the root keys that it holds; it works under the first.
    pub roots: Vec<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last said so.
    pub last_seen_at: Timestamp,
}

impl From<ProcessRow> for LiveProcess {
    fn from(row: ProcessRow) -> Self {
        Self {
            host: row.host,
            pid: row.pid,
            roots: row.roots.iter().map(ToString::to_string).collect(),
            started_at: row.started_at,
            last_seen_at: row.last_seen_at,
        }
    }
}

impl App {
    /// How often a process says that it lives.
    pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);

    /// Says that this process lives and which root keys it holds. Call it at start and then
    /// every [`App::ANNOUNCE_EVERY`].
    ///
    /// # Errors
    /// As any write.
    pub async fn announce(&self, host: &str) -> Result<(), AppError> {
        let permit = policy::housekeeping();
        let now = self.now();
        let process = ProcessRow {
            id: *self.process_id(),
            host: host.to_owned(),
            pid: std::process::id(),
            roots: self.keys().roots().ids(),
            started_at: now,
            last_seen_at: now,
        };
        let mut tx = self.store().begin().await?;
        tx.upsert_process(&permit, &process).await?;
        tx.delete_silent_processes(&permit, live_since(now)).await?;
        Ok(tx.commit_unaudited("a process says that it lives").await?)
    }

    /// Says that this process ends.
    ///
    /// # Errors
    /// As any write.
    pub async fn withdraw(&self) -> Result<(), AppError> {
        let mut tx = self.store().begin().await?;
        tx.delete_process(&policy::housekeeping(), self.process_id())
            .await?;
        Ok(tx.commit_unaudited("a process says that it ends").await?)
    }

    /// The processes that live now.
    pub(crate) async fn live_processes(&self) -> Result<Vec<LiveProcess>, AppError> {
        let rows = self.store().list_processes(live_since(self.now())).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// Since when a process must have been heard to count as alive.
pub(super) fn live_since(now: Timestamp) -> Timestamp {
    let micros = i64::try_from(SILENT_AFTER.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}
