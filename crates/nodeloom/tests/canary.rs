//! Known secrets pass through every route and every command; then everything that the program
//! wrote or answered is searched for them, in every form in which they could stand there.

#![expect(
    clippy::unwrap_used,
    reason = "a test's own helpers fail as the test does"
)]

#[path = "support/canary.rs"]
mod canary;
mod support;

use std::path::Path;
use std::process::Command;

use canary::{Canary, contains};
use nodeloom_crypto::totp;
use serde_json::{Value, json};
use support::{ADMIN_EMAIL, Client, Database, KEY, Server, Setup};

/// Awkward on purpose: each character is written differently by some encoding.
fn secret(tag: &str) -> String {
    format!("cAnArY-{tag}-\"q\\b<&>/+=%é€ 🔑 9f3a7c")
}

/// Fit for a header, which a type may demand.
fn header_secret(tag: &str) -> String {
    format!("cAnArY-{tag}-\"q\\b<&>/+=% 7c9f3a")
}

/// One credential of each type, secrets in every field that may hold one.
fn credentials() -> Vec<(&'static str, Value, Vec<String>)> {
    let secrets: Vec<String> = (0..10)
        .map(|n| header_secret(&format!("field{n}")))
        .collect();
    let free = secret("free");
    vec![
        (
            "HTTP_HEADER",
            json!({"name": "X-Auth", "value": secrets[0]}),
            vec![secrets[0].clone()],
        ),
        (
            "HTTP_BASIC",
            json!({"username": secrets[1], "password": free}),
            vec![secrets[1].clone(), free.clone()],
        ),
        (
            "API_KEY",
            json!({"apiKey": secrets[2], "in": "query", "name": "key"}),
            vec![secrets[2].clone()],
        ),
        (
            "BEARER_TOKEN",
            json!({"token": secrets[3]}),
            vec![secrets[3].clone()],
        ),
        (
            "CUSTOM_JSON",
            json!({"json": {"deep": [secret("deep"), {"k": secret("deeper")}], secret("key"): 1}}),
            vec![secret("deep"), secret("deeper"), secret("key")],
        ),
        (
            "POSTGRESQL",
            json!({"host": "db.example.com", "database": secrets[4], "username": secrets[5],
                   "password": secret("pg")}),
            vec![secrets[4].clone(), secrets[5].clone(), secret("pg")],
        ),
        (
            "OPENAI",
            json!({"apiKey": secrets[6], "organization": secrets[7]}),
            vec![secrets[6].clone(), secrets[7].clone()],
        ),
    ]
}

#[test]
fn no_secret_is_found_anywhere_on_sqlite() {
    life(Database::Sqlite);
}

#[test]
fn no_secret_is_found_anywhere_on_postgresql() {
    life(Database::Postgres);
}

#[test]
fn the_search_finds_each_form() {
    let text = secret("control");
    let canary = Canary::new("control", &text);
    let json = serde_json::to_string(&text).unwrap();
    let twice = serde_json::to_string(&json).unwrap();
    for hay in [
        text.clone(),
        json,
        twice,
        format!("{text:?}"),
        format!("{:?}", text.as_bytes()),
    ] {
        assert!(
            canary
                .found_in(format!("before {hay} after").as_bytes())
                .is_some(),
            "{hay}"
        );
    }
    assert!(canary.found_in(b"cAnArY-contro").is_none());
    // Base64 of a text that holds it, made here by another way: bit by bit.
    for shift in 0..3 {
        let mut bits = String::new();
        for byte in "x".repeat(shift).bytes().chain(text.bytes()).chain(*b"yz") {
            bits += &format!("{byte:08b}");
        }
        let alphabet: Vec<char> = ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain(['+', '/'])
            .collect();
        let encoded: String = bits
            .as_bytes()
            .chunks_exact(6)
            .map(|six| {
                let six = std::str::from_utf8(six).unwrap();
                alphabet[usize::from_str_radix(six, 2).unwrap()]
            })
            .collect();
        assert_eq!(
            canary.found_in(encoded.as_bytes()),
            Some("base64"),
            "shift {shift}"
        );
    }
}

/// Answers and outputs that may not hold a secret, with where they came from.
type Heard = Vec<(String, Vec<u8>)>;

fn life(database: Database) {
    let password = "cAnArY password ñ \"quoted\" 31";
    let setup = Setup::new(database)
        .with("ADMIN_EMAIL", ADMIN_EMAIL)
        .with("ADMIN_PASSWORD", password)
        .with("NODELOOM_LOG", "trace")
        .with("RUST_BACKTRACE", "1");
    let mut server = setup.serve();
    let mut client = server.client();
    let mut heard = Heard::new();
    let mut canaries = vec![
        Canary::new("the key", KEY),
        Canary::new("the password", password),
    ];

    let wrong = "cAnArY wrong password 77";
    canaries.push(Canary::new("a wrong password", wrong));
    let refused = client.post(
        "/api/auth/login",
        &json!({"email": ADMIN_EMAIL, "password": wrong}),
    );
    assert_eq!(refused.status, 401);
    heard.push(("a refused sign-in".into(), refused.text.into_bytes()));
    let login = client.post(
        "/api/auth/login",
        &json!({"email": ADMIN_EMAIL, "password": password}),
    );
    assert_eq!(login.status, 200, "{login:?}");
    let team = login.json()["teams"][0]["teamId"]
        .as_str()
        .unwrap()
        .to_owned();
    heard.push(("sign-in".into(), login.text.into_bytes()));
    canaries.push(session_canary(&client, "the first session"));

    let mut ids = Vec::new();
    for (kind, data, secrets) in credentials() {
        let body =
            json!({"name": format!("one {kind}"), "type": kind, "teamId": team, "data": data});
        let created = client.post("/api/credentials", &body);
        assert_eq!(created.status, 201, "{kind}: {created:?}");
        let id = created.json()["id"].as_str().unwrap().to_owned();
        heard.push((format!("creating {kind}"), created.text.into_bytes()));
        // The same again is refused, and must not quote what it refuses.
        let again = client.post("/api/credentials", &body);
        assert_eq!(again.status, 409, "{again:?}");
        heard.push((format!("refusing {kind}"), again.text.into_bytes()));
        // The one place where secrets are meant to be seen: the search can find them.
        let revealed = client.post(
            &format!("/api/credentials/{id}/reveal"),
            &json!({"reason": "canary"}),
        );
        assert_eq!(revealed.status, 200, "{revealed:?}");
        assert_eq!(revealed.json()["data"], data);
        for (n, text) in secrets.iter().enumerate() {
            let canary = Canary::new(&format!("{kind} secret {n}"), text);
            assert!(
                canary.found_in(revealed.text.as_bytes()).is_some(),
                "{kind} {text}"
            );
            canaries.push(canary);
        }
        ids.push((id, kind));
    }
    bad_inputs(&mut client, &team, &ids, &mut heard, &mut canaries);
    every_route(&mut client, &team, &ids, &mut heard);
    commands(&setup, &mut heard, &mut canaries);
    people(&mut client, &server, &team, &mut heard, &mut canaries);

    // A new session id at refresh; the old one is as secret as the new one.
    let refreshed = client.post("/api/auth/refresh", &json!({}));
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    heard.push(("refresh".into(), refreshed.text.into_bytes()));
    canaries.push(session_canary(&client, "the second session"));
    let deleted = client.delete(&format!("/api/credentials/{}", ids[0].0));
    assert_eq!(deleted.status, 204, "{deleted:?}");

    // While it runs, so that the write-ahead log is searched too; then after a clean end,
    // and after a second life.
    for round in ["running", "stopped", "restarted"] {
        match round {
            "stopped" => {
                let (status, _) = server.terminate();
                assert!(status.success());
                server = setup.serve();
            }
            "restarted" => {
                server.kill();
                server = setup.serve();
            }
            _ => {}
        }
        heard.push((format!("stdout, {round}"), server.stdout().into_bytes()));
        heard.push((format!("stderr, {round}"), server.stderr().into_bytes()));
        stored(&setup, round, &mut heard);
    }
    let total: usize = heard.iter().map(|(_, hay)| hay.len()).sum();
    assert!(total > 200_000, "only {total} bytes were searched");
    // Not blind: a name that is public stands in what was searched.
    assert!(
        heard
            .iter()
            .any(|(_, hay)| contains(hay, b"one POSTGRESQL"))
    );
    for canary in &canaries {
        for (place, hay) in &heard {
            canary.assert_absent(place, hay);
        }
    }
}

/// The secret half of the session that the client holds.
fn session_canary(client: &Client, name: &str) -> Canary {
    let cookie = client.cookie.as_deref().expect("signed in");
    let (_, secret) = cookie.split_once('.').expect("id and secret");
    assert!(secret.len() >= 43, "{cookie}");
    Canary::new(name, secret)
}

/// The secrets that people and programs sign in with besides passwords. Each is shown once.
fn people(
    client: &mut Client,
    server: &Server,
    team: &str,
    heard: &mut Heard,
    canaries: &mut Vec<Canary>,
) {
    let half = |text: &str| text.rsplit(['.', '=']).next().unwrap().to_owned();
    let wish = json!({"name": "a robot", "teamId": team, "role": "VIEWER"});
    let made = client.post("/api/tokens", &wish).expect(201).json();
    let token = made["token"].as_str().unwrap().to_owned();
    canaries.push(Canary::new("an API token", &half(&token)));
    let bearer = [("Authorization", format!("Bearer {token}"))];
    let bearer: Vec<(&str, &str)> = bearer.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = format!("/api/credentials?teamId={team}");
    let listed = server.client().request("GET", &path, &bearer, None);
    heard.push(("a list for a token".into(), listed.expect(200).text.into()));

    let path = format!("/api/teams/{team}/invitations");
    let wish = json!({"email": "guest@example.com", "role": "VIEWER"});
    let made = client.post(&path, &wish).expect(201).json();
    let link = made["link"].as_str().unwrap();
    let code = link.rsplit(['#', '=']).next().unwrap();
    canaries.push(Canary::new("an invitation", &half(code)));
    let read = json!({"code": code});
    let answer = server.client().post("/api/invitations/read", &read);
    heard.push(("an invitation read".into(), answer.expect(200).text.into()));
    heard.push((
        "invitations".into(),
        client.get(&path).expect(200).text.into(),
    ));

    let offered = client.send("POST", "/api/auth/totp", None, &[]);
    let shared = offered.expect(200).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    canaries.push(Canary::new("a second factor", &shared));
    let bytes = data_encoding::BASE32_NOPAD
        .decode(shared.as_bytes())
        .unwrap();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let step = totp::step_at(now.try_into().unwrap());
    let code = String::from_utf8(totp::code(&bytes, step).to_vec()).unwrap();
    let wrong = client.post("/api/auth/totp/confirm", &json!({"code": "12-canary-34"}));
    canaries.push(Canary::new("a wrong code", "12-canary-34"));
    heard.push(("a wrong code".into(), wrong.text.into()));
    let confirmed = client.post("/api/auth/totp/confirm", &json!({"code": code}));
    for code in confirmed.expect(200).json()["recoveryCodes"]
        .as_array()
        .unwrap()
    {
        canaries.push(Canary::new("a recovery code", code.as_str().unwrap()));
    }
    heard.push((
        "its state".into(),
        client.get("/api/auth/totp").expect(200).text.into(),
    ));
}

/// Secrets in the wrong place: refused, and not repeated.
fn bad_inputs(
    client: &mut Client,
    team: &str,
    ids: &[(String, &str)],
    heard: &mut Heard,
    canaries: &mut Vec<Canary>,
) {
    let stray = header_secret("stray");
    canaries.push(Canary::new("a stray secret", &stray));
    let stray = stray.as_str();
    let id = &ids[0].0;
    let create = "/api/credentials".to_owned();
    let one = format!("/api/credentials/{id}");
    let cases = [
        (
            "POST",
            &create,
            json!({"name": "x", "type": stray, "teamId": team, "data": {}}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "API_KEY", "teamId": stray, "data": {}}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "API_KEY", "teamId": team, "data": stray}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "API_KEY", "teamId": team, "data": {stray: 1}}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "API_KEY", "teamId": team, "data": {"apiKey": [stray]}}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "API_KEY", "teamId": team, "data": {"apiKey": "k", "in": stray}}),
        ),
        (
            "POST",
            &create,
            json!({"name": "x", "type": "POSTGRESQL", "teamId": team, "data": {"port": stray}}),
        ),
        ("POST", &create, json!({stray: "x"})),
        ("PATCH", &one, json!({"data": {stray: "x"}})),
        ("PATCH", &one, json!({"data": {"name": [stray]}})),
        ("PATCH", &one, json!({stray: 1})),
    ];
    for (method, path, body) in cases {
        let answer = client.send(method, path, Some(&body), &[]);
        assert!(
            (400..500).contains(&answer.status),
            "{method} {path} {body}: {answer:?}"
        );
        heard.push((
            format!("refusing {method} {path}"),
            answer.text.into_bytes(),
        ));
    }
    let json_type = [("Content-Type", "application/json")];
    for text in [
        format!("{{\"name\": \"{stray}"),
        format!("{stray} {{}}"),
        format!("[{stray:?}]"),
    ] {
        let answer = client.request("POST", &create, &json_type, Some(text.as_bytes()));
        assert_eq!(answer.status, 400, "{answer:?}");
        heard.push(("refusing broken JSON".into(), answer.text.into_bytes()));
    }
}

/// Every operation of the API document, with real ids; whatever the answer is.
fn every_route(client: &mut Client, team: &str, ids: &[(String, &str)], heard: &mut Heard) {
    let document = client.get("/api/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 10, "{}", paths.len());
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            // Done on purpose elsewhere in this life.
            let ends_it = path.contains("logout")
                || path.contains("refresh")
                || path.contains("reauthenticate")
                || path.ends_with("/reveal")
                || method == "delete";
            if !matches!(method.as_str(), "get" | "post" | "patch" | "put") || ends_it {
                continue;
            }
            for (id, kind) in ids {
                let path = path.replace("{id}", id).replace("{type}", kind);
                let path = format!("{path}?teamId={team}");
                let body = (method != "get").then(|| json!({}));
                let answer = client.send(&method.to_uppercase(), &path, body.as_ref(), &[]);
                assert!(answer.status < 500, "{method} {path}: {answer:?}");
                heard.push((format!("{method} {path}"), answer.text.into_bytes()));
                for (name, value) in answer.headers {
                    if name != "set-cookie" {
                        heard.push((format!("header {name} of {path}"), value.into_bytes()));
                    }
                }
            }
        }
    }
    for path in [
        "/",
        "/setup",
        "/api/docs",
        "/metrics",
        "/health/live",
        "/health/ready",
        "/nothing",
    ] {
        heard.push((path.to_owned(), client.get(path).text.into_bytes()));
    }
}

fn commands(setup: &Setup, heard: &mut Heard, canaries: &mut Vec<Canary>) {
    let typed = header_secret("typed");
    canaries.push(Canary::new("a secret of a command", &typed));
    let added = setup
        .run_with_input(
            &["credential", "add", "by command", "--type", "BEARER_TOKEN"],
            json!({"token": typed}).to_string(),
        )
        .expect(0);
    hear(heard, "credential add", added);
    let shown = setup
        .run(&["credential", "show", "by command", "--reveal"])
        .expect(0);
    assert!(
        Canary::new("typed", &typed)
            .found_in(shown.stdout.as_bytes())
            .is_some(),
        "{shown:?}"
    );
    let changed = header_secret("changed");
    canaries.push(Canary::new("a changed secret of a command", &changed));
    let set = setup
        .run_with_input(
            &["credential", "set", "by command"],
            json!({"token": changed}).to_string(),
        )
        .expect(0);
    hear(heard, "credential set", set);
    let misplaced = header_secret("misplaced");
    canaries.push(Canary::new("a misplaced secret of a command", &misplaced));
    let refused = setup.run_with_input(
        &["credential", "set", "by command"],
        json!({"tokn": misplaced.clone(), misplaced: 1}).to_string(),
    );
    assert_ne!(refused.code, Some(0), "{refused:?}");
    hear(heard, "credential set, refused", refused);
    for line in [
        "credential list",
        "credential list --format json",
        "credential show by%command",
        "credential show by%command --format json",
        "key status",
        "key status --format json",
        "key check --env",
        "doctor",
        "doctor --format json",
        "audit verify",
        "audit verify --format json",
        "migrate --check",
        "openapi",
        "--help",
    ] {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('%', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = setup.run(&words);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        hear(heard, line, done);
    }
    // A wrong key is refused without a word of either.
    let other = support::OTHER_KEY;
    canaries.push(Canary::new("another key", other));
    let mut wrong = setup.command(&["doctor"]);
    let output = wrong.env("APP_ENCRYPTION_KEY", other).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    heard.push((
        "a wrong key".into(),
        [output.stdout, output.stderr].concat(),
    ));
}

fn hear(heard: &mut Heard, what: &str, done: support::Finished) {
    heard.push((format!("stdout of {what}"), done.stdout.into_bytes()));
    heard.push((format!("stderr of {what}"), done.stderr.into_bytes()));
}

/// Every file of the data directory, and every row of the PostgreSQL database.
fn stored(setup: &Setup, round: &str, heard: &mut Heard) {
    files(&setup.data_dir(), round, heard);
    if let Some(url) = setup.database_url() {
        let tables = psql(
            url,
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        );
        let tables = String::from_utf8(tables).unwrap();
        assert!(tables.contains("sealed_values"), "{tables}");
        for table in tables.lines() {
            // Text as it is; bytes once as hexadecimal and once as escaped bytes.
            for form in ["hex", "escape"] {
                let sql = format!("SET bytea_output = {form}; COPY {table} TO STDOUT");
                heard.push((format!("table {table}, {round}"), psql(url, &sql)));
            }
        }
    }
}

fn files(folder: &Path, round: &str, heard: &mut Heard) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, round, heard);
        } else {
            let name = format!(
                "file {}, {round}",
                path.file_name().unwrap().to_string_lossy()
            );
            heard.push((name, std::fs::read(&path).unwrap_or_default()));
        }
    }
}

fn psql(url: &str, sql: &str) -> Vec<u8> {
    let output = Command::new("psql")
        .args([url, "-qXAtc", sql])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
