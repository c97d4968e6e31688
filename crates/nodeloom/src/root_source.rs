//! Where the root key's string comes from: exactly one source, read byte for byte.
//!
//! Nothing here shows the string or what a command wrote to its stderr.

mod command;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nodeloom_crypto::{RootKey, Secret};

use crate::environment::Environment;
use crate::output::{Failure, Outcome};

/// Most bytes of a root string: far more than any key has, far less than a wrong file may have.
const MAX_BYTES: usize = 64 * 1024;

/// Which key the variables are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The key to work with.
    Current,
    /// The key before it, during a change.
    Previous,
}

impl Which {
    const fn variable(self) -> &'static str {
        match self {
            Self::Current => "APP_ENCRYPTION_KEY",
            Self::Previous => "APP_ENCRYPTION_KEY_PREVIOUS",
        }
    }

    const fn credential(self) -> &'static str {
        match self {
            Self::Current => "app_encryption_key",
            Self::Previous => "app_encryption_key_previous",
        }
    }
}

/// The one place that holds the string.
pub(crate) enum Source {
    /// The variable itself.
    Variable(&'static str, Secret<Vec<u8>>),
    /// A file, named by a variable.
    File(String, PathBuf),
    /// What a command prints.
    Command(String, String),
    /// A credential that systemd hands over.
    Credential(PathBuf),
    /// The file that development made for itself.
    Generated(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How messages name the source.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name, _) => f.write_str(name),
            Self::File(name, path) => write!(f, "the file {} ({name})", path.display()),
            // The command itself stays out: its words may hold a token.
            Self::Command(name, _) => write!(f, "the command in {name}"),
            Self::Credential(path) => write!(f, "the systemd credential {}", path.display()),
            Self::Generated(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// A root string as it was read.
#[derive(Debug)]
pub(crate) struct RootString {
    text: Secret<String>,
    /// Where it was.
    pub(crate) source: String,
    /// What is not as it should be, and does not stop the start.
    pub(crate) warnings: Vec<String>,
}

impl RootString {
    /// The string, for the strength rules.
    pub(crate) fn text(&self) -> &str {
        // EXPOSE: judged and derived from by the caller.
        self.text.expose()
    }

    /// The root key made from it.
    pub(crate) fn derive(&self) -> RootKey {
        RootKey::derive(self.text().as_bytes())
    }
}

/// Finds the one source that is configured.
///
/// # Errors
/// Two sources, an empty one, or one that this version does not have.
pub(crate) fn choose(environment: &Environment, which: Which) -> Outcome<Option<Source>> {
    let name = which.variable();
    let mut found = Vec::new();
    if let Some(value) = environment.bytes(name) {
        if value.is_empty() {
            return Err(empty_variable(name, "a key"));
        }
        found.push(Source::Variable(name, Secret::new(value.to_vec())));
    }
    for (suffix, holds) in [("_FILE", "a path"), ("_COMMAND", "a command")] {
        let name = format!("{name}{suffix}");
        let Some(value) = environment.bytes(&name) else {
            continue;
        };
        if value.is_empty() {
            return Err(empty_variable(&name, holds));
        }
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(Failure::configuration(format!("{name} is not UTF-8"))
                .next_step(format!("set {name} to {holds} in UTF-8, or unset it")));
        };
        found.push(if suffix == "_FILE" {
            Source::File(name, text.into())
        } else {
            Source::Command(name, text.to_owned())
        });
    }
    if environment.bytes(&format!("{name}_URI")).is_some() {
        return Err(Failure::configuration(format!(
            "{name}_URI is set: key services come in a later version"
        ))
        .next_step(format!(
            "unset {name}_URI and give the key by {name}, {name}_FILE or {name}_COMMAND"
        )));
    }
    if let Ok(Some(directory)) = environment.text("CREDENTIALS_DIRECTORY") {
        let path = Path::new(directory).join(which.credential());
        // Present but unreadable counts: reading it says so.
        if path.symlink_metadata().is_ok() {
            found.push(Source::Credential(path));
        }
    }
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(ToString::to_string).collect();
        let kind = match which {
            Which::Current => "the key",
            Which::Previous => "the previous key",
        };
        return Err(Failure::configuration(format!(
            "{kind} has {} sources: {}",
            names.len(),
            names.join(" and ")
        ))
        .because("exactly one source is allowed, so that nobody has to guess which key is in use")
        .next_step("unset all but one of them"));
    }
    Ok(found.pop())
}

fn empty_variable(name: &str, holds: &str) -> Failure {
    Failure::configuration(format!("{name} is set but empty"))
        .because("an empty variable is most often a secret that was not filled in")
        .next_step(format!("set {name} to {holds}, or unset it"))
}

/// Variables that look like a source and are none: most likely a slip of the pen, and then the key
/// that the operator means is not the one in use.
pub(crate) fn unknown_variables(environment: &Environment) -> Vec<String> {
    let known = |name: &str| {
        [Which::Previous, Which::Current].iter().any(|which| {
            name.strip_prefix(which.variable())
                .is_some_and(|suffix| ["", "_FILE", "_COMMAND", "_URI"].contains(&suffix))
        })
    };
    environment
        .iter()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(Which::Current.variable()) && !known(name))
        .collect()
}

impl Source {
    /// Reads the string.
    ///
    /// # Errors
    /// What is wrong with the source or the bytes, and what to do; never the bytes.
    pub(crate) fn read(self) -> Outcome<RootString> {
        let source = self.to_string();
        let (bytes, warnings) = self.read_bytes()?;
        Ok(RootString {
            text: accept(&bytes, &source)?,
            source,
            warnings,
        })
    }

    /// The bytes without the line end that a file or a command adds, and warnings.
    ///
    /// # Errors
    /// What is wrong with the source.
    pub(crate) fn read_bytes(self) -> Outcome<(Secret<Vec<u8>>, Vec<String>)> {
        let label = self.to_string();
        match self {
            Self::Variable(_, bytes) => Ok((bytes, Vec::new())),
            Self::Command(name, words) => {
                Ok((trim_line_end(command::run(&name, &words)?), Vec::new()))
            }
            // systemd guards its directory; the mode of the file shows an access list as group
            // access, which is none.
            Self::Credential(path) => Ok((trim_line_end(read_file(&path, &label)?.0), Vec::new())),
            Self::File(_, path) | Self::Generated(path) => {
                let (bytes, mode) = read_file(&path, &label)?;
                let warnings = (mode & 0o077 != 0).then(|| {
                    let path = path.display();
                    format!(
                        "{path} has mode {mode:03o}: others than its owner have access to the \
                         key; run `chmod 600 {path}`"
                    )
                });
                Ok((trim_line_end(bytes), warnings.into_iter().collect()))
            }
        }
    }
}

/// The string in `bytes`: UTF-8 without outer white space, otherwise exactly as given.
///
/// # Errors
/// Which rule is broken, with `label` as the name of the source.
pub(crate) fn accept(bytes: &Secret<Vec<u8>>, label: &str) -> Outcome<Secret<String>> {
    // EXPOSE: checked here and handed on as text.
    let bytes = bytes.expose();
    let good_one = "run `nodeloom key generate` to make a good key";
    if bytes.is_empty() {
        return Err(Failure::configuration(format!("{label} is empty"))
            .because("a key has at least 32 characters")
            .next_step(good_one));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Failure::configuration(format!("{label} is not UTF-8"))
            .because("a key is a text; random bytes must be written as hex or base64")
            .next_step(good_one));
    };
    let ends = [text.chars().next(), text.chars().next_back()];
    if let Some(side) = ends.iter().position(|c| c.is_some_and(char::is_whitespace)) {
        let side = ["begins", "ends"][side];
        return Err(Failure::configuration(format!("{label} {side} with white space"))
            .because(
                "white space around a key gets lost when it is copied, and then the data is lost; \
                 only one line end after it is taken off, and only from a file or command",
            )
            .next_step("take the white space away; if it belongs to the key, make another key"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// `bytes` without one `\n` or `\r\n` at the end.
pub(crate) fn trim_line_end(bytes: Secret<Vec<u8>>) -> Secret<Vec<u8>> {
    // EXPOSE: copied without its end; the original is wiped.
    let whole = bytes.expose().as_slice();
    let Some(trimmed) = whole.strip_suffix(b"\n") else {
        return bytes;
    };
    Secret::new(trimmed.strip_suffix(b"\r").unwrap_or(trimmed).to_vec())
}

/// The bytes of the key file and its permission bits.
fn read_file(path: &Path, label: &str) -> Outcome<(Secret<Vec<u8>>, u32)> {
    let refuse = |why: String| {
        Failure::configuration(format!("{label} cannot be used"))
            .because(why)
            .next_step("name a readable file that holds the key and nothing else")
    };
    // Before opening: to open a pipe that nobody writes to would wait for ever.
    let kind = std::fs::metadata(path)
        .map_err(|error| refuse(plain_reason(&error)))?
        .file_type();
    if kind.is_dir() {
        return Err(refuse("it is a directory".into()));
    }
    if !kind.is_file() {
        return Err(refuse("it is not a regular file".into())
            .next_step("to read from a program, use APP_ENCRYPTION_KEY_COMMAND"));
    }
    let mut file = File::open(path).map_err(|error| refuse(plain_reason(&error)))?;
    let mode = file
        .metadata()
        .map_err(|error| refuse(plain_reason(&error)))?
        .mode()
        & 0o7777;
    let bytes = read_limited(&mut file).map_err(|error| refuse(plain_reason(&error)))?;
    match bytes {
        Some(bytes) => Ok((bytes, mode)),
        None => Err(refuse(format!("it is larger than {MAX_BYTES} bytes"))),
    }
}

/// Everything up to the limit; nothing if there is more.
pub(crate) fn read_limited(from: &mut impl io::Read) -> io::Result<Option<Secret<Vec<u8>>>> {
    // At its final size from the start: a vector that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(MAX_BYTES + 64);
    let read = from.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read?;
    // EXPOSE: its length alone.
    Ok((bytes.expose().len() <= MAX_BYTES).then_some(bytes))
}

/// An I/O error in words of ours.
pub(crate) fn plain_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".into(),
        io::ErrorKind::PermissionDenied => "this user may not read or write it".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        _ => error.to_string(),
    }
}

/// Writes a generated key so that it is there as a whole or not at all, for its owner alone.
///
/// # Errors
/// The file exists, or the directory takes no file.
pub(crate) fn store_generated(path: &Path, text: &Secret<String>) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let draft = directory.join(format!(".encryption.key.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        // EXPOSE: this file is where the key lives from now on.
        file.write_all(text.expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        // A link and not a rename: a rename would replace a key that appeared meanwhile.
        std::fs::hard_link(&draft, path)
    })();
    let _ = std::fs::remove_file(&draft);
    written?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
