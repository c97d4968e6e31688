//! Connection tests against real servers, which scripts/with-servers.sh starts. A server that is not
//! there fails its tests.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nodeloom_connect::guard::{Guard, GuardSettings, Resolve, Resolving, parse_allow};
use nodeloom_connect::http::{HttpError, Request};
use nodeloom_connect::probe::{MAX_SHOWN, TestCode, TestOutcome, TestStatus, test_connection};
use nodeloom_connect::{ConnectError, Limits, Outbound, Trust};
use nodeloom_domain::Timestamp;
use nodeloom_domain::credential_type::find_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use support::{Answers, Talk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// The password of every account of scripts/lib-servers.sh.
const RIGHT: &str = "right/Pass+word:1&%é";
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const WRONG: &str = "wrong/Pass+word:2&%é";

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this through scripts/with-servers.sh"))
}

fn server(name: &str) -> SocketAddr {
    variable(name).parse().unwrap()
}

/// `localhost` and `other.example` are 127.0.0.1, as a DNS server could say.
struct Names;

impl Resolve for Names {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(vec![[127, 0, 0, 1].into()]) })
    }
}

fn outbound_with(trust: Trust) -> Outbound {
    let settings = GuardSettings {
        enabled: true,
        allow: parse_allow("127.0.0.1").unwrap(),
    };
    let guard = Guard::with_resolver(settings, Arc::new(Names));
    Outbound::new(guard, trust, Limits::default())
}

/// Trusts the tests' own authority.
fn outbound() -> Outbound {
    let authority = PathBuf::from(variable("NODELOOM_TEST_CA"));
    outbound_with(Trust::load(Some(&authority)).unwrap())
}

/// Tests a credential of that type; whatever comes out, it is free of its password.
async fn test_through(outbound: &Outbound, kind: &str, data: Value) -> TestOutcome {
    let data = data.as_object().unwrap();
    let outcome = test_connection(outbound, find_type(kind).unwrap(), data, NOW).await;
    for secret in [RIGHT, WRONG] {
        assert!(!outcome.message.contains(secret), "{outcome:?}");
    }
    assert!(outcome.message.chars().count() <= MAX_SHOWN);
    outcome
}

async fn test(kind: &str, data: Value) -> TestOutcome {
    test_through(&outbound(), kind, data).await
}

/// `data` with other values.
fn with(data: &Value, changes: Value) -> Value {
    let mut data = data.clone();
    let object = data.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    data
}

#[track_caller]
fn assert_ok(outcome: &TestOutcome, words: &str) {
    assert_eq!(outcome.status, TestStatus::Ok, "{outcome:?}");
    assert_eq!(outcome.code, TestCode::SignedIn, "{outcome:?}");
    assert!(outcome.message.contains(words), "{outcome:?}");
}

#[track_caller]
fn assert_failed(outcome: &TestOutcome, code: TestCode, words: &str) {
    assert_eq!(outcome.status, TestStatus::Failed, "{outcome:?}");
    assert_eq!(outcome.code, code, "{outcome:?}");
    assert!(outcome.message.contains(words), "{outcome:?}");
}

// --- PostgreSQL ----------------------------------------------------------------------------------

fn postgres(user: &str, mode: &str) -> Value {
    json!({
        "host": "localhost", "port": server("NODELOOM_TEST_SIGN_IN_POSTGRES").port(),
        "database": "app", "username": user, "password": RIGHT, "sslMode": mode,
    })
}

#[tokio::test]
async fn postgresql_signs_in_by_each_method_and_tls_mode() {
    for user in ["scram", "md5", "clear"] {
        for (mode, words) in [
            ("disable", "without TLS"),
            ("allow", "without TLS"),
            ("prefer", "over TLS, certificate not checked"),
            ("require", "over TLS, certificate not checked"),
            ("verify-ca", "certificate checked, its name not"),
            ("verify-full", "certificate and name checked"),
        ] {
            let outcome = test("POSTGRESQL", postgres(user, mode)).await;
            assert_ok(&outcome, &format!("as {user}, "));
            assert_ok(&outcome, words);
        }
        let data = with(&postgres(user, "verify-full"), json!({"password": WRONG}));
        let outcome = test("POSTGRESQL", data).await;
        assert_failed(
            &outcome,
            TestCode::Rejected,
            "password authentication failed",
        );
    }
    let absent = test("POSTGRESQL", postgres("nobody_such", "require")).await;
    assert_failed(&absent, TestCode::Rejected, "refuses the sign-in");
    let barred = test("POSTGRESQL", postgres("barred", "prefer")).await;
    assert_failed(&barred, TestCode::Rejected, "pg_hba.conf");
    let data = with(&postgres("scram", "require"), json!({"database": "absent"}));
    assert_failed(
        &test("POSTGRESQL", data).await,
        TestCode::NotAllowed,
        "does not exist",
    );
}

#[tokio::test]
async fn postgresql_takes_the_other_way_only_where_the_mode_leaves_it_open() {
    assert_ok(
        &test("POSTGRESQL", postgres("only_tls", "allow")).await,
        "over TLS",
    );
    assert_ok(
        &test("POSTGRESQL", postgres("only_plain", "prefer")).await,
        "without TLS",
    );
    for (user, mode) in [("only_tls", "disable"), ("only_plain", "require")] {
        let outcome = test("POSTGRESQL", postgres(user, mode)).await;
        assert_failed(&outcome, TestCode::Rejected, "pg_hba.conf");
    }
}

#[tokio::test]
async fn postgresql_certificates_are_checked_as_the_mode_says() {
    let other = json!({"host": "other.example"});
    let full = with(&postgres("scram", "verify-full"), other.clone());
    assert_failed(
        &test("POSTGRESQL", full).await,
        TestCode::Tls,
        "no TLS connection",
    );
    let chain = with(&postgres("scram", "verify-ca"), other);
    assert_ok(&test("POSTGRESQL", chain).await, "its name not");

    // Without the private authority neither passes, and nothing weaker is tried.
    let stranger = outbound_with(support::trust());
    for mode in ["verify-ca", "verify-full"] {
        let outcome = test_through(&stranger, "POSTGRESQL", postgres("scram", mode)).await;
        assert_failed(&outcome, TestCode::Tls, "no TLS connection");
    }
    let outcome = test_through(&stranger, "POSTGRESQL", postgres("scram", "require")).await;
    assert_ok(&outcome, "certificate not checked");
}

#[tokio::test]
async fn postgresql_servers_that_misbehave_are_told_apart() {
    let error = |text: &str| {
        let fields = format!("SFATAL\0C28P01\0M{text}\0\0");
        let mut message = vec![b'E'];
        message.extend_from_slice(&u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
        message.extend_from_slice(fields.as_bytes());
        message
    };
    let request = |kind: u32, rest: &[u8]| {
        let mut message = vec![b'R'];
        message.extend_from_slice(&u32::try_from(rest.len() + 8).unwrap().to_be_bytes());
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(rest);
        message
    };
    let greedy = format!("r=x,s={},i=2000000000", "QUJD");
    let echo = error(&format!(
        "bad\n\u{1b}[31m password {RIGHT} {}",
        "y".repeat(999)
    ));
    let table: Vec<(&str, Vec<Vec<u8>>, TestCode)> = vec![
        ("disable", vec![echo], TestCode::Rejected),
        ("require", vec![b"N".to_vec()], TestCode::Tls),
        (
            "require",
            vec![b"SEvil bytes before TLS".to_vec()],
            TestCode::Tls,
        ),
        (
            "require",
            vec![b"HTTP/1.1 400".to_vec()],
            TestCode::Protocol,
        ),
        (
            "disable",
            vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()],
            TestCode::Protocol,
        ),
        (
            "disable",
            vec![b"R\xff\xff\xff\xff".to_vec()],
            TestCode::Protocol,
        ),
        ("disable", vec![b"R\0\0\0\0".to_vec()], TestCode::Protocol),
        ("disable", vec![request(7, b"")], TestCode::Method),
        (
            "disable",
            vec![request(10, b"SCRAM-SHA-256-PLUS\0\0")],
            TestCode::Method,
        ),
        (
            "disable",
            vec![
                request(10, b"SCRAM-SHA-256\0\0"),
                request(11, greedy.as_bytes()),
            ],
            TestCode::Protocol,
        ),
        (
            "disable",
            vec![request(10, b"SCRAM-SHA-256\0\0"), request(11, b"r=x,i=x")],
            TestCode::Protocol,
        ),
        (
            "disable",
            vec![request(10, b"SCRAM-SHA-256\0\0"), request(0, b"")],
            TestCode::Protocol,
        ),
        ("disable", vec![vec![]], TestCode::Closed),
    ];
    for (mode, steps, code) in table {
        let server = Talk::start(steps.clone()).await;
        let changes = json!({"host": "127.0.0.1", "port": server.port(), "sslMode": mode});
        let outcome = test("POSTGRESQL", with(&postgres("scram", "disable"), changes)).await;
        assert_failed(&outcome, code, "");
        assert!(!outcome.message.contains(['\n', '\u{1b}']), "{outcome:?}");
        assert!(!server.seen().contains(RIGHT), "the password was not sent");
    }
}

// --- MariaDB -------------------------------------------------------------------------------------

fn mariadb(mode: &str) -> Value {
    json!({
        "host": "localhost", "port": server("NODELOOM_TEST_MARIADB").port(),
        "database": "app", "username": "native", "password": RIGHT, "sslMode": mode,
    })
}

#[tokio::test]
async fn mariadb_signs_in_by_each_tls_mode() {
    for (mode, words) in [
        ("disable", "without TLS"),
        ("prefer", "over TLS, certificate not checked"),
        ("require", "over TLS, certificate not checked"),
        ("verify-ca", "certificate checked, its name not"),
        ("verify-full", "certificate and name checked"),
    ] {
        let outcome = test("MYSQL", mariadb(mode)).await;
        assert_ok(&outcome, "signed in to MariaDB 1");
        assert_ok(&outcome, words);
        let outcome = test("MYSQL", with(&mariadb(mode), json!({"password": WRONG}))).await;
        assert_failed(
            &outcome,
            TestCode::Rejected,
            "Access denied for user 'native'",
        );
    }
    let no_database = with(&mariadb("prefer"), json!({"database": null}));
    assert_ok(&test("MYSQL", no_database).await, "signed in");
    let absent = with(&mariadb("prefer"), json!({"database": "absent"}));
    assert_failed(&test("MYSQL", absent).await, TestCode::NotAllowed, "absent");
    let only_tls = with(
        &mariadb("require"),
        json!({"username": "only_tls", "database": null}),
    );
    assert_ok(&test("MYSQL", only_tls.clone()).await, "over TLS");
    let outcome = test("MYSQL", with(&only_tls, json!({"sslMode": "disable"}))).await;
    assert_failed(&outcome, TestCode::Rejected, "Access denied");
    let other = with(&mariadb("verify-full"), json!({"host": "other.example"}));
    assert_failed(
        &test("MYSQL", other).await,
        TestCode::Tls,
        "no TLS connection",
    );
    let stranger = outbound_with(support::trust());
    let outcome = test_through(&stranger, "MYSQL", mariadb("verify-ca")).await;
    assert_failed(&outcome, TestCode::Tls, "no TLS connection");
}

fn packet(turn: u8, bytes: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    packet[3] = turn;
    packet.extend_from_slice(bytes);
    packet
}

/// A greeting without TLS.
fn greeting(method: &str) -> Vec<u8> {
    let mut bytes = b"\x0a8.4.0\0\x01\0\0\0abcdefgh\0".to_vec();
    bytes.extend_from_slice(&[0xff, 0xf7, 45, 2, 0, 0xff, 0x81, 21]);
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(b"ijklmnopqrst\0");
    bytes.extend_from_slice(method.as_bytes());
    bytes.push(0);
    // 0xf7ff has the flag for TLS (0x0800) off.
    packet(0, &bytes)
}

#[tokio::test]
async fn mysql_methods_that_no_server_here_has_follow_the_protocol() {
    const SHA2: &str = "caching_sha2_password";
    let data = |server: &Talk| {
        let changes = json!({"host": "127.0.0.1", "port": server.port(), "sslMode": "prefer"});
        with(&mariadb("prefer"), changes)
    };
    // Known to the server's cache: no more than the proof goes over.
    let server = Talk::start(vec![
        greeting(SHA2),
        [packet(2, &[1, 3]), packet(3, &[0; 7])].concat(),
    ])
    .await;
    assert_ok(
        &test("MYSQL", data(&server)).await,
        "signed in to MySQL 8.4.0 as native, without TLS",
    );
    assert!(!server.seen().contains(RIGHT));

    let switch = [&[0xfe][..], SHA2.as_bytes(), b"\0ABCDEFGHIJKLMNOPQRST\0"].concat();
    let steps = vec![
        greeting("client_ed25519"),
        packet(2, &switch),
        [packet(4, &[1, 3]), packet(5, &[0; 7])].concat(),
    ];
    let server = Talk::start(steps).await;
    assert_ok(&test("MYSQL", data(&server)).await, "signed in");

    let table: Vec<(Vec<u8>, TestCode, &str)> = vec![
        (
            packet(2, b"\xfeclient_ed25519\0salt"),
            TestCode::Method,
            "client_ed25519",
        ),
        (packet(2, b"\xfe"), TestCode::Method, "old"),
        (
            packet(2, b"\xff\x15\x04#28000Access denied (using password: YES)"),
            TestCode::Rejected,
            "Access denied",
        ),
        (
            packet(2, b"\xff\x69\x04Host is blocked"),
            TestCode::NotAllowed,
            "blocked",
        ),
        (packet(2, &[1, 9]), TestCode::Protocol, ""),
        (packet(7, &[0]), TestCode::Protocol, ""),
        (packet(2, &[]), TestCode::Protocol, ""),
        (b"\xff\xff\xff\x02".to_vec(), TestCode::Protocol, ""),
        (
            (2..40).flat_map(|n| packet(n, &[1, 3])).collect(),
            TestCode::Protocol,
            "",
        ),
    ];
    for (answer, code, words) in table {
        let server = Talk::start(vec![greeting(SHA2), answer]).await;
        assert_failed(&test("MYSQL", data(&server)).await, code, words);
    }
    let server = Talk::start(vec![greeting(SHA2)]).await;
    let strict = with(&data(&server), json!({"sslMode": "require"}));
    assert_failed(&test("MYSQL", strict).await, TestCode::Tls, "has no TLS");
    for banner in ["SSH-2.0-OpenSSH_9.2\r\n", "\x01\0\0\0\x09"] {
        let server = Talk::start(vec![banner.into()]).await;
        assert_failed(
            &test("MYSQL", data(&server)).await,
            TestCode::Protocol,
            "no MySQL",
        );
    }
}

// --- Redis ---------------------------------------------------------------------------------------

fn redis() -> Value {
    json!({"host": "localhost", "port": server("NODELOOM_TEST_REDIS").port(), "password": RIGHT})
}

#[tokio::test]
async fn redis_signs_in_with_and_without_a_user_and_tls() {
    assert_ok(
        &test("REDIS", redis()).await,
        "signed in to Redis, without TLS",
    );
    let ada = with(&redis(), json!({"username": "ada", "database": 3}));
    assert_ok(&test("REDIS", ada.clone()).await, "as ada");
    let narrow = with(&redis(), json!({"username": "narrow", "database": 3}));
    assert_ok(&test("REDIS", narrow).await, "as narrow");

    let tls = json!({"tls": true, "port": server("NODELOOM_TEST_REDIS_TLS").port()});
    assert_ok(
        &test("REDIS", with(&ada, tls.clone())).await,
        "over TLS, certificate and name",
    );
    let other = with(&with(&ada, tls.clone()), json!({"host": "other.example"}));
    assert_failed(
        &test("REDIS", other).await,
        TestCode::Tls,
        "no TLS connection",
    );
    let stranger = outbound_with(support::trust());
    let outcome = test_through(&stranger, "REDIS", with(&ada, tls)).await;
    assert_failed(&outcome, TestCode::Tls, "no TLS connection");

    for changes in [
        json!({"password": WRONG}),
        json!({"username": "ada", "password": WRONG}),
        json!({"username": "nobody"}),
    ] {
        let outcome = test("REDIS", with(&redis(), changes)).await;
        assert_failed(&outcome, TestCode::Rejected, "WRONGPASS");
    }
    let silent = with(&redis(), json!({"password": null}));
    assert_failed(
        &test("REDIS", silent).await,
        TestCode::Rejected,
        "asks for a password",
    );
    let far = with(&redis(), json!({"database": 99_999}));
    assert_failed(&test("REDIS", far).await, TestCode::NotAllowed, "SELECT");
    // TLS spoken to a port without it.
    let data = with(&redis(), json!({"tls": true}));
    let outcome = test("REDIS", data).await;
    assert_eq!(outcome.status, TestStatus::Failed, "{outcome:?}");
}

#[tokio::test]
async fn redis_answers_are_bounded_and_cleaned() {
    let table = [
        (
            "-ERR you sent right%2FPass%2Bword%3A1%26%25%C3%A9 \u{7}\r\n".to_owned(),
            TestCode::Rejected,
        ),
        (
            "-ERR cmlnaHQvUGFzcyt3b3JkOjEmJcOp\r\n".to_owned(),
            TestCode::Rejected,
        ),
        (
            format!("-ERR {}\r\n", "x".repeat(9_000)),
            TestCode::Rejected,
        ),
        ("x".repeat(3 << 20), TestCode::TooLarge),
        (
            "HTTP/1.1 400 Bad Request\r\n".to_owned(),
            TestCode::Protocol,
        ),
        ("$99999999999999\r\n".to_owned(), TestCode::Protocol),
        (":1\r\n".to_owned(), TestCode::Protocol),
    ];
    for (answer, code) in table {
        let server = Talk::start(vec![vec![], answer.into_bytes()]).await;
        let data = with(
            &redis(),
            json!({"host": "127.0.0.1", "port": server.port()}),
        );
        let outcome = test("REDIS", data).await;
        assert_failed(&outcome, code, "");
        for form in ["right%2FPass", "cmlnaHQvUGFzcyt3b3Jk", "\u{7}"] {
            assert!(!outcome.message.contains(form), "{outcome:?}");
        }
    }
}

// --- SMTP ----------------------------------------------------------------------------------------

fn smtp(security: &str) -> Value {
    let name = match security {
        "starttls" => "NODELOOM_TEST_SMTP",
        "tls" => "NODELOOM_TEST_SMTP_TLS",
        _ => "NODELOOM_TEST_SMTP_PLAIN",
    };
    json!({
        "host": "localhost", "port": server(name).port(), "username": "ada", "password": RIGHT,
        "security": security,
    })
}

#[tokio::test]
async fn smtp_signs_in_by_each_security() {
    for (security, words) in [
        ("starttls", "over TLS, certificate and name checked"),
        ("tls", "over TLS, certificate and name checked"),
        ("none", "without TLS"),
    ] {
        assert_ok(&test("SMTP", smtp(security)).await, words);
        let wrong = with(&smtp(security), json!({"password": WRONG}));
        assert_failed(&test("SMTP", wrong).await, TestCode::Rejected, "535");
    }
    let stranger = outbound_with(support::trust());
    for security in ["starttls", "tls"] {
        let outcome = test_through(&stranger, "SMTP", smtp(security)).await;
        assert_failed(&outcome, TestCode::Tls, "no TLS connection");
        let other = with(&smtp(security), json!({"host": "other.example"}));
        assert_failed(
            &test("SMTP", other).await,
            TestCode::Tls,
            "no TLS connection",
        );
    }
    let anonymous = with(
        &smtp("starttls"),
        json!({"username": null, "password": null}),
    );
    let outcome = test("SMTP", anonymous).await;
    assert_eq!(
        (outcome.status, outcome.code),
        (TestStatus::Ok, TestCode::Reached),
        "{outcome:?}"
    );
    // The port that wants STARTTLS, without it.
    let port = server("NODELOOM_TEST_SMTP").port();
    let outcome = test("SMTP", with(&smtp("none"), json!({"port": port}))).await;
    assert_eq!(outcome.status, TestStatus::Failed, "{outcome:?}");
}

#[tokio::test]
async fn smtp_never_signs_in_without_the_tls_that_was_asked_for() {
    let plain = server("NODELOOM_TEST_SMTP_PLAIN").port();
    let outcome = test("SMTP", with(&smtp("starttls"), json!({"port": plain}))).await;
    assert_failed(&outcome, TestCode::Tls, "does not offer STARTTLS");

    let offer = b"250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n".to_vec();
    let injected = b"220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n".to_vec();
    let table = vec![
        (
            vec![b"220 mail\r\n".to_vec(), offer.clone(), injected],
            TestCode::Tls,
        ),
        (
            vec![b"220 mail\r\n".to_vec(), offer, b"454 no\r\n".to_vec()],
            TestCode::Rejected,
        ),
        (
            vec![b"220 mail\r\n".to_vec(), b"502 no\r\n".to_vec()],
            TestCode::NotAllowed,
        ),
        (vec![b"554 go away\r\n".to_vec()], TestCode::NotAllowed),
        (vec![b"SSH-2.0-OpenSSH\r\n".to_vec()], TestCode::Protocol),
        (
            vec!["220-x\r\n".repeat(500).into_bytes()],
            TestCode::TooLarge,
        ),
    ];
    for (steps, code) in table {
        let server = Talk::start(steps).await;
        let changes = json!({"host": "127.0.0.1", "port": server.port()});
        assert_failed(
            &test("SMTP", with(&smtp("starttls"), changes)).await,
            code,
            "",
        );
        assert!(!server.seen().contains("AUTH"), "{}", server.seen());
    }
    let methods = vec![
        b"220 mail\r\n".to_vec(),
        b"250-mail\r\n250 AUTH CRAM-MD5 XOAUTH2\r\n".to_vec(),
    ];
    let server = Talk::start(methods).await;
    let changes = json!({"host": "127.0.0.1", "port": server.port()});
    let outcome = test("SMTP", with(&smtp("none"), changes)).await;
    assert_failed(&outcome, TestCode::Method, "CRAM-MD5 XOAUTH2");
}

// --- What is common ------------------------------------------------------------------------------

const PROTOCOLS: [&str; 4] = ["POSTGRESQL", "MYSQL", "REDIS", "SMTP"];

fn any(kind: &str) -> Value {
    match kind {
        "POSTGRESQL" => postgres("scram", "disable"),
        "MYSQL" => mariadb("disable"),
        "REDIS" => redis(),
        _ => smtp("none"),
    }
}

#[tokio::test]
async fn a_server_that_hangs_meets_the_time_limit() {
    let limits = Limits {
        total: Duration::from_millis(300),
        ..Limits::default()
    };
    let outbound = outbound().with_limits(limits);
    for kind in PROTOCOLS {
        let server = Answers::start(vec![]).await;
        let data = with(
            &any(kind),
            json!({"host": "127.0.0.1", "port": server.port()}),
        );
        let outcome = test_through(&outbound, kind, data).await;
        assert_failed(&outcome, TestCode::TimeLimit, "did not answer within 0.3 s");
        assert!(outcome.duration >= limits.total);
    }
}

#[tokio::test]
async fn the_guard_and_the_network_are_told_apart() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for kind in PROTOCOLS {
        let data = with(&any(kind), json!({"host": "localhost", "port": closed}));
        assert_failed(&test(kind, data).await, TestCode::NoConnection, "refused");
        for host in ["10.0.0.1", "169.254.169.254", "127.0.0.2", "2130706434"] {
            let outcome = test(kind, with(&any(kind), json!({"host": host}))).await;
            assert_eq!(outcome.status, TestStatus::Refused, "{outcome:?}");
            assert_eq!(outcome.code, TestCode::AddressRefused);
            let listed = outcome.message.contains("APP_SSRF_ALLOW");
            assert_eq!(listed, host != "169.254.169.254", "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn https_needs_a_certificate_that_is_trusted() {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(variable("NODELOOM_TEST_TLS_CERT"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
    let key = PrivateKeyDer::from_pem_file(variable("NODELOOM_TEST_TLS_KEY")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(support::ok("safe").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let get = |host: &str| Request::get(Url::parse(&format!("https://{host}:{port}/")).unwrap());
    for host in ["localhost", "127.0.0.1"] {
        let response = outbound().send(get(host)).await.unwrap();
        assert_eq!(response.body.expose(), b"safe");
    }
    let stranger = outbound_with(support::trust());
    for (outbound, host) in [(outbound(), "other.example"), (stranger, "localhost")] {
        let error = outbound.send(get(host)).await.unwrap_err();
        assert!(
            matches!(error, HttpError::Connect(ConnectError::Tls(_))),
            "{error}"
        );
    }
    serving.abort();
}
