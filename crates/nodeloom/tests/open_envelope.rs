//! The way out: the reader in Python opens what the binary wrote, with nothing but the key
//! and the file.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Database, KEY, OTHER_KEY, Setup};

fn python() -> String {
    std::env::var("NODELOOM_TEST_PYTHON")
        .expect("NODELOOM_TEST_PYTHON names a Python with `cryptography`: run scripts/test.sh")
}

fn reader() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/open_envelope.py")
}

fn open(setup: &Setup, key: &str, name: &str) -> Output {
    Command::new(python())
        .arg(reader())
        .arg(setup.sqlite_file())
        .arg(name)
        .env("APP_ENCRYPTION_KEY", key)
        .stdin(Stdio::null())
        .output()
        .expect("the Python runs")
}

#[test]
fn the_python_reader_knows_the_vectors() {
    let output = Command::new(python())
        .arg(reader())
        .arg("--self-test")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_python_reader_opens_what_the_binary_stored() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = client.get("/api/auth/me").json()["teams"][0]["teamId"].clone();
    let data = json!({"json": {"pin": 1234, "text": "zwölf ☂ \"quoted\"", "list": [true, null]}});
    let created = client.post(
        "/api/credentials",
        &json!({"name": "Way out", "type": "CUSTOM_JSON", "teamId": team, "data": data}),
    );
    assert_eq!(created.status, 201, "{created:?}");
    // A second version: the reader must take the newest.
    let newest = json!({"json": {"pin": 5678}});
    let path = format!(
        "/api/credentials/{}",
        created.json()["id"].as_str().unwrap()
    );
    assert_eq!(client.patch(&path, &json!({"data": newest})).status, 200);

    // Beside the running server, and after its end.
    for stop in [false, true] {
        if stop {
            server.signal("TERM");
        }
        let output = open(&setup, KEY, "Way out");
        assert!(output.status.success(), "{output:?}");
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(read, newest);
    }
}

#[test]
fn the_python_reader_says_what_is_wrong() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = client.get("/api/auth/me").json()["teams"][0]["teamId"].clone();
    let body = json!({"name": "One", "type": "BEARER_TOKEN", "teamId": team, "data": {"token": "t-secret-1"}});
    assert_eq!(client.post("/api/credentials", &body).status, 201);
    let roots = client.get("/api/keys").json()["rootId"]
        .as_str()
        .unwrap()
        .to_owned();

    let wrong = open(&setup, OTHER_KEY, "One");
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && error.contains(&roots), "{error}");
    let unknown = open(&setup, KEY, "Two");
    assert!(!unknown.status.success(), "{unknown:?}");
    assert!(wrong.stdout.is_empty() && unknown.stdout.is_empty());
}
