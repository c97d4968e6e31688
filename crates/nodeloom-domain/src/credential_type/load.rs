//! The table of types: adding one is a file in `types/` and a line here.

use std::sync::OnceLock;

use super::{CredentialType, TypeError};

/// In the order of their ids.
const FILES: &[&str] = &[
    include_str!("../../types/activecampaign.toml"),
    include_str!("../../types/airtable.toml"),
    include_str!("../../types/anthropic.toml"),
    include_str!("../../types/api_key.toml"),
    include_str!("../../types/aws.toml"),
    include_str!("../../types/azure.toml"),
    include_str!("../../types/azure_openai.toml"),
    include_str!("../../types/bearer_token.toml"),
    include_str!("../../types/brevo.toml"),
    include_str!("../../types/cohere.toml"),
    include_str!("../../types/custom_json.toml"),
    include_str!("../../types/custom_oauth2.toml"),
    include_str!("../../types/digitalocean.toml"),
    include_str!("../../types/discord.toml"),
    include_str!("../../types/elasticsearch.toml"),
    include_str!("../../types/github.toml"),
    include_str!("../../types/gitlab.toml"),
    include_str!("../../types/google_ai.toml"),
    include_str!("../../types/google_cloud_service_account.toml"),
    include_str!("../../types/google_sheets.toml"),
    include_str!("../../types/http_basic.toml"),
    include_str!("../../types/http_header.toml"),
    include_str!("../../types/hubspot.toml"),
    include_str!("../../types/hugging_face.toml"),
    include_str!("../../types/jira.toml"),
    include_str!("../../types/mailchimp.toml"),
    include_str!("../../types/microsoft_teams.toml"),
    include_str!("../../types/mongodb.toml"),
    include_str!("../../types/mysql.toml"),
    include_str!("../../types/notion.toml"),
    include_str!("../../types/ollama.toml"),
    include_str!("../../types/openai.toml"),
    include_str!("../../types/postgresql.toml"),
    include_str!("../../types/redis.toml"),
    include_str!("../../types/salesforce.toml"),
    include_str!("../../types/sendgrid.toml"),
    include_str!("../../types/slack.toml"),
    include_str!("../../types/smtp.toml"),
    include_str!("../../types/supabase.toml"),
    include_str!("../../types/telegram.toml"),
    include_str!("../../types/trello.toml"),
    include_str!("../../types/twilio.toml"),
];

static TYPES: OnceLock<Vec<CredentialType>> = OnceLock::new();

/// Every type, by id.
#[must_use]
pub fn list_types() -> &'static [CredentialType] {
    TYPES.get_or_init(|| {
        FILES
            .iter()
            .map(|text| parse_type(text).expect("a test parses every embedded type"))
            .collect()
    })
}

/// The type with that id; ids are compared exactly.
#[must_use]
pub fn find_type(id: &str) -> Option<&'static CredentialType> {
    let types = list_types();
    types
        .binary_search_by(|kind| kind.id.as_str().cmp(id))
        .ok()
        .map(|index| &types[index])
}

/// Reads a type from the text of its file and checks that its statements fit together.
///
/// # Errors
/// [`TypeError`] with everything that is wrong.
pub fn parse_type(text: &str) -> Result<CredentialType, TypeError> {
    let kind: CredentialType =
        toml::from_str(text).map_err(|error| TypeError(vec![error.to_string()]))?;
    kind.check()?;
    Ok(kind)
}
