//! The one thread that writes to a sink. Files and sockets can hang: what hangs is this thread,
//! never one of the runtime's, and whoever waits for it does so for a limited time.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::line::Line;

/// How a sink is written to. Blocking.
pub(super) trait Transport: Send + 'static {
    /// Writes all lines, in order. When it returns `Ok`, they are where they shall be kept, as far
    /// as the sink can tell. With no lines it only tries whether the sink is there.
    fn write(&mut self, lines: &[Line]) -> io::Result<()>;
}

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const ABANDONED: u8 = 2;

struct Job {
    lines: Vec<Line>,
    /// Whoever gives up before the worker has begun must not be written about later.
    state: Arc<AtomicU8>,
    reply: oneshot::Sender<io::Result<()>>,
}

type Events = Vec<(u64, [u8; 32])>;

struct Shared {
    /// Somebody has given up on what the thread is doing just now.
    is_stuck: AtomicBool,
    /// Events that may be in the sink and did not happen.
    aborted: Mutex<Events>,
}

pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

impl Worker {
    /// `tells_aborts`: a line that may have been written for nothing is taken back later.
    pub(super) fn start(mut transport: Box<dyn Transport>, tells_aborts: bool) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let shared = Arc::new(Shared {
            is_stuck: AtomicBool::new(false),
            aborted: Mutex::new(Vec::new()),
        });
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("audit-sink".into())
            .spawn(move || {
                for job in queue {
                    run(&mut *transport, job, &own, tells_aborts);
                }
            })?;
        Ok(Self { jobs, shared })
    }

    pub(super) async fn append(&self, lines: Vec<Line>, limit: Duration) -> io::Result<()> {
        if self.shared.is_stuck.load(SeqCst) {
            return Err(hangs());
        }
        let state = Arc::new(AtomicU8::new(WAITING));
        let (reply, answer) = oneshot::channel();
        let job = Job {
            lines,
            state: Arc::clone(&state),
            reply,
        };
        let ended = || io::Error::other("the sink's thread has ended");
        self.jobs.send(job).map_err(|_| ended())?;
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(ended())),
            Err(_) => {
                if state.swap(ABANDONED, SeqCst) == STARTED {
                    self.shared.is_stuck.store(true, SeqCst);
                }
                Err(hangs())
            }
        }
    }

    pub(super) fn abort(&self, events: Events) {
        self.shared.abort(events);
    }
}

impl Shared {
    fn abort(&self, events: Events) {
        self.aborted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(events);
    }
}

fn hangs() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the sink hangs")
}

fn run(transport: &mut dyn Transport, job: Job, shared: &Shared, tells_aborts: bool) {
    if job
        .state
        .compare_exchange(WAITING, STARTED, SeqCst, SeqCst)
        .is_err()
    {
        return;
    }
    let taken = std::mem::take(
        &mut *shared
            .aborted
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    let mut lines: Vec<Line> = taken
        .iter()
        .map(|(sequence, mac)| Line::Aborted {
            sequence: *sequence,
            mac: *mac,
        })
        .collect();
    lines.extend(job.lines);
    let result = transport.write(&lines);
    let abandoned = job.state.load(SeqCst) == ABANDONED;
    if tells_aborts && (result.is_err() || abandoned) {
        // Some of it may have been written.
        let mut events = if result.is_err() { taken } else { Vec::new() };
        events.extend(lines.iter().filter_map(|line| match line {
            Line::Event(event) => {
                let mac = super::super::unhex(&event.mac)?;
                Some((event.sequence, mac))
            }
            Line::Aborted { .. } => None,
        }));
        shared.abort(events);
    }
    shared.is_stuck.store(false, SeqCst);
    // Whoever has given up is not there to be told.
    let _ = job.reply.send(result);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Writes into a list, after it was let through a gate.
    struct Gated {
        gate: Receiver<io::Result<()>>,
        written: Sender<Vec<String>>,
    }

    impl Transport for Gated {
        fn write(&mut self, lines: &[Line]) -> io::Result<()> {
            let result = self.gate.recv().unwrap_or(Ok(()));
            let _ = self.written.send(lines.iter().map(Line::json).collect());
            result
        }
    }

    fn event(sequence: u64) -> Vec<Line> {
        // The shape of an event does not matter here.
        let text = format!(
            r#"{{"sequence":{sequence},"id":"018f4c6e-7d3a-7c2b-9a51-0123456789ab","at":"2026-01-01T00:00:00Z",
            "actor":{{"kind":"system","id":null,"name":"n"}},"teamId":null,"action":"a.b","target":null,
            "outcome":"success","requestId":"r","address":null,"detail":{{}},"segment":1,
            "keyId":"0000000000000000","mac":"{}"}}"#,
            "00".repeat(32)
        );
        vec![Line::Event(serde_json::from_str(&text).unwrap())]
    }

    #[tokio::test]
    async fn what_hangs_is_given_up_and_taken_back() {
        let (open, gate) = channel();
        let (written, list) = channel();
        let worker = Worker::start(Box::new(Gated { gate, written }), true).unwrap();
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(20));
        let error = worker.append(event(1), short).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // While the thread hangs nobody else waits.
        let error = worker.append(event(2), long).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        open.send(Ok(())).unwrap();
        assert_eq!(list.recv().unwrap().len(), 1);
        while worker.shared.is_stuck.load(SeqCst) {
            tokio::task::yield_now().await;
        }
        open.send(Ok(())).unwrap();
        worker.append(event(3), long).await.unwrap();
        let lines = list.recv().unwrap();
        assert_eq!(
            lines.len(),
            2,
            "the second event was never written: {lines:?}"
        );
        assert!(
            lines[0].starts_with(r#"{"aborted":1,"mac":"00"#),
            "{lines:?}"
        );
        assert!(lines[1].contains(r#""sequence":3"#));
    }

    #[tokio::test]
    async fn a_failed_write_is_taken_back_until_that_succeeds() {
        let (open, gate) = channel();
        let (written, list) = channel();
        let worker = Worker::start(Box::new(Gated { gate, written }), true).unwrap();
        let long = Duration::from_secs(20);
        for sequence in 1..=2 {
            open.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
            assert!(worker.append(event(sequence), long).await.is_err());
            list.recv().unwrap();
        }
        worker.abort(vec![(9, [9; 32])]);
        open.send(Ok(())).unwrap();
        worker.append(event(3), long).await.unwrap();
        let lines = list.recv().unwrap();
        let begins: Vec<&str> = lines.iter().map(|line| &line[..13]).collect();
        assert_eq!(
            begins,
            [
                "{\"aborted\":1,",
                "{\"aborted\":2,",
                "{\"aborted\":9,",
                "{\"sequence\":3"
            ]
        );
    }
}
