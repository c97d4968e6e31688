//! `nodeloom audit verify`: is the trail whole?

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use nodeloom_app::{App, AuditAnchor, AuditReport, CopyError, Ctx, Who};
use nodeloom_store::Target;

use crate::command::{block_on, failure};
use crate::config::{CommonFlags, Config};
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome};
use crate::root_source::plain_reason;
use crate::startup;

pub(super) const EXAMPLES: &str = "\
Examples:
  nodeloom audit verify
  nodeloom audit verify --anchor /mnt/worm/audit.anchor
  nodeloom audit verify --database /mnt/backup/nodeloom.db
  nodeloom audit verify --file audit.jsonl --anchor /mnt/worm/audit.anchor

Finds an edited, deleted, reordered or inserted event, a forged or missing seam of a pruning, and a
tail that was cut off up to the newest anchor. Anchors are the lines of audit.anchor in the data
directory, which the log has too: copies that the database's writers cannot reach are worth the
most. Nothing is written, in the database or beside it; the keys of the instance are needed.

Exit codes: 0 intact, 1 broken.";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// File with anchors, one a line [default: audit.anchor in the data directory, if it is there]
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// A copy of the SQLite file to check instead of the database
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    database: Option<PathBuf>,
    /// A copy made by `nodeloom audit export` to check instead of the database's events
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Verify {
    pub(super) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let mut config = Config::read(&environment, flags)?;
            crate::start_log(&config.log)?;
            let roots = crate::startup::Roots::read(&environment, &config)?;
            roots.require_strong(config.mode)?;
            drop(environment);
            let own = config.audit_anchor();
            if let Some(copy) = &self.database {
                config.database = Target::Sqlite { path: copy.clone() };
            }
            let judged = startup::judge_key(&config, &roots).await?;
            startup::require_instance(&config, &judged)?;
            let app = startup::open_to_read(&config, judged.roots).await?;
            let result = self.verify(&app, &own).await;
            app.close().await;
            result
        })
    }

    async fn verify(&self, app: &App, own: &Path) -> Outcome {
        let anchors = match &self.anchor {
            Some(path) => read_anchors(path)?,
            None if own.exists() => read_anchors(own)?,
            None => Vec::new(),
        };
        let ctx = Ctx::new(
            startup::origin(),
            Who::Operator {
                user: startup::user_name(),
                host: startup::host_name(),
            },
        );
        let report = match &self.file {
            Some(path) => verify_file(app, &ctx, path, &anchors).await?,
            None => app
                .verify_audit(&ctx, &anchors)
                .await
                .map_err(|error| failure("the audit trail cannot be checked", error))?,
        };
        self.tell(&report)
    }

    fn tell(&self, report: &AuditReport) -> Outcome {
        match self.format {
            Format::Json => output::json(report)?,
            Format::Table => {
                let state = if report.is_intact() {
                    "intact"
                } else {
                    "BROKEN"
                };
                output::line(&format!(
                    "{state}: {} events checked, up to number {}, against {} signed anchors",
                    report.events, report.head_sequence, report.anchors
                ))?;
                if let Some(seam) = &report.seam {
                    output::line(&output::printable(&format!(
                        "the events up to number {} were removed at {} by {}, and the seam is \
                         signed",
                        seam.last, seam.at, seam.actor_name
                    )))?;
                }
                if report.unchecked > 0 {
                    output::line(&format!(
                        "{} events are under an audit key that is not held now: their order \
                         alone was checked",
                        report.unchecked
                    ))?;
                }
            }
        }
        if report.is_intact() {
            return Ok(Exit::Done);
        }
        let mut broken = Failure::failed("the audit trail is broken");
        if let Some(sequence) = report.broken_at {
            let finding = report
                .finding
                .as_deref()
                .unwrap_or("the chain does not hold");
            broken = broken.because(format!("at event {sequence}: {finding}"));
        }
        if report.false_anchors > 0 {
            broken = broken.because(format!(
                "{} anchors are not signed by this instance",
                report.false_anchors
            ));
        }
        Err(broken
            .next_step("keep a copy of the database and of audit.anchor as they are")
            .next_step("compare with backups and with the checkpoints in the log"))
    }
}

async fn verify_file(
    app: &App,
    ctx: &Ctx,
    path: &Path,
    anchors: &[AuditAnchor],
) -> Outcome<AuditReport> {
    let refuse = |why: String| {
        Failure::failed(format!("the copy {} cannot be checked", path.display())).because(why)
    };
    let file = std::fs::File::open(path).map_err(|error| refuse(plain_reason(&error)))?;
    let lines = BufReader::new(file).lines();
    match app.verify_audit_copy(ctx, lines, anchors).await {
        Ok(report) => Ok(report),
        Err(CopyError::App(error)) => Err(failure("the copy cannot be checked", error)),
        Err(CopyError::Read(error)) => Err(refuse(plain_reason(&error))),
        Err(error) => Err(refuse(error.to_string())
            .next_step("name a file that `nodeloom audit export` wrote in JSON lines")),
    }
}

pub(in crate::command) fn read_anchors(path: &Path) -> Outcome<Vec<AuditAnchor>> {
    let refuse = |why: String| {
        Failure::failed(format!("the anchors in {} cannot be read", path.display()))
            .because(why)
            .next_step("name a copy of audit.anchor, or restore it from the log's checkpoints")
    };
    let file = std::fs::File::open(path).map_err(|error| refuse(plain_reason(&error)))?;
    let mut anchors = Vec::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| refuse(plain_reason(&error)))?;
        if line.trim().is_empty() {
            continue;
        }
        let anchor = serde_json::from_str(&line)
            .map_err(|_| refuse(format!("line {} is not an anchor", index + 1)))?;
        anchors.push(anchor);
    }
    Ok(anchors)
}
