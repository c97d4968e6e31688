//! The fields of a credential type.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{CredentialType, HostPattern};

/// One field of a credential type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Field {
    /// Name in `data`, camelCase.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// One sentence that helps to fill it in.
    pub description: String,
    /// What kind of value it takes.
    pub kind: FieldKind,
    /// Whether people should not see it: forms hide it, answers mask it.
    #[serde(default)]
    pub secret: bool,
    /// Whether a credential cannot be without it, where its condition holds.
    #[serde(default)]
    pub required: bool,
    /// When the field matters; always, without one.
    pub when: Option<When>,
    /// What a use takes when it is absent. Never written into the stored data.
    pub default: Option<Value>,
    /// The only texts allowed; any when empty.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// The only hosts that an address may name; any when empty.
    #[serde(default)]
    pub hosts: Vec<HostPattern>,
    /// Members that a JSON object must have, each a text.
    #[serde(default)]
    pub members: Vec<String>,
    /// An example for forms and documentation; never a secret.
    pub example: Option<String>,
}

/// The kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Text of at least one character.
    Text,
    /// Text that may span lines, such as a private key.
    MultilineText,
    /// Text that may stand in an HTTP header: no line break, no control character.
    HeaderText,
    /// The name of an HTTP header (RFC 9110, section 5.1).
    HeaderName,
    /// Letters, digits and `-._~+/=:`, as most issued keys are made.
    KeyText,
    /// An absolute http or https address.
    Url,
    /// A host name or address, without scheme, port or path.
    Host,
    /// One label of a host name (RFC 1123, section 2.1): letters, digits and inner hyphens.
    HostLabel,
    /// A TCP port, 1 to 65535.
    Port,
    /// A whole number from 0 to 4294967295.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Any JSON value but null.
    Json,
}

/// A condition on one other field. Exactly one of `is` and `set` is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct When {
    /// The field that is looked at.
    pub field: String,
    /// The value that it must have, its default counted.
    pub is: Option<Value>,
    /// Whether it must have a value at all.
    pub set: Option<bool>,
}

impl When {
    /// Whether the condition holds for this data.
    #[must_use]
    pub fn holds(&self, kind: &CredentialType, data: &Map<String, Value>) -> bool {
        let value = kind.value(data, &self.field);
        self.is.as_ref().is_none_or(|wanted| value == Some(wanted))
            && self.set.is_none_or(|wanted| value.is_some() == wanted)
    }
}
