//! A credential's life over HTTP and on the command line: attributes, versions, deletion, tests.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use support::probe::{path_of, store, team};
use support::{Client, Database, Setup};

/// A service on loopback that answers every request with `status`; gives its port and what it
/// was sent.
fn service(status: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = heard.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            let mut text = String::new();
            while !text.contains("\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => {
                        text += &String::from_utf8_lossy(&buffer[..read]);
                    }
                    _ => break,
                }
            }
            hearing.lock().expect("a lock").push(text);
            let body = r#"{"error":{"message":"the key sk-canary-secret is wrong"},"data":[]}"#;
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, heard)
}

fn openai(client: &mut Client, name: &str, base: &str) -> Value {
    let team = team(client);
    let body = json!({
        "name": name, "type": "OPENAI", "teamId": team,
        "data": {"apiKey": "sk-canary-secret", "baseUrl": base},
    });
    client.post("/api/credentials", &body).expect(201).json()
}

fn test(client: &mut Client, credential: &Value) -> Value {
    let path = format!("{}/test", path_of(credential));
    client.send("POST", &path, None, &[]).expect(200).json()
}

#[test]
fn a_test_really_connects_and_its_outcome_is_kept() {
    for database in Database::ALL {
        let (good, heard) = service("200 OK");
        let (bad, _) = service("401 Unauthorized");
        let (elsewhere, unheard) = service("200 OK");
        let setup = Setup::with_admin(database).with(
            "APP_SSRF_ALLOW",
            &format!("127.0.0.1:{good},127.0.0.1:{bad},169.254.169.254:80"),
        );
        let server = setup.serve();
        let mut client = server.signed_in();

        let works = openai(&mut client, "Works", &format!("http://127.0.0.1:{good}/v1"));
        let report = test(&mut client, &works);
        assert_eq!(report["status"], "ok", "{report}");
        assert_eq!(report["isStored"], true);
        let sent = heard.lock().expect("a lock").join("\n");
        assert!(
            sent.contains("GET /v1/models") && sent.contains("Bearer sk-canary-secret"),
            "{sent}"
        );
        let read = client.get(&path_of(&works)).expect(200).json();
        assert_eq!(
            (&read["testStatus"], &read["revision"]),
            (&json!("ok"), &json!(1))
        );
        assert!(
            read["lastTestedAt"].is_string() && read["lastUsedAt"].is_string(),
            "{read}"
        );

        let fails = openai(&mut client, "Fails", &format!("http://127.0.0.1:{bad}/v1"));
        let report = test(&mut client, &fails);
        assert_eq!(
            (&report["status"], &report["code"]),
            (&json!("failed"), &json!("rejected"))
        );
        assert!(!report.to_string().contains("sk-canary-secret"), "{report}");

        // Loopback is refused, by a message that says what to do; metadata addresses always are.
        for (name, base, says) in [
            (
                "Private",
                format!("http://127.0.0.1:{elsewhere}/v1"),
                "APP_SSRF_ALLOW",
            ),
            (
                "Decimal",
                format!("http://2130706433:{elsewhere}/v1"),
                "APP_SSRF_ALLOW",
            ),
            (
                "Mapped",
                format!("http://[::ffff:127.0.0.1]:{elsewhere}/v1"),
                "APP_SSRF_ALLOW",
            ),
            (
                "Name",
                format!("http://localhost:{elsewhere}/v1"),
                "APP_SSRF_ALLOW",
            ),
            (
                "Metadata",
                "http://169.254.169.254/v1".to_owned(),
                "metadata",
            ),
        ] {
            let team = team(&mut client);
            let body = json!({
                "name": name, "type": "OPENAI", "teamId": team,
                "data": {"apiKey": "sk-canary-secret", "baseUrl": base},
            });
            let answer = client.post("/api/credentials", &body);
            if answer.status == 400 {
                // Some ways to write an address are no address to begin with.
                continue;
            }
            let report = test(&mut client, &answer.expect(201).json());
            assert_eq!(report["status"], "refused", "{name}: {report}");
            assert!(
                report["message"].as_str().expect("text").contains(says),
                "{name}: {report}"
            );
        }
        assert!(unheard.lock().expect("a lock").is_empty());

        // Bound to another host, it goes nowhere.
        let bind = json!({"hosts": ["api.openai.com"]});
        client.patch(&path_of(&works), &bind).expect(200);
        let before = heard.lock().expect("a lock").len();
        let report = test(&mut client, &works);
        assert_eq!(report["status"], "refused", "{report}");
        assert!(
            report["message"].as_str().expect("text").contains("bound"),
            "{report}"
        );
        assert_eq!(heard.lock().expect("a lock").len(), before);

        // The same from a shell, beside the server.
        setup.run(&["credential", "test", "Fails"]).expect(3);
        let shown = setup.run(&["credential", "show", "Fails"]).expect(0).stdout;
        assert!(shown.contains("failed: "), "{shown}");
    }
}

#[test]
fn the_life_of_a_credential_from_a_shell() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        store(&mut client, "github");
        let set = [
            "credential",
            "set",
            "github",
            "--owner",
            "admin@example.com",
            "--tag",
            "prod",
            "--tag",
            "eu",
            "--notes",
            "ask Ada",
            "--expires",
            "2030-01-31",
            "--rotate-by",
            "2029-12-31",
            "--host",
            "api.github.com",
        ];
        let refused = setup.run(&["credential", "set", "github", "--owner", "x@example.com"]);
        assert!(refused.expect(1).stderr.contains("no member"));
        let me = client.get("/api/auth/me").expect(200).json();
        let email = me["email"].as_str().expect("text").to_owned();
        let set: Vec<&str> = set
            .iter()
            .map(|part| {
                if *part == "admin@example.com" {
                    email.as_str()
                } else {
                    part
                }
            })
            .collect();
        setup.run(&set).expect(0);
        let shown = setup
            .run(&["credential", "show", "github"])
            .expect(0)
            .stdout;
        for part in [
            "prod, eu",
            "ask Ada",
            "2030-01-31",
            "2029-12-31",
            "api.github.com",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        setup
            .run_with_input(
                &["credential", "set", "github", "--field", "token"],
                "second",
            )
            .expect(0);
        let versions = setup
            .run(&["credential", "versions", "github"])
            .expect(0)
            .stdout;
        assert!(versions.contains("token changed"), "{versions}");
        setup
            .run(&["credential", "restore", "github", "--version", "1"])
            .expect(0);
        setup
            .run(&["credential", "restore", "github", "--version", "7"])
            .expect(1);
        let revealed = setup
            .run(&[
                "credential",
                "show",
                "github",
                "--reveal",
                "--format",
                "json",
            ])
            .expect(0)
            .json();
        assert_eq!(revealed["data"]["token"], "value of github");
        let usage = setup.run(&["credential", "usage", "github", "--format", "json"]);
        assert_eq!(usage.expect(0).json()[0]["kind"], "operator");

        setup.run(&["credential", "remove", "github"]).expect(2);
        setup
            .run(&["credential", "remove", "github", "--yes"])
            .expect(0);
        setup.run(&["credential", "show", "github"]).expect(1);
        let deleted = setup.run(&["credential", "deleted"]).expect(0).stdout;
        assert!(deleted.contains("github"), "{deleted}");
        store(&mut client, "github");
        let taken = setup.run(&["credential", "undelete", "github"]).expect(1);
        assert!(taken.stderr.contains("--name"), "{taken:?}");
        setup
            .run(&["credential", "undelete", "github", "--name", "github-old"])
            .expect(0);
        setup
            .run(&["credential", "remove", "github-old", "--yes"])
            .expect(0);
        setup.run(&["credential", "purge", "github-old"]).expect(2);
        setup
            .run(&["credential", "purge", "github-old", "--yes"])
            .expect(0);
        setup
            .run(&["credential", "purge", "github-old", "--yes"])
            .expect(1);
        setup.run(&["doctor"]).expect(0);
    }
}

#[test]
fn attributes_are_part_of_the_api() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let me = client.get("/api/auth/me").expect(200).json();
    let team = team(&mut client);
    let body = json!({
        "name": "Mail", "type": "BEARER_TOKEN", "teamId": team, "data": {"token": "t"},
        "ownerId": me["id"], "notes": "n", "tags": ["a"], "hosts": ["h.example"],
        "expiresAt": "2030-01-31", "rotateBy": null, "restricted": true,
    });
    let made = client.post("/api/credentials", &body).expect(201).json();
    assert_eq!(made["expiresAt"], "2030-01-31T00:00:00.000000Z");
    assert_eq!(
        (&made["ownerId"], &made["rotateBy"]),
        (&me["id"], &Value::Null)
    );
    let path = path_of(&made);
    client
        .post(&format!("{path}/reveal"), &json!({}))
        .refused(403, "RESTRICTED");
    for (field, value, rule) in [
        ("ownerId", json!("x"), "id"),
        ("tags", json!("a"), "type"),
        ("notes", json!(1), "type"),
        ("restricted", json!("yes"), "type"),
        ("expiresAt", json!("tomorrow"), "time"),
        ("hosts", json!(["a b"]), "host"),
    ] {
        client
            .patch(&path, &json!({field: value}))
            .refused(400, "VALIDATION_FAILED")
            .names(field, rule);
    }
    client.delete(&path).expect(204);
    let list = client.get(&format!("/api/deleted-credentials?teamId={team}"));
    let list = list.expect(200);
    assert_eq!(list.header("x-total-count"), Some("1"));
    assert_eq!(list.json()[0]["name"], "Mail");
    client
        .send("POST", &format!("{path}/undelete"), None, &[])
        .expect(200);
    client
        .send("POST", &format!("{path}/purge"), None, &[])
        .refused(409, "NOT_DELETED");
}

#[test]
fn a_list_leads_from_page_to_page() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    for number in 0..7 {
        let body = json!({
            "name": format!("Name {number}"), "type": "BEARER_TOKEN", "teamId": team,
            "data": {"token": "t"}, "tags": if number % 2 == 0 { vec!["Even"] } else { vec![] },
        });
        client.post("/api/credentials", &body).expect(201);
    }
    let mut path = format!("/api/credentials?teamId={team}&size=3&sort=createdAt&order=desc");
    let mut names = Vec::new();
    for _ in 0..9 {
        let page = client.get(&path).expect(200);
        assert_eq!(page.header("x-total-count"), Some("7"));
        for item in page.json().as_array().expect("an array") {
            names.push(item["name"].as_str().expect("text").to_owned());
        }
        let Some(link) = page.header("link") else {
            break;
        };
        let (next, rest) = link[1..].split_once('>').expect("a link");
        assert_eq!(rest, "; rel=\"next\"");
        path = next.to_owned();
    }
    let wanted: Vec<String> = (0..7)
        .rev()
        .map(|number| format!("Name {number}"))
        .collect();
    assert_eq!(names, wanted);
    let tagged = client.get(&format!("/api/credentials?teamId={team}&tag=EVEN"));
    assert_eq!(tagged.expect(200).header("x-total-count"), Some("4"));
    let tags = client.get(&format!("/api/credential-tags?teamId={team}"));
    assert_eq!(
        tags.expect(200).json(),
        json!([{"tag": "even", "total": 4}])
    );
    let cursor = path.rsplit_once("cursor=").expect("a cursor").1.to_owned();
    for (query, field) in [
        ("sort=size".to_owned(), "sort"),
        ("order=up".to_owned(), "order"),
        ("cursor=AAAA".to_owned(), "cursor"),
        (format!("cursor={cursor}"), "cursor"),
        (
            format!("sort=createdAt&order=desc&search=n&cursor={cursor}"),
            "cursor",
        ),
    ] {
        let answer = client.get(&format!("/api/credentials?teamId={team}&{query}"));
        let answer = answer.refused(400, "VALIDATION_FAILED");
        assert!(answer.text.contains(&format!("\"{field}\"")), "{answer:?}");
    }
    let listed = setup.run(&[
        "credential",
        "list",
        "--tag",
        "even",
        "--sort",
        "created",
        "--reverse",
    ]);
    let listed = listed.expect(0).stdout;
    assert!(listed.find("Name 6") < listed.find("Name 0"), "{listed}");
    assert!(!listed.contains("Name 5"), "{listed}");
}

#[test]
fn a_create_that_is_sent_twice_happens_once() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    let body = |name: &str| {
        json!({
            "name": name, "type": "BEARER_TOKEN", "teamId": team, "data": {"token": "t"},
        })
    };
    let mut send = |key: &str, body: &Value| {
        let header = [("Idempotency-Key", key)];
        client.send("POST", "/api/credentials", Some(body), &header)
    };
    let first = send("a-key", &body("Mail")).expect(201).json();
    let again = send("a-key", &body("Mail")).expect(201).json();
    assert_eq!(first["id"], again["id"]);
    assert_eq!(
        send("\"a-key\"", &body("Mail")).expect(201).json()["id"],
        first["id"]
    );
    send("a-key", &body("Other")).refused(422, "IDEMPOTENCY_KEY_REUSED");
    send("a key", &body("Other"))
        .refused(400, "VALIDATION_FAILED")
        .names("Idempotency-Key", "format");
    send("b-key", &body("Other")).expect(201);
    assert_eq!(setup.sql("SELECT count(*) FROM credentials"), "2");
}
