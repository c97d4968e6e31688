//! The audit trail: pages of it, one event, a copy, and whether it is whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_core::Stream;
use nodeloom_app::{
    AppError, AuditAnchor, AuditExport, AuditRecord, AuditSearch, ExportFormat, ListAudit,
};
use nodeloom_domain::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::{
    error::{ErrorSchema, Problem},
    extract::{Caller, Parameters, PathText},
    fields::Query,
    state::WebState,
};

const TOTAL_COUNT_RELATION: HeaderName = HeaderName::from_static("x-total-count-relation");

/// One event of the trail.
#[derive(ToSchema)]
#[schema(as = AuditEvent, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditEventSchema {
    /// Its place in the chain, from 1.
    sequence: u64,
    #[schema(format = Uuid)]
    id: String,
    #[schema(format = DateTime)]
    at: String,
    /// Who did it.
    actor: AuditActorSchema,
    /// In which team; `null` for the instance.
    #[schema(format = Uuid)]
    team_id: Option<String>,
    /// What, as `noun.verb`.
    #[schema(example = "credential.reveal")]
    action: String,
    /// On what.
    target: Option<AuditTargetSchema>,
    /// `success`, `refused` or `failed`.
    #[schema(example = "success")]
    outcome: String,
    request_id: String,
    /// The client's address; `null` for a command.
    address: Option<String>,
    /// Names of fields, counts, reasons.
    #[schema(required = false)]
    detail: serde_json::Map<String, serde_json::Value>,
    /// Instead of `detail`, where what is stored cannot stand in JSON as it is.
    #[schema(required = false)]
    detail_text: Option<String>,
    /// Which segment of the chain it is in.
    segment: u64,
    /// The audit key of the segment.
    key_id: String,
    /// The link: HMAC-SHA-256 over the event and the link before.
    mac: String,
}

/// Who did it.
#[derive(ToSchema)]
#[schema(as = AuditActor)]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditActorSchema {
    /// `user`, `token`, `operator`, `system` or `anonymous`.
    #[schema(example = "user")]
    kind: String,
    #[schema(format = Uuid)]
    id: Option<String>,
    /// An e-mail address, or `user@host` of an operator.
    name: String,
}

/// The record that an event is about.
#[derive(ToSchema)]
#[schema(as = AuditTarget)]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditTargetSchema {
    #[schema(example = "credential")]
    kind: Option<String>,
    /// A UUID, or 16 hex digits for a key.
    id: Option<String>,
    /// Its name at that time.
    name: Option<String>,
}

/// A page of events, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditPage, rename_all = "camelCase")]
pub(crate) struct AuditPageView {
    #[schema(value_type = [AuditEventSchema])]
    content: Vec<AuditRecord>,
    /// Events that match, on all pages; at most 10,000 are counted.
    total_elements: u64,
    total_pages: u64,
    /// The page, from 0.
    number: u32,
    size: u32,
}

/// What a walk along the audit chain found.
#[derive(ToSchema)]
#[schema(as = AuditReport, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditReportSchema {
    /// Whether nothing was found: no edit, deletion, reorder, insertion or cut tail.
    intact: bool,
    /// Events checked.
    events: u64,
    /// Sequence number of the first event that does not fit.
    broken_at: Option<u64>,
    /// What is wrong there.
    finding: Option<String>,
    /// Events whose key is not held, so that they could not be checked.
    unchecked: u64,
    /// Signed checkpoints that the chain was held against: those of the database and of
    /// `audit.anchor` in the data directory.
    anchors: u64,
    /// Checkpoints whose signature is not this instance's.
    false_anchors: u64,
    /// Sequence number of the newest event.
    head_sequence: u64,
    /// Its MAC; compare it with a checkpoint kept elsewhere.
    head_mac: String,
    /// Where the trail begins, if its beginning was pruned.
    seam: Option<AuditSeamSchema>,
}

/// The signed record of a pruning.
#[derive(ToSchema)]
#[schema(as = AuditSeam, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct AuditSeamSchema {
    /// The first removed event.
    first: u64,
    /// The last one.
    last: u64,
    #[schema(format = DateTime)]
    at: String,
    /// `operator`, `user`, or `system` for the retention setting.
    actor_kind: String,
    actor_name: String,
    /// The MAC of the last removed event.
    mac: String,
    segment: u64,
    key_id: String,
    sign_key_id: String,
    public_key: String,
    /// Ed25519.
    signature: String,
}

/// List events
///
/// Newest first. With `teamId` for the team's auditors and administrators, without it for
/// administrators of the instance. `before` goes back from an event at the same cost at any depth;
/// `page` may skip at most 10,000 events. To see who saw a secret, give the credential's id as
/// `target` and `credential.reveal` as `action`.
#[utoipa::path(
    get, path = "/api/audit", tag = "Audit", operation_id = "listAudit",
    security(("session" = []), ("token" = [])),
    params(
        ("teamId" = Option<String>, Query, description = "The team.", format = Uuid),
        ("actor" = Option<String>, Query,
         description = "Id of a person or token, or the whole name that an event shows."),
        ("action" = Option<String>, Query, description = "Such as `credential.reveal`."),
        ("target" = Option<String>, Query, description = "Id of the record."),
        ("outcome" = Option<String>, Query, description = "`success`, `refused` or `failed`."),
        ("from" = Option<String>, Query, description = "At this time or later: RFC 3339, or a day."),
        ("to" = Option<String>, Query, description = "Before this time."),
        ("before" = Option<u64>, Query, description = "Only events with a lower sequence."),
        ("page" = Option<u32>, Query, description = "From 0; default 0.", minimum = 0),
        ("size" = Option<u32>, Query, description = "Events of a page; default 50.",
         minimum = 1, maximum = 500),
    ),
    responses(
        (status = 200, description = "One page.", body = AuditPageView,
         headers(("X-Total-Count-Relation" = Option<String>,
            description = "`gte` when there are at least so many; absent when exact."))),
        (status = 404, description = "No such team, or not yours to see.", body = ErrorSchema),
    ),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let search = search(&mut query);
    let before = query.optional_number("before");
    let page = query.number("page", 0, 0, u32::MAX);
    let size = query.number("size", 50, 1, 500);
    query.finish()?;
    let ask = ListAudit {
        search,
        before,
        page,
        size,
    };
    let list = web.app.list_audit(&ctx, ask).await?;
    let view = AuditPageView {
        content: list.items,
        total_elements: list.total,
        total_pages: list.total.div_ceil(u64::from(size)),
        number: page,
        size,
    };
    let mut response = Json(view).into_response();
    if !list.total_is_exact {
        response
            .headers_mut()
            .insert(TOTAL_COUNT_RELATION, HeaderValue::from_static("gte"));
    }
    Ok(response)
}

/// Read an event
#[utoipa::path(
    get, path = "/api/audit/{sequence}", tag = "Audit", operation_id = "readAuditEvent",
    security(("session" = []), ("token" = [])),
    params(("sequence" = u64, Path, description = "Its place in the chain.")),
    responses((status = 200, description = "The event.", body = AuditEventSchema)),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathText(sequence): PathText,
) -> Result<Response, Problem> {
    let sequence = sequence.parse().map_err(|_| Problem::not_found())?;
    Ok(Json(web.app.audit_event(&ctx, sequence).await?).into_response())
}

/// Copy events
///
/// As a stream, oldest first, with the conditions of the list. JSON lines hold everything that
/// the chain covers; a copy without conditions can be checked with `nodeloom audit verify --file`.
/// In CSV a cell that would be a formula begins with an apostrophe. The copy is an event itself. A
/// copy that ends without its last line, `{"end":…}`, was cut off.
#[utoipa::path(
    get, path = "/api/audit/export", tag = "Audit", operation_id = "exportAudit",
    security(("session" = []), ("token" = [])),
    params(
        ("format" = Option<String>, Query, description = "`jsonl` (default) or `csv`."),
        ("teamId" = Option<String>, Query, description = "The team.", format = Uuid),
        ("actor" = Option<String>, Query,
         description = "Id of a person or token, or the whole name that an event shows."),
        ("action" = Option<String>, Query, description = "Such as `credential.reveal`."),
        ("target" = Option<String>, Query, description = "Id of the record."),
        ("outcome" = Option<String>, Query, description = "`success`, `refused` or `failed`."),
        ("from" = Option<String>, Query, description = "At this time or later: RFC 3339, or a day."),
        ("to" = Option<String>, Query, description = "Before this time."),
    ),
    responses(
        (status = 200, description = "The copy.", body = String, content_type = "application/jsonl"),
        (status = 404, description = "No such team, or not yours to see.", body = ErrorSchema),
    ),
)]
pub(crate) async fn export(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let search = search(&mut query);
    let format = match query.optional_text("format").as_deref() {
        None | Some("jsonl") => ExportFormat::Jsonl,
        Some("csv") => ExportFormat::Csv,
        Some(_) => {
            query.refuse("format", "one-of", "must be `jsonl` or `csv`");
            ExportFormat::Jsonl
        }
    };
    query.finish()?;
    let export = web.app.export_audit(&ctx, search, format).await?;
    let (kind, name) = match format {
        ExportFormat::Jsonl => ("application/jsonl", "attachment; filename=\"audit.jsonl\""),
        ExportFormat::Csv => (
            "text/csv; charset=utf-8; header=present",
            "attachment; filename=\"audit.csv\"",
        ),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
    ];
    Ok((headers, Body::from_stream(parts(export))).into_response())
}

/// Verify the audit trail
///
/// Walks the whole chain, and holds it against the signed checkpoints of the database and of the
/// data directory. With many events this takes a while.
#[utoipa::path(
    get, path = "/api/audit/verify", tag = "Audit", operation_id = "verifyAudit",
    security(("session" = []), ("token" = [])),
    responses((status = 200, description = "What was found.", body = AuditReportSchema)),
)]
pub(crate) async fn verify(
    State(web): State<WebState>,
    Caller(ctx): Caller,
) -> Result<Response, Problem> {
    let file = web.settings.audit_anchor.clone();
    let read = move || file.map_or(Ok(Vec::new()), |file| AuditAnchor::read_file(&file));
    let anchors = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Problem::internal(Some(Box::new(error))))?
        .map_err(|error| Problem::unavailable(Some(Box::new(error))))?;
    Ok(Json(web.app.verify_audit(&ctx, &anchors).await?).into_response())
}

/// The conditions that list and copy share.
fn search(query: &mut Query) -> AuditSearch {
    AuditSearch {
        team: query.optional_id("teamId"),
        actor: query.optional_text("actor"),
        action: query.optional_text("action"),
        target: query.optional_text("target"),
        outcome: query.optional_text("outcome"),
        from: time(query, "from"),
        to: time(query, "to"),
    }
}

fn time(query: &mut Query, name: &str) -> Option<Timestamp> {
    let text = query.optional_text(name)?;
    let time = text.parse().ok();
    if time.is_none() {
        let message = "must be a time like 2026-01-31T23:59:59Z, or a day like 2026-01-31";
        query.refuse(name, "time", message);
    }
    time
}

/// Parts that are made while the client reads the ones before. Whoever goes away ends it.
fn parts(mut export: AuditExport) -> Parts {
    let (to, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let part = match export.next_part().await {
                Ok(Some(part)) => Ok(Bytes::from(part)),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "an export of the audit trail was cut off");
                    Err(error)
                }
            };
            let failed = part.is_err();
            if to.send(part).await.is_err() || failed {
                return;
            }
        }
    });
    Parts(parts)
}

struct Parts(mpsc::Receiver<Result<Bytes, AppError>>);

impl Stream for Parts {
    type Item = Result<Bytes, AppError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}
