//! Credential types: what a credential of each type holds, which of it is secret.
//! The types are data, one TOML file each in `types/`; code reads them and knows
//! none by name.

mod load;
mod schema;
mod validate;

pub use load::{find_type, list_types};
pub use validate::{merge, shown_name};

use serde::Deserialize;
use serde_json::Value;

/// What masks stand for any value, whatever its length: eight bullets.
pub const MASK: &str = "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}";

/// Most bytes of a credential's `data` as JSON text: 1 MiB, the largest sealed value.
pub const MAX_DATA_BYTES: usize = 1 << 20;

/// The schema of one type of credential.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CredentialType {
    /// UPPER_SNAKE name, as the API uses it.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// One sentence: what it is for.
    pub description: String,
    /// Its fields, in the order of a form.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
}

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
    /// Whether a credential cannot be without it.
    #[serde(default)]
    pub required: bool,
    /// What a use takes when it is absent. Never written into the stored data.
    pub default: Option<toml::Value>,
    /// The only texts allowed; any when empty.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// An example for forms and documentation; never a working secret.
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
    /// An absolute http or https address.
    Url,
    /// A host name or address, without scheme, port or path.
    Host,
    /// A TCP port, 1 to 65535.
    Port,
    /// `true` or `false`.
    Boolean,
    /// Any JSON value but null.
    Json,
}

impl CredentialType {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The JSON Schema (draft 2020-12) of this type's `data`.
    #[must_use]
    pub fn json_schema(&self) -> Value {
        schema::of(self)
    }
}

#[cfg(test)]
mod tests;
