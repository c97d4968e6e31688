//! The data directory, the lock in it, and files for their owner alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use nodeloom_store::Target;

use crate::config::Config;
use crate::output::{Failure, Outcome};
use crate::root_source::plain_reason;

/// Makes the data directory where it is missing, and tries whether it takes files.
///
/// # Errors
/// It does not.
pub(crate) fn prepare_data_dir(config: &Config) -> Outcome<()> {
    let directory = &config.data_dir;
    let refuse = |error: &std::io::Error| {
        Failure::configuration(format!(
            "the data directory {} cannot be used",
            directory.display()
        ))
        .because(plain_reason(error))
        .next_step("make it writable for this user, or name another in NODELOOM_DATA_DIR")
    };
    if directory.exists() && !directory.is_dir() {
        return Err(refuse(&std::io::ErrorKind::NotADirectory.into()));
    }
    fs::create_dir_all(directory).map_err(|error| refuse(&error))?;
    let probe = directory.join(format!(".write-test.{}", std::process::id()));
    let tried = OpenOptions::new().write(true).create_new(true).open(&probe);
    let removed = fs::remove_file(&probe);
    tried.and(removed).map_err(|error| refuse(&error))?;
    if let Target::Sqlite { path } = &config.database
        && path.exists()
    {
        OpenOptions::new().write(true).open(path).map_err(|error| {
            Failure::configuration(format!("the database {} cannot be used", path.display()))
                .because(plain_reason(&error))
                .next_step("give this user the right to write the file")
        })?;
    }
    Ok(())
}

/// Keeps a second server away from the same SQLite file until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never read")] Option<File>);

impl Lock {
    /// Takes the lock; several servers may share a PostgreSQL database without one.
    ///
    /// # Errors
    /// Another server has it.
    pub(crate) fn take(target: &Target) -> Outcome<Self> {
        let Target::Sqlite { path } = target else {
            return Ok(Self(None));
        };
        // Beside the real file, so that two ways to it lead to one lock.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let lock = path.with_extension("lock");
        let refuse = |why: String| {
            Failure::configuration(format!("the lock file {} cannot be taken", lock.display()))
                .because(why)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| refuse(plain_reason(&error)))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(pid) => format!("process {pid}"),
                    Err(_) => "another process".into(),
                };
                return Err(
                    refuse(format!("{holder} already serves {}", path.display()))
                        .next_step("stop that process first, or use another NODELOOM_DATA_DIR")
                        .next_step("to run several servers, use PostgreSQL (DATABASE_URL)"),
                );
            }
            Err(TryLockError::Error(error)) => return Err(refuse(plain_reason(&error))),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| refuse(plain_reason(&error)))?;
        Ok(Self(Some(file)))
    }
}

/// Writes a file for its owner alone, whole or not at all.
///
/// # Errors
/// The directory takes no file.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut draft: PathBuf = path.to_owned();
    draft
        .as_mut_os_string()
        .push(format!(".{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&draft)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let target = Target::Sqlite {
            path: directory.path().join("nodeloom.db"),
        };
        let first = Lock::take(&target).unwrap();
        let text = Lock::take(&target).unwrap_err().text();
        assert!(
            text.contains(&format!("process {} already", std::process::id())),
            "{text}"
        );
        drop(first);
        assert!(Lock::take(&target).is_ok());
    }
}
