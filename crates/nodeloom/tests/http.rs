//! Sessions, credentials and the audit trail over HTTP.

mod support;

use serde_json::{Value, json};
use support::probe::{bearer, path_of, store, team};
use support::{ADMIN_EMAIL, ADMIN_PASSWORD, Client, Database, Setup};

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a bare array");
    list.iter()
        .map(|item| item["name"].as_str().expect("a text"))
        .collect()
}

fn login(client: &mut Client) -> support::Answer {
    let body = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD});
    client.post("/api/auth/login", &body)
}

#[test]
fn a_credential_lives_from_create_to_delete() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = team(&mut client);
        let created = client
            .post("/api/credentials", &bearer(&team, "life"))
            .expect(201);
        let credential = created.json();
        let path = path_of(&credential);
        assert_eq!(created.header("location"), Some(path.as_str()));
        assert_eq!(created.header("etag"), Some("\"1\""));
        assert!(!created.text.contains("value of life"));
        assert!(support::shape::is_rfc3339_utc(
            credential["createdAt"].as_str().unwrap()
        ));

        let read = client.get(&path).expect(200);
        assert_eq!(read.json(), credential);
        let known = client.send("GET", &path, None, &[("If-None-Match", "\"1\"")]);
        assert_eq!((known.status, known.text.as_str()), (304, ""));
        assert_eq!(known.header("etag"), Some("\"1\""));
        client
            .send("GET", &path, None, &[("If-None-Match", "\"2\"")])
            .expect(200);

        let change = json!({"name": "life two"});
        let renamed = client.send("PATCH", &path, Some(&change), &[("If-Match", "\"1\"")]);
        assert_eq!(renamed.expect(200).header("etag"), Some("\"2\""));
        let stale = client.send("PATCH", &path, Some(&change), &[("If-Match", "\"1\"")]);
        let stale = stale.refused(412, "STALE");
        assert!(
            stale.json()["message"]
                .as_str()
                .unwrap()
                .contains("\\\"2\\\"")
                || stale.json()["message"].as_str().unwrap().contains("\"2\"")
        );
        client
            .send("DELETE", &path, None, &[("If-Match", "\"1\"")])
            .refused(412, "STALE");
        for malformed in ["1", "\"1", "two", "\"1\" \"2\""] {
            let answer = client.send("PATCH", &path, Some(&change), &[("If-Match", malformed)]);
            answer
                .refused(400, "VALIDATION_FAILED")
                .names("If-Match", "format");
        }
        let token = json!({"data": {"token": "another"}});
        let changed = client.patch(&path, &token).expect(200).json();
        assert_eq!(
            (&changed["generation"], &changed["revision"]),
            (&json!(2), &json!(3))
        );
        let revealed = client.post(&format!("{path}/reveal"), &json!({"reason": "a test"}));
        assert_eq!(
            revealed.expect(200).json()["data"],
            json!({"token": "another"})
        );

        client.delete(&path).expect(204);
        for method in ["GET", "DELETE"] {
            client
                .send(method, &path, None, &[])
                .refused(404, "NOT_FOUND");
        }
        let values = "SELECT count(*) FROM sealed_values WHERE kind = 'credential'";
        assert_ne!(setup.sql(values), "0", "a deletion can be undone");
        client
            .post(&format!("{path}/purge"), &json!({}))
            .expect(204);
        assert_eq!(setup.sql(values), "0");
        let actions = setup.sql("SELECT action FROM audit_events ORDER BY sequence");
        for action in ["create", "update", "reveal", "delete", "purge"] {
            assert!(actions.contains(action), "{action} in {actions}");
        }
    }
}

#[test]
fn a_name_is_unique_in_a_team() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = team(&mut client);
        store(&mut client, "one");
        let two = store(&mut client, "two");
        let rows =
            "SELECT (SELECT count(*) FROM credentials), (SELECT count(*) FROM sealed_values)";
        let before = setup.sql(rows);
        let answer = client.post("/api/credentials", &bearer(&team, "one"));
        answer.refused(409, "NAME_TAKEN").names("name", "unique");
        let answer = client.patch(&path_of(&two), &json!({"name": "one"}));
        answer.refused(409, "NAME_TAKEN").names("name", "unique");
        assert_eq!(setup.sql(rows), before);
        assert_eq!(client.get(&path_of(&two)).json(), two);
    }
}

#[test]
fn the_list_is_a_sorted_paged_array_that_can_be_searched() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let team = team(&mut client);
        for name in [
            "Zulu",
            "alpha Mail",
            "Bravo",
            "ÉCLAIR mail",
            "mailbox",
            "100% _x_",
        ] {
            store(&mut client, name);
        }
        let http = json!({"name": "beta", "type": "HTTP_BASIC", "teamId": team,
            "data": {"username": "u", "password": "p"}});
        client.post("/api/credentials", &http).expect(201);
        let mut list = |query: &str| client.get(&format!("/api/credentials?teamId={team}{query}"));
        let all = list("").expect(200);
        assert_eq!(all.header("x-total-count"), Some("7"));
        let sorted = ["100% _x_", "alpha Mail", "beta", "Bravo"];
        assert_eq!(names(&all.json())[..4], sorted);
        let mut paged = Vec::new();
        for page in 0..4 {
            let answer = list(&format!("&size=2&page={page}")).expect(200);
            assert_eq!(answer.header("x-total-count"), Some("7"));
            paged.extend(names(&answer.json()).into_iter().map(str::to_owned));
        }
        assert_eq!(paged, names(&all.json()));
        assert_eq!(names(&list("&size=2&page=9").json()), [""; 0]);
        assert_eq!(names(&list("&type=HTTP_BASIC").json()), ["beta"]);
        for (search, wanted) in [
            ("MAIL", 3),
            ("%C3%A9cl", 1),
            ("mail%20al", 1),
            ("ail", 0),
            ("b", 2),
            ("%25", 0),
            ("_", 0),
            ("'%20OR%201=1--", 0),
        ] {
            let answer = list(&format!("&search={search}")).expect(200);
            // What has no letter in it may find by sign or find nothing, but never everything.
            let found = answer.json().as_array().unwrap().len();
            if wanted > 0 {
                assert_eq!(found, wanted, "{search}: {answer:?}");
            } else {
                assert!(found <= 1, "{search}: {answer:?}");
            }
        }
    }
}

#[test]
fn a_new_sign_in_has_a_new_session_and_ends_the_one_it_came_with() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.client();
        client.cookie = Some(format!(
            "__Host-nodeloom=nls_018f4c6e-7d3a-7c2b-9a51-0123456789ab.{}",
            "A".repeat(43)
        ));
        let planted = client.cookie.clone();
        let first = login(&mut client).expect(200);
        let cookie = first.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-nodeloom="), "{cookie}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"));
        assert_ne!(client.cookie, planted);
        let old = client.cookie.clone();
        assert!(
            !first
                .text
                .contains(old.as_ref().unwrap().split('=').nth(1).unwrap())
        );
        login(&mut client).expect(200);
        assert_ne!(client.cookie, old);
        let mut replay = server.client();
        replay.cookie = old;
        replay.get("/api/auth/me").refused(401, "UNAUTHENTICATED");

        let own = client.cookie.clone().unwrap();
        replay.cookie = Some(format!("{own}; {own}"));
        replay.get("/api/auth/me").refused(401, "UNAUTHENTICATED");

        let refreshed = client.post("/api/auth/refresh", &json!({}));
        assert!(refreshed.status < 300, "{refreshed:?}");
        assert_ne!(client.cookie.as_ref(), Some(&own));
        replay.cookie = Some(own);
        replay.get("/api/auth/me").refused(401, "UNAUTHENTICATED");

        let last = client.cookie.clone();
        client.get("/api/auth/me").expect(200);
        client
            .request("POST", "/api/auth/logout", &[], None)
            .expect(204);
        assert_eq!(client.cookie, None);
        replay.cookie = last;
        replay.get("/api/auth/me").refused(401, "UNAUTHENTICATED");
    }
}

#[test]
fn sessions_are_listed_and_ended() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let (mut here, mut there) = (server.signed_in(), server.signed_in());
    let list = here.get("/api/auth/sessions").expect(200).json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    let other = list
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("/api/auth/sessions/{}", other["id"].as_str().unwrap());
    here.delete(&path).expect(204);
    there.get("/api/auth/me").refused(401, "UNAUTHENTICATED");
    here.delete(&path).refused(404, "NOT_FOUND");
    here.get("/api/auth/me").expect(200);
}

#[test]
fn guessing_is_slowed_down_and_others_are_not() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.client();
        let mut inside = server.signed_in();
        let wrong = json!({"email": ADMIN_EMAIL, "password": "not the password at all"});
        let mut statuses = Vec::new();
        for _ in 0..12 {
            statuses.push(client.post("/api/auth/login", &wrong).status);
        }
        assert_eq!(statuses[0], 401, "{statuses:?}");
        assert_eq!(statuses[11], 429, "{statuses:?}");
        // Even the right password waits, and so tells a guesser nothing.
        let answer = login(&mut client).refused(429, "TOO_MANY_ATTEMPTS");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3600).contains(&wait), "{wait}");
        inside.get("/api/auth/me").expect(200);
        let nobody = json!({"email": "no@example.com", "password": "not the password"});
        client
            .post("/api/auth/login", &nobody)
            .refused(401, "SIGN_IN_REFUSED");
    }
}

#[test]
fn an_address_is_believed_from_a_trusted_proxy_alone() {
    for (proxies, wanted) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "203.0.113.9")] {
        let setup = Setup::with_admin(Database::Sqlite).with("APP_TRUSTED_PROXIES", proxies);
        let server = setup.serve();
        let mut client = server.client();
        let forwarded = (
            "X-Forwarded-For".to_owned(),
            "198.51.100.1, 203.0.113.9".to_owned(),
        );
        client.headers.push(forwarded);
        login(&mut client).expect(200);
        store(&mut client, "from afar");
        let address = setup.sql(
            "SELECT address FROM audit_events WHERE action LIKE 'credential%' \
             ORDER BY sequence DESC LIMIT 1",
        );
        assert_eq!(address, wanted, "{proxies}");
    }
}

#[test]
fn a_flipped_byte_spoils_one_value_and_is_named() {
    for database in Database::ALL {
        let setup = Setup::with_admin(database);
        let server = setup.serve();
        let mut client = server.signed_in();
        let (bad, good) = (
            store(&mut client, "spoilt one"),
            store(&mut client, "good one"),
        );
        let hex = bad["id"].as_str().unwrap().replace('-', "");
        setup.sql_of(
            &format!(
                "UPDATE sealed_values SET envelope = CAST(substr(envelope, 1, 40) || \
                x'00ff' || substr(envelope, 43) AS BLOB) WHERE owner_id = x'{hex}'"
            ),
            &format!(
                "UPDATE sealed_values SET envelope = set_byte(envelope, 40, \
                get_byte(envelope, 40) # 1) WHERE owner_id = '\\x{hex}'"
            ),
        );
        let reveal = |client: &mut Client, of: &Value| {
            client.post(&format!("{}/reveal", path_of(of)), &json!({}))
        };
        reveal(&mut client, &bad).refused(422, "QUARANTINED");
        client
            .patch(&path_of(&bad), &json!({"name": "still here"}))
            .expect(200);
        client.get(&path_of(&bad)).expect(200);
        reveal(&mut client, &good).expect(200);
        store(&mut client, "later");
        let report = setup.run(&["doctor", "--format", "json"]).expect(3).json();
        let unopened = report["unopened"].as_array().unwrap();
        assert_eq!(unopened.len(), 1, "{report}");
        assert_eq!(unopened[0]["ownerId"], bad["id"], "{report}");
        assert_eq!(unopened[0]["ownerName"], "still here", "{report}");
        let table = setup.run(&["doctor"]).expect(3);
        assert!(table.stdout.contains("still here"), "{table:?}");
        // A new value heals it.
        client
            .patch(&path_of(&bad), &json!({"data": {"token": "new"}}))
            .expect(200);
        assert_eq!(
            reveal(&mut client, &bad).expect(200).json()["data"]["token"],
            "new"
        );
    }
}
