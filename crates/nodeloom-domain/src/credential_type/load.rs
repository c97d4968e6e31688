//! The table of types: adding one is a file in `types/` and a line here.

use std::sync::OnceLock;

use super::CredentialType;

const FILES: &[&str] = &[
    include_str!("../../types/api_key.toml"),
    include_str!("../../types/bearer_token.toml"),
    include_str!("../../types/custom_json.toml"),
    include_str!("../../types/http_basic.toml"),
    include_str!("../../types/http_header.toml"),
    include_str!("../../types/openai.toml"),
    include_str!("../../types/postgresql.toml"),
];

static TYPES: OnceLock<Vec<CredentialType>> = OnceLock::new();

/// Every type, by id.
#[must_use]
pub fn list_types() -> &'static [CredentialType] {
    TYPES.get_or_init(|| {
        FILES
            .iter()
            .map(|text| toml::from_str(text).expect("a test parses every embedded type"))
            .collect()
    })
}

/// The type with that id; ids are compared exactly.
#[must_use]
pub fn find_type(id: &str) -> Option<&'static CredentialType> {
    list_types().iter().find(|kind| kind.id == id)
}
