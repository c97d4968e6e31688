//! Reminders through a real mail server.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nodeloom_domain::Clock;
use serde_json::json;
use support::probe::{path_of, store};
use support::{ADMIN_EMAIL, Database, Server, Setup};

const PATIENCE: Duration = Duration::from_secs(30);

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this with scripts/with-servers.sh"))
}

/// A credential that expires tomorrow, and how to reach the mail server as `account`.
fn expiring(database: Database, name: &str, recipient: &str, url: &str) -> Setup {
    let mut setup = Setup::with_admin(database).with("ADMIN_EMAIL", recipient);
    let server = setup.serve();
    let mut client = server.client();
    let password = json!({"email": recipient, "password": support::ADMIN_PASSWORD});
    client.post("/api/auth/login", &password).expect(200);
    let credential = store(&mut client, name);
    let tomorrow = Clock::system().now().plus_seconds(20 * 60 * 60);
    let body = json!({"expiresAt": tomorrow.to_string()});
    client.patch(&path_of(&credential), &body).expect(200);
    server.terminate();
    setup.set("SMTP_URL", url);
    setup.set("SMTP_FROM", "Example vault <vault@example.com>");
    setup.set("APP_EXTRA_CA_FILE", &variable("NODELOOM_TEST_CA"));
    setup
}

fn url(scheme: &str, server: &str, password: &str) -> String {
    let port = variable(server);
    let port = port.rsplit(':').next().expect("a port");
    format!("{scheme}://ada:{password}@localhost:{port}")
}

const PASSWORD: &str = "right%2FPass%2Bword%3A1%26%25%C3%A9";

/// The mails to somebody, as they arrived.
fn mails(to: &str) -> Vec<String> {
    let folder = PathBuf::from(variable("NODELOOM_TEST_MAILBOX")).join("new");
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| read(entry.ok()?.path()))
        .filter(|text| text.contains(&format!("To: {to}")))
        .collect()
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn log_says(server: &Server, words: &str) {
    wait_for(words, || server.stderr().contains(words));
}

#[test]
fn people_are_reminded_once() {
    for (number, database) in Database::ALL.into_iter().enumerate() {
        let servers = [
            ("smtp", "NODELOOM_TEST_SMTP"),
            ("smtps", "NODELOOM_TEST_SMTP_TLS"),
        ];
        let (scheme, server) = servers[number];
        let to = format!("reminded-{}-{number}@example.com", std::process::id());
        let url = url(scheme, server, PASSWORD);
        let setup = expiring(database, "Soon over", &to, &url)
            .with("APP_BASE_URL", "http://127.0.0.1:8080");
        let server = setup.serve();
        log_says(&server, "people were reminded of credentials");
        let (_, log) = server.terminate();
        assert!(!log.contains("right"), "{log}");
        let texts = mails(&to);
        assert_eq!(texts.len(), 1);
        let text = texts[0].replace("=\r\n", "").replace("=\n", "");
        for words in [
            "Auto-Submitted: auto-generated",
            "From: \"Example vault\" <vault@example.com>",
            "Subject: nodeloom: a credential needs attention",
            "at http://127.0.0.1:8080",
            "- Soon over (team ",
            "expires on",
            "(in a day)",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains(ADMIN_EMAIL));
        // A later start has nothing left to say.
        let server = setup.serve();
        server.client().get("/health/ready").expect(200);
        server.terminate();
        assert_eq!(mails(&to).len(), 1);
    }
}

#[test]
fn a_mail_that_is_not_taken_is_sent_later() {
    let to = format!("later-{}@example.com", std::process::id());
    let right = url("smtp", "NODELOOM_TEST_SMTP", PASSWORD);
    let wrong = url("smtp", "NODELOOM_TEST_SMTP", "wrong-canary");
    let mut setup = expiring(Database::Sqlite, "Soon over", &to, &wrong);
    for (name, value, words) in [
        (
            "SMTP_URL",
            wrong.as_str(),
            "the mail server refused the name or password of SMTP_URL",
        ),
        (
            "SMTP_URL",
            "smtp://localhost:1",
            "the mail server cannot be reached",
        ),
        (
            "SMTP_URL",
            &format!("smtp://{}", variable("NODELOOM_TEST_SMTP_PLAIN")),
            "the mail server does not offer what SMTP_URL asks for",
        ),
    ] {
        setup.set(name, value);
        let server = setup.serve();
        log_says(&server, words);
        let (_, log) = server.terminate();
        assert!(!log.contains("canary"), "{log}");
        assert_eq!(mails(&to).len(), 0);
    }
    // Nobody that the settings do not name vouches for the server's certificate.
    setup.unset("APP_EXTRA_CA_FILE");
    setup.set("SMTP_URL", &right);
    let server = setup.serve();
    log_says(&server, "the mail server's TLS or certificate was refused");
    server.terminate();
    let authorities = Path::new(&variable("NODELOOM_TEST_CA"))
        .display()
        .to_string();
    setup.set("APP_EXTRA_CA_FILE", &authorities);
    let server = setup.serve();
    log_says(&server, "people were reminded of credentials");
    server.terminate();
    assert_eq!(mails(&to).len(), 1);
}
