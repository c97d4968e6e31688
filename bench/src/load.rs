//! Closed-loop load: each connection sends its next request when the last one is answered.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::{JoinSet, LocalSet};

use crate::client::Connection;
use crate::process;
use crate::report::percentile;
use crate::server::Server;

/// What a run of requests took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Server CPU per request.
    pub(crate) server_cpu: Duration,
    /// Cores that the server and this program kept busy.
    pub(crate) server_cores: f64,
    pub(crate) own_cores: f64,
}

/// Sends `count` requests over `connections` connections; `request(n)` writes the n-th, n from 0.
///
/// # Errors
/// Any answer other than 2xx ends the run.
pub(crate) async fn run(
    server: &Server,
    connections: usize,
    count: u64,
    request: impl Fn(u64) -> Vec<u8> + 'static,
) -> anyhow::Result<Figures> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(server.address()).await?);
    }
    let shared = Rc::new((Cell::new(0), request));
    let cpu_before = process::cpu_time(server.pid())?;
    let own_before = process::cpu_time(std::process::id())?;
    let start = Instant::now();
    let mut latencies = Vec::with_capacity(count as usize);
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            let mut work = JoinSet::new();
            for connection in open {
                let shared = Rc::clone(&shared);
                work.spawn_local(async move {
                    one_connection(connection, &shared.0, count, &shared.1).await
                });
            }
            while let Some(taken) = work.join_next().await {
                latencies.extend(taken??);
            }
            anyhow::Ok(())
        })
        .await
        .with_context(|| format!("the server's log ends with:\n{}", server.last_words()))?;
    let took = start.elapsed();
    let cpu = process::cpu_time(server.pid())?.saturating_sub(cpu_before);
    let own = process::cpu_time(std::process::id())?.saturating_sub(own_before);
    ensure!(latencies.len() as u64 == count, "a request went missing");
    latencies.sort_unstable();
    Ok(Figures {
        per_second: count as f64 / took.as_secs_f64(),
        p50: percentile(&latencies, 0.50),
        p99: percentile(&latencies, 0.99),
        server_cpu: cpu.div_f64(count as f64),
        server_cores: cpu.as_secs_f64() / took.as_secs_f64(),
        own_cores: own.as_secs_f64() / took.as_secs_f64(),
    })
}

async fn one_connection(
    mut connection: Connection,
    next: &Cell<u64>,
    count: u64,
    request: &impl Fn(u64) -> Vec<u8>,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let number = next.get();
        if number >= count {
            return Ok(latencies);
        }
        next.set(number + 1);
        let bytes = request(number);
        let start = Instant::now();
        let answer = connection.exchange(&bytes).await?;
        latencies.push(start.elapsed());
        ensure!(
            (200..300).contains(&answer.status),
            "request {number} was answered {}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        );
    }
}

/// The run with the median rate among `rounds`.
pub(crate) fn median(mut rounds: Vec<Figures>) -> anyhow::Result<Figures> {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds.get(rounds.len() / 2).copied().context("no rounds")
}
