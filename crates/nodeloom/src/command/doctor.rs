//! `nodeloom doctor`: is everything as it should be?

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nodeloom_app::DoctorReport;
use nodeloom_store::{SCHEMA_VERSION, Target};
use serde::Serialize;

use super::{Session, Strictness, block_on, failure};
use crate::config::{CommonFlags, Config};
use crate::environment::Environment;
use crate::output::{self, Exit, Format, Outcome, Table};

pub(crate) const EXAMPLES: &str = "\
Examples:
  nodeloom doctor
  nodeloom doctor --format json > report.json

Opens every sealed value and checks the audit chain; it may run beside the server.
Exit codes: 0 all is well, 3 something needs attention, 78 the key or database cannot be used.";

/// A plain line of progress for each so many values.
const LINE_EVERY: u64 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    needs_attention: bool,
    key_verdict: &'static str,
    weak_key_rule: Option<&'static str>,
    schema: u32,
    database: String,
    files: &'a [FileFinding],
    #[serde(flatten)]
    instance: &'a DoctorReport,
}

/// A file that others than its owner have access to.
#[derive(Debug, Serialize)]
struct FileFinding {
    path: PathBuf,
    mode: String,
    remedy: String,
}

impl Doctor {
    pub(crate) fn run(self, environment: Environment, flags: &CommonFlags) -> Outcome {
        block_on(async move {
            let session = super::open(environment, flags, Strictness::Report).await?;
            let result = self.examine(&session).await;
            session.close().await;
            result
        })
    }

    async fn examine(&self, session: &Session) -> Outcome {
        let own = session.config.audit_anchor();
        let anchors = if own.exists() {
            super::audit::read_anchors(&own)?
        } else {
            Vec::new()
        };
        let mut progress = Progress::new();
        let report = session
            .app
            .doctor(&session.ctx, &anchors, |done, total| {
                progress.tell(done, total)
            })
            .await
            .map_err(|error| failure("the examination did not finish", error))?;
        progress.end();
        let files = file_findings(&session.config);
        let weak = session
            .roots
            .weakness
            .as_ref()
            .map(|weakness| weakness.rule.code());
        let warnings = session
            .roots
            .current
            .as_ref()
            .map_or(&[][..], |root| &root.warnings);
        let needs_attention =
            report.needs_attention() || !files.is_empty() || !warnings.is_empty() || weak.is_some();
        match self.format {
            Format::Json => output::json(&Report {
                needs_attention,
                key_verdict: "match",
                weak_key_rule: weak,
                schema: SCHEMA_VERSION,
                database: session.config.database.to_string(),
                files: &files,
                instance: &report,
            })?,
            Format::Table => print(session, &report, &files)?,
        }
        Ok(if needs_attention {
            Exit::Attention
        } else {
            Exit::Done
        })
    }
}

fn print(session: &Session, report: &DoctorReport, files: &[FileFinding]) -> Outcome<()> {
    let good = |is_good: bool| if is_good { "ok " } else { "LOOK" };
    let source = session
        .roots
        .current
        .as_ref()
        .map_or("a file", |root| &root.source);
    output::line(&format!(
        "ok   key       root key {} from {source} opens the data",
        report.keys.root_id
    ))?;
    if let Some(weakness) = &session.roots.weakness {
        output::line(&format!(
            "LOOK key       {weakness} (rule `{}`)",
            weakness.rule.code()
        ))?;
    }
    output::line(&format!(
        "ok   schema    version {SCHEMA_VERSION} in {}",
        session.config.database
    ))?;
    output::line(&format!(
        "{:4} values    {} open, {} do not",
        good(report.values_unopened == 0),
        report.values_good,
        report.values_unopened
    ))?;
    let audit = &report.audit;
    output::line(&format!(
        "{:4} audit     {} events, {} signed anchors{}",
        good(audit.is_intact()),
        audit.events,
        audit.anchors,
        match (&audit.finding, audit.broken_at) {
            (Some(finding), Some(at)) => format!("; at event {at}: {finding}"),
            _ if audit.false_anchors > 0 => {
                format!("; {} anchors are not this instance's", audit.false_anchors)
            }
            _ => String::new(),
        }
    ))?;
    if let Some(sink) = &report.audit_sink {
        let rule = if sink.required {
            "nothing happens without it".to_owned()
        } else {
            format!("{} events behind", sink.behind)
        };
        let trouble = sink
            .last_error
            .as_ref()
            .map_or_else(String::new, |error| format!("; {error}"));
        output::line(&format!(
            "{:4} sink      {}: {rule}{}",
            good(sink.reachable),
            output::printable(&sink.name),
            output::printable(&trouble)
        ))?;
    }
    output::line(&format!(
        "{:4} files     {}",
        good(files.is_empty()),
        if files.is_empty() {
            "their owner's alone"
        } else {
            "others have access:"
        }
    ))?;
    for file in files {
        let path = file.path.display();
        output::line(&format!(
            "               {path} has mode {}: {}",
            file.mode, file.remedy
        ))?;
    }
    for finding in &report.findings {
        output::line(&format!("LOOK records   {}", output::printable(finding)))?;
    }
    let mut census = Table::new(["DATA KEY", "KIND", "STATE", "VALUES"]);
    for line in &report.keys.census {
        census.row([
            line.key_id.clone(),
            line.kind.clone(),
            line.state.to_string(),
            line.count.to_string(),
        ]);
    }
    if !census.is_empty() {
        output::line(&format!("\n{census}"))?;
    }
    let mut unopened = Table::new([
        "DOES NOT OPEN",
        "NAME",
        "OWNER",
        "FIELD",
        "VERSION",
        "STATE",
        "WHY",
    ]);
    for value in &report.unopened {
        unopened.row([
            value.kind.clone(),
            value.owner_name.clone().unwrap_or_else(|| "(gone)".into()),
            value.owner_id.clone(),
            value.field.clone(),
            value.generation.to_string(),
            value.state.to_owned(),
            value.reason.clone(),
        ]);
    }
    if !unopened.is_empty() {
        output::line(&format!("\n{unopened}"))?;
        output::note(
            "next step",
            "restore the values from a backup, or set every required field of the credential anew",
        );
    }
    Ok(())
}

/// Looks at the modes of everything that holds data or keys.
fn file_findings(config: &Config) -> Vec<FileFinding> {
    let mut paths = vec![
        config.data_dir.clone(),
        config.generated_key(),
        config.set_up_link(),
        config.audit_anchor(),
    ];
    if let Target::Sqlite { path } = &config.database {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.clone();
            file.as_mut_os_string().push(suffix);
            paths.push(file);
        }
    }
    paths.iter().filter_map(|path| finding(path)).collect()
}

fn finding(path: &Path) -> Option<FileFinding> {
    let metadata = path.metadata().ok()?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return None;
    }
    let right = if metadata.is_dir() { "700" } else { "600" };
    Some(FileFinding {
        path: path.to_owned(),
        mode: format!("{mode:03o}"),
        remedy: format!("run `chmod {right} {}`", path.display()),
    })
}

/// A bar on a terminal, plain lines elsewhere; both on stderr.
struct Progress {
    bar: Option<ProgressBar>,
    told: u64,
}

impl Progress {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} values, {eta} left");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self { bar, told: 0 }
    }

    fn tell(&mut self, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if done >= self.told + LINE_EVERY => {
                self.told = done;
                output::note("progress", &format!("{done} of {total} values"));
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
