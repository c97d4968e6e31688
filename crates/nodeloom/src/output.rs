//! What goes to the terminal: tables and JSON on stdout, refusals with a next step on stderr.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

/// How a read prints what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// JSON for scripts.
    Json,
}

/// How the process ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed, or what was checked is broken.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Done, but something needs attention.
    Attention = 3,
    /// The configuration stops the start (`EX_CONFIG` of sysexits).
    Configuration = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends early: what happened, why, and what to do next. Never a secret.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: Vec<String>,
    why: Vec<String>,
    next_steps: Vec<String>,
}

/// The result of a command.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: vec![what.into()],
            why: Vec::new(),
            next_steps: Vec::new(),
        }
    }

    /// The command was understood and did not succeed.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// The command line or the input makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// The configuration, or what it names, stops the start.
    pub(crate) fn configuration(what: impl Into<String>) -> Self {
        Self::new(Exit::Configuration, what)
    }

    /// Adds the reason.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds something to do.
    pub(crate) fn next_step(mut self, step: impl Into<String>) -> Self {
        self.next_steps.push(step.into());
        self
    }

    /// Several refusals told at once; the first one's exit code stands.
    pub(crate) fn all(failures: Vec<Self>) -> Outcome<()> {
        let Some(whole) = failures.into_iter().reduce(|mut whole, part| {
            whole.what.extend(part.what);
            whole.why.extend(part.why);
            for step in part.next_steps {
                if !whole.next_steps.contains(&step) {
                    whole.next_steps.push(step);
                }
            }
            whole
        }) else {
            return Ok(());
        };
        Err(whole)
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// The same refusal where it is the answer to a question and not a failed start.
    pub(crate) fn into_failed(mut self) -> Self {
        self.exit = Exit::Failed;
        self
    }

    /// What happened, in one line.
    pub(crate) fn summary(&self) -> String {
        self.what.join("; ")
    }

    /// Writes it to stderr.
    pub(crate) fn report(&self) {
        let mut text = String::new();
        for (label, lines) in [
            ("error", &self.what),
            ("  why", &self.why),
            ("  next step", &self.next_steps),
        ] {
            for line in lines {
                let _ = writeln!(text, "{label}: {}", printable_lines(line));
            }
        }
        // Nobody is left to tell if stderr is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// The whole text, for tests.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        [&self.what[..], &self.why[..], &self.next_steps[..]]
            .concat()
            .join("\n")
    }
}

/// A failed write of stdout.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // `nodeloom … | head` closes the pipe: the reader has had enough, which is no failure
        // worth a message, but the exit code still tells that not everything was written.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                exit: Exit::Failed,
                what: Vec::new(),
                why: Vec::new(),
                next_steps: Vec::new(),
            };
        }
        Self::failed("the output could not be written").because(error.to_string())
    }
}

/// Writes a line to stdout.
pub(crate) fn line(text: &str) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Writes a value to stdout as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::failed("the result is not JSON").because(error.to_string()))?;
    line(&text)
}

/// A note or warning on stderr, one line.
pub(crate) fn note(kind: &str, text: &str) {
    let _ = writeln!(io::stderr(), "{kind}: {}", printable_lines(text));
}

/// Rows in aligned columns under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self {
            rows: vec![heading.map(str::to_owned).to_vec()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.iter().map(|cell| printable(cell)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "{cell:<width$}  ");
            }
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(text.trim_end())?;
        }
        Ok(())
    }
}

/// `text` without what a terminal would obey: someone with write access to the database could
/// have put an escape sequence into a name.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |_| false)
}

fn printable_lines(text: &str) -> String {
    escape(text, |c| c == '\n')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !keep(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_controls_are_shown() {
        let mut table = Table::new(["NAME", "TYPE"]);
        table.row(["Käse".into(), "A".into()]);
        table.row(["\u{1b}[2J".into(), "BEARER".into()]);
        assert_eq!(
            table.to_string(),
            "NAME       TYPE\nKäse       A\n\\u{1b}[2J  BEARER"
        );
    }

    #[test]
    fn several_refusals_are_one_with_each_step_once() {
        let failure = Failure::all(vec![
            Failure::configuration("a").next_step("do"),
            Failure::configuration("b").next_step("do"),
        ])
        .unwrap_err();
        assert_eq!(failure.text(), "a\nb\ndo");
        assert_eq!(failure.exit(), Exit::Configuration);
        assert!(Failure::all(Vec::new()).is_ok());
    }
}
