//! Credentials: what is shown of them, and the one way to open one.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use nodeloom_app::{
    AppError, CredentialChange, CredentialOrder, CredentialSort, CredentialView, ListCredentials,
    NewCredential, Revealed,
};
use serde_json::Value;
use utoipa::ToSchema;

use super::{attributes, idempotency, precondition};
use crate::{
    body::{self, CREDENTIAL, SMALL},
    error::{ErrorSchema, Problem},
    extract::{Caller, Parameters, PathId, VerifiedCaller},
    metrics::Open,
    state::WebState,
};

const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const TOTAL_COUNT_RELATION: HeaderName = HeaderName::from_static("x-total-count-relation");

/// A credential without its values: each stored field stands as a mask of fixed length.
#[derive(ToSchema)]
#[schema(as = Credential, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct CredentialSchema {
    #[schema(format = Uuid)]
    id: String,
    name: String,
    /// Id of its type, such as `OPENAI`.
    r#type: String,
    #[schema(format = Uuid)]
    team_id: String,
    /// Number of the stored value; it grows with each new one and is never used again.
    generation: u64,
    /// Number of the record; the `ETag`. It grows with each change, of the name as well.
    revision: u64,
    /// The stored fields by name, each as a mask that says nothing of its value.
    #[schema(example = json!({"apiKey": "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}"}))]
    fields: std::collections::BTreeMap<String, String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    created_by: String,
    updated_by: String,
    /// The person who answers for it.
    #[schema(format = Uuid)]
    owner_id: Option<String>,
    owner_name: Option<String>,
    notes: String,
    tags: Vec<String>,
    /// The only hosts it may be sent to; without any, those of its type.
    hosts: Vec<String>,
    /// Its values can be replaced and used, never shown.
    restricted: bool,
    /// When it stops to work.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When its values should have been replaced.
    #[schema(format = DateTime)]
    rotate_by: Option<String>,
    /// When its values were last opened for somebody.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    last_tested_at: Option<String>,
    /// `ok`, `failed`, `refused` or `unsupported`.
    #[schema(example = "ok")]
    test_status: Option<String>,
    /// Why, in one word, such as `rejected`.
    test_code: Option<String>,
    test_message: Option<String>,
}

/// A tag, and how many credentials of the team have it.
#[derive(ToSchema)]
#[schema(as = TagCount)]
#[expect(dead_code, reason = "describes what the application serialises")]
pub(crate) struct TagCountSchema {
    tag: String,
    total: u64,
}

/// A credential to store.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct CreateCredentialRequest {
    /// Unique in the team; 1 to 200 characters.
    #[schema(example = "OpenAI production", min_length = 1, max_length = 200)]
    name: String,
    /// Id of its type; see `/api/credential-types`.
    #[schema(example = "OPENAI")]
    r#type: String,
    #[schema(format = Uuid)]
    team_id: String,
    /// The values, as the type's schema has them; at most 1 MiB as JSON.
    #[schema(write_only, value_type = Object, example = json!({"apiKey": "sk-…"}))]
    data: Value,
    /// The person who answers for it: an active member of the team.
    #[schema(format = Uuid, required = false)]
    owner_id: Option<String>,
    /// Up to 10,000 characters.
    #[schema(required = false, max_length = 10000)]
    notes: Option<String>,
    /// Up to 20 labels of 50 characters.
    #[schema(required = false, max_items = 20)]
    tags: Option<Vec<String>>,
    /// The only hosts it may be sent to, such as `api.example.com`, `*.example.com` or
    /// `db.internal:5432`. Who may not see the secrets now gives them again to change these.
    #[schema(required = false, max_items = 20)]
    hosts: Option<Vec<String>>,
    /// Values can be replaced and used, never shown. Cannot be taken back.
    #[schema(required = false)]
    restricted: Option<bool>,
    /// When it stops to work; a day is its midnight in UTC.
    #[schema(required = false, value_type = Option<String>, example = "2027-01-31T23:59:59Z")]
    expires_at: Option<String>,
    /// When its values should have been replaced.
    #[schema(required = false, value_type = Option<String>, example = "2027-01-31")]
    rotate_by: Option<String>,
}

/// What is to change; what is absent stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct UpdateCredentialRequest {
    #[schema(min_length = 1, max_length = 200, required = false)]
    name: Option<String>,
    /// Fields to replace; `null` removes one, what is absent stays.
    /// Who may not see the secrets now gives them again to change a field that says where they
    /// are sent.
    #[schema(write_only, value_type = Object, required = false)]
    data: Option<Value>,
    /// The person who answers for it: an active member of the team.
    #[schema(format = Uuid, required = false)]
    owner_id: Option<String>,
    /// Up to 10,000 characters.
    #[schema(required = false, max_length = 10000)]
    notes: Option<String>,
    /// Up to 20 labels of 50 characters.
    #[schema(required = false, max_items = 20)]
    tags: Option<Vec<String>>,
    /// The only hosts it may be sent to, such as `api.example.com`, `*.example.com` or
    /// `db.internal:5432`. Who may not see the secrets now gives them again to change these.
    #[schema(required = false, max_items = 20)]
    hosts: Option<Vec<String>>,
    /// Values can be replaced and used, never shown. Cannot be taken back.
    #[schema(required = false)]
    restricted: Option<bool>,
    /// When it stops to work; a day is its midnight in UTC.
    #[schema(required = false, value_type = Option<String>, example = "2027-01-31T23:59:59Z")]
    expires_at: Option<String>,
    /// When its values should have been replaced.
    #[schema(required = false, value_type = Option<String>, example = "2027-01-31")]
    rotate_by: Option<String>,
}

/// Why a secret is looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler picks")]
pub(crate) struct RevealRequest {
    /// Kept in the audit trail.
    #[schema(required = false)]
    reason: Option<String>,
}

/// A credential with its values.
#[derive(ToSchema)]
#[schema(as = RevealedCredential, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what the handler writes")]
pub(crate) struct RevealedSchema {
    #[schema(format = Uuid)]
    id: String,
    name: String,
    r#type: String,
    #[schema(format = Uuid)]
    team_id: String,
    generation: u64,
    /// The values, as they were stored.
    #[schema(value_type = Object)]
    data: Value,
}

/// List the credentials of a team
///
/// A bare array. `search` finds names in which each of its words starts a word. The header
/// `Link` leads to the next page; by its `cursor`, a page costs the same however deep it is.
#[utoipa::path(
    get, path = "/api/credentials", tag = "Credentials", operation_id = "listCredentials",
    security(("session" = []), ("token" = [])),
    params(
        ("teamId" = String, Query, description = "The team.", format = Uuid),
        ("type" = Option<String>, Query, description = "Only this type, such as `OPENAI`."),
        ("tag" = Option<String>, Query, description = "Only those with this tag, in either case."),
        ("search" = Option<String>, Query, description = "Starts of words of the name."),
        ("sort" = Option<String>, Query,
         description = "`name` (default), `createdAt` or `updatedAt`."),
        ("order" = Option<String>, Query, description = "`asc` (default) or `desc`."),
        ("cursor" = Option<String>, Query,
         description = "From the `Link` of the page before; without `search` and `page`."),
        ("page" = Option<u32>, Query, description = "From 0; default 0.", minimum = 0),
        ("size" = Option<u32>, Query, description = "Items of a page; default 200.",
         minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "One page.", body = [CredentialSchema],
         headers(
            ("X-Total-Count" = u64, description = "Credentials that match, on all pages."),
            ("X-Total-Count-Relation" = Option<String>,
             description = "`gte` when there are at least so many; absent when exact."),
            ("Link" = Option<String>,
             description = "The next page, with `rel=\"next\"` (RFC 8288); absent on the last."),
         )),
    ),
)]
pub(crate) async fn list(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    uri: Uri,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let page = query.number("page", 0, 0, u32::MAX);
    let size = query.number("size", 200, 1, 1000);
    let (kind, search) = (query.optional_text("type"), query.optional_text("search"));
    let (tag, cursor) = (query.optional_text("tag"), query.optional_text("cursor"));
    let by = match query.optional_text("sort").as_deref() {
        None | Some("name") => CredentialSort::Name,
        Some("createdAt") => CredentialSort::Created,
        Some("updatedAt") => CredentialSort::Updated,
        Some(_) => {
            query.refuse("sort", "unknown", "must be name, createdAt or updatedAt");
            CredentialSort::Name
        }
    };
    let descending = match query.optional_text("order").as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => {
            query.refuse("order", "unknown", "must be asc or desc");
            false
        }
    };
    let order = CredentialOrder { by, descending };
    let own = match query.has("teamId") {
        true => None,
        false => web.app.team_of_token(&ctx).await?,
    };
    let Some(team) = own.or_else(|| query.id("teamId")) else {
        return Err(query.refusal());
    };
    query.finish()?;
    let ask = ListCredentials {
        team,
        kind,
        tag,
        search,
        order,
        cursor,
        page,
        size,
    };
    let list = web.app.list_credentials(&ctx, ask).await?;
    let link = list.next.as_deref().map(|cursor| next_page(&uri, cursor));
    let mut response = Json(list.items).into_response();
    if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
        .headers_mut()
        .insert(TOTAL_COUNT, HeaderValue::from(list.total));
    if !list.total_is_exact {
        response
            .headers_mut()
            .insert(TOTAL_COUNT_RELATION, HeaderValue::from_static("gte"));
    }
    Ok(response)
}

/// The address of the next page: this one, with another cursor and no number.
fn next_page(uri: &Uri, cursor: &str) -> String {
    let kept = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| !matches!(pair.split('=').next(), Some("cursor" | "page")));
    let query: Vec<&str> = kept.collect();
    let and = if query.is_empty() { "" } else { "&" };
    format!(
        "<{}?{}{and}cursor={cursor}>; rel=\"next\"",
        uri.path(),
        query.join("&")
    )
}

/// List the tags of a team
///
/// At most 1,000, by name, in lower case.
#[utoipa::path(
    get, path = "/api/credential-tags", tag = "Credentials", operation_id = "listCredentialTags",
    security(("session" = []), ("token" = [])),
    params(("teamId" = String, Query, description = "The team.", format = Uuid)),
    responses((status = 200, description = "Its tags.", body = [TagCountSchema])),
)]
pub(crate) async fn tags(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    Parameters(mut query): Parameters,
) -> Result<Response, Problem> {
    let own = match query.has("teamId") {
        true => None,
        false => web.app.team_of_token(&ctx).await?,
    };
    let Some(team) = own.or_else(|| query.id("teamId")) else {
        return Err(query.refusal());
    };
    query.finish()?;
    Ok(Json(web.app.credential_tags(&ctx, team).await?).into_response())
}

/// Store a credential
#[utoipa::path(
    post, path = "/api/credentials", tag = "Credentials", operation_id = "createCredential",
    security(("session" = []), ("token" = [])), request_body = CreateCredentialRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header,
         description = "1 to 255 characters of your choice: the same request under the same key \
                        is done once in 24 hours."),
    ),
    responses(
        (status = 201, description = "Stored.", body = CredentialSchema,
         headers(
            ("Location" = String, description = "Its path."),
            ("ETag" = String, description = "Its revision."),
         )),
        (status = 404, description = "No such team, or not yours to see.", body = ErrorSchema),
        (status = 409, description = "The name is taken.", body = ErrorSchema),
        (status = 422, description = "The `Idempotency-Key` stood for another request.", body = ErrorSchema),
    ),
)]
pub(crate) async fn create(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    headers: HeaderMap,
    body::Json(mut body): body::Json<CREDENTIAL>,
) -> Result<Response, Problem> {
    let ctx = idempotency::once(ctx, &headers, "createCredential", &body)?;
    let own = match body.has("teamId") {
        true => None,
        false => web.app.team_of_token(&ctx).await?,
    };
    let picked = (
        body.text("name"),
        body.text("type"),
        own.or_else(|| body.id("teamId")),
        body.object("data"),
    );
    let attributes = attributes::pick(&mut body);
    let (Some(name), Some(kind), Some(team), Some(data)) = picked else {
        return Err(body.refusal());
    };
    body.finish()?;
    let view = web
        .app
        .create_credential_with(
            &ctx,
            NewCredential {
                team,
                name,
                kind,
                data,
            },
            attributes,
        )
        .await?;
    let location =
        HeaderValue::from_str(&format!("/api/credentials/{}", view.id)).expect("an id is ASCII");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        tagged(&view),
    )
        .into_response())
}

/// Read a credential
///
/// Its metadata; values stand as masks.
#[utoipa::path(
    get, path = "/api/credentials/{id}", tag = "Credentials", operation_id = "readCredential",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` you have."),
    ),
    responses(
        (status = 200, description = "Its metadata.", body = CredentialSchema,
         headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "You have this revision already."),
    ),
)]
pub(crate) async fn read(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = web.app.credential(&ctx, id).await?;
    if precondition::is_known(&headers, view.revision) {
        let tag = [(header::ETAG, precondition::etag(view.revision))];
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok(tagged(&view))
}

/// Change a credential
///
/// Its name, fields of its value, or both. What is absent stays as it is.
#[utoipa::path(
    patch, path = "/api/credentials/{id}", tag = "Credentials",
    operation_id = "updateCredential",
    security(("session" = []), ("token" = [])), request_body = UpdateCredentialRequest,
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "Change only this `ETag`."),
    ),
    responses(
        (status = 200, description = "Changed.", body = CredentialSchema,
         headers(("ETag" = String, description = "Its new revision."))),
        (status = 409, description = "The name is taken.", body = ErrorSchema),
        (status = 412, description = "It has changed since you read it.", body = ErrorSchema),
        (status = 422, description = "The stored value is damaged.", body = ErrorSchema),
        (status = 423, description = "The key of the stored value is not held.", body = ErrorSchema),
    ),
)]
pub(crate) async fn update(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    headers: HeaderMap,
    body::Json(mut body): body::Json<CREDENTIAL>,
) -> Result<Response, Problem> {
    let expected_revision = precondition::if_match(&headers)?;
    // `null` is no name and no data: nothing of a credential but a field can be removed.
    let name = if body.has("name") {
        body.text("name")
    } else {
        None
    };
    let data = if body.has("data") {
        body.object("data")
    } else {
        None
    };
    let attributes = attributes::pick(&mut body);
    body.finish()?;
    let change = CredentialChange {
        name,
        data,
        attributes,
        expected_revision,
    };
    Ok(tagged(&web.app.update_credential(&ctx, id, change).await?))
}

/// Delete a credential
///
/// It opens for nobody, and its name is free. It can be undeleted until it is purged.
#[utoipa::path(
    delete, path = "/api/credentials/{id}", tag = "Credentials",
    operation_id = "deleteCredential",
    security(("session" = []), ("token" = [])),
    params(
        ("id" = String, Path, description = "The credential's id.", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "Delete only this `ETag`."),
    ),
    responses(
        (status = 204, description = "Deleted."),
        (status = 412, description = "It has changed since you read it.", body = ErrorSchema),
    ),
)]
pub(crate) async fn delete(
    State(web): State<WebState>,
    Caller(ctx): Caller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let expected_revision = precondition::if_match(&headers)?;
    web.app
        .delete_credential(&ctx, id, expected_revision)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reveal a credential
///
/// Shows its values. Needs the role BUILDER and a proof of identity from the last five
/// minutes; the audit trail has it before the answer leaves.
#[utoipa::path(
    post, path = "/api/credentials/{id}/reveal", tag = "Credentials",
    operation_id = "revealCredential",
    security(("session" = []), ("token" = [])), request_body = Option<RevealRequest>,
    params(("id" = String, Path, description = "The credential's id.", format = Uuid)),
    responses(
        (status = 200, description = "The values. Never cached.", body = RevealedSchema),
        (status = 422, description = "The stored value is damaged.", body = ErrorSchema),
        (status = 423, description = "The key of the stored value is not held.", body = ErrorSchema),
    ),
)]
pub(crate) async fn reveal(
    State(web): State<WebState>,
    VerifiedCaller(ctx): VerifiedCaller,
    PathId(id): PathId<nodeloom_domain::Credential>,
    body::OptionalJson(mut body): body::OptionalJson<SMALL>,
) -> Result<Response, Problem> {
    let reason = body.optional_text("reason");
    body.finish()?;
    let outcome = web.app.reveal_credential(&ctx, id, reason).await;
    web.metrics.open(match &outcome {
        Ok(_) => Open::Success,
        Err(AppError::Denied(_) | AppError::NotFound | AppError::Unauthenticated) => Open::Refused,
        Err(_) => Open::Failed,
    });
    Ok(revealed(&outcome?))
}

pub(super) fn tagged(view: &CredentialView) -> Response {
    (
        [(header::ETAG, precondition::etag(view.revision))],
        Json(view),
    )
        .into_response()
}

/// The stored text is put in as it is: parsing it would leave one more copy, and could
/// change a number.
fn revealed(revealed: &Revealed) -> Response {
    let view = &revealed.view;
    let head = serde_json::json!({
        "id": view.id,
        "name": view.name,
        "type": view.kind,
        "teamId": view.team_id,
        "generation": view.generation,
    });
    let head = head.to_string();
    // EXPOSE: this is the answer that the caller was permitted and audited for.
    let data = revealed.data.expose();
    let mut body = Vec::with_capacity(head.len() + data.len() + 10);
    body.extend_from_slice(head.trim_end_matches('}').as_bytes());
    body.extend_from_slice(b",\"data\":");
    body.extend_from_slice(data);
    body.push(b'}');
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Bytes::from(body)).into_response()
}
