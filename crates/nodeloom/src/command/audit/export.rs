//! `nodeloom audit export`: a copy of the events.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nodeloom_app::ExportFormat;

use super::Search;
use crate::command::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Outcome};
use crate::root_source::plain_reason;

pub(super) const EXAMPLES: &str = "\
Examples:
  nodeloom audit export --out audit.jsonl
      everything; `nodeloom audit verify --file audit.jsonl` checks it later, anywhere
  nodeloom audit export --format csv --action credential.reveal --from 2026-01-01 --out seen.csv

The file is made with mode 0600 and must not be there yet. The copy is an event of the trail
itself, with the conditions and the number of events.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum CopyFormat {
    /// One JSON object a line; a whole copy can be verified.
    #[default]
    Jsonl,
    /// For spreadsheets.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    search: Search,
    /// How the copy is written
    #[arg(long, value_enum, default_value_t)]
    format: CopyFormat,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = crate::command::open(environment, flags, Strictness::Refuse).await?;
            let result = self.export(&session).await;
            session.close().await;
            result
        })
    }

    async fn export(&self, session: &Session) -> Outcome {
        let search = self.search.read()?;
        let mut out: Box<dyn Write> = match &self.out {
            Some(path) => Box::new(create(path)?),
            None => Box::new(io::stdout().lock()),
        };
        let written = self.write(session, search, &mut *out).await;
        if written.is_err()
            && let Some(path) = &self.out
        {
            output::note(
                "warning",
                &format!("{} is no whole copy; delete it", path.display()),
            );
        }
        let count = written?;
        if let Some(path) = &self.out {
            output::note("done", &format!("{count} events in {}", path.display()));
        }
        Ok(Exit::Done)
    }

    async fn write(
        &self,
        session: &Session,
        search: nodeloom_app::AuditSearch,
        out: &mut dyn Write,
    ) -> Outcome<u64> {
        let failed = |error| failure("the audit trail cannot be copied", error);
        let format = match self.format {
            CopyFormat::Jsonl => ExportFormat::Jsonl,
            CopyFormat::Csv => ExportFormat::Csv,
        };
        let mut export = session
            .app
            .export_audit(&session.ctx, search, format)
            .await
            .map_err(failed)?;
        while let Some(part) = export.next_part().await.map_err(failed)? {
            out.write_all(part.as_bytes())?;
        }
        out.flush()?;
        Ok(export.count())
    }
}

fn create(path: &Path) -> Outcome<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| {
        Failure::failed(format!("{} cannot be made", path.display()))
            .because(plain_reason(&error))
            .next_step("name a file that is not there yet, in a directory that you may write")
    })
}
