//! Credential types: what a credential of each type holds, which of it is secret, where the
//! secret goes in a request, which hosts may be sent it and how the connection is tested.
//! The types are data, one TOML file each in `types/`; code reads them and knows none by name.
//! How to add one: `docs/adding-a-credential-type.md`.

mod check;
mod field;
mod host;
mod load;
mod place;
mod schema;
mod template;
mod validate;
mod web_address;

pub use check::TypeError;
pub use field::{Field, FieldKind, When};
pub use host::{HostPattern, HostPatternError};
pub use load::{find_type, list_types, parse_type};
pub use place::{Auth, By, Header, HttpTest, Place, Protocol, Test};
pub use template::{Part, Template, TemplateError, push_segment};
pub use validate::{merge, shown_name};
pub use web_address::AddressError;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// The group that lists show it in.
    pub category: Category,
    /// The vendor's page about these keys, https.
    pub documentation: String,
    /// Where the service's API begins, without a slash at the end.
    pub base_url: Option<Template>,
    /// Who may be sent the secret. Empty for the generic types: any host.
    #[serde(default)]
    pub allowed_hosts: Vec<HostPattern>,
    /// Its fields, in the order of a form.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
    /// Where the secrets go in a request. Every entry whose condition holds is applied.
    #[serde(rename = "auth")]
    pub auth: Vec<Auth>,
    /// Headers without a secret that the service wants, such as a version.
    #[serde(rename = "header", default)]
    pub headers: Vec<Header>,
    /// How the connection is tested: the first whose condition holds.
    #[serde(rename = "test")]
    pub tests: Vec<Test>,
    /// Data of that shape with invented values, marked as such.
    pub example: Map<String, Value>,
}

/// The groups of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Category {
    Ai,
    Cloud,
    Database,
    Messaging,
    Email,
    Developer,
    Productivity,
    Crm,
    Generic,
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

    /// What a use takes for that field: the value in `data`, else the default.
    #[must_use]
    pub fn value<'a>(&'a self, data: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        data.get(name)
            .or_else(|| self.field(name).and_then(|field| field.default.as_ref()))
    }

    /// The test that this data asks for. The last of a type's tests has no condition.
    #[must_use]
    pub fn test(&self, data: &Map<String, Value>) -> Option<&Test> {
        self.tests
            .iter()
            .find(|test| test.when.as_ref().is_none_or(|w| w.holds(self, data)))
    }

    /// The fields that say where a secret is sent. Someone who may change one of them
    /// without knowing the secret could have it sent to a place of their own.
    pub fn destination_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| {
            matches!(
                field.kind,
                FieldKind::Url | FieldKind::Host | FieldKind::HostLabel | FieldKind::Port
            )
        })
    }
}

#[cfg(test)]
mod tests;
