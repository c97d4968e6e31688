//! What every answer must look like, checked on each one that a test's client receives.

use serde_json::Value;

use super::Answer;

/// The security headers of every answer, and the one shape of every refusal.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    headers(path, answer);
    if answer.status >= 400 && method != "HEAD" {
        refusal(path, answer);
    }
}

#[track_caller]
fn headers(path: &str, answer: &Answer) {
    for (name, wanted) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(wanted), "{name}: {answer:?}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for part in ["default-src 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part}: {answer:?}");
    }
    assert!(!policy.contains("unsafe"), "{answer:?}");
    if !path.starts_with("/assets/") {
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "{answer:?}"
        );
    }
    let id = answer.header("x-request-id").unwrap_or_default();
    assert!((1..=64).contains(&id.len()), "{answer:?}");
}

#[track_caller]
fn refusal(path: &str, answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let object = body.as_object().unwrap_or_else(|| panic!("{answer:?}"));
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.retain(|key| *key != "fields");
    keys.sort_unstable();
    let wanted = [
        "code",
        "error",
        "message",
        "path",
        "requestId",
        "status",
        "timestamp",
    ];
    assert_eq!(keys, wanted, "{answer:?}");

    assert_eq!(body["status"], answer.status, "{answer:?}");
    let text = |key: &str| match &body[key] {
        Value::String(text) if !text.is_empty() => text.as_str(),
        other => panic!("{key} is {other}: {answer:?}"),
    };
    assert!(text("error").starts_with(|c: char| c.is_ascii_uppercase()));
    let is_code = |c: char| c.is_ascii_uppercase() || c == '_';
    assert!(text("code").chars().all(is_code), "{answer:?}");
    assert!(text("message").ends_with('.'), "{answer:?}");
    assert!(is_rfc3339_utc(text("timestamp")), "{answer:?}");
    assert_eq!(text("path"), path, "{answer:?}");
    assert_eq!(Some(text("requestId")), answer.header("x-request-id"));
    if let Some(fields) = object.get("fields") {
        let fields = fields.as_array().unwrap_or_else(|| panic!("{answer:?}"));
        assert!(!fields.is_empty(), "{answer:?}");
        for field in fields {
            let field = field.as_object().unwrap_or_else(|| panic!("{answer:?}"));
            let keys: Vec<&str> = field.keys().map(String::as_str).collect();
            assert_eq!(keys.len(), 3, "{answer:?}");
            for key in ["field", "rule", "message"] {
                let text = field.get(key).and_then(Value::as_str).unwrap_or_default();
                assert!(!text.is_empty(), "{key}: {answer:?}");
            }
        }
    }
}

/// `2026-01-02T03:04:05Z`, perhaps with a fraction.
pub fn is_rfc3339_utc(text: &str) -> bool {
    let Some(text) = text.strip_suffix('Z') else {
        return false;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let form: String = whole
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    form == "0000-00-00T00:00:00"
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

impl Answer {
    /// Asserts a refusal's status and code; the shape was checked on receipt.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["code"], code, "{self:?}");
        self
    }

    /// Asserts a refusal that names a field and the rule it breaks.
    #[track_caller]
    pub fn names(self, field: &str, rule: &str) -> Self {
        let fields = &self.json()["fields"];
        let is_named = fields.as_array().is_some_and(|fields| {
            fields
                .iter()
                .any(|named| named["field"] == field && named["rule"] == rule)
        });
        assert!(is_named, "{field} {rule}: {self:?}");
        self
    }

    /// Asserts the status of a success.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}
