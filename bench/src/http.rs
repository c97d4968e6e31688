//! Lists, reads and durable creates over HTTP with a session cookie.

use std::rc::Rc;

use crate::Serve;
use crate::client::Connection;
use crate::load::{self, Figures};
use crate::report::{Cell, Table, write_json};
use crate::server::{Home, Kind, Server, Session, ids};

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const SEEDED: u64 = 1_000;

#[derive(Clone, Copy)]
enum Work {
    List,
    Read,
    Create,
}

impl Work {
    const ALL: [Self; 3] = [Self::List, Self::Read, Self::Create];

    fn name(self) -> &'static str {
        match self {
            Self::List => "list 50",
            Self::Read => "read one",
            Self::Create => "create one",
        }
    }

    /// Requests a round, and the rate that is aimed at on two cores with SQLite.
    fn count_and_aim(self) -> (u64, f64) {
        match self {
            Self::List => (6_000, 3_000.0),
            Self::Read => (16_000, 8_000.0),
            Self::Create => (3_000, 1_500.0),
        }
    }
}

pub(crate) async fn run(serve: &Serve, rounds: usize, quick: bool) -> anyhow::Result<()> {
    let home = Home::new(serve)?;
    let (server, _) = home.start().await?;
    let session = server.sign_in().await?;
    let title = format!("HTTP on {}, {SEEDED} credentials at first", home.database());

    let seed = session.clone();
    let name = |number| format!("seed {number}");
    load::run(&server, 16, SEEDED, move |number| {
        seed.create(&name(number), Kind::ApiKey)
    })
    .await?;
    let mut connection = Connection::open(server.address()).await?;
    let listed = connection.exchange(&session.list("&size=50")).await?;
    let known = Rc::new(ids(&listed.into_json()?)?);
    anyhow::ensure!(
        known.len() == 50,
        "the list holds {} credentials",
        known.len()
    );

    let mut measured = Vec::new();
    for work in Work::ALL {
        let (count, _) = work.count_and_aim();
        let count = if quick { count / 10 } else { count };
        for connections in CONNECTIONS {
            let mut figures = Vec::new();
            for round in 0..rounds {
                eprintln!(
                    "{}, {connections} connections, round {}",
                    work.name(),
                    round + 1
                );
                let label = format!("{connections} {round}");
                figures
                    .push(one(&server, &session, &known, work, connections, count, label).await?);
            }
            measured.push((work, connections, load::median(figures)?));
        }
    }
    server.stop().await?;

    let table = tabulate(title, &measured);
    table.print();
    println!(
        "\n  server us: server CPU a request. cores: kept busy by the server and by this program,"
    );
    println!(
        "  which share the machine. Where both together come near the machine's cores, CPU is the"
    );
    println!(
        "  bound; where they stay far below, the wait for the disk or for the one writer is.\n"
    );
    for work in Work::ALL {
        let (_, aim) = work.count_and_aim();
        let rates = measured.iter().filter(|(of, ..)| of.name() == work.name());
        let best = rates
            .map(|(.., figures)| figures.per_second)
            .fold(0.0, f64::max);
        println!(
            "  {}: best {best:.0}/s is {:.2} of the aim, {aim:.0}/s",
            work.name(),
            best / aim
        );
    }
    write_json(serve.json.as_deref(), &[&table])
}

async fn one(
    server: &Server,
    session: &Session,
    known: &Rc<Vec<String>>,
    work: Work,
    connections: usize,
    count: u64,
    label: String,
) -> anyhow::Result<Figures> {
    let session = session.clone();
    let known = Rc::clone(known);
    load::run(server, connections, count, move |number| match work {
        Work::List => session.list("&size=50"),
        Work::Read => session.read(&known[number as usize % known.len()]),
        Work::Create => session.create(&format!("created {label} {number}"), Kind::ApiKey),
    })
    .await
}

fn tabulate(title: String, measured: &[(Work, usize, Figures)]) -> Table {
    let columns = [
        "request",
        "connections",
        "per second",
        "p50 ms",
        "p99 ms",
        "server us",
        "server cores",
        "own cores",
    ];
    let mut table = Table::new(title, &columns);
    for (work, connections, figures) in measured {
        table.row(vec![
            Cell::text(work.name()),
            Cell::count(*connections as u64),
            Cell::number(figures.per_second, 0),
            Cell::number(figures.p50.as_secs_f64() * 1e3, 2),
            Cell::number(figures.p99.as_secs_f64() * 1e3, 2),
            Cell::number(figures.server_cpu.as_secs_f64() * 1e6, 0),
            Cell::number(figures.server_cores, 2),
            Cell::number(figures.own_cores, 2),
        ]);
    }
    table
}
