//! Start to ready, idle memory, and sizes.

use std::time::Duration;

use crate::Serve;
use crate::load;
use crate::process::resident_bytes;
use crate::report::{Cell, Table, percentile, write_json};
use crate::server::{Home, Kind};

const SEEDED: u64 = 1_000;
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn run(serve: &Serve, starts: usize) -> anyhow::Result<()> {
    let home = Home::new(serve)?;
    seed(&home).await?;

    let mut times = Vec::new();
    let mut resident = Vec::new();
    for number in 0..starts {
        let (server, took) = home.start().await?;
        times.push(took);
        // Memory needs its time to settle; three looks are enough.
        if number < 3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            resident.push(resident_bytes(server.pid())?);
        }
        server.stop().await?;
    }
    times.sort_unstable();
    resident.sort_unstable();

    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut table = Table::new(
        format!(
            "Start on {} with {SEEDED} credentials, {starts} starts",
            home.database()
        ),
        &["what", "value", "aim", "ratio"],
    );
    let mut row = |what: &str, value: f64, aim: f64| {
        table.row(vec![
            Cell::text(what),
            Cell::number(value, 1),
            Cell::number(aim, 0),
            Cell::number(value / aim, 2),
        ]);
    };
    row(
        "start to ready, median ms",
        milliseconds(percentile(&times, 0.5)),
        100.0,
    );
    row(
        "start to ready, slowest ms",
        milliseconds(percentile(&times, 1.0)),
        100.0,
    );
    row(
        "idle memory after 2 s, MiB",
        percentile(&resident, 0.5) as f64 / MIB,
        40.0,
    );
    row("binary, MiB", binary_bytes(&home)? as f64 / MIB, 40.0);
    table.print();
    write_json(serve.json.as_deref(), &[&table])
}

pub(crate) async fn run_size(serve: &Serve) -> anyhow::Result<()> {
    let home = Home::new(serve)?;
    let mut table = Table::new("Size", &["what", "value"]);
    let binary = binary_bytes(&home)? as f64 / MIB;
    table.row(vec![Cell::text("binary, MiB"), Cell::number(binary, 1)]);
    if serve.postgres.is_none() {
        let (server, _) = home.start().await?;
        server.stop().await?;
        let empty = home.bytes()?;
        seed(&home).await?;
        let each = home.bytes()?.saturating_sub(empty) / SEEDED;
        let what = "data folder without credentials, KiB";
        table.row(vec![Cell::text(what), Cell::count(empty / 1024)]);
        let what = "a credential with its audit event, bytes";
        table.row(vec![Cell::text(what), Cell::count(each)]);
    }
    table.print();
    write_json(serve.json.as_deref(), &[&table])
}

/// Creates [`SEEDED`] credentials and stops the server, so that the next start finds them.
async fn seed(home: &Home) -> anyhow::Result<()> {
    let (server, _) = home.start().await?;
    let session = server.sign_in().await?;
    load::run(&server, 16, SEEDED, move |number| {
        session.create(&format!("seed {number}"), Kind::ApiKey)
    })
    .await?;
    server.stop().await
}

fn binary_bytes(home: &Home) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(home.binary())?.len())
}
