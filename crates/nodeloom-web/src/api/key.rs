//! The state of the keys.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use utoipa::ToSchema;

use crate::{error::Problem, extract::Caller, state::WebState};

/// Root keys, data keys and the census of sealed values: ids, dates and counts.
#[derive(ToSchema)]
#[schema(as = KeyStatus, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct KeyStatusSchema {
    /// Id of the root key that this process holds: 16 hex digits, public.
    #[schema(example = "18c48ae28540fda7")]
    root_id: String,
    /// The cipher of sealed values.
    #[schema(example = "XAES-256-GCM")]
    algorithm: String,
    /// Ed25519 key of certificates and checkpoints: 64 hex digits.
    signing_public_key: String,
    /// Every root key that this instance has known.
    roots: Vec<RootStatusSchema>,
    data_keys: Vec<DataKeyStatusSchema>,
    /// Sealed values by key, kind and state.
    census: Vec<CensusLineSchema>,
    /// Processes that live now.
    processes: Vec<LiveProcessSchema>,
}

/// A process of the instance.
#[derive(ToSchema)]
#[schema(as = LiveProcess, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct LiveProcessSchema {
    /// Name of its machine.
    host: String,
    /// Its process number there.
    pid: u32,
    /// Ids of the root keys that it holds; it works under the first.
    roots: Vec<String>,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    last_seen_at: String,
}

/// A root key on record.
#[derive(ToSchema)]
#[schema(as = RootStatus, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct RootStatusSchema {
    id: String,
    #[schema(example = "active")]
    state: String,
    /// First use with this database.
    #[schema(format = DateTime)]
    first_seen: String,
    /// Last start of a process that held it.
    #[schema(format = DateTime)]
    last_seen: String,
}

/// A data key.
#[derive(ToSchema)]
#[schema(as = DataKeyStatus, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct DataKeyStatusSchema {
    id: String,
    /// The team it seals for; `null` for the instance.
    team_id: Option<String>,
    /// `seal`, `index`, `audit` or `sign`.
    #[schema(example = "seal")]
    purpose: String,
    #[schema(example = "active")]
    state: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// Whether it is wrapped under the root key that this process works under.
    has_slot: bool,
    /// Ids of the root keys that it is wrapped under.
    slots: Vec<String>,
}

/// How many sealed values share key, kind and state.
#[derive(ToSchema)]
#[schema(as = CensusLine, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct CensusLineSchema {
    key_id: String,
    #[schema(example = "credential")]
    kind: String,
    #[schema(example = "ok")]
    state: String,
    count: u64,
}

/// Read the state of the keys
///
/// For administrators of the instance. No key is in it.
#[utoipa::path(
    get, path = "/api/keys", tag = "Keys", operation_id = "keyStatus",
    security(("session" = []), ("token" = [])),
    responses((status = 200, description = "The state of the keys.", body = KeyStatusSchema)),
)]
pub(crate) async fn status(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.key_status(&ctx).await?).into_response())
}
