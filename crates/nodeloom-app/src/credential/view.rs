//! A credential as everyone who may know of it sees it: names, dates and masks.

use std::collections::BTreeMap;

use nodeloom_domain::{CredentialId, TeamId, Timestamp, credential_type::MASK};
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
        }
    }
}
