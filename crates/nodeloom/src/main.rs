//! The nodeloom binary: command line, configuration, root key sources, wiring.

mod command;
mod config;
mod environment;
mod mail;
mod outbound;
mod output;
mod root_source;
mod serve;
mod startup;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{CommonFlags, LogFormat, LogSettings, ServeFlags};
use crate::environment::Environment;
use crate::output::{Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  nodeloom serve                                  start on this machine, data in ./data
  nodeloom key generate > key.txt                 make an encryption key
  nodeloom key check < key.txt                    would production accept it?
  nodeloom credential add github --type BEARER_TOKEN
  nodeloom doctor                                 is everything as it should be?

Exit codes:
  0 done   1 failed or broken   2 usage   3 done, something needs attention   78 configuration

Secrets come from prompts, standard input, files or the environment, never from arguments.";

#[derive(Debug, Parser)]
#[command(
    name = "nodeloom",
    version,
    about = "A self-hosted home for the secrets of a workflow-automation workspace",
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    common: CommonFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server
    #[command(after_help = serve::EXAMPLES)]
    Serve(Box<ServeFlags>),
    /// Make, check and look at encryption keys
    #[command(subcommand)]
    Key(command::key::Key),
    /// Keep credentials: add, list, show, set, remove
    #[command(subcommand)]
    Credential(command::credential::Credential),
    /// Keep teams and their members: list, create, rename, delete, grant, remove
    #[command(subcommand)]
    Team(command::team::Team),
    /// Keep API tokens: list, create, revoke
    #[command(subcommand)]
    Token(command::token::Token),
    /// Keep people: list, create, update, deactivate, reactivate, delete
    #[command(subcommand)]
    User(command::user::User),
    /// Check everything: key, schema, values, audit chain, file modes
    #[command(after_help = command::doctor::EXAMPLES)]
    Doctor(command::doctor::Doctor),
    /// Bring the database's schema up to date
    #[command(after_help = command::migrate::EXAMPLES)]
    Migrate(command::migrate::Migrate),
    /// Look at the audit trail
    #[command(subcommand)]
    Audit(command::audit::Audit),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  nodeloom completions bash > ~/.local/share/bash-completion/completions/nodeloom"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a manual page for each command
    #[command(
        after_help = "Examples:\n  nodeloom man --out ~/.local/share/man/man1\n  man nodeloom-key-retire"
    )]
    Man {
        /// Directory to write them to; made if it is not there
        #[arg(long, value_name = "DIR")]
        out: std::path::PathBuf,
    },
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

fn main() -> ExitCode {
    // Before anything else, and before any thread: nobody may see the secrets after this.
    environment::harden();
    // A panic's own words may quote what it failed on, and that may be a secret: the place
    // in the source is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" at {at}"));
        eprintln!("error: internal failure{place}; please report it");
    }));
    let environment = Environment::take();
    let cli = Cli::parse();
    match run(cli, environment) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit().into()
        }
    }
}

fn run(cli: Cli, environment: Environment) -> Outcome {
    // TLS to the database and from browsers; a second installation is impossible here.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let common = cli.common;
    match cli.command {
        Command::Serve(flags) => serve::run(environment, &common, &flags),
        Command::Key(command) => command.run(environment, &common),
        Command::Credential(command) => command.run(environment, &common),
        Command::Team(command) => command.run(environment, &common),
        Command::Token(command) => command.run(environment, &common),
        Command::User(command) => command.run(environment, &common),
        Command::Doctor(command) => command.run(environment, &common),
        Command::Migrate(command) => command.run(environment, &common),
        Command::Audit(command) => command.run(environment, &common),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nodeloom", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end())?;
            Ok(output::Exit::Done)
        }
        Command::Man { out } => manual(&out),
        Command::Openapi => {
            output::line(nodeloom_web::openapi().trim_end())?;
            Ok(output::Exit::Done)
        }
    }
}

/// Writes the manual pages.
fn manual(out: &std::path::Path) -> Outcome {
    let written =
        std::fs::create_dir_all(out).and_then(|()| clap_mangen::generate_to(Cli::command(), out));
    written.map_err(|error| {
        Failure::failed(format!("no manual pages in {}", out.display()))
            .because(error.to_string())
            .next_step("name a directory that this user may write to")
    })?;
    output::note("note", &format!("manual pages are in {}", out.display()));
    Ok(output::Exit::Done)
}

/// Starts the log on stderr.
fn start_log(settings: &LogSettings) -> Outcome<()> {
    use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
    use tracing_subscriber::prelude::*;

    let chosen = EnvFilter::try_new(&settings.filter)
        .map_err(|error| Failure::configuration("NODELOOM_LOG").because(error.to_string()))?;
    // Below `info`, libraries log what they carry: headers with cookies, statements, keys of TLS.
    let ours = filter_fn(|metadata| {
        metadata.target().starts_with("nodeloom") || *metadata.level() <= tracing::Level::INFO
    });
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal);
    let layer = match settings.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(chosen.and(ours)))
        .init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        fn walk(command: &clap::Command, seen: &mut Vec<String>) {
            seen.extend(
                command
                    .get_arguments()
                    .map(|argument| argument.get_id().to_string()),
            );
            command
                .get_subcommands()
                .for_each(|command| walk(command, seen));
        }
        let mut seen = Vec::new();
        walk(&Cli::command(), &mut seen);
        for word in [
            "value", "password", "secret", "token", "key", "data", "code",
        ] {
            assert!(!seen.iter().any(|id| id == word), "--{word}");
        }
    }
}
