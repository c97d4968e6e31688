//! A command that prints the key: no shell, no stderr, ten seconds.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nodeloom_crypto::Secret;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{plain_reason, read_limited};
use crate::output::{Failure, Outcome};

/// Half a second under the ten that a refusal may take, killing and reporting included.
const LIMIT: Duration = Duration::from_millis(9_500);

/// How often the end of the command is looked for once its output has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs the command that the variable `name` holds and returns what it printed.
pub(super) fn run(name: &str, line: &str) -> Outcome<Secret<Vec<u8>>> {
    run_within(name, line, LIMIT)
}

pub(super) fn run_within(name: &str, line: &str, limit: Duration) -> Outcome<Secret<Vec<u8>>> {
    let refuse = |why: String| {
        Failure::configuration(format!("the command in {name} gave no key"))
            .because(why)
            .next_step(
                "run the command in a terminal as this user; no shell interprets it here, so \
                 variables, pipes and `~` need `sh -c '…'`",
            )
    };
    let words = split(line).map_err(|why| refuse(why.into()))?;
    let [program, arguments @ ..] = words.as_slice() else {
        return Err(refuse("it has no words".into()));
    };
    // Our own secrets have left the environment by now, so there is nothing to inherit; what the
    // command needs (PATH, credentials of a cloud) is left to it.
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that what it started ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| refuse(format!("it does not start: {}", plain_reason(&error))))?;
    let deadline = Instant::now() + limit;
    let mut stdout = child.stdout.take().expect("stdout was asked for");
    let (sender, receiver) = mpsc::sync_channel(1);
    // The thread may outlive a refusal while something holds the pipe; the process ends then.
    std::thread::spawn(move || sender.send(read_limited(&mut stdout)));
    let output = receiver.recv_timeout(limit);
    let status = match &output {
        Ok(Ok(Some(_))) => wait_until(&mut child, deadline),
        _ => None,
    };
    if status.is_none() {
        end(&mut child);
    }
    match (output, status) {
        (Ok(Ok(Some(bytes))), Some(status)) if status.success() => {
            // EXPOSE: its length alone.
            if bytes.expose().is_empty() {
                return Err(refuse("it printed nothing".into()));
            }
            Ok(bytes)
        }
        (Ok(Ok(Some(_))), Some(status)) => Err(refuse(ending(status))),
        (Ok(Ok(None)), _) => Err(refuse("it printed more than a key".into())),
        (Ok(Err(error)), _) => Err(refuse(plain_reason(&error))),
        (Ok(Ok(Some(_))) | Err(_), _) => Err(refuse(
            "it took longer than 10 seconds and was killed".into(),
        )),
    }
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Ok(None) | Err(_) => return None,
        }
    }
}

fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}; its messages are not shown here"),
        None => "it was killed by a signal".into(),
    }
}

/// Splits a line into words as a shell would, without expanding anything.
///
/// Single quotes keep everything; in double quotes a backslash escapes `"` and `\`; outside, a
/// backslash keeps the next character.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => match characters.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a double quote is not closed"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a double quote is not closed"),
                    }
                }
            }
            '\\' => match characters.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("it ends with a backslash"),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
