//! The environment, read once and then wiped: the only file with `unsafe` in it.
//!
//! `/proc/PID/environ` shows the bytes the kernel laid out at exec for as long as the process
//! lives, so removing a variable is not enough: its bytes are overwritten where they stand.

#![expect(
    unsafe_code,
    reason = "overwriting the environment in place has no safe interface"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nodeloom_crypto::Secret;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Whatever begins so is key material, or says where it is.
const KEY_PREFIX: &[u8] = b"APP_ENCRYPTION_KEY";

/// Other variables whose value is a secret, or contains one.
const SECRETS: [&[u8]; 5] = [
    b"ADMIN_PASSWORD",
    b"DATABASE_URL",
    b"NODELOOM_METRICS_TOKEN",
    b"OIDC_CLIENT_SECRET",
    b"SMTP_URL",
];

unsafe extern "C" {
    /// POSIX: the environment of this process, a null-terminated array of `NAME=value`.
    static mut environ: *mut *mut c_char;
}

/// A copy of the environment as it was at start. Every value is wiped on drop.
#[derive(Debug, Default)]
pub(crate) struct Environment(BTreeMap<OsString, Secret<Vec<u8>>>);

/// A variable holds bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl Environment {
    /// Copies the environment, overwrites the secret values in place and removes their variables,
    /// so that neither `/proc/PID/environ` nor a child process has them.
    ///
    /// # Panics
    /// When the process has more than one thread: another could be reading the environment.
    pub(crate) fn take() -> Self {
        // Where /proc is not to be had, `main` calling this first has to do.
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        assert_eq!(
            threads, 1,
            "the environment is read before any thread starts"
        );
        let mut copy = BTreeMap::new();
        let mut secret = Vec::new();
        // SAFETY: `environ` is the C library's own; with one thread nobody changes it meanwhile.
        let mut entry = unsafe { environ };
        // SAFETY: the array is null-terminated and each of its strings is NUL-terminated. The
        // bytes lie in memory of this process that is writable: the kernel's copy on the stack,
        // or the heap for what `setenv` made.
        unsafe {
            while !entry.is_null() && !(*entry).is_null() {
                let text = CStr::from_ptr(*entry).to_bytes();
                // The first byte may be `=` on some systems; a name is never empty.
                let split = text.iter().skip(1).position(|byte| *byte == b'=');
                if let Some(split) = split.map(|at| at + 1) {
                    let name = OsString::from_vec(text[..split].to_vec());
                    let (start, length) = (split + 1, text.len() - split - 1);
                    let value = Secret::new(text[start..].to_vec());
                    if is_secret(&name) {
                        // A name that stands twice is wiped twice: `getenv` sees the first, the
                        // kernel's listing both.
                        let first = (*entry).add(start);
                        for at in 0..length {
                            // Volatile: nothing reads it afterwards, and it must happen.
                            first.add(at).write_volatile(0);
                        }
                        secret.push(name.clone());
                    }
                    // `getenv` answers the first of two equal names.
                    copy.entry(name).or_insert(value);
                }
                entry = entry.add(1);
            }
        }
        for name in secret {
            // SAFETY: there is one thread, as checked above.
            unsafe { std::env::remove_var(name) };
        }
        Self(copy)
    }

    /// The bytes of a variable, which may be empty.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        // EXPOSE: settings are read here; secrets go on into types of their own.
        self.0
            .get(OsStr::new(name))
            .map(|value| value.expose().as_slice())
    }

    /// The text of a variable that is set and not empty.
    ///
    /// # Errors
    /// [`NotUtf8`], without the bytes.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        match self.bytes(name) {
            None | Some([]) => Ok(None),
            Some(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| NotUtf8),
        }
    }

    /// Every variable.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &[u8])> {
        // EXPOSE: the key is compared with the other secrets of the environment.
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.expose().as_slice()))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| {
            (OsString::from(name), Secret::new(value.as_bytes().to_vec()))
        };
        Self(variables.into_iter().map(owned).collect())
    }
}

#[cfg(test)]
impl Environment {
    /// Adds variables.
    pub(crate) fn extend<'a>(&mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (name, value) in variables {
            let value = Secret::new(value.as_bytes().to_vec());
            self.0.insert(name.into(), value);
        }
    }
}

fn is_secret(name: &OsStr) -> bool {
    name.as_bytes().starts_with(KEY_PREFIX) || SECRETS.contains(&name.as_bytes())
}

/// Keeps other processes of the same user, core dumps and new files' readers away from what this
/// process holds. Best effort: a sandbox may forbid a call, and that must not stop the start.
pub(crate) fn harden() {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    // What this process creates is its user's alone, whichever library creates it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "APP_ENCRYPTION_KEY",
            "APP_ENCRYPTION_KEY_FILE",
            "APP_ENCRYPTION_KEY_PREVIOUS_COMMAND",
            "ADMIN_PASSWORD",
            "DATABASE_URL",
            "NODELOOM_METRICS_TOKEN",
            "OIDC_CLIENT_SECRET",
            "SMTP_URL",
        ] {
            assert!(is_secret(OsStr::new(name)), "{name}");
        }
        for name in ["APP_ENV", "ADMIN_EMAIL", "PATH", "APP_ENCRYPTION"] {
            assert!(!is_secret(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn an_empty_variable_is_set_but_has_no_text() {
        let environment = Environment::from([("A", ""), ("B", "b")]);
        assert_eq!(environment.bytes("A"), Some(&b""[..]));
        assert_eq!(environment.text("A"), Ok(None));
        assert_eq!(environment.text("B"), Ok(Some("b")));
        assert_eq!(environment.bytes("C"), None);
    }
}
