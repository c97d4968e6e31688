//! How long the audit trail takes to check, as a ratio to reading its rows alone, and whether a
//! page of it stays flat while it grows.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nodeloom_crypto::{AuditKey, KeyId, KeyMaterial, Purpose};
use nodeloom_domain::{
    TeamId, Timestamp,
    audit::{ActorKind, AuditActor, AuditEvent, Origin, Outcome},
    policy,
};
use nodeloom_store::{AuditFilter, AuditPageQuery, DataKeyRow, KeyState, Store, Target};

use crate::report::{Cell, Table, percentile, write_json};

/// Events of one transaction while the trail is made.
const BATCH: u64 = 5_000;
/// Rows of a page of the comparison; the check reads as many.
const PAGE: u64 = 1_000;
const ROUNDS: usize = 3;
const REQUESTS: usize = 100;
const TEAM: [u8; 16] = [1; 16];
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub(crate) async fn run(
    events: u64,
    postgres: Option<&str>,
    directory: &Path,
    json: Option<PathBuf>,
) -> anyhow::Result<()> {
    ensure!(events >= 1_000, "at least 1000 events");
    let folder = tempfile::Builder::new()
        .prefix("nodeloom-bench.")
        .tempdir_in(directory)?;
    let target = match postgres {
        Some(url) => Target::parse_url(url)?,
        None => Target::Sqlite {
            path: folder.path().join("nodeloom.db"),
        },
    };
    let store = Store::open(&target).await?;
    store.migrate().await?;
    ensure!(
        store.audit_head().await?.sequence == 0,
        "the database is not empty"
    );
    let chain = fill(&store, events).await?;

    let title = format!("Checking {events} events on {}", store.engine());
    let mut speed = Table::new(title, &["what", "seconds", "rows/s", "ratio"]);
    let read = median(async || {
        let mut after = 0;
        loop {
            let page = store.audit_page(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.sequence;
            black_box(&page);
        }
    })
    .await?;
    let check = median(async || {
        let report = store
            .verify_chain(|id| (id == chain.id()).then_some(&chain), &[])
            .await?;
        ensure!(report.is_whole() && report.events == events, "{report:?}");
        Ok(())
    })
    .await?;
    for (what, took) in [("read", read), ("verify", check)] {
        let seconds = took.as_secs_f64();
        speed.row(vec![
            Cell::text(what),
            Cell::number(seconds, 2),
            Cell::number(events as f64 / seconds, 0),
            Cell::number(read.as_secs_f64() / seconds, 2),
        ]);
    }

    let title = format!("A page of 50 of {events} events on {}", store.engine());
    let mut pages = Table::new(title, &["conditions", "total", "p50 ms", "p99 ms"]);
    for (name, query) in questions(events) {
        let mut latencies = Vec::with_capacity(REQUESTS);
        let mut total = 0;
        for _ in 0..REQUESTS {
            let start = Instant::now();
            let page = store.list_audit_events(&query).await?;
            latencies.push(start.elapsed());
            total = page.total;
        }
        latencies.sort_unstable();
        let ms = |share| percentile(&latencies, share).as_secs_f64() * 1e3;
        pages.row(vec![
            Cell::text(name),
            Cell::count(total),
            Cell::number(ms(0.50), 2),
            Cell::number(ms(0.99), 2),
        ]);
    }
    store.close().await;
    speed.print();
    println!("\n  aim: verify at 0.50 of the speed of reading, or better");
    pages.print();
    write_json(json.as_deref(), &[&speed, &pages])
}

async fn median(mut work: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work().await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times.get(ROUNDS / 2).copied().context("a measurement")
}

/// A trail like that of a busy team: mostly openings of secrets, now and then a refusal.
async fn fill(store: &Store, events: u64) -> anyhow::Result<AuditKey> {
    let id = KeyId::generate()?;
    let permit = policy::housekeeping();
    let mut tx = store.begin().await?;
    let key = DataKeyRow {
        id,
        team_id: None,
        purpose: Purpose::Audit,
        state: KeyState::Active,
        created_at: START,
    };
    tx.insert_data_key(&permit, &key).await?;
    tx.commit_unaudited("the audit key of a measurement")
        .await?;
    let chain = AuditKey::new(id, KeyMaterial::generate()?);
    let begin = Instant::now();
    let mut made = 0;
    while made < events {
        let count = BATCH.min(events - made);
        let batch: Vec<AuditEvent> = (made..made + count).map(event).collect();
        store.begin().await?.commit_all(&batch, &chain).await?;
        made += count;
        let rate = made as f64 / begin.elapsed().as_secs_f64();
        eprint!("\rwrote {made} of {events} events, {rate:.0}/s   ");
    }
    eprintln!();
    Ok(chain)
}

fn event(number: u64) -> AuditEvent {
    let person = number % 40;
    let mut id = [9; 16];
    id[..8].copy_from_slice(&person.to_be_bytes());
    let actor = AuditActor {
        kind: ActorKind::User,
        id: Some(id),
        name: format!("person-{person}@example.com"),
    };
    let origin = Origin {
        request_id: format!("018f4c6e-7d3a-7c2b-9a51-{number:012x}"),
        address: Some("192.0.2.17".into()),
    };
    let mut record = [7; 16];
    record[..8].copy_from_slice(&(number % 5_000).to_be_bytes());
    let at = START.plus_seconds(i64::try_from(number / 10).unwrap_or(0));
    let action = if number.is_multiple_of(10) {
        "credential.update"
    } else {
        "credential.reveal"
    };
    let event = AuditEvent::new(at, actor, action, &origin)
        .in_team(TeamId::from_bytes(TEAM))
        .on("credential", &record, format!("Service {}", number % 5_000))
        .with("generation", 3)
        .with("fields", vec!["password".to_owned(), "username".to_owned()])
        .with("reason", "the nightly synchronisation");
    if number.is_multiple_of(1_000) {
        event.ended(Outcome::Refused)
    } else {
        event
    }
}

fn questions(events: u64) -> Vec<(&'static str, AuditPageQuery)> {
    let page = |filter| AuditPageQuery {
        filter,
        limit: 50,
        ..Default::default()
    };
    let all = AuditFilter::default;
    let mut record = [7; 16];
    record[..8].copy_from_slice(&3_u64.to_be_bytes());
    let middle = START.plus_seconds(i64::try_from(events / 20).unwrap_or(0));
    vec![
        ("none", page(all())),
        (
            "none, from the middle on",
            AuditPageQuery {
                before: Some(events / 2),
                ..page(all())
            },
        ),
        (
            "team",
            page(AuditFilter {
                team: Some(TeamId::from_bytes(TEAM)),
                ..all()
            }),
        ),
        (
            "who saw this secret",
            page(AuditFilter {
                team: Some(TeamId::from_bytes(TEAM)),
                action: Some("credential.reveal".into()),
                target: Some(record.to_vec()),
                ..all()
            }),
        ),
        (
            "person, by name",
            page(AuditFilter {
                actor_name: Some("person-7@example.com".into()),
                ..all()
            }),
        ),
        (
            "refused",
            page(AuditFilter {
                outcome: Some("refused".into()),
                ..all()
            }),
        ),
        (
            "action, ten seconds in the middle",
            page(AuditFilter {
                action: Some("credential.update".into()),
                from: Some(middle),
                to: Some(middle.plus_seconds(10)),
                ..all()
            }),
        ),
    ]
}
