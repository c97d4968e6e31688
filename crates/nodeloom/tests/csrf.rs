//! Foreign pages: the decision table over the wire, and hosts that are not ours.

mod support;

use serde_json::json;
use support::probe::team;
use support::{ADMIN_EMAIL, ADMIN_PASSWORD, Client, Database, Server, Setup};

/// What a request shows beside its `Sec-Fetch-Site` and `Origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Cookie,
    Authorization,
    Nothing,
}

/// The status and code for a request to a route that changes something.
fn expected(
    is_login: bool,
    proof: Proof,
    site: Option<&str>,
    origin: Origin,
) -> (u16, &'static str) {
    let is_guarded = is_login || proof == Proof::Cookie;
    let refused = if !is_guarded && proof == Proof::Authorization {
        None
    } else if !matches!(site, None | Some("same-origin" | "none")) || origin == Origin::Foreign {
        Some("CROSS_SITE_REQUEST")
    } else if is_guarded && site.is_none() && origin == Origin::Absent {
        Some("ORIGIN_REQUIRED")
    } else {
        None
    };
    match refused {
        Some(code) => (403, code),
        None if is_login => (200, ""),
        None if proof == Proof::Cookie => (201, ""),
        None => (401, "UNAUTHENTICATED"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Absent,
    Own,
    Foreign,
}

fn bare_client(server: &Server) -> Client {
    let mut client = server.client();
    client.headers.clear();
    client
}

#[test]
fn every_combination_is_decided_as_the_table_says() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut admin = server.signed_in();
    let team = team(&mut admin);
    let cookie = admin.cookie.clone();
    let port = server.base().rsplit(':').next().unwrap().to_owned();
    let foreign = [
        "null".to_owned(),
        "https://evil.example".to_owned(),
        format!("http://localhost:{port}"),
        "http://127.0.0.1:1".to_owned(),
    ];
    let sites = [
        None,
        Some("same-origin"),
        Some("none"),
        Some("same-site"),
        Some("cross-site"),
        Some("Same-Origin"),
    ];
    let mut number = 0;
    for proof in [Proof::Cookie, Proof::Authorization, Proof::Nothing] {
        for site in sites {
            for origin in [Origin::Absent, Origin::Own, Origin::Foreign] {
                number += 1;
                let mut client = bare_client(&server);
                if proof == Proof::Cookie {
                    client.cookie.clone_from(&cookie);
                }
                let mut headers = Vec::new();
                if proof == Proof::Authorization {
                    headers.push(("Authorization", "Bearer nlt_unknown"));
                }
                headers.extend(site.map(|site| ("Sec-Fetch-Site", site)));
                match origin {
                    Origin::Absent => {}
                    Origin::Own => headers.push(("Origin", server.base())),
                    Origin::Foreign => headers.push(("Origin", &foreign[number % foreign.len()])),
                }
                let body = support::probe::bearer(&team, &format!("n{number}"));
                let answer = client.send("POST", "/api/credentials", Some(&body), &headers);
                let (status, code) = expected(false, proof, site, origin);
                let context = format!("{proof:?} {site:?} {origin:?}: {answer:?}");
                assert_eq!(answer.status, status, "{context}");
                if status != 201 {
                    assert_eq!(answer.json()["code"], code, "{context}");
                }
            }
        }
    }
    let stored = admin.get(&format!("/api/credentials?teamId={team}"));
    // With a cookie: own site any of two with origin absent or own, or no site with own origin.
    assert_eq!(stored.json().as_array().unwrap().len(), 5);
}

#[test]
fn signing_in_is_guarded_with_and_without_a_cookie() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let body = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD});
    for site in [
        None,
        Some("same-origin"),
        Some("same-site"),
        Some("cross-site"),
    ] {
        for origin in [Origin::Absent, Origin::Own, Origin::Foreign] {
            let mut headers: Vec<(&str, &str)> = Vec::new();
            headers.extend(site.map(|site| ("Sec-Fetch-Site", site)));
            match origin {
                Origin::Absent => {}
                Origin::Own => headers.push(("Origin", server.base())),
                Origin::Foreign => headers.push(("Origin", "https://evil.example")),
            }
            let mut client = bare_client(&server);
            let answer = client.send("POST", "/api/auth/login", Some(&body), &headers);
            let (status, code) = expected(true, Proof::Nothing, site, origin);
            assert_eq!(answer.status, status, "{site:?} {origin:?}: {answer:?}");
            assert_eq!(client.cookie.is_some(), status == 200);
            if status != 200 {
                assert_eq!(answer.json()["code"], code);
            }
        }
    }
}

#[test]
fn a_foreign_page_is_refused_before_session_and_body() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let mut client = bare_client(&server);
    client.cookie = Some("__Host-nodeloom=nonsense".into());
    let foreign = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Content-Type", "text/plain"),
    ];
    for (method, path) in [
        ("POST", "/api/credentials"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/refresh"),
        ("DELETE", "/api/auth/sessions/x"),
        ("PATCH", "/api/credentials/x"),
        ("POST", "/no/such/route"),
    ] {
        let answer = client.request(method, path, &foreign, Some(b"{not json"));
        answer.refused(403, "CROSS_SITE_REQUEST");
    }
    // Nothing is changed by reading, whoever asks; and a form's type is refused for our own page.
    client
        .request("GET", "/api/setup", &foreign[..1], None)
        .expect(200);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let own = [("Sec-Fetch-Site", "same-origin"), ("Content-Type", kind)];
        let answer = client.request("POST", "/api/auth/login", &own, Some(b"{}"));
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
}

#[test]
fn a_name_that_is_not_ours_is_refused_and_loopback_is_ours_in_development() {
    let setup = Setup::with_admin(Database::Sqlite);
    let server = setup.serve();
    let port = server.base().rsplit(':').next().unwrap().to_owned();
    for (host, is_ours) in [
        (format!("127.0.0.1:{port}"), true),
        (format!("localhost:{port}"), true),
        ("LOCALHOST".into(), true),
        (format!("[::1]:{port}"), true),
        ("evil.example".into(), false),
        (format!("evil.example:{port}"), false),
        ("localhost.evil.example".into(), false),
        ("127.0.0.1.evil.example".into(), false),
        ("10.0.0.1".into(), false),
        ("0.0.0.0".into(), false),
    ] {
        let mut client = server.client();
        let answer = client.send("GET", "/api/setup", None, &[("Host", &host)]);
        if is_ours {
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
        } else {
            answer.refused(403, "HOST_NOT_ALLOWED");
        }
        // Probes come by address.
        client
            .send("GET", "/health/live", None, &[("Host", &host)])
            .expect(200);
    }
}

#[test]
fn production_answers_to_its_own_name_alone() {
    let setup = Setup::with_admin(Database::Sqlite)
        .with("APP_ENV", "production")
        .with("APP_BASE_URL", "https://vault.example.com");
    let server = setup.serve();
    for (host, is_ours) in [
        ("vault.example.com", true),
        ("Vault.Example.com:443", true),
        ("vault.example.com:8443", false),
        ("vault.example.com.evil.example", false),
        ("localhost", false),
        ("127.0.0.1", false),
    ] {
        let answer = server
            .client()
            .send("GET", "/api/setup", None, &[("Host", host)]);
        if is_ours {
            assert_eq!(answer.status, 200, "{host}: {answer:?}");
        } else {
            assert_eq!(answer.status, 403, "{host}: {answer:?}");
        }
        assert!(answer.header("strict-transport-security").is_some());
    }
}
