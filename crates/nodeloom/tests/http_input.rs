//! Bad input over HTTP: every refusal names field, rule and remedy, and nothing is half-written.
//! The shape of each refusal is checked by the client itself.

mod support;

use serde_json::{Value, json};
use support::probe::{bearer, path_of, store, team};
use support::{Client, Database, Setup};

/// 1 MiB, the most that one credential's data may have as JSON.
const MAX_DATA: usize = 1 << 20;

/// Whatever a refused request could have left behind.
const EVERYTHING: &str = "SELECT (SELECT count(*) FROM credentials), \
    (SELECT count(*) FROM sealed_values), (SELECT count(*) FROM credential_versions), \
    (SELECT count(*) FROM credential_words), (SELECT coalesce(sum(total), 0) FROM credential_counts)";

fn raw(client: &mut Client, method: &str, path: &str, body: &[u8]) -> support::Answer {
    let json = [("Content-Type", "application/json")];
    client.request(method, path, &json, Some(body))
}

#[test]
fn what_is_not_a_credential_is_refused_by_field_and_rule() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = team(&mut client);
        let before = setup.sql(EVERYTHING);
        let with = |pointer: &str, value: Value| {
            let mut body = bearer(&team, "bad");
            *body.pointer_mut(pointer).unwrap() = value;
            body
        };
        let mut extra = bearer(&team, "bad");
        extra["extra"] = json!("hunter2");
        let mut unknown = bearer(&team, "bad");
        unknown["data"]["toke"] = json!("hunter2");
        let mut port = with("/type", json!("POSTGRESQL"));
        port["data"] = json!({"host": "h", "port": "hunter2", "database": "d", "username": "u",
            "password": "p"});
        let mut method = with("/type", json!("API_KEY"));
        method["data"] = json!({"apiKey": "k", "in": "hunter2"});
        for (body, field, rule) in [
            (json!({}), "name", "required"),
            (json!({}), "type", "required"),
            (json!({}), "teamId", "required"),
            (json!({}), "data", "required"),
            (with("/name", json!("")), "name", "required"),
            (with("/name", json!("   ")), "name", "required"),
            (with("/name", json!(3)), "name", "type"),
            (with("/name", json!("x".repeat(201))), "name", "too-long"),
            (
                with("/name", json!("a\u{202e}b")),
                "name",
                "control-character",
            ),
            (with("/name", json!("a\nb")), "name", "control-character"),
            (with("/teamId", json!("hunter2")), "teamId", "id"),
            (with("/data", json!([1])), "data", "type"),
            (with("/data", json!({})), "data.token", "required"),
            (with("/data/token", json!("")), "data.token", "empty"),
            (with("/data/token", json!(5)), "data.token", "type"),
            (with("/data/token", Value::Null), "data.token", "type"),
            (with("/data/token", json!("a\nb")), "data.token", "header"),
            (extra, "extra", "unknown"),
            (unknown, "data.toke", "unknown"),
            (port, "data.port", "type"),
            (method, "data.in", "one-of"),
        ] {
            let answer = client.post("/api/credentials", &body);
            let answer = answer.refused(400, "VALIDATION_FAILED").names(field, rule);
            assert!(!answer.text.contains("hunter2"), "{answer:?}");
        }
        let answer = client.post("/api/credentials", &with("/type", json!("HUNTER2")));
        let answer = answer.refused(400, "VALIDATION_FAILED");
        assert_eq!(answer.json()["fields"][0]["field"], "type", "{answer:?}");
        assert_eq!(setup.sql(EVERYTHING), before);
    }
}

#[test]
fn what_is_not_json_is_refused_by_its_place_and_never_repeated() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    for body in [
        "",
        "{",
        "hunter2",
        "[\"hunter2\"]",
        "{\"name\": hunter2}",
        "{\"name\": \"hunter2\", \"name\": \"x\"}",
        "{\"a\": 1} {}",
        deep.as_str(),
    ] {
        for (method, path) in [("POST", "/api/credentials"), ("POST", "/api/auth/login")] {
            let answer = raw(&mut client, method, path, body.as_bytes());
            let answer = answer.refused(400, "INVALID_JSON");
            assert!(!answer.text.contains("hunter2"), "{answer:?}");
        }
    }
    raw(
        &mut client,
        "POST",
        "/api/credentials",
        b"{\"name\": \"\xff\"}",
    )
    .refused(400, "INVALID_JSON");
    for kind in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let headers = [("Content-Type", kind)];
        let answer = client.request("POST", "/api/credentials", &headers, Some(b"{}"));
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let untyped = client.request("POST", "/api/credentials", &[], Some(b"{}"));
    untyped.refused(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[test]
fn a_value_of_a_mebibyte_fits_and_one_byte_more_does_not() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = team(&mut client);
        let frame = json!({"token": ""}).to_string().len();
        let mut body = bearer(&team, "largest");
        body["data"]["token"] = json!("x".repeat(MAX_DATA - frame));
        let largest = client.post("/api/credentials", &body).expect(201).json();
        let revealed = client.post(&format!("{}/reveal", path_of(&largest)), &json!({}));
        assert_eq!(revealed.expect(200).json()["data"], body["data"]);
        let largest = client.get(&path_of(&largest)).expect(200).json();
        let before = setup.sql(EVERYTHING);
        let over = json!({"token": "x".repeat(MAX_DATA - frame + 1)});
        body["name"] = json!("too large");
        body["data"] = over.clone();
        let answer = client.post("/api/credentials", &body);
        answer
            .refused(413, "VALUE_TOO_LARGE")
            .names("data", "max-bytes");
        let answer = client.patch(&path_of(&largest), &json!({"data": over}));
        answer.refused(413, "VALUE_TOO_LARGE");
        assert_eq!(client.get(&path_of(&largest)).json(), largest);
        let huge = vec![b' '; 8 << 20];
        raw(&mut client, "POST", "/api/credentials", &huge).refused(413, "BODY_TOO_LARGE");
        raw(&mut client, "POST", "/api/auth/login", &huge[..100_000])
            .refused(413, "BODY_TOO_LARGE");
        assert_eq!(setup.sql(EVERYTHING), before);
        client.get("/api/auth/me").expect(200);
    }
}

#[test]
fn a_bad_query_is_refused_by_parameter() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    let team = team(&mut client);
    for (query, field) in [
        ("", "teamId"),
        ("?teamId=", "teamId"),
        ("?teamId=x", "teamId"),
        ("?teamId=T&teamId=T", "teamId"),
        ("?teamId=T&page=-1", "page"),
        ("?teamId=T&page=x", "page"),
        ("?teamId=T&page=99999999999", "page"),
        ("?teamId=T&size=0", "size"),
        ("?teamId=T&size=1001", "size"),
        ("?teamId=T&size=1.5", "size"),
        ("?teamId=T&type=NO_SUCH", "type"),
    ] {
        let query = query
            .replace('T', &team)
            .replace(&format!("{team}ype"), "type");
        let query = query.replace("NO_SUCH", "HUNTER2");
        let answer = client.get(&format!("/api/credentials{query}"));
        let answer = answer.refused(400, "VALIDATION_FAILED");
        assert_eq!(
            answer.json()["fields"][0]["field"],
            field,
            "{query}: {answer:?}"
        );
    }
    let last = client.get(&format!(
        "/api/credentials?teamId={team}&page=4294967295&size=1000"
    ));
    assert_eq!(last.expect(200).json(), json!([]));
}

#[test]
fn an_unknown_route_or_method_is_refused_and_head_has_no_body() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = server.signed_in();
    for path in [
        "/no/such",
        "/api",
        "/api/",
        "/api/credential",
        "/api/credentials/",
        "/%2e%2e/x",
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    for (method, path) in [
        ("PUT", "/api/credentials"),
        ("DELETE", "/api/credentials"),
        ("GET", "/api/auth/login"),
        ("POST", "/health/live"),
        ("PATCH", "/api/auth/me"),
    ] {
        // Without a body: one that is not read may cost the connection.
        let answer = client.send(method, path, None, &[]);
        let answer = answer.refused(405, "METHOD_NOT_ALLOWED");
        assert!(answer.header("allow").is_some(), "{answer:?}");
    }
    let get = client.get("/api/auth/me").expect(200);
    let head = client
        .request("HEAD", "/api/auth/me", &[], None)
        .expect(200);
    assert_eq!(head.text, "");
    assert_eq!(head.header("content-type"), get.header("content-type"));
    for path in ["/no/such", "/api/credentials/x"] {
        let head = client.request("HEAD", path, &[], None).expect(404);
        assert_eq!(head.text, "");
    }
}

#[test]
fn who_is_nobody_learns_nothing_from_bad_input() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let credential = store(&mut server.signed_in(), "hidden");
    let (path, mut nobody) = (path_of(&credential), server.client());
    let reveal = format!("{path}/reveal");
    let unknown = "/api/credentials/018f4c6e-7d3a-7c2b-9a51-0123456789ab";
    for (method, path) in [
        ("GET", "/api/auth/me"),
        ("GET", "/api/auth/sessions"),
        ("GET", "/api/credentials?teamId=nonsense&size=-1"),
        ("POST", "/api/credentials"),
        ("GET", &path),
        ("PATCH", &path),
        ("DELETE", &path),
        ("POST", &reveal),
        ("GET", unknown),
        ("GET", "/api/keys"),
        ("GET", "/api/audit"),
        ("GET", "/api/audit/1"),
        ("GET", "/api/audit/export"),
        ("GET", "/api/audit/verify"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/refresh"),
        ("GET", "/api/credential-types"),
    ] {
        let body = (method == "POST" || method == "PATCH").then_some(b"{not json".as_slice());
        let json = [("Content-Type", "application/json")];
        let headers = if body.is_some() { &json[..] } else { &[] };
        let answer = nobody.request(method, path, headers, body);
        answer.refused(401, "UNAUTHENTICATED");
    }
}

#[test]
fn a_stranger_and_an_unknown_id_are_answered_alike() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let theirs = store(&mut client, "theirs");
        let team = team(&mut client);
        // The first administrator loses the team: from then on they are a stranger to it.
        setup.sql("DELETE FROM memberships");
        let unknown = json!({"id": "018f4c6e-7d3a-7c2b-9a51-0123456789ab"});
        let mut seen = Vec::new();
        for credential in [&theirs, &unknown] {
            let path = path_of(credential);
            let answers = [
                client.get(&path),
                client.patch(&path, &json!({"name": "mine"})),
                client.post(&format!("{path}/reveal"), &json!({})),
                client.delete(&path),
            ];
            seen.push(answers.map(|answer| {
                let body = answer.refused(404, "NOT_FOUND").json();
                (body["code"].clone(), body["message"].clone())
            }));
        }
        assert_eq!(seen[0], seen[1]);
        let list = client.get(&format!("/api/credentials?teamId={team}"));
        list.refused(404, "NOT_FOUND");
        let into = client.post("/api/credentials", &bearer(&team, "mine"));
        into.refused(404, "NOT_FOUND");
        assert_eq!(setup.sql("SELECT name FROM credentials"), "theirs");
    }
}

/// Texts that have broken other programs.
fn awkward() -> Vec<String> {
    let mut texts: Vec<String> = [
        "'; DROP TABLE credentials; --",
        "\" OR \"\"=\"",
        "<script>alert(1)</script>",
        "{{7*7}} ${7*7} %s%n %x",
        "../../etc/passwd",
        "a\0b",
        "\u{1b}[2J\u{7}",
        "\u{202e}abc\u{2066}",
        "\u{200b}\u{feff}",
        "\u{e000}\u{10ffff}",
        "e\u{301}\u{301}\u{301}",
        "ß ŉ İ ﬃ",
        "null",
        "-1",
        "\r\nSet-Cookie: a=b",
        "%00%ff%",
    ]
    .map(String::from)
    .to_vec();
    texts.push("x".repeat(1_000_000));
    texts.push("é".repeat(30_000));
    texts.push("a ".repeat(2_000));
    texts
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn no_text_in_any_field_makes_the_server_fail() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let mut nobody = server.client();
        let team = team(&mut client);
        let target = path_of(&store(&mut client, "target"));
        for (number, text) in awkward().iter().enumerate() {
            let unique = format!("n{number}");
            let mut bodies = vec![bearer(&team, text)];
            for pointer in ["/type", "/teamId", "/data/token"] {
                let mut body = bearer(&team, &unique);
                *body.pointer_mut(pointer).unwrap() = json!(text);
                bodies.push(body);
            }
            let mut body = bearer(&team, &unique);
            body["data"][text] = json!(text);
            body[text] = json!(text);
            bodies.push(body);
            let mut answers: Vec<_> = bodies
                .iter()
                .map(|body| client.post("/api/credentials", body))
                .collect();
            answers.push(client.patch(&target, &json!({"name": text})));
            answers.push(client.patch(&target, &json!({"data": {"token": text}})));
            answers.push(client.post(&format!("{target}/reveal"), &json!({"reason": text})));
            let login = json!({"email": text, "password": text});
            answers.push(nobody.post("/api/auth/login", &login));
            let set_up = json!({"code": text, "email": text, "password": text,
                "firstName": text, "lastName": text});
            answers.push(nobody.post("/api/setup", &set_up));
            let short: String = text.chars().take(1_000).collect();
            let short = encoded(&short);
            for path in [
                format!("/api/credentials?teamId={team}&search={short}"),
                format!("/api/credentials?teamId={team}&type={short}"),
                format!("/api/credentials?teamId={short}"),
                format!("/api/credentials/{short}"),
                format!("/api/credential-types/{short}"),
            ] {
                answers.push(client.get(&path));
            }
            for answer in &answers {
                assert!(answer.status < 500, "{number}: {answer:?}");
                let kind = answer.header("content-type").unwrap_or("application/json");
                assert!(kind.starts_with("application/json"), "{answer:?}");
                assert!(answer.header("set-cookie").is_none(), "{answer:?}");
            }
        }
        // What was stored of it is whole.
        client
            .get(&format!("/api/credentials?teamId={team}&size=1000"))
            .expect(200);
        let report = setup.run(&["doctor", "--format", "json"]).expect(0).json();
        assert_eq!(report["needsAttention"], false, "{report}");
        assert_eq!(
            setup
                .run(&["credential", "list"])
                .expect(0)
                .stdout
                .matches('\u{1b}')
                .count(),
            0
        );
    }
}

#[test]
fn a_request_id_is_kept_if_it_is_harmless() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    for (sent, is_kept) in [
        ("trace-1_2.3", true),
        ("a b", false),
        ("<script>", false),
        (&*"x".repeat(65), false),
    ] {
        let answer = server
            .client()
            .send("GET", "/no/such", None, &[("X-Request-Id", sent)]);
        let used = answer.header("x-request-id").unwrap();
        assert_eq!(used == sent, is_kept, "{used}");
    }
}
