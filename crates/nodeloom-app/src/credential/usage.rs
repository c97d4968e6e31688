//! Who and what has used a credential.

use nodeloom_domain::{
    CredentialId, Timestamp,
    policy::{Action, Actor},
};
use nodeloom_store::CredentialUseRow;
use serde::Serialize;

use crate::{App, AppError, Ctx};

/// One user of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialUse {
    /// What it is, in the words of the audit trail: `user`, `token`, `operator`, …
    pub kind: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its name when it last used the credential.
    pub name: String,
    /// The first use on record.
    pub first_used_at: Timestamp,
    /// The latest use.
    pub last_used_at: Timestamp,
    /// How many there were.
    pub uses: u64,
}

/// The actor as a user of a credential.
pub(super) fn consumer(actor: &Actor, now: Timestamp) -> CredentialUseRow {
    let audited = actor.audited();
    CredentialUseRow {
        consumer_kind: audited.kind.as_str().to_owned(),
        consumer_id: audited.id.unwrap_or_default(),
        consumer_name: audited.name,
        first_used_at: now,
        last_used_at: now,
        uses: 1,
    }
}

impl App {
    /// Who has used a credential, latest first, at most 1,000.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign id, alike.
    pub async fn credential_usage(
        &self,
        ctx: &Ctx,
        id: CredentialId,
    ) -> Result<Vec<CredentialUse>, AppError> {
        let (row, _) = self.permitted(ctx, id, Action::CredentialRead).await?;
        let uses = self.store().credential_uses(row.id).await?;
        Ok(uses
            .into_iter()
            .map(|row| CredentialUse {
                kind: row.consumer_kind,
                id: (row.consumer_id != [0; 16])
                    .then(|| CredentialId::from_bytes(row.consumer_id).to_string()),
                name: row.consumer_name,
                first_used_at: row.first_used_at,
                last_used_at: row.last_used_at,
                uses: row.uses,
            })
            .collect())
    }
}
