//! The types of credentials.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use nodeloom_domain::credential_type::{self, CredentialType};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::Problem,
    extract::{PathText, VerifiedCaller},
};

/// What a credential of this type holds.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialType)]
pub(crate) struct CredentialTypeView {
    /// UPPER_SNAKE, as `type` of a credential.
    #[schema(example = "OPENAI")]
    id: &'static str,
    /// For people.
    name: &'static str,
    /// What it is for.
    description: &'static str,
    /// JSON Schema (draft 2020-12) of `data`; secret fields have `writeOnly`.
    #[schema(value_type = Object)]
    schema: Value,
}

impl From<&'static CredentialType> for CredentialTypeView {
    fn from(kind: &'static CredentialType) -> Self {
        Self {
            id: &kind.id,
            name: &kind.name,
            description: &kind.description,
            schema: kind.json_schema(),
        }
    }
}

/// List the types of credentials
#[utoipa::path(
    get, path = "/api/credential-types", tag = "Credential types",
    operation_id = "listCredentialTypes",
    security(("session" = [])),
    responses((status = 200, description = "Every type.", body = [CredentialTypeView])),
)]
pub(crate) async fn list(_caller: VerifiedCaller) -> Response {
    let types = credential_type::list_types();
    Json(
        types
            .iter()
            .map(CredentialTypeView::from)
            .collect::<Vec<_>>(),
    )
    .into_response()
}

/// Read a type of credentials
#[utoipa::path(
    get, path = "/api/credential-types/{type}", tag = "Credential types",
    operation_id = "readCredentialType",
    security(("session" = [])),
    params(("type" = String, Path, description = "Id of the type, such as `OPENAI`.")),
    responses((status = 200, description = "The type.", body = CredentialTypeView)),
)]
pub(crate) async fn read(
    _caller: VerifiedCaller,
    PathText(id): PathText,
) -> Result<Response, Problem> {
    let kind = credential_type::find_type(&id).ok_or_else(Problem::not_found)?;
    Ok(Json(CredentialTypeView::from(kind)).into_response())
}
