//! What can be said of the keys without showing one.

use std::collections::BTreeMap;

use nodeloom_crypto::{KeyId, RootId};
use nodeloom_domain::{
    Timestamp,
    policy::{Action, Resource},
};
use serde::Serialize;

use super::LiveProcess;
use crate::{App, AppError, Ctx};

/// Root keys, data keys, and how many values each data key holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Id of the root key that this process holds: 16 hex digits, public.
    pub root_id: String,
    /// The cipher of sealed values.
    pub algorithm: &'static str,
    /// Public half of the signing key, 64 hex digits.
    pub signing_public_key: String,
    /// Every root key that this instance has known.
    pub roots: Vec<RootStatus>,
    /// Every data key.
    pub data_keys: Vec<DataKeyStatus>,
    /// Values by key, kind and state.
    pub census: Vec<CensusLine>,
    /// Processes that live now and the root keys that they hold.
    pub processes: Vec<LiveProcess>,
}

/// One root key on record.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootStatus {
    /// 16 hex digits.
    pub id: String,
    /// `active` or `retired`.
    pub state: &'static str,
    /// First use with this database.
    pub first_seen: Timestamp,
    /// Last start of a process that held it.
    pub last_seen: Timestamp,
}

/// One data key.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataKeyStatus {
    /// 16 hex digits.
    pub id: String,
    /// The team it seals for; nothing for the instance.
    pub team_id: Option<String>,
    /// `seal`, `index`, `audit` or `sign`.
    pub purpose: &'static str,
    /// `active`, or on its way out.
    pub state: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it is wrapped under the root key that this process works under.
    pub has_slot: bool,
    /// Ids of the root keys that it is wrapped under.
    pub slots: Vec<String>,
}

/// How many sealed values share key, kind and state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CensusLine {
    /// The data key, 16 hex digits.
    pub key_id: String,
    /// `credential` …
    pub kind: String,
    /// `ok` or `quarantined`.
    pub state: &'static str,
    /// Values.
    pub count: u64,
}

impl App {
    /// The state of the keys: ids, dates and counts.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but instance administrators and operators.
    pub async fn key_status(&self, ctx: &Ctx) -> Result<KeyStatus, AppError> {
        let actor = self.actor(ctx).await?;
        let now = self.now();
        self.allow(
            &actor,
            Action::KeyStatus,
            Resource::Instance,
            ctx,
            None,
            now,
        )
        .await?;
        self.census_of_keys().await
    }

    pub(crate) async fn census_of_keys(&self) -> Result<KeyStatus, AppError> {
        let store = self.store();
        let roots = store.roots().await?;
        let mut slots: BTreeMap<KeyId, Vec<RootId>> = BTreeMap::new();
        for root in &roots {
            for key in store.keys_under_root(root.id).await? {
                slots.entry(key).or_default().push(root.id);
            }
        }
        let current = self.keys().root_id();
        let under = |key: &KeyId| slots.get(key).map_or(&[][..], Vec::as_slice);
        Ok(KeyStatus {
            root_id: self.keys().root_id().to_string(),
            algorithm: "XAES-256-GCM",
            signing_public_key: hex(&self.keys().signing().public_key()),
            roots: roots
                .iter()
                .map(|row| RootStatus {
                    id: row.id.to_string(),
                    state: row.state.as_str(),
                    first_seen: row.first_seen,
                    last_seen: row.last_seen,
                })
                .collect(),
            data_keys: store
                .data_keys()
                .await?
                .into_iter()
                .map(|row| DataKeyStatus {
                    id: row.id.to_string(),
                    team_id: row.team_id.map(|team| team.to_string()),
                    purpose: row.purpose.as_str(),
                    state: row.state.as_str(),
                    created_at: row.created_at,
                    has_slot: under(&row.id).contains(&current),
                    slots: under(&row.id).iter().map(ToString::to_string).collect(),
                })
                .collect(),
            census: store
                .census()
                .await?
                .into_iter()
                .map(|row| CensusLine {
                    key_id: row.key_id.to_string(),
                    kind: row.kind,
                    state: row.state.as_str(),
                    count: row.count,
                })
                .collect(),
            processes: self.live_processes().await?,
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
