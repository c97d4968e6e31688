//! A second place that keeps the trail: a file, syslog or an HTTPS collector.
//!
//! Required: an event is in the sink before its transaction commits, so that nothing happens and
//! nothing is shown that only the database knows of. Otherwise: the server delivers what is
//! committed, from a cursor in the database, so that nothing is lost while the sink is away.

mod commit;
mod deliver;
mod file;
mod https;
mod line;
mod settings;
mod syslog;
mod worker;

pub(crate) use commit::commit_all;
pub use settings::{ParseSinkError, SinkSettings, SinkTarget};

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;

use line::Line;
use worker::Worker;

/// A sink in use. Cheap to clone: the clones share its one worker.
#[derive(Clone)]
pub struct AuditSink(Arc<Inner>);

struct Inner {
    name: String,
    required: bool,
    timeout: Duration,
    /// Names this process to the others that could deliver.
    owner: [u8; 16],
    worker: Worker,
    failures: AtomicU64,
    delivered: AtomicU64,
    behind: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// How a sink does.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkState {
    /// Where it is, as in the setting.
    pub name: String,
    /// Whether nothing happens without it.
    pub required: bool,
    /// Whether it could be reached when it was last asked.
    pub reachable: bool,
    /// What went wrong last, if it has not gone well since.
    pub last_error: Option<String>,
    /// Failed attempts since the start of this process.
    pub failures: u64,
    /// Events that this process has handed over.
    pub delivered: u64,
    /// Events that it has not been given yet; 0 for a required one.
    pub behind: u64,
}

impl AuditSink {
    /// Makes the sink's worker. Nothing is opened or connected yet: the server starts, and says
    /// what is wrong, also while a sink is away.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn new(settings: SinkSettings) -> io::Result<Self> {
        let name = settings.target.to_string();
        let mut owner = [0; 16];
        getrandom::fill(&mut owner).map_err(|_| io::Error::other("no random bytes"))?;
        let transport = settings.target.transport(&settings);
        Ok(Self(Arc::new(Inner {
            name,
            required: settings.required,
            timeout: settings.timeout,
            owner,
            worker: Worker::start(transport, settings.required)?,
            failures: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            last_error: Mutex::new(None),
        })))
    }

    /// Whether nothing happens without it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.0.required
    }

    /// Hands lines over and waits until the sink has them, but not for ever.
    async fn append(&self, lines: Vec<Line>) -> io::Result<()> {
        let count = lines.iter().filter(|line| line.is_event()).count();
        let result = self.0.worker.append(lines, self.0.timeout).await;
        self.note(&result, u64::try_from(count).unwrap_or(0));
        result
    }

    fn note(&self, result: &io::Result<()>, count: u64) {
        let mut last = self
            .0
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                if last.take().is_some() {
                    tracing::info!(sink = self.0.name, "the audit sink takes events again");
                }
                self.0.delivered.fetch_add(count, Relaxed);
            }
            Err(error) => {
                self.0.failures.fetch_add(1, Relaxed);
                tracing::error!(sink = self.0.name, %error, "the audit sink does not take events");
                *last = Some(error.to_string());
            }
        }
    }

    /// Says of events that they did not happen after all, once the sink can be told.
    fn abort(&self, events: Vec<(u64, [u8; 32])>) {
        self.0.worker.abort(events);
    }

    /// Counters, and what went wrong last.
    #[must_use]
    pub fn state(&self) -> SinkState {
        let last = self
            .0
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        SinkState {
            name: self.0.name.clone(),
            required: self.0.required,
            reachable: last.is_none(),
            last_error: last.clone(),
            failures: self.0.failures.load(Relaxed),
            delivered: self.0.delivered.load(Relaxed),
            behind: self.0.behind.load(Relaxed),
        }
    }
}
