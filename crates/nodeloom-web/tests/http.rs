//! The router against a fresh SQLite database: the contract of the API as a client
//! sees it, down to headers and bodies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Request, StatusCode},
};
use nodeloom_app::{App, NewAdmin};
use nodeloom_crypto::{RootKey, Secret};
use nodeloom_domain::{Clock, audit::Origin};
use nodeloom_store::{Store, Target};
use nodeloom_web::{Mode, WebSettings};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const HOST: &str = "127.0.0.1:8080";
const PASSWORD: &str = "correct horse battery staple 7";

struct World {
    router: Router,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the one shape of errors and returns its code.
    fn refusal(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["requestId"], self.header("x-request-id"));
        for member in ["error", "code", "message", "timestamp", "path"] {
            assert!(body[member].is_string(), "{member} in {text}");
        }
        body["code"].as_str().unwrap().to_owned()
    }

    fn rules(&self) -> Vec<(String, String)> {
        let body = self.json();
        let fields = body["fields"].as_array().unwrap().iter();
        fields
            .map(|f| {
                (
                    f["field"].as_str().unwrap().into(),
                    f["rule"].as_str().unwrap().into(),
                )
            })
            .collect()
    }
}

async fn world() -> World {
    world_with(nodeloom_web::RateLimits::default()).await
}

async fn world_with(rate_limits: nodeloom_web::RateLimits) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodeloom.db");
    let store = Store::open(&Target::Sqlite { path }).await.unwrap();
    store.migrate().await.unwrap();
    let root = RootKey::derive(b"TEST-ROOT-of-the-web-tests/0123456789abcdef");
    let origin = Origin::default();
    let app = App::open(store, root, Clock::system(), &origin)
        .await
        .unwrap();
    let admin = NewAdmin {
        email: "ada@example.com".into(),
        password: Secret::new(PASSWORD.into()),
        first_name: "Ada".into(),
        last_name: "L".into(),
    };
    app.create_first_admin(admin, &origin).await.unwrap();
    let settings = WebSettings {
        mode: Mode::Development,
        base_url: None,
        listen: HOST.parse().unwrap(),
        trusted_proxies: Vec::new(),
        tls: false,
        version: "0.0.0",
        rate_limits,
        metrics_token: Some(Secret::new("metrics".into())),
        audit_anchor: None,
    };
    World {
        router: nodeloom_web::router(app, settings),
        _folder: folder,
    }
}

impl World {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", HOST);
        }
        for (name, value) in headers {
            if !value.is_empty() {
                request = request.header(*name, *value);
            }
        }
        let mut request = request.body(body).unwrap();
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send("GET", path, &[("cookie", cookie)], Body::empty())
            .await
    }

    async fn change(&self, method: &str, path: &str, cookie: &str, body: &Value) -> Answer {
        let origin = format!("http://{HOST}");
        let headers = [
            ("cookie", cookie),
            ("origin", origin.as_str()),
            ("content-type", "application/json"),
        ];
        self.send(method, path, &headers, Body::from(body.to_string()))
            .await
    }

    /// Signs in; gives the cookie pair and the team.
    async fn sign_in(&self) -> (String, String) {
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let answer = self.change("POST", "/api/auth/login", "", &body).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let cookie = answer.header("set-cookie");
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Secure; HttpOnly; SameSite=Strict; Path=/");
        assert!(pair.starts_with("__Host-nodeloom=nls_"));
        let me = answer.json();
        assert!(!String::from_utf8_lossy(&answer.body).contains("nls_"));
        (
            pair.to_owned(),
            me["teams"][0]["teamId"].as_str().unwrap().to_owned(),
        )
    }
}

#[tokio::test]
async fn a_session_opens_is_renewed_and_ends() {
    let world = world().await;
    let (cookie, _) = world.sign_in().await;
    let me = world.get("/api/auth/me", &cookie).await;
    assert_eq!(me.status, 200);
    assert_eq!(me.json()["email"], "ada@example.com");
    assert_eq!(me.json()["teams"][0]["role"], "ADMIN");
    assert_eq!(me.header("cache-control"), "no-store");
    let renewed = world
        .change("POST", "/api/auth/refresh", &cookie, &json!({}))
        .await;
    assert_eq!(renewed.status, 200);
    let newer = renewed
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    assert_ne!(newer, cookie);
    assert_eq!(
        world.get("/api/auth/me", &cookie).await.refusal(401),
        "UNAUTHENTICATED"
    );
    let sessions = world.get("/api/auth/sessions", &newer).await;
    assert_eq!(sessions.json().as_array().unwrap().len(), 1);
    let out = world
        .change("POST", "/api/auth/logout", &newer, &json!({}))
        .await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").ends_with("; Max-Age=0"));
    assert_eq!(
        out.header("clear-site-data"),
        "\"cache\", \"cookies\", \"storage\""
    );
    assert_eq!(
        world.get("/api/auth/me", &newer).await.refusal(401),
        "UNAUTHENTICATED"
    );
    let twice = format!("{newer}; {newer}");
    assert_eq!(
        world.get("/api/auth/me", &twice).await.refusal(401),
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn a_credential_lives_and_dies() {
    let world = world().await;
    let (cookie, team) = world.sign_in().await;
    let new = json!({"name": "OpenAI", "type": "OPENAI", "teamId": team,
        "data": {"apiKey": "canary-value", "organization": "org"}});
    let made = world
        .change("POST", "/api/credentials", &cookie, &new)
        .await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let path = made.header("location").to_owned();
    assert_eq!(
        path,
        format!("/api/credentials/{}", made.json()["id"].as_str().unwrap())
    );
    assert_eq!(made.header("etag"), "\"1\"");
    assert!(!String::from_utf8_lossy(&made.body).contains("canary"));

    let twin = world
        .change("POST", "/api/credentials", &cookie, &new)
        .await;
    assert_eq!(twin.refusal(409), "NAME_TAKEN");
    let list = world
        .get(
            &format!("/api/credentials?teamId={team}&search=open"),
            &cookie,
        )
        .await;
    assert_eq!(list.json().as_array().unwrap().len(), 1);
    assert_eq!(list.header("x-total-count"), "1");

    let read = world.get(&path, &cookie).await;
    assert_eq!((read.status, read.header("etag")), (200, "\"1\""));
    let headers = [("cookie", cookie.as_str()), ("if-none-match", "\"1\"")];
    let same = world.send("GET", &path, &headers, Body::empty()).await;
    assert_eq!(
        (same.status, same.body.len(), same.header("etag")),
        (304, 0, "\"1\"")
    );
    let head = world
        .send("HEAD", &path, &headers[..1], Body::empty())
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));

    let change = json!({"data": {"organization": "other"}});
    let origin = format!("http://{HOST}");
    for (tag, status) in [("\"7\"", 412), ("7", 400), ("\"7\", \"1\"", 200)] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", origin.as_str()),
            ("content-type", "application/json"),
            ("if-match", tag),
        ];
        let body = Body::from(change.to_string());
        let answer = world.send("PATCH", &path, &headers, body).await;
        assert_eq!(answer.status, status, "{tag}");
    }

    let shown = world
        .change(
            "POST",
            &format!("{path}/reveal"),
            &cookie,
            &json!({"reason": "test"}),
        )
        .await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("cache-control"), "no-store");
    let wanted = json!({"apiKey": "canary-value", "organization": "other"});
    assert_eq!(shown.json()["data"], wanted);
    assert_eq!(shown.json()["generation"], 2);

    assert_eq!(
        world
            .change("DELETE", &path, &cookie, &json!({}))
            .await
            .status,
        204
    );
    let gone = world.get(&path, &cookie).await;
    assert_eq!(gone.refusal(404), "NOT_FOUND");
    let nonsense = world.get("/api/credentials/nonsense", &cookie).await;
    assert_eq!(nonsense.refusal(404), "NOT_FOUND");
    assert_eq!(nonsense.json()["message"], gone.json()["message"]);
}

#[tokio::test]
async fn bad_input_is_named_by_field_and_rule_and_never_repeated() {
    let world = world().await;
    let (cookie, team) = world.sign_in().await;
    let path = "/api/credentials";
    let body = json!({"name": 5, "typ": "OPENAI", "teamId": "canary", "data": "canary"});
    let answer = world.change("POST", path, &cookie, &body).await;
    assert_eq!(answer.refusal(400), "VALIDATION_FAILED");
    let wanted = [
        ("name", "type"),
        ("type", "required"),
        ("teamId", "id"),
        ("data", "type"),
        ("typ", "unknown"),
    ];
    assert_eq!(
        answer.rules(),
        wanted.map(|(f, r)| (f.to_owned(), r.to_owned()))
    );
    assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));

    let unknown = json!({"name": "x", "type": "OPENAI", "teamId": team,
        "data": {"apiKey": "k", "surprise": "canary"}});
    let answer = world.change("POST", path, &cookie, &unknown).await;
    assert_eq!(answer.refusal(400), "VALIDATION_FAILED");
    assert!(
        answer
            .rules()
            .iter()
            .any(|(field, _)| field == "data.surprise")
    );

    let origin = format!("http://{HOST}");
    let send = |content_type: &'static str, body: Body| {
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", origin.as_str()),
            ("content-type", content_type),
        ];
        let headers = headers.map(|(name, value)| (name, value.to_owned()));
        let world = &world;
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            world.send("POST", path, &headers, body).await
        }
    };
    let broken = send("application/json", Body::from("{\"name\": canary}")).await;
    assert_eq!(broken.refusal(400), "INVALID_JSON");
    assert!(!String::from_utf8_lossy(&broken.body).contains("canary"));
    let form = send("application/x-www-form-urlencoded", Body::from("name=x")).await;
    assert_eq!(form.refusal(415), "UNSUPPORTED_MEDIA_TYPE");
    let untyped = send("", Body::from("{}")).await;
    assert_eq!(untyped.refusal(415), "UNSUPPORTED_MEDIA_TYPE");
    let huge = send("application/json", Body::from(vec![b' '; (7 << 20) + 1])).await;
    assert_eq!(huge.refusal(413), "BODY_TOO_LARGE");
    let value = "x".repeat((1 << 20) + 1);
    let large = json!({"name": "x", "type": "BEARER_TOKEN", "teamId": team,
        "data": {"token": value}});
    let large = send("application/json", Body::from(large.to_string())).await;
    assert_eq!(large.refusal(413), "VALUE_TOO_LARGE");

    for query in [
        "",
        "?teamId=x",
        "?teamId=TEAM&page=-1",
        "?teamId=TEAM&size=0",
        "?teamId=TEAM&size=1001",
    ] {
        let query = query.replace("TEAM", &team);
        let answer = world.get(&format!("{path}{query}"), &cookie).await;
        assert_eq!(answer.refusal(400), "VALIDATION_FAILED", "{query}");
        assert_eq!(answer.json()["path"], path);
    }
}

#[tokio::test]
async fn foreign_hosts_pages_and_strangers_are_refused() {
    let world = world().await;
    let (cookie, _) = world.sign_in().await;
    let send = |method: &'static str, path: &'static str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let world = &world;
        async move {
            let headers: Vec<_> = headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            world.send(method, path, &headers, Body::empty()).await
        }
    };
    let rebound = send(
        "GET",
        "/api/auth/me",
        &[("host", "evil.test"), ("cookie", &cookie)],
    )
    .await;
    assert_eq!(rebound.refusal(403), "HOST_NOT_ALLOWED");
    assert_eq!(
        send("GET", "/api/setup", &[("host", "")])
            .await
            .refusal(403),
        "HOST_NOT_ALLOWED"
    );
    assert_eq!(
        send("GET", "/health/live", &[("host", "10.0.0.7")])
            .await
            .status,
        200
    );

    let path = "/api/auth/logout";
    let unproven = send("POST", path, &[("cookie", &cookie)]).await;
    assert_eq!(unproven.refusal(403), "ORIGIN_REQUIRED");
    assert_eq!(unproven.header("vary"), "Sec-Fetch-Site, Origin");
    for foreign in [
        [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "cross-site"),
        ],
        [("cookie", &cookie), ("sec-fetch-site", "same-site")],
        [("cookie", &cookie), ("origin", "null")],
        [("cookie", &cookie), ("origin", "http://evil.test")],
        [("host", HOST), ("origin", "http://evil.test")],
    ] {
        assert_eq!(
            send("POST", path, &foreign).await.refusal(403),
            "CROSS_SITE_REQUEST"
        );
    }
    assert_eq!(
        send("POST", "/api/auth/login", &[]).await.refusal(403),
        "ORIGIN_REQUIRED"
    );
    assert_eq!(
        send("POST", path, &[]).await.refusal(401),
        "UNAUTHENTICATED"
    );
    let bearer = send("POST", path, &[("authorization", "Bearer nlt_x")]).await;
    assert_eq!(bearer.refusal(401), "UNAUTHENTICATED");
    assert_eq!(
        bearer.header("www-authenticate"),
        "Bearer realm=\"nodeloom\""
    );
    // None of it has ended the session.
    assert_eq!(world.get("/api/auth/me", &cookie).await.status, 200);
}

#[tokio::test]
async fn every_documented_route_refuses_nobody_and_the_open_ones_are_few() {
    let world = world().await;
    let document: Value = serde_json::from_str(&nodeloom_web::openapi()).unwrap();
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = "018f4c6e-7d3a-7c2b-9a51-0123456789ab";
            let target = path.replace("{id}", id).replace("{type}", "OPENAI");
            let answer = world
                .change(&method.to_uppercase(), &target, "", &json!({}))
                .await;
            let needs_session = operation["security"][0].get("session").is_some();
            if needs_session {
                assert_eq!(answer.refusal(401), "UNAUTHENTICATED", "{method} {path}");
            } else {
                open.push(format!("{method} {path}"));
            }
        }
    }
    open.sort();
    let wanted = [
        "get /api/auth/methods",
        "get /api/auth/oidc/callback",
        "get /api/auth/oidc/start",
        "get /api/docs",
        "get /api/openapi.json",
        "get /api/setup",
        "get /health/live",
        "get /health/ready",
        "get /metrics",
        "post /api/auth/login",
        "post /api/invitations/accept",
        "post /api/invitations/read",
        "post /api/setup",
    ];
    assert_eq!(open, wanted);
}

#[tokio::test]
async fn unknown_routes_and_methods_answer_in_the_one_shape() {
    let world = world().await;
    let nowhere = world.get("/nowhere?secret=canary", "").await;
    assert_eq!(nowhere.refusal(404), "NO_SUCH_ROUTE");
    assert!(!String::from_utf8_lossy(&nowhere.body).contains("canary"));
    let method = world
        .change("PUT", "/api/credentials", "", &json!({}))
        .await;
    assert_eq!(method.refusal(405), "METHOD_NOT_ALLOWED");
    assert_eq!(method.header("allow"), "GET,HEAD,POST");
    let kept = world
        .send(
            "GET",
            "/nowhere",
            &[("x-request-id", "trace-1")],
            Body::empty(),
        )
        .await;
    assert_eq!(kept.header("x-request-id"), "trace-1");
    for name in [
        "content-security-policy",
        "cross-origin-opener-policy",
        "referrer-policy",
    ] {
        assert!(!kept.header(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn pages_and_their_files_are_served() {
    let world = world().await;
    for path in ["/", "/setup", "/api/docs"] {
        let page = world.get(path, "").await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            page.header("content-security-policy")
                .contains("script-src 'self'")
        );
        let html = String::from_utf8(page.body).unwrap();
        let files: Vec<_> = html
            .split('"')
            .filter(|part| part.starts_with("/assets/"))
            .collect();
        assert!(files.len() >= 2, "{path}");
        for file in files {
            let asset = world.get(file, "").await;
            assert_eq!(asset.status, StatusCode::OK, "{file}");
            assert!(asset.header("cache-control").contains("immutable"));
        }
    }
    assert_eq!(
        world.get("/assets/nodeloom.css", "").await.refusal(404),
        "NOT_FOUND"
    );
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_the_token() {
    let world = world().await;
    world.sign_in().await;
    let local = world.get("/metrics", "").await;
    let text = String::from_utf8(local.body).unwrap();
    assert!(
        text.contains("nodeloom_sign_ins_total{outcome=\"success\"} 1"),
        "{text}"
    );
    assert!(text.contains("route=\"/api/auth/login\""));
    let proxied = [("x-forwarded-for", "192.0.2.1")];
    let refused = world.send("GET", "/metrics", &proxied, Body::empty()).await;
    assert_eq!(refused.refusal(403), "METRICS_NOT_ALLOWED");
    let with_token = [
        ("x-forwarded-for", "192.0.2.1"),
        ("authorization", "Bearer metrics"),
    ];
    assert_eq!(
        world
            .send("GET", "/metrics", &with_token, Body::empty())
            .await
            .status,
        200
    );
    let wrong = [("authorization", "Bearer other")];
    assert_eq!(
        world
            .send("GET", "/metrics", &wrong, Body::empty())
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn every_answer_tells_the_rate_and_too_many_are_refused() {
    let limits = nodeloom_web::RateLimits {
        per_address: 3,
        per_token: 0,
    };
    let world = world_with(limits).await;
    for remaining in ["2", "1", "0"] {
        let answer = world.get("/api/credential-types", "").await;
        assert_eq!(answer.header("x-ratelimit-limit"), "3");
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining);
        assert!(answer.header("x-ratelimit-reset").parse::<u64>().unwrap() >= 1);
    }
    let refused = world.get("/api/credential-types", "").await;
    assert_eq!(refused.refusal(429), "TOO_MANY_REQUESTS");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    let probe = world.get("/health/live", "").await;
    assert_eq!(probe.status, 200, "a probe is never refused");
    assert_eq!(probe.header("x-ratelimit-limit"), "");
}

#[tokio::test]
async fn a_team_is_made_filled_and_deleted() {
    let world = world().await;
    let (cookie, default) = world.sign_in().await;
    let send = async |method: &str, path: &str, body: Value| {
        world.change(method, path, &cookie, &body).await
    };
    let made = send("POST", "/api/teams", json!({"name": "Payments"})).await;
    assert_eq!(made.status, 201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/teams/{id}");
    assert_eq!(made.header("location"), path);
    let taken = send("POST", "/api/teams", json!({"name": "Payments"})).await;
    assert_eq!(taken.refusal(409), "NAME_TAKEN");
    let odd = send("POST", "/api/teams", json!({"name": "x", "owner": 1})).await;
    assert_eq!(odd.rules(), [("owner".into(), "unknown".into())]);
    assert_eq!(
        world
            .get("/api/teams", &cookie)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let renamed = send("PATCH", &path, json!({"name": "Billing"})).await;
    assert_eq!(
        (renamed.status, &renamed.json()["name"]),
        (200, &json!("Billing"))
    );
    assert_eq!(world.get(&path, &cookie).await.json()["name"], "Billing");
    assert_eq!(world.get(&path, "").await.refusal(401), "UNAUTHENTICATED");

    let members = world.get(&format!("{path}/members"), &cookie).await.json();
    assert_eq!(
        (&members[0]["role"], &members[0]["active"]),
        (&json!("ADMIN"), &json!(true))
    );
    let place = format!("{path}/members/{}", members[0]["userId"].as_str().unwrap());
    let lowered = send("PUT", &place, json!({"role": "VIEWER"})).await;
    assert_eq!(lowered.refusal(409), "LAST_ADMIN");
    let odd = send("PUT", &place, json!({"role": "admin"})).await;
    assert_eq!(odd.rules(), [("role".into(), "one-of".into())]);
    assert_eq!(
        send("DELETE", &place, json!({})).await.refusal(409),
        "LAST_ADMIN"
    );
    let nowhere = format!("{path}/members/nobody");
    assert_eq!(
        send("DELETE", &nowhere, json!({})).await.refusal(404),
        "NOT_FOUND"
    );

    let wrong = send("DELETE", &path, json!({"confirm": "Payments"})).await;
    assert_eq!(wrong.rules(), [("confirm".into(), "match".into())]);
    let gone = send("DELETE", &path, json!({"confirm": "Billing"})).await;
    assert_eq!((gone.status, &gone.json()["keys"]), (200, &json!(1)));
    assert!(gone.json()["notice"].as_str().unwrap().contains("root key"));
    // Its members were signed out, whoever deleted it among them.
    assert_eq!(
        world.get(&path, &cookie).await.refusal(401),
        "UNAUTHENTICATED"
    );
    let (cookie, _) = world.sign_in().await;
    assert_eq!(world.get(&path, &cookie).await.refusal(404), "NOT_FOUND");
    let last = world
        .change(
            "DELETE",
            &format!("/api/teams/{default}"),
            &cookie,
            &json!({"confirm": "Default"}),
        )
        .await;
    assert_eq!(last.refusal(409), "LAST_TEAM");
}
