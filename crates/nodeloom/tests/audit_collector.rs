//! The audit trail's second place behind HTTPS.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use support::probe::{path_of, store};
use support::{Database, Setup};

const TOKEN: &str = "collector-token-canary";

/// A collector on loopback.
struct Collector {
    port: u16,
    /// What it answers with; 0: nothing at all.
    status: Arc<Mutex<u16>>,
    /// Heads and bodies of what it was sent.
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

fn file(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run this with scripts/with-servers.sh"))
        .into()
}

impl Collector {
    fn start() -> Self {
        let certificates = CertificateDer::pem_file_iter(file("NODELOOM_TEST_TLS_CERT"))
            .expect("a certificate")
            .collect::<Result<_, _>>()
            .expect("PEM");
        let key = PrivateKeyDer::from_pem_file(file("NODELOOM_TEST_TLS_KEY")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("a pair");
        let tls = Arc::new(tls);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let status = Arc::new(Mutex::new(200));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = (status.clone(), heard.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, heard) = shared.clone();
                let connection = ServerConnection::new(tls.clone()).expect("a connection");
                thread::spawn(move || talk(StreamOwned::new(connection, stream), &status, &heard));
            }
        });
        Self {
            port,
            status,
            heard,
        }
    }

    fn answer_with(&self, status: u16) {
        *self.status.lock().expect("a lock") = status;
    }

    fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().expect("a lock").clone()
    }

    /// The events that it has taken.
    fn events(&self) -> Vec<Value> {
        let read = |line: &str| serde_json::from_str(line).expect("JSON");
        let heard = self.heard();
        heard
            .iter()
            .flat_map(|(_, body)| body.lines().map(read))
            .collect()
    }
}

/// One connection: request after request, until the client ends it.
fn talk(
    stream: StreamOwned<ServerConnection, TcpStream>,
    status: &Mutex<u16>,
    heard: &Mutex<Vec<(String, String)>>,
) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let code = *status.lock().expect("a lock");
        if code == 0 {
            thread::sleep(Duration::from_secs(60));
            return;
        }
        if (200..300).contains(&code) {
            let body = String::from_utf8(body).expect("UTF-8");
            heard.lock().expect("a lock").push((lower, body));
        }
        let answer = format!(
            "HTTP/1.1 {code} x\r\nContent-Length: 0\r\nLocation: https://localhost/elsewhere\r\n\r\n"
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn setup(database: Database, collector: &Collector) -> Setup {
    let setup = Setup::with_admin(database);
    let token = setup.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).expect("a file");
    let authority = file("NODELOOM_TEST_CA").display().to_string();
    let address = format!("https://localhost:{}/audit", collector.port);
    setup
        .with("AUDIT_SINK", &address)
        .with("AUDIT_SINK_TIMEOUT", "2")
        .with("AUDIT_SINK_TOKEN_FILE", &token.display().to_string())
        .with("APP_EXTRA_CA_FILE", &authority)
}

#[test]
fn a_required_collector_has_every_event_first() {
    for database in Database::ALL {
        let collector = Collector::start();
        let setup = setup(database, &collector).with("AUDIT_SINK_REQUIRED", "true");
        let server = setup.serve();
        let mut client = server.signed_in();
        let stored = store(&mut client, "kept");
        let count = setup.sql("SELECT count(*) FROM audit_events");
        assert_eq!(collector.events().len().to_string(), count);
        for (head, body) in collector.heard() {
            assert!(
                head.contains(&format!("authorization: bearer {TOKEN}")),
                "{head}"
            );
            if !body.is_empty() {
                assert!(head.starts_with("post /audit "), "{head}");
                assert!(
                    head.contains("content-type: application/x-ndjson"),
                    "{head}"
                );
            }
        }
        let reveal = format!("{}/reveal", path_of(&stored));
        for (status, words) in [
            (500, "answered with status 500"),
            (307, "elsewhere (status 307)"),
            (401, "refuses the token (status 401)"),
            (0, "the sink hangs"),
        ] {
            collector.answer_with(status);
            client
                .post(&reveal, &json!({}))
                .refused(503, "AUDIT_UNAVAILABLE");
            assert!(
                server.stderr().contains(words),
                "{words}: {}",
                server.stderr()
            );
        }
        assert_eq!(setup.sql("SELECT count(*) FROM audit_events"), count);
        collector.answer_with(204);
        // The thread may still be held by the request that nobody answered.
        let until = Instant::now() + Duration::from_secs(30);
        while client.post(&reveal, &json!({})).status != 200 {
            assert!(Instant::now() < until, "{}", server.stderr());
            thread::sleep(Duration::from_millis(50));
        }
        let told = collector.events();
        let last = told.last().expect("an event");
        assert_eq!(last["action"], "credential.reveal");
        // What the collector had no answer for did not happen, and it is told so.
        assert!(told.iter().any(|line| line["aborted"].is_u64()));
        // The token is read anew for each request.
        fs::write(setup.path().join("token"), "two words\n").expect("a file");
        client
            .post(&reveal, &json!({}))
            .refused(503, "AUDIT_UNAVAILABLE");
        let (_, log) = server.terminate();
        assert!(log.contains("the token file holds no token"), "{log}");
        assert!(!log.contains(TOKEN), "{log}");
    }
}

#[test]
fn a_collector_is_given_everything_in_time() {
    for database in Database::ALL {
        let collector = Collector::start();
        collector.answer_with(503);
        let setup = setup(database, &collector).without("APP_EXTRA_CA_FILE");
        let stranger = setup.serve();
        let until = Instant::now() + Duration::from_secs(30);
        while !stranger.stderr().contains("TLS or certificate was refused") {
            assert!(Instant::now() < until, "{}", stranger.stderr());
            thread::sleep(Duration::from_millis(50));
        }
        stranger.terminate();
        let authority = file("NODELOOM_TEST_CA").display().to_string();
        let setup = setup.with("APP_EXTRA_CA_FILE", &authority);
        let server = setup.serve();
        store(&mut server.signed_in(), "kept");
        collector.answer_with(200);
        let until = Instant::now() + Duration::from_secs(30);
        while !collector
            .events()
            .iter()
            .any(|event| event["target"]["name"] == "kept")
        {
            assert!(Instant::now() < until, "{}", server.stderr());
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(collector.events()[0]["sequence"], 1);
        drop(server);
    }
}

#[test]
fn addresses_that_could_hold_a_secret_are_refused() {
    for (name, value, words) in [
        (
            "AUDIT_SINK",
            "https://user:hunter2@logs.example.com/",
            "AUDIT_SINK names no sink",
        ),
        (
            "AUDIT_SINK",
            "https://logs.example.com/?token=hunter2",
            "AUDIT_SINK names no sink",
        ),
        (
            "AUDIT_SINK",
            "http://logs.example.com/hunter2",
            "AUDIT_SINK names no sink",
        ),
        (
            "AUDIT_SINK",
            "file:/tmp/audit.jsonl",
            "AUDIT_SINK_TOKEN_FILE is set, and AUDIT_SINK is no",
        ),
        (
            "AUDIT_SINK_TOKEN_FILE",
            "/nowhere/token",
            "AUDIT_SINK_TOKEN_FILE (/nowhere/token) cannot",
        ),
    ] {
        let setup = Setup::with_admin(Database::Sqlite)
            .with("AUDIT_SINK", "https://logs.example.com/")
            .with("AUDIT_SINK_TOKEN_FILE", "/dev/null")
            .with(name, value);
        let refused = setup.try_serve().expect_err("a refusal").expect(78);
        assert!(refused.stderr.contains(words), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    }
}
