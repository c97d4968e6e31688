//! Measurements behind the figures in the documentation. `bench/README.md` says how to run each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod audit;
mod client;
mod envelope;
mod http;
mod load;
mod process;
mod random_keys;
mod report;
mod scale;
mod server;
mod startup;

/// Measures nodeloom on this machine. Servers it starts listen on loopback and end with it.
#[derive(Debug, Parser)]
#[command(name = "nodeloom-bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sealing and opening, as ratios to what they are made of.
    Envelope,
    /// How many random keys the strength check refuses; the answer should be none.
    RandomKeys {
        /// Keys over all eight formats.
        #[arg(long, default_value_t = 10_000_000)]
        count: u64,
    },
    /// Lists, reads and durable creates a second, and what bounds them.
    Http {
        #[command(flatten)]
        serve: Serve,
        /// Rounds of each measurement; the median counts.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// A tenth of the requests, for trying the command out.
        #[arg(long)]
        quick: bool,
    },
    /// Whether list and search stay flat while the number of credentials grows.
    Scale {
        #[command(flatten)]
        serve: Serve,
        /// Ascending numbers of credentials to measure at; created over the API in one database.
        #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
        sizes: Vec<u64>,
    },
    /// Start to ready on an existing database, idle memory, size of the binary.
    Startup {
        #[command(flatten)]
        serve: Serve,
        /// Starts to take the median of.
        #[arg(long, default_value_t = 20)]
        starts: usize,
    },
    /// Speed of the check of the audit trail, as a ratio to reading it, and of its pages.
    AuditVerify {
        /// Events of the trail.
        #[arg(long, default_value_t = 100_000)]
        events: u64,
        /// An empty PostgreSQL database to use instead of SQLite.
        #[arg(long, value_name = "URL")]
        postgres: Option<String>,
        /// Where to put the data folder, removed afterwards.
        #[arg(long, default_value_os_t = std::env::temp_dir())]
        directory: PathBuf,
        /// Also write the figures to this file.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Size of the binary, and of a stored credential in the database.
    Size {
        #[command(flatten)]
        serve: Serve,
    },
}

/// Which server to measure, where, and what becomes of the figures.
#[derive(Debug, Args)]
struct Serve {
    /// The release build of nodeloom.
    #[arg(long, default_value = "target/release/nodeloom")]
    binary: PathBuf,
    /// An empty PostgreSQL database to use instead of SQLite.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Where to put the data folder, removed afterwards; its disk is part of what is measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    directory: PathBuf,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::Envelope => envelope::run(),
        What::RandomKeys { count } => random_keys::run(count),
        What::Http {
            serve,
            rounds,
            quick,
        } => block_on(http::run(&serve, rounds.max(1), quick)),
        What::Scale { serve, sizes } => block_on(scale::run(&serve, &sizes)),
        What::Startup { serve, starts } => block_on(startup::run(&serve, starts.max(1))),
        What::AuditVerify {
            events,
            postgres,
            directory,
            json,
        } => block_on(audit::run(events, postgres.as_deref(), &directory, json)),
        What::Size { serve } => block_on(startup::run_size(&serve)),
    }
}

/// One thread: the load generator shares the machine with what it measures.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
