//! A file that lines are appended to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{line::Line, worker::Transport};

pub(super) struct FileSink {
    path: PathBuf,
    file: Option<Open>,
    /// The last write failed: it may have left half a line.
    is_torn: bool,
}

struct Open {
    file: File,
    /// Device and number of the file.
    identity: (u64, u64),
    /// Whether a flush makes it lasting; a pipe or a terminal has no disk.
    is_regular: bool,
    /// How long it was after the last write; longer or shorter now, somebody else wrote.
    length: u64,
}

impl FileSink {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            is_torn: false,
        }
    }

    /// The file that the path names now: rotated, replaced or deleted, it is opened anew.
    fn current(&mut self) -> io::Result<&mut Open> {
        let there = match std::fs::metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let identity = there.as_ref().map(|there| (there.dev(), there.ino()));
        if let Some(open) = &self.file {
            if Some(open.identity) != identity {
                tracing::warn!(
                    file = %self.path.display(),
                    "the file of the audit sink was moved or deleted; it is opened anew"
                );
                self.file = None;
            } else if open.is_regular && there.is_some_and(|there| there.len() != open.length) {
                self.is_torn |= has_half_line(&self.path);
            }
        }
        if self.file.is_none() {
            let open = open(&self.path, identity.is_none())?;
            self.is_torn |= open.is_regular && open.length > 0 && has_half_line(&self.path);
            self.file = Some(open);
        }
        Ok(self.file.as_mut().expect("it was opened just now"))
    }

    fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        self.current()?;
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        for line in lines {
            text.push_str(&line.json());
            text.push('\n');
        }
        let open = self.current()?;
        if lines.is_empty() {
            return Ok(());
        }
        open.file.write_all(text.as_bytes())?;
        if open.is_regular {
            open.file.sync_data()?;
            open.length = open.file.metadata()?.len();
        }
        self.is_torn = false;
        Ok(())
    }
}

impl Transport for FileSink {
    fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        let result = self.append(lines);
        if result.is_err() {
            self.is_torn |= self.file.is_some() && !lines.is_empty();
            self.file = None;
        }
        result
    }
}

/// Opens for appending.
fn open(path: &Path, is_new: bool) -> io::Result<Open> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        // A pipe that nobody reads is refused here instead of waited for.
        .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0))
        .open(path)?;
    let metadata = file.metadata()?;
    let is_regular = metadata.is_file();
    if is_new && is_regular {
        // The name has to survive a power cut as the lines do.
        if let Some(directory) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(Open {
        file,
        identity: (metadata.dev(), metadata.ino()),
        is_regular,
        length: metadata.len(),
    })
}

/// Whether the last line has no end: a crash, or another program, has left half of one. A file
/// that may not be read does not tell; an empty line more harms nobody.
fn has_half_line(path: &Path) -> bool {
    let last = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        let mut last = *b"\n";
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        Ok(last)
    });
    !matches!(last, Ok([b'\n']))
}
