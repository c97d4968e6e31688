//! The OpenAPI document: what the routes say of themselves, completed by what is true
//! of every route.

use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        self, Components, Content, HttpMethod, RefOr, ResponseBuilder, Responses,
        path::{Operation, PathItem},
        schema::Schema,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::error::{ErrorSchema, FieldErrorView};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "nodeloom",
        description = "A self-hosted home for the secrets of a workflow-automation workspace.\n\n\
            Sign in with `POST /api/auth/login`; the session is the cookie `__Host-nodeloom`. A \
            request that changes something and does not come from a page of the instance itself \
            must carry the header `Origin` with the address that it calls, and bodies are JSON \
            alone. Every answer carries `X-Request-Id`, which also stands in the log and in the \
            audit trail. Every answer that is not a success has the shape `Error`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Set-up", description = "The first administrator."),
        (name = "Sessions", description = "Signing in and out."),
        (name = "Credentials", description = "Sealed values and their metadata."),
        (name = "Credential types", description = "What a credential of each type holds."),
        (name = "API tokens", description = "What programs sign in with."),
        (name = "Teams", description = "Teams, their members and roles."),
        (name = "People", description = "Who may sign in, and who administers the instance."),
        (name = "Keys", description = "The state of the encryption keys."),
        (name = "Audit", description = "The audit trail."),
        (name = "Operations", description = "Health, metrics, this document."),
    ),
    components(schemas(ErrorSchema, FieldErrorView<'static>)),
)]
struct Document;

/// The document before any route has been added.
pub(crate) fn base() -> openapi::OpenApi {
    Document::openapi()
}

/// Adds the security schemes, and to each operation the errors that it can answer with
/// because of what it is: they come from the gate and the extractors, not from handlers.
pub(crate) fn complete(mut document: openapi::OpenApi) -> openapi::OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-nodeloom",
        "Set by POST /api/auth/login.",
    ));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("nlt_<id>.<secret>")
        .description(Some("An API token, made by POST /api/tokens."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("metricsToken", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            add_common_errors(path, &method, operation);
        }
    }
    document
}

/// The document as pretty JSON with a line end. Maps are ordered, so equal programs
/// write equal texts.
pub(crate) fn text(document: &openapi::OpenApi) -> String {
    let mut text = document
        .to_pretty_json()
        .expect("the document is plain data");
    text.push('\n');
    text
}

/// The operations of a path.
pub(crate) fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    [
        (HttpMethod::Get, item.get.as_mut()),
        (HttpMethod::Post, item.post.as_mut()),
        (HttpMethod::Put, item.put.as_mut()),
        (HttpMethod::Patch, item.patch.as_mut()),
        (HttpMethod::Delete, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
    .collect()
}

fn add_common_errors(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let with_body = operation.request_body.is_some();
    let with_session = operation.security.is_some() && path != "/metrics";
    let with_input = with_body
        || operation.parameters.as_deref().unwrap_or_default().iter().any(|parameter| {
            matches!(parameter, RefOr::T(p) if p.parameter_in != openapi::path::ParameterIn::Path)
        });
    let changes = !matches!(method, HttpMethod::Get);
    let health = path.starts_with("/health/");
    let responses = &mut operation.responses;
    if with_input {
        add(
            responses,
            "400",
            "The request is malformed or breaks a rule.",
        );
    }
    if with_session {
        add(responses, "401", "Not signed in, or the session has ended.");
    }
    if !health {
        add(
            responses,
            "403",
            "Not permitted, or the request could come from another site.",
        );
    }
    if path.contains('{') || with_session && path == "/api/credentials" {
        add(responses, "404", "No such resource, or not yours to see.");
    }
    if !health && path != "/metrics" {
        add(
            responses,
            "429",
            "Too many requests; `Retry-After` says when to come back.",
        );
    }
    if with_body {
        add(responses, "408", "The body came too slowly.");
        add(responses, "413", "The body or the value is too large.");
    }
    if changes {
        add(responses, "415", "The body is not JSON.");
    }
    add(responses, "500", "The server failed.");
    add(responses, "503", "The server cannot do this just now.");
}

/// Adds an error unless the route has said more of it.
fn add(responses: &mut Responses, status: &str, description: &str) {
    responses
        .responses
        .entry(status.to_owned())
        .or_insert_with(|| {
            let schema: RefOr<Schema> =
                RefOr::Ref(openapi::Ref::from_schema_name(ErrorSchema::name()));
            let content = Content::new(Some(schema));
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .build();
            RefOr::T(response)
        });
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    fn document() -> Value {
        serde_json::from_str(&crate::openapi()).unwrap()
    }

    #[test]
    fn the_document_is_the_same_each_time() {
        assert_eq!(crate::openapi(), crate::openapi());
    }

    #[test]
    fn every_route_of_the_design_is_documented() {
        let document = document();
        for (method, path) in [
            ("post", "/api/auth/login"),
            ("get", "/api/auth/me"),
            ("post", "/api/auth/logout"),
            ("post", "/api/auth/refresh"),
            ("post", "/api/auth/reauthenticate"),
            ("post", "/api/auth/password"),
            ("get", "/api/auth/sessions"),
            ("delete", "/api/auth/sessions/{id}"),
            ("get", "/api/setup"),
            ("post", "/api/setup"),
            ("get", "/api/credentials"),
            ("post", "/api/credentials"),
            ("get", "/api/credentials/{id}"),
            ("patch", "/api/credentials/{id}"),
            ("delete", "/api/credentials/{id}"),
            ("post", "/api/credentials/{id}/reveal"),
            ("get", "/api/teams"),
            ("post", "/api/teams"),
            ("get", "/api/teams/{id}"),
            ("patch", "/api/teams/{id}"),
            ("delete", "/api/teams/{id}"),
            ("get", "/api/teams/{id}/members"),
            ("put", "/api/teams/{id}/members/{userId}"),
            ("delete", "/api/teams/{id}/members/{userId}"),
            ("get", "/api/credential-types"),
            ("get", "/api/credential-types/{type}"),
            ("get", "/api/teams/{id}/invitations"),
            ("post", "/api/teams/{id}/invitations"),
            ("delete", "/api/invitations/{id}"),
            ("post", "/api/invitations/read"),
            ("post", "/api/invitations/accept"),
            ("get", "/api/users"),
            ("post", "/api/users"),
            ("get", "/api/users/{id}"),
            ("patch", "/api/users/{id}"),
            ("delete", "/api/users/{id}"),
            ("post", "/api/users/{id}/deactivate"),
            ("post", "/api/users/{id}/reactivate"),
            ("get", "/api/keys"),
            ("get", "/api/audit"),
            ("get", "/api/audit/{sequence}"),
            ("get", "/api/audit/export"),
            ("get", "/api/audit/verify"),
            ("get", "/api/openapi.json"),
            ("get", "/api/docs"),
            ("get", "/health/live"),
            ("get", "/health/ready"),
            ("get", "/metrics"),
        ] {
            assert!(
                document["paths"][path][method].is_object(),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn every_error_has_the_one_shape_and_every_reference_leads_somewhere() {
        let document = document();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["operationId"].is_string(), "{method} {path}");
                assert!(operation["summary"].is_string(), "{method} {path}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.contains_key("500"), "{method} {path}");
                for (status, response) in responses {
                    if status.starts_with(['4', '5']) {
                        assert_eq!(
                            response["content"]["application/json"]["schema"]["$ref"],
                            "#/components/schemas/Error",
                            "{method} {path} {status}"
                        );
                    }
                }
                let secured = !operation["security"].is_null();
                assert_eq!(
                    secured,
                    responses.contains_key("401")
                        && path != "/api/auth/login"
                        && path != "/api/setup"
                        || path == "/metrics",
                    "{method} {path}"
                );
            }
        }
        check_references(&document, &document);
    }

    fn check_references(document: &Value, part: &Value) {
        match part {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                map.values()
                    .for_each(|value| check_references(document, value));
            }
            Value::Array(list) => list
                .iter()
                .for_each(|value| check_references(document, value)),
            _ => {}
        }
    }
}
