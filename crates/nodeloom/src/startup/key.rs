//! The key material of the settings, and whether it is strong enough.

use std::os::unix::ffi::OsStrExt as _;

use nodeloom_crypto::{Secret, strength};

use crate::config::{Config, Mode};
use crate::environment::Environment;
use crate::output::{Failure, Outcome, note};
use crate::root_source::{self, RootString, Source, Which};

/// What to do about a missing or weak key.
pub(crate) const MAKE_A_KEY: &str = "run `nodeloom key generate`, keep a copy of the key in a safe place, and set it as \
     APP_ENCRYPTION_KEY (or name a file that holds it in APP_ENCRYPTION_KEY_FILE)";

/// The key material of the configuration.
#[derive(Debug)]
pub(crate) struct Roots {
    /// The key to work with, if one is configured.
    pub(crate) current: Option<RootString>,
    /// The key before it.
    pub(super) previous: Option<RootString>,
    /// The strength rule that the key breaks.
    pub(crate) weakness: Option<strength::Weakness>,
}

impl Roots {
    /// Reads the key and judges its strength. Blocks for as long as a command takes.
    ///
    /// # Errors
    /// A source that cannot be used.
    pub(crate) fn read(environment: &Environment, config: &Config) -> Outcome<Self> {
        for name in root_source::unknown_variables(environment) {
            note(
                "warning",
                &format!("{name} is not a setting of nodeloom and has no effect"),
            );
        }
        let mut source = root_source::choose(environment, Which::Current)?;
        let own = config.generated_key();
        if source.is_none() && config.mode == Mode::Development && own.symlink_metadata().is_ok() {
            source = Some(Source::Generated(own));
        }
        let current = source.map(Source::read).transpose()?;
        let previous = root_source::choose(environment, Which::Previous)?
            .map(Source::read)
            .transpose()?;
        for root in current.iter().chain(&previous) {
            for warning in &root.warnings {
                note("warning", warning);
            }
        }
        let weakness = current
            .as_ref()
            .and_then(|root| weigh(environment, root.text().as_bytes()).err());
        Ok(Self {
            current,
            previous,
            weakness,
        })
    }

    /// Stops production at a weak key; warns in development.
    ///
    /// # Errors
    /// The rule that the key breaks.
    pub(crate) fn require_strong(&self, mode: Mode) -> Outcome<()> {
        let (Some(root), Some(weakness)) = (&self.current, &self.weakness) else {
            return Ok(());
        };
        match mode {
            Mode::Production => Err(weak(&root.source, weakness)),
            Mode::Development => {
                note(
                    "warning",
                    &format!(
                        "the key in {} is weak: {weakness}; production would refuse it",
                        root.source
                    ),
                );
                Ok(())
            }
        }
    }
}

/// The refusal of a weak key.
fn weak(source: &str, weakness: &strength::Weakness) -> Failure {
    Failure::configuration(format!("the key in {source} is too weak for production"))
        .because(format!("rule `{}`: {weakness}", weakness.rule.code()))
        .next_step(MAKE_A_KEY)
        .next_step(
            "if this key already protects data, set it as APP_ENCRYPTION_KEY_PREVIOUS and a new, \
             strong one as APP_ENCRYPTION_KEY",
        )
}

/// Judges a key, also against the other secrets of the environment.
///
/// # Errors
/// The rule that it breaks.
pub(crate) fn weigh(
    environment: &Environment,
    key: &[u8],
) -> Result<strength::Strength, strength::Weakness> {
    let mut others: Vec<Secret<Vec<u8>>> = Vec::new();
    for (name, value) in environment.iter() {
        let name = name.as_bytes();
        if name.starts_with(b"APP_ENCRYPTION_KEY") || value.is_empty() {
            continue;
        }
        if name == b"DATABASE_URL" {
            others.extend(url_passwords(value).into_iter().map(Secret::new));
        }
        let ends = [&b"_SECRET"[..], b"_TOKEN", b"_PASSWORD", b"_KEY"];
        if ends.iter().any(|end| name.ends_with(end)) {
            others.push(Secret::new(value.to_vec()));
        }
    }
    // EXPOSE: compared in constant time and wiped.
    let others: Vec<&[u8]> = others
        .iter()
        .map(|other| other.expose().as_slice())
        .collect();
    strength::check_with_others(key, &others)
}

/// The password of an address, as written and percent-decoded.
fn url_passwords(url: &[u8]) -> Vec<Vec<u8>> {
    let after = |haystack: &[u8], needle: &[u8]| {
        let at = haystack
            .windows(needle.len())
            .position(|window| window == needle);
        at.map(|at| haystack[at + needle.len()..].to_vec())
    };
    let until = |text: Vec<u8>, ends: &[u8]| {
        let end = text.iter().position(|byte| ends.contains(byte));
        text[..end.unwrap_or(text.len())].to_vec()
    };
    let mut found = Vec::new();
    let authority = after(url, b"://").map(|rest| until(rest, b"/?#"));
    if let Some(authority) = authority
        && let Some(at) = authority.iter().rposition(|byte| *byte == b'@')
        && let Some(colon) = authority[..at].iter().position(|byte| *byte == b':')
    {
        found.push(authority[colon + 1..at].to_vec());
    }
    for option in [&b"?password="[..], b"&password="] {
        found.extend(after(url, option).map(|rest| until(rest, b"&#")));
    }
    found.retain(|password| !password.is_empty());
    let decoded: Vec<Vec<u8>> = found
        .iter()
        .map(|password| percent_decoded(password))
        .collect();
    found.extend(decoded);
    found
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(byte));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_addresses() {
        let found = |url: &str| url_passwords(url.as_bytes());
        assert_eq!(
            found("postgres://u:p%40w@h/d"),
            [b"p%40w".to_vec(), b"p@w".to_vec()]
        );
        assert_eq!(
            found("postgres://u@h/d?x=1&password=a"),
            [b"a".to_vec(), b"a".to_vec()]
        );
        for url in [
            "",
            "x",
            "postgres://h/d",
            "postgres://u:@h/d",
            "postgres://u@h/d",
        ] {
            assert!(found(url).is_empty(), "{url}");
        }
    }

    #[test]
    fn a_key_that_is_another_secret_too_is_weak() {
        let key = "yT5wq9ZbVf2nKx8LrCj4HsPdUa7GmEo3RiXc6QvWt1BzNkYp";
        let with = |name: &str, value: &str| {
            weigh(&Environment::from([(name, value)]), key.as_bytes())
                .map_err(|weakness| weakness.rule)
        };
        for name in ["ADMIN_PASSWORD", "SESSION_SECRET", "A_TOKEN", "OTHER_KEY"] {
            assert_eq!(
                with(name, key).unwrap_err(),
                strength::Rule::ReusedSecret,
                "{name}"
            );
        }
        let url = format!("postgres://u:{key}@h/d");
        assert_eq!(
            with("DATABASE_URL", &url).unwrap_err(),
            strength::Rule::ReusedSecret
        );
        assert!(with("APP_ENCRYPTION_KEY", key).is_ok());
        assert!(with("PATH", key).is_ok());
    }
}
