//! The types of credentials.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use nodeloom_domain::credential_type::{self, Category, CredentialType};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::Problem,
    extract::{PathText, VerifiedCaller},
};

/// What a credential of this type holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialType)]
pub(crate) struct CredentialTypeView {
    /// UPPER_SNAKE, as `type` of a credential.
    #[schema(example = "OPENAI")]
    id: &'static str,
    /// For people.
    name: &'static str,
    /// What it is for.
    description: &'static str,
    /// The group that it is shown in.
    #[schema(
        value_type = String,
        pattern = "^(ai|cloud|database|messaging|email|developer|productivity|crm|generic)$"
    )]
    category: Category,
    /// The vendor's page about these keys.
    #[schema(example = "https://platform.openai.com/docs/api-reference/authentication")]
    documentation: &'static str,
    /// The fields that are secret, in the order of a form.
    secret_fields: Vec<&'static str>,
    /// The hosts that a secret may be sent to: names, `*.` for every name below one, `{base}` for
    /// the address that the credential itself holds. Empty: any host.
    allowed_hosts: Vec<String>,
    /// How the connection is tested: `http`, `token`, the name of a protocol, or `none`. A type
    /// with several ways has them all, in the order in which their conditions are tried.
    tests: Vec<&'static str>,
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
            category: kind.category,
            documentation: &kind.documentation,
            secret_fields: kind
                .fields
                .iter()
                .filter(|field| field.secret)
                .map(|field| field.name.as_str())
                .collect(),
            allowed_hosts: kind.allowed_hosts.iter().map(ToString::to_string).collect(),
            tests: kind.tests.iter().map(|test| test.by.word()).collect(),
            schema: kind.json_schema(),
        }
    }
}

/// List the types of credentials
#[utoipa::path(
    get, path = "/api/credential-types", tag = "Credential types",
    operation_id = "listCredentialTypes",
    security(("session" = []), ("token" = [])),
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
    security(("session" = []), ("token" = [])),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_is_shown_with_its_secrets_hosts_and_tests() {
        let view = |id: &str| {
            let kind = credential_type::find_type(id).unwrap();
            serde_json::to_value(CredentialTypeView::from(kind)).unwrap()
        };
        let aws = view("AWS");
        assert_eq!(aws["category"], "cloud");
        assert_eq!(
            aws["secretFields"],
            json!(["secretAccessKey", "sessionToken"])
        );
        assert_eq!(aws["allowedHosts"][0], "*.amazonaws.com");
        assert_eq!(aws["tests"], json!(["http"]));
        assert!(
            aws["documentation"]
                .as_str()
                .unwrap()
                .starts_with("https://")
        );
        assert_eq!(
            aws["schema"]["properties"]["secretAccessKey"]["writeOnly"],
            json!(true)
        );
        assert_eq!(view("MICROSOFT_TEAMS")["tests"], json!(["token", "none"]));
        assert_eq!(view("MYSQL")["tests"], json!(["mysql"]));
    }

    #[test]
    fn no_example_of_a_secret_is_shown() {
        for kind in credential_type::list_types() {
            let shown = serde_json::to_string(&CredentialTypeView::from(kind)).unwrap();
            for field in kind.fields.iter().filter(|field| field.secret) {
                if let Some(value) = kind.example.get(&field.name) {
                    assert!(!shown.contains(&value.to_string()), "{}", kind.id);
                }
            }
        }
    }
}
