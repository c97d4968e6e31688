//! The one mapping from what went wrong to status, stable code and public sentence,
//! and the one shape of an error body.

use std::{borrow::Cow, error::Error, sync::Arc};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use nodeloom_app::AppError;
use nodeloom_domain::{FieldError, FieldErrors, policy::Denied};
use serde::Serialize;
use utoipa::ToSchema;

/// A request that was not done. It travels as an extension of an empty response; the
/// gate, which alone knows path and request id, writes the body.
#[derive(Debug)]
pub(crate) struct Problem(Box<Detail>);

/// What a [`Problem`] says, and to whom.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) status: StatusCode,
    /// UPPER_SNAKE, never changed once released.
    pub(crate) code: &'static str,
    /// For people; says what to do next.
    pub(crate) message: Cow<'static, str>,
    pub(crate) fields: Vec<FieldError>,
    pub(crate) retry_after_seconds: Option<u64>,
    /// For the log alone.
    pub(crate) cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The extension under which a problem reaches the gate.
#[derive(Clone)]
pub(crate) struct Carried(pub(crate) Arc<Detail>);

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Detail {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after_seconds: None,
            cause: None,
        }))
    }

    /// 400 for input of the right form that breaks a rule.
    pub(crate) fn invalid(errors: FieldErrors) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            "VALIDATION_FAILED",
            "The request breaks a rule; `fields` names each field and what it needs.",
        );
        problem.0.fields = errors.0;
        problem
    }

    /// 400 for one field.
    pub(crate) fn field(field: &str, rule: &str, message: impl Into<String>) -> Self {
        Self::invalid(FieldErrors::one(field, rule, message))
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "This needs a session. Sign in with POST /api/auth/login and send its cookie.",
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "There is no such resource, or it is not yours to see.",
        )
    }

    /// 429 for more requests than an address or token may make.
    pub(crate) fn too_many_requests(retry_after_seconds: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_REQUESTS",
            format!("Too many requests. Try again in {retry_after_seconds} seconds."),
        );
        problem.0.retry_after_seconds = Some(retry_after_seconds);
        problem
    }

    pub(crate) fn body_too_large(max_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            format!("The body is larger than the {max_bytes} bytes allowed here. Send less."),
        )
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "Bodies are JSON alone. Send the header `Content-Type: application/json`.",
        )
    }

    /// The one 500, whatever the cause.
    pub(crate) fn internal(cause: Option<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "The server failed. Its log has the cause under this request id.",
        )
        .caused_by(cause)
    }

    /// The one 503, whatever the cause.
    pub(crate) fn unavailable(cause: Option<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "The server cannot do this just now. Try again; its log has the cause under this \
             request id.",
        )
        .caused_by(cause)
    }

    /// The 503 of the readiness probe: says which part, and no more.
    pub(crate) fn not_ready(cause: Box<dyn Error + Send + Sync>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "NOT_READY",
            "The database does not answer. The log has the cause under this request id.",
        )
        .caused_by(Some(cause))
    }

    fn caused_by(mut self, cause: Option<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = cause;
        self
    }

    /// For an answer that came from below us without a body of ours.
    pub(crate) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable(None),
            StatusCode::UNAUTHORIZED => Self::unauthenticated(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type(),
            status if status.is_server_error() => Self::internal(None),
            status => Self::new(
                status,
                "BAD_REQUEST",
                "The request cannot be understood. See /api/docs for what is expected.",
            ),
        }
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &Detail {
        &self.0
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Invalid(errors) => Self::invalid(errors),
            AppError::Unauthenticated => Self::unauthenticated(),
            AppError::SignInRefused => Self::new(
                StatusCode::UNAUTHORIZED,
                "SIGN_IN_REFUSED",
                "The e-mail address, the password or the code is wrong, or no longer valid.",
            ),
            AppError::SecondFactorRequired => Self::new(
                StatusCode::UNAUTHORIZED,
                "SECOND_FACTOR_REQUIRED",
                "This account has a second factor. Send its code along as `code`.",
            ),
            AppError::PasswordOff => Self::new(
                StatusCode::UNAUTHORIZED,
                "PASSWORD_SIGN_IN_OFF",
                "People sign in here by single sign-on: open /api/auth/oidc/start in a browser. \
                 Passwords are for break-glass accounts alone; for one of those, the address or \
                 the password is wrong.",
            ),
            AppError::Throttled {
                retry_after_seconds,
            } => {
                let mut problem = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "TOO_MANY_ATTEMPTS",
                    format!("Too many attempts. Try again in {retry_after_seconds} seconds."),
                );
                problem.0.retry_after_seconds = Some(retry_after_seconds);
                problem
            }
            AppError::Denied(denied) => denied.into(),
            AppError::NotFound => Self::not_found(),
            AppError::NameTaken { .. } => Self::new(
                StatusCode::CONFLICT,
                "NAME_TAKEN",
                "Another credential of the team has this name. Choose another one.",
            )
            .with_field("name", "unique", "must be unique in the team"),
            AppError::TeamNameTaken { .. } => Self::new(
                StatusCode::CONFLICT,
                "NAME_TAKEN",
                "Another team has this name. Choose another one.",
            )
            .with_field("name", "unique", "must be unique in the instance"),
            AppError::EmailTaken => Self::new(
                StatusCode::CONFLICT,
                "EMAIL_TAKEN",
                "Another person of the instance has this e-mail address.",
            )
            .with_field("email", "unique", "must be unique in the instance"),
            AppError::LastAdmin { of } => Self::new(
                StatusCode::CONFLICT,
                "LAST_ADMIN",
                format!(
                    "This would leave {of} without an active administrator. Make somebody else \
                     one first."
                ),
            ),
            AppError::LastTeam => Self::new(
                StatusCode::CONFLICT,
                "LAST_TEAM",
                "This is the last team of the instance. Make another one first.",
            ),
            AppError::IdempotencyMismatch => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request. Choose a new one.",
            ),
            AppError::Repeated => Self::new(
                StatusCode::CONFLICT,
                "IDEMPOTENCY_KEY_IN_USE",
                "The same request is being done. Send it again.",
            ),
            AppError::DoneBefore { what, id } => Self::new(
                StatusCode::CONFLICT,
                "DONE_BEFORE",
                format!(
                    "This was done already: it made the {what} {id}, which cannot be shown \
                     again."
                ),
            ),
            AppError::NotDeleted => Self::new(
                StatusCode::CONFLICT,
                "NOT_DELETED",
                "The credential is not deleted. Delete it first.",
            ),
            AppError::KeyRefused(why) => Self::new(
                StatusCode::CONFLICT,
                "KEY_REFUSED",
                format!("Refused: {why}."),
            ),
            AppError::RootRetired { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ROOT_RETIRED",
                "This process holds only a root key that was given up. Restart it with its \
                 successor.",
            ),
            AppError::Stale { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "STALE",
                format!(
                    "The resource has changed since you read it: it is at ETag \"{current}\" now. \
                     Read it again, then repeat the change."
                ),
            ),
            AppError::TooLarge { max_bytes } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "VALUE_TOO_LARGE",
                format!(
                    "The value is larger than {max_bytes} bytes. Store less in one credential."
                ),
            )
            .with_field(
                "data",
                "max-bytes",
                format!("must have at most {max_bytes} bytes as JSON"),
            ),
            AppError::Quarantined => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "QUARANTINED",
                "The stored value is damaged: it is malformed or not authentic. It is kept as it \
                 is. Restore it from a backup, or write a new value; `nodeloom doctor` names it.",
            ),
            AppError::Locked => Self::new(
                StatusCode::LOCKED,
                "LOCKED",
                "The key of the stored value is not held now. It opens again when the operator \
                 puts the key back; `nodeloom doctor` names the key.",
            ),
            AppError::AuditUnavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "AUDIT_UNAVAILABLE",
                "The audit trail cannot be kept in the second place that this instance requires, \
                 so nothing was done and nothing is shown. Try again; the operator finds the \
                 cause in the log and with `nodeloom doctor`.",
            ),
            AppError::AuditBroken { sequence } => Self::new(
                StatusCode::CONFLICT,
                "AUDIT_BROKEN",
                format!(
                    "The audit trail is broken at event {sequence}. What is there is evidence and \
                     stays; see `nodeloom audit verify`."
                ),
            ),
            AppError::Unavailable(source) => Self::unavailable(Some(Box::new(source))),
            // The enum may grow; what has no line above is our failure, not the client's.
            other => Self::internal(Some(Box::new(other))),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotVisible => Self::not_found(),
            Denied::RoleTooLow { needs } => Self::new(
                StatusCode::FORBIDDEN,
                "ROLE_TOO_LOW",
                format!(
                    "This needs the role {needs} in the team. An ADMIN of the team can grant it."
                ),
            ),
            Denied::InstanceAdminOnly => Self::new(
                StatusCode::FORBIDDEN,
                "INSTANCE_ADMIN_ONLY",
                "This needs an administrator of the instance.",
            ),
            Denied::ReauthenticationRequired => Self::new(
                StatusCode::FORBIDDEN,
                "REAUTHENTICATION_REQUIRED",
                "This needs a proof of identity from the last five minutes. Send the password to \
                 POST /api/auth/reauthenticate, or open /api/auth/oidc/start?reauthenticate=true \
                 where you sign in by single sign-on; then repeat the request.",
            ),
            Denied::NotForTokens => Self::new(
                StatusCode::FORBIDDEN,
                "NOT_FOR_TOKENS",
                "An API token cannot do this. Sign in and do it in a session.",
            ),
            Denied::TokenScopeMissing { scope } => Self::new(
                StatusCode::FORBIDDEN,
                "TOKEN_SCOPE_MISSING",
                format!(
                    "This needs an API token with the scope {}. Scopes are named when a token is made.",
                    scope.as_str()
                ),
            ),
            Denied::Restricted => Self::new(
                StatusCode::FORBIDDEN,
                "RESTRICTED",
                "This credential is restricted: it can be replaced and used, never shown.",
            ),
            Denied::AlreadySetUp => Self::new(
                StatusCode::CONFLICT,
                "ALREADY_SET_UP",
                "This instance is set up already. Sign in with POST /api/auth/login.",
            ),
        }
    }
}

impl Problem {
    fn with_field(mut self, field: &str, rule: &str, message: impl Into<String>) -> Self {
        self.0.fields.push(FieldError::new(field, rule, message));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(Carried(Arc::from(self.0)));
        response
    }
}

/// Answers paths that nothing is served under.
pub(crate) async fn no_such_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "NO_SUCH_ROUTE",
        "Nothing is served under this path. /api/docs lists the API.",
    )
}

/// Answers known paths with a method they do not have; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "This path does not have this method; the header `Allow` lists those it has.",
    )
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(crate) struct ErrorView<'a> {
    /// The HTTP status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// The status in words.
    #[schema(example = "Bad Request")]
    pub(crate) error: &'a str,
    /// What happened, for programs: UPPER_SNAKE, stable.
    #[schema(example = "VALIDATION_FAILED")]
    pub(crate) code: &'a str,
    /// What happened and what to do, for people; may change.
    pub(crate) message: &'a str,
    /// When, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub(crate) timestamp: String,
    /// The path of the request, without its query.
    #[schema(example = "/api/credentials")]
    pub(crate) path: &'a str,
    /// Names the request in the server's log; also in the header `X-Request-Id`.
    pub(crate) request_id: &'a str,
    /// The refused fields, where the fault is in some.
    #[serde(skip_serializing_if = "<[FieldErrorView<'_>]>::is_empty")]
    #[schema(required = false)]
    pub(crate) fields: Vec<FieldErrorView<'a>>,
}

/// One refused field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
pub(crate) struct FieldErrorView<'a> {
    /// Its path, such as `name`, `data.apiKey`, or the name of a parameter or header.
    #[schema(example = "data.apiKey")]
    pub(crate) field: &'a str,
    /// The broken rule, for programs; stable.
    #[schema(example = "required")]
    pub(crate) rule: &'a str,
    /// What the field needs; never repeats the value.
    pub(crate) message: &'a str,
}

/// The name under which routes document it.
pub(crate) type ErrorSchema = ErrorView<'static>;

impl Detail {
    /// The body, as JSON text.
    pub(crate) fn body(&self, timestamp: String, path: &str, request_id: &str) -> Vec<u8> {
        let view = ErrorView {
            status: self.status.as_u16(),
            error: self.status.canonical_reason().unwrap_or("Error"),
            code: self.code,
            message: &self.message,
            timestamp,
            path,
            request_id,
            fields: self
                .fields
                .iter()
                .map(|f| FieldErrorView {
                    field: &f.field,
                    rule: &f.rule,
                    message: &f.message,
                })
                .collect(),
        };
        serde_json::to_vec(&view).expect("a struct of texts and numbers is always JSON")
    }

    /// The chain of causes in one line, for the log.
    pub(crate) fn cause_text(&self) -> Option<String> {
        let first: &(dyn Error + 'static) = self.cause.as_deref()?;
        let mut text = first.to_string();
        let mut next = first.source();
        while let Some(cause) = next {
            let line = cause.to_string();
            // A transparent layer says the same as its source.
            if !text.ends_with(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            next = cause.source();
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeloom_domain::Role;

    fn mapped(error: AppError) -> (u16, &'static str) {
        let problem = Problem::from(error);
        (problem.detail().status.as_u16(), problem.detail().code)
    }

    #[test]
    fn every_error_of_the_application_has_its_status_and_code() {
        let internal = AppError::Internal {
            context: "a canary",
            source: None,
        };
        for (error, wanted) in [
            (
                AppError::Invalid(FieldErrors::one("name", "required", "must not be empty")),
                (400, "VALIDATION_FAILED"),
            ),
            (AppError::Unauthenticated, (401, "UNAUTHENTICATED")),
            (AppError::SignInRefused, (401, "SIGN_IN_REFUSED")),
            (
                AppError::Throttled {
                    retry_after_seconds: 7,
                },
                (429, "TOO_MANY_ATTEMPTS"),
            ),
            (AppError::Denied(Denied::NotVisible), (404, "NOT_FOUND")),
            (
                AppError::Denied(Denied::RoleTooLow {
                    needs: Role::Builder,
                }),
                (403, "ROLE_TOO_LOW"),
            ),
            (
                AppError::Denied(Denied::InstanceAdminOnly),
                (403, "INSTANCE_ADMIN_ONLY"),
            ),
            (
                AppError::Denied(Denied::ReauthenticationRequired),
                (403, "REAUTHENTICATION_REQUIRED"),
            ),
            (
                AppError::Denied(Denied::AlreadySetUp),
                (409, "ALREADY_SET_UP"),
            ),
            (AppError::NotFound, (404, "NOT_FOUND")),
            (
                AppError::NameTaken { name: "x".into() },
                (409, "NAME_TAKEN"),
            ),
            (
                AppError::TeamNameTaken { name: "x".into() },
                (409, "NAME_TAKEN"),
            ),
            (AppError::EmailTaken, (409, "EMAIL_TAKEN")),
            (AppError::LastAdmin { of: "x".into() }, (409, "LAST_ADMIN")),
            (AppError::LastTeam, (409, "LAST_TEAM")),
            (AppError::NotDeleted, (409, "NOT_DELETED")),
            (
                AppError::SecondFactorRequired,
                (401, "SECOND_FACTOR_REQUIRED"),
            ),
            (
                AppError::IdempotencyMismatch,
                (422, "IDEMPOTENCY_KEY_REUSED"),
            ),
            (AppError::Repeated, (409, "IDEMPOTENCY_KEY_IN_USE")),
            (
                AppError::KeyRefused(nodeloom_app::KeyVerbRefusal::UnknownRoot(
                    nodeloom_crypto::RootId::from_bytes([1; 8]),
                )),
                (409, "KEY_REFUSED"),
            ),
            (AppError::Stale { current: 4 }, (412, "STALE")),
            (
                AppError::TooLarge { max_bytes: 9 },
                (413, "VALUE_TOO_LARGE"),
            ),
            (AppError::Quarantined, (422, "QUARANTINED")),
            (AppError::Locked, (423, "LOCKED")),
            (AppError::AuditUnavailable, (503, "AUDIT_UNAVAILABLE")),
            (AppError::AuditBroken { sequence: 3 }, (409, "AUDIT_BROKEN")),
            (
                AppError::Unavailable(nodeloom_store::StoreError::ReadOnly),
                (503, "UNAVAILABLE"),
            ),
            (internal, (500, "INTERNAL_ERROR")),
        ] {
            let shown = error.to_string();
            assert_eq!(mapped(error), wanted, "{shown}");
        }
    }

    #[test]
    fn an_unseen_and_an_unknown_record_answer_alike() {
        let unseen = Problem::from(AppError::Denied(Denied::NotVisible));
        let unknown = Problem::from(AppError::NotFound);
        let body = |p: &Problem| p.detail().body("t".into(), "/p", "r");
        assert_eq!(body(&unseen), body(&unknown));
    }

    #[test]
    fn a_cause_goes_to_the_log_and_not_to_the_client() {
        let problem = Problem::from(AppError::Internal {
            context: "a canary",
            source: None,
        });
        let body = String::from_utf8(problem.detail().body("t".into(), "/p", "r")).unwrap();
        assert!(!body.contains("canary"), "{body}");
        assert!(problem.detail().cause_text().unwrap().contains("canary"));
        let other = Problem::internal(None).detail().body("t".into(), "/p", "r");
        assert_eq!(body.as_bytes(), other);
    }

    #[test]
    fn the_body_has_the_documented_members() {
        let problem = Problem::field("name", "required", "must not be empty");
        let body = problem
            .detail()
            .body("2026-01-01T00:00:00Z".into(), "/api/x", "id-1");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "status": 400,
                "error": "Bad Request",
                "code": "VALIDATION_FAILED",
                "message": problem.detail().message,
                "timestamp": "2026-01-01T00:00:00Z",
                "path": "/api/x",
                "requestId": "id-1",
                "fields": [{"field": "name", "rule": "required", "message": "must not be empty"}],
            })
        );
        let bare = Problem::not_found().detail().body("t".into(), "/p", "r");
        assert!(!String::from_utf8(bare).unwrap().contains("fields"));
    }
}
