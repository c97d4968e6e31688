//! Whether the list and the search stay flat while the number of credentials grows.
//!
//! The credentials are created over the API, in one database that grows from size to size: what
//! is measured is what a user of that size would have. Every tenth is a bearer token; twenty of
//! the first thousand have a word in their name that no other has.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::Serve;
use crate::client::Connection;
use crate::report::{Cell, Table, percentile, write_json};
use crate::server::{Home, Kind, Server, Session};

/// Requests of each kind at each size, after a tenth as many to warm up.
const REQUESTS: usize = 400;
const CREATORS: usize = 64;
const CREATED_AT_ONCE: u64 = 5_000;

/// What is asked, and how many credentials the answer holds at any size.
const QUESTIONS: [(&str, &str, usize); 4] = [
    ("list, first page", "&size=50", 50),
    ("list by type", "&type=BEARER_TOKEN&size=50", 50),
    ("search, 20 match", "&search=needle&size=50", 20),
    ("search, all match", "&search=service&size=50", 50),
];

pub(crate) async fn run(serve: &Serve, sizes: &[u64]) -> anyhow::Result<()> {
    ensure!(sizes.is_sorted(), "--sizes must ascend");
    ensure!(
        sizes.iter().all(|&size| size >= 1_000),
        "a size is at least 1000"
    );
    let home = Home::new(serve)?;
    let (server, _) = home.start().await?;
    let session = server.sign_in().await?;

    let columns = [
        "credentials",
        "question",
        "p50 ms",
        "p99 ms",
        "p50 ratio",
        "p99 ratio",
    ];
    let title = format!("List and search on {}, 1 connection", home.database());
    let mut table = Table::new(title, &columns);
    let mut smallest: Vec<[Duration; 2]> = Vec::new();
    let mut worst: f64 = 0.0;
    let mut existing = 0;
    for &size in sizes {
        grow(&server, &session, existing, size).await?;
        existing = size;
        for (at, (name, query, rows)) in QUESTIONS.into_iter().enumerate() {
            let [p50, p99] = ask(&server, &session, query, rows).await?;
            if smallest.len() == at {
                smallest.push([p50, p99]);
            }
            let ratio = |now: Duration, then: Duration| now.as_secs_f64() / then.as_secs_f64();
            let [first_p50, first_p99] = smallest[at];
            worst = worst.max(ratio(p50, first_p50));
            table.row(vec![
                Cell::count(size),
                Cell::text(name),
                Cell::number(p50.as_secs_f64() * 1e3, 2),
                Cell::number(p99.as_secs_f64() * 1e3, 2),
                Cell::number(ratio(p50, first_p50), 2),
                Cell::number(ratio(p99, first_p99), 2),
            ]);
        }
    }
    server.stop().await?;

    table.print();
    println!(
        "\n  largest p50 ratio to {} credentials: {worst:.2} (aim: at most 2)",
        sizes[0]
    );
    write_json(serve.json.as_deref(), &[&table])
}

/// Creates credentials until there are `size`.
async fn grow(server: &Server, session: &Session, existing: u64, size: u64) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut from = existing;
    while from < size {
        let count = CREATED_AT_ONCE.min(size - from);
        let session = session.clone();
        crate::load::run(server, CREATORS, count, move |number| {
            create(&session, from + number)
        })
        .await?;
        from += count;
        let rate = (from - existing) as f64 / begin.elapsed().as_secs_f64();
        eprint!("\rcreated {from} of {size}, {rate:.0}/s   ");
    }
    eprintln!();
    Ok(())
}

fn create(session: &Session, number: u64) -> Vec<u8> {
    let kind = if number.is_multiple_of(10) {
        Kind::BearerToken
    } else {
        Kind::ApiKey
    };
    let mark = if number < 1_000 && number.is_multiple_of(50) {
        " needle"
    } else {
        ""
    };
    session.create(
        &format!("service n{number} region {}{mark}", number % 17),
        kind,
    )
}

/// p50 and p99 of one question; `rows` is how many credentials the answer must hold.
async fn ask(
    server: &Server,
    session: &Session,
    query: &str,
    rows: usize,
) -> anyhow::Result<[Duration; 2]> {
    let mut connection = Connection::open(server.address()).await?;
    let request = session.list(query);
    let first = connection.exchange(&request).await?.into_json()?;
    let found = first.as_array().context("the list is no array")?.len();
    ensure!(
        found == rows,
        "{query} found {found} credentials, not {rows}"
    );
    let mut latencies = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS + REQUESTS / 10 {
        let start = Instant::now();
        let answer = connection.exchange(&request).await?;
        if number >= REQUESTS / 10 {
            latencies.push(start.elapsed());
        }
        ensure!(answer.status == 200, "status {}", answer.status);
    }
    latencies.sort_unstable();
    Ok([percentile(&latencies, 0.50), percentile(&latencies, 0.99)])
}
