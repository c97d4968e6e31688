//! `nodeloom audit`: is the trail whole?

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use nodeloom_app::AuditAnchor;

use super::{Session, Strictness, block_on, failure};
use crate::config::CommonFlags;
use crate::environment::Environment;
use crate::output::{self, Exit, Failure, Format, Outcome};
use crate::root_source::plain_reason;

const VERIFY_EXAMPLES: &str = "\
Examples:
  nodeloom audit verify
  nodeloom audit verify --anchor /mnt/worm/audit.anchor

Finds an edited, deleted, reordered or inserted event, and a tail that was cut off up to the newest
anchor. Anchors are the lines of audit.anchor in the data directory, which the log has too: copies
that the database's writers cannot reach are worth the most.

Exit codes: 0 intact, 1 broken.";

/// Look at the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check the chain of all events
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// File with anchors, one a line [default: audit.anchor in the data directory, if it is there]
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Audit {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        let Self::Verify(verify) = self;
        block_on(async move {
            let session = super::open(environment, flags, Strictness::Refuse).await?;
            let result = verify.verify(&session).await;
            session.close().await;
            result
        })
    }
}

impl Verify {
    async fn verify(&self, session: &Session) -> Outcome {
        let own = session.config.audit_anchor();
        let anchors = match &self.anchor {
            Some(path) => read_anchors(path)?,
            None if own.exists() => read_anchors(&own)?,
            None => Vec::new(),
        };
        let report = session
            .app
            .verify_audit(&session.ctx, &anchors)
            .await
            .map_err(|error| failure("the audit trail cannot be checked", error))?;
        match self.format {
            Format::Json => output::json(&report)?,
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

pub(super) fn read_anchors(path: &Path) -> Outcome<Vec<AuditAnchor>> {
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
