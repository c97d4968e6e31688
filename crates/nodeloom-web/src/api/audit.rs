//! The audit trail.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use utoipa::ToSchema;

use crate::{error::Problem, extract::Caller, state::WebState};

/// What a walk along the audit chain found.
#[derive(ToSchema)]
#[schema(as = AuditReport, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditReportSchema {
    /// Whether no edit, deletion, reorder or insertion was found.
    intact: bool,
    /// Events checked.
    events: u64,
    /// Sequence number of the first event that does not fit.
    broken_at: Option<u64>,
    /// What is wrong there.
    finding: Option<String>,
    /// Events whose key is not held now, so that they could not be checked.
    unchecked: u64,
    /// Signed checkpoints that the chain was held against; here none, they are kept
    /// outside and `nodeloom audit verify --anchor` takes them.
    anchors: u64,
    /// Signed checkpoints whose signature is not this instance's.
    false_anchors: u64,
    /// Sequence number of the newest event.
    head_sequence: u64,
    /// Its MAC; compare it with a checkpoint kept elsewhere.
    head_mac: String,
}

/// Verify the audit trail
///
/// Walks the whole chain. A cut tail shows only against checkpoints kept outside, with
/// `nodeloom audit verify --anchor` on the server. With many events this takes a while.
#[utoipa::path(
    get, path = "/api/audit/verify", tag = "Audit", operation_id = "verifyAudit",
    security(("session" = []), ("token" = [])),
    responses((status = 200, description = "What was found.", body = AuditReportSchema)),
)]
pub(crate) async fn verify(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    Ok(Json(web.app.verify_audit(&ctx, &[]).await?).into_response())
}
