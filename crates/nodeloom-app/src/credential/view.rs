//! A credential as everyone who may know of it sees it: names, dates and masks.

use std::collections::BTreeMap;

use nodeloom_domain::{CredentialId, TeamId, Timestamp, UserId, credential_type::MASK};
use nodeloom_store::CredentialRow;
use serde::Serialize;

/// Metadata of a credential. No value, in no form: the masks have one length.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialView {
    /// Its id.
    pub id: CredentialId,
    /// Its name, unique in the team.
    pub name: String,
    /// Its type's id.
    #[serde(rename = "type")]
    pub kind: String,
    /// The team that it belongs to.
    pub team_id: TeamId,
    /// The number of the current version of its data, from 1.
    pub generation: u64,
    /// Counts every change, of name or data; the ETag.
    pub revision: u64,
    /// The fields that are set, each with the same mask.
    pub fields: BTreeMap<String, &'static str>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Who stored it.
    pub created_by: String,
    /// Who last changed it.
    pub updated_by: String,
    /// The person who answers for it.
    pub owner_id: Option<UserId>,
    /// Their name.
    pub owner_name: Option<String>,
    /// Free text.
    pub notes: String,
    /// Labels.
    pub tags: Vec<String>,
    /// The only hosts it may be sent to; without any, those of its type.
    pub hosts: Vec<String>,
    /// Its values can be replaced and never shown.
    pub restricted: bool,
    /// When it stops to work.
    pub expires_at: Option<Timestamp>,
    /// When its values should have been replaced.
    pub rotate_by: Option<Timestamp>,
    /// When its values were last opened for somebody.
    pub last_used_at: Option<Timestamp>,
    /// When it was last tested.
    pub last_tested_at: Option<Timestamp>,
    /// What that test said: `ok`, `failed`, `refused` or `unsupported`.
    pub test_status: Option<String>,
    /// The same in one word of a longer list.
    pub test_code: Option<String>,
    /// The same in a sentence.
    pub test_message: Option<String>,
}

impl From<CredentialRow> for CredentialView {
    fn from(row: CredentialRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            team_id: row.team_id,
            generation: row.generation,
            revision: row.revision,
            fields: row.fields.into_iter().map(|name| (name, MASK)).collect(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by_name,
            updated_by: row.updated_by_name,
            owner_id: row.attributes.owner_id,
            owner_name: row.activity.owner_name,
            notes: row.attributes.notes,
            tags: row.attributes.tags,
            hosts: row.attributes.hosts,
            restricted: row.attributes.restricted,
            expires_at: row.attributes.expires_at,
            rotate_by: row.attributes.rotate_by,
            last_used_at: row.activity.last_used_at,
            last_tested_at: row.activity.last_test.as_ref().map(|test| test.at),
            test_status: row
                .activity
                .last_test
                .as_ref()
                .map(|test| test.status.clone()),
            test_code: row
                .activity
                .last_test
                .as_ref()
                .map(|test| test.code.clone()),
            test_message: row.activity.last_test.map(|test| test.message),
        }
    }
}
