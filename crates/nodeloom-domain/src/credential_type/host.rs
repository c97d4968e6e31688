//! Which hosts may be sent a secret.

use std::fmt;

use serde::Deserialize;

/// A pattern for host names, always matched against the whole name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HostPattern {
    /// That name alone.
    Exact(String),
    /// Every name below that one (`*.example.com`), at any depth, but not the name itself.
    Below(String),
    /// `{base}`: the origin of the type's base address.
    Base,
}

/// Why a text is no pattern for hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be {{base}}, a host name in lower case, or one after `*.`; a name has two labels or more"
)]
pub struct HostPatternError;

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        if text == "{base}" {
            return Ok(Self::Base);
        }
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let labels = name.split('.').count();
        if labels < 2 || !name.split('.').all(is_label) || name != name.to_ascii_lowercase() {
            return Err(HostPatternError);
        }
        Ok(if name.len() == text.len() {
            Self::Exact(text)
        } else {
            Self::Below(name.to_owned())
        })
    }
}

impl HostPattern {
    /// Whether the pattern names this host, which is in lower case as addresses hold it.
    /// [`HostPattern::Base`] names none here: it is about an origin.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty() && rest.split('.').all(is_label)),
            Self::Base => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Base => f.write_str("{base}"),
        }
    }
}

/// One label of a host name (RFC 1123, section 2.1), either case.
pub(super) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
