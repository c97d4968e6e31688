//! Connection tests by HTTP, against a server that answers from a script.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodeloom_connect::Limits;
use nodeloom_connect::probe::{TestCode, TestOutcome, TestStatus, test_connection};
use nodeloom_domain::Timestamp;
use nodeloom_domain::credential_type::find_type;
use serde_json::{Value, json};
use support::{Answers, outbound};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const KEY: &str = "sk-live-0123456789/+abcdef";

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn test(server: &Answers, kind: &str, data: Value) -> TestOutcome {
    let limits = Limits {
        total: Duration::from_secs(1),
        ..Limits::default()
    };
    let outbound = outbound(&[server.address()]).with_limits(limits);
    let data = data.as_object().unwrap();
    let outcome = test_connection(&outbound, find_type(kind).unwrap(), data, NOW).await;
    assert!(!outcome.message.contains(KEY), "{outcome:?}");
    outcome
}

fn openai(server: &Answers) -> Value {
    json!({"apiKey": KEY, "baseUrl": server.url("/v1")})
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let echo = json!({"error": {"message": format!(
        "Incorrect API key provided: {KEY}, sent as Bearer {KEY}, {} or {}",
        STANDARD.encode(format!("user:{KEY}")), KEY.replace('/', "%2F").replace('+', "%2b"),
    )}});
    let huge = format!("{{\"message\": \"{}\"}}", "x".repeat(2 << 20));
    let table = [
        (
            answer("200 OK", "{}"),
            TestCode::SignedIn,
            "accepts the credential (status 200), without TLS",
        ),
        (
            answer("401 Unauthorized", &echo.to_string()),
            TestCode::Rejected,
            "Incorrect API key provided: [secret]",
        ),
        (
            answer("403 Forbidden", "<h1>no</h1>"),
            TestCode::Rejected,
            "status 403",
        ),
        (
            answer("400 Bad Request", "{\"message\": \"no\\nsuch\"}"),
            TestCode::NotAllowed,
            "(status 400): no such",
        ),
        (
            answer("404 Not Found", ""),
            TestCode::NotAllowed,
            "status 404",
        ),
        (
            answer("429 Too Many Requests", ""),
            TestCode::Unavailable,
            "status 429",
        ),
        (
            answer("503 Service Unavailable", ""),
            TestCode::Unavailable,
            "status 503",
        ),
        (answer("200 OK", &huge), TestCode::TooLarge, "1048576 bytes"),
        ("220 mail ESMTP\r\n".to_owned(), TestCode::Protocol, ""),
        // Not followed: an answer that leads elsewhere says nothing, and the key stays here.
        (
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
            TestCode::NotAllowed,
            "status 302",
        ),
    ];
    for (text, code, words) in table {
        let server = Answers::start(vec![text]).await;
        let outcome = test(&server, "OPENAI", openai(&server)).await;
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert!(outcome.message.contains(words), "{outcome:?}");
        for form in ["MTIzNDU2Nzg5", "0123456789%2F"] {
            assert!(!outcome.message.contains(form), "{outcome:?}");
        }
        let seen = server.seen();
        assert!(
            seen[0].starts_with("GET /v1/models HTTP/1.1\r\n"),
            "{}",
            seen[0]
        );
        assert!(
            seen[0].contains(&format!("authorization: Bearer {KEY}\r\n")),
            "{}",
            seen[0]
        );
        assert_eq!(seen.len(), 1);
    }
    let silent = Answers::start(vec![]).await;
    let outcome = test(&silent, "OPENAI", openai(&silent)).await;
    assert_eq!(outcome.code, TestCode::TimeLimit, "{outcome:?}");
}

#[tokio::test]
async fn a_client_secret_is_tested_at_its_token_endpoint() {
    let data = |server: &Answers| json!({"tokenUrl": server.url("/token"), "clientId": "ada", "clientSecret": KEY});
    let table = [
        (
            answer(
                "200 OK",
                r#"{"access_token": "t-1", "token_type": "Bearer"}"#,
            ),
            TestCode::SignedIn,
        ),
        (
            answer("401 Unauthorized", r#"{"error": "invalid_client"}"#),
            TestCode::Rejected,
        ),
        (
            answer("500 Internal Server Error", ""),
            TestCode::Unavailable,
        ),
        (answer("200 OK", "{}"), TestCode::Protocol),
    ];
    for (text, code) in table {
        let server = Answers::start(vec![text]).await;
        let outcome = test(&server, "CUSTOM_OAUTH2", data(&server)).await;
        assert_eq!(outcome.code, code, "{outcome:?}");
        assert!(!outcome.message.contains("t-1"), "{outcome:?}");
        assert!(server.seen()[0].starts_with("POST /token "));
    }
}

#[tokio::test]
async fn what_is_not_sent_is_told_apart() {
    let server = Answers::start(vec![]).await;
    let refused = test(
        &server,
        "OPENAI",
        json!({"apiKey": KEY, "baseUrl": "http://10.0.0.1/v1"}),
    )
    .await;
    assert_eq!(refused.status, TestStatus::Refused, "{refused:?}");
    assert!(
        refused
            .message
            .contains("add 10.0.0.1:80 to APP_SSRF_ALLOW"),
        "{refused:?}"
    );

    let unsupported = test(&server, "BEARER_TOKEN", json!({"token": KEY})).await;
    assert_eq!(
        unsupported.status,
        TestStatus::Unsupported,
        "{unsupported:?}"
    );
    assert!(
        unsupported.message.contains("which service"),
        "{unsupported:?}"
    );

    let unfit = test(&server, "OPENAI", json!({"baseUrl": server.url("/")})).await;
    assert_eq!(
        (unfit.status, unfit.code),
        (TestStatus::Failed, TestCode::Data),
        "{unfit:?}"
    );
    assert!(server.seen().is_empty());
}
