//! Every route of the API document, called by everybody: who may do what, as one table.
//! A route that this file does not know, or knows no body for, fails the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::Request,
};
use nodeloom_app::{App, ConnectionTester, NewAdmin, TestFinding, TestRequest, Testing, password};
use nodeloom_crypto::{RootKey, Secret};
use nodeloom_domain::{Clock, Role, TeamId, UserId, audit::Origin, policy};
use nodeloom_store::{MembershipRow, Store, Target, TeamRow, UserRow, UserState};
use nodeloom_web::{Mode, RateLimits, WebSettings};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const HOST: &str = "127.0.0.1:8080";
const PASSWORD: &str = "correct horse battery staple 7";
const ADMIN: &str = "ada@example.com";
/// An id of nothing.
const NOTHING: &str = "018f4c6e-7d3a-7c2b-9a51-0123456789ab";

/// Who calls, and the address they sign in with.
const CALLERS: [(&str, Option<&str>); 9] = [
    ("nobody", None),
    ("stranger", Some("stranger@example.com")),
    ("VIEWER", Some("viewer@example.com")),
    ("AUDITOR", Some("auditor@example.com")),
    ("OPERATOR", Some("operator@example.com")),
    ("BUILDER", Some("builder@example.com")),
    ("ADMIN", Some("admin@example.com")),
    ("instance", Some(ADMIN)),
    // The instance's administrator through an API token of the role VIEWER.
    (TOKEN, Some(ADMIN)),
];
const TOKEN: &str = "token:VIEWER";

/// What is called: a record made for this one call where the route is about one.
struct Aim<'a> {
    team: &'a str,
    credential: &'a str,
    user: &'a str,
    invitation: &'a str,
}

/// A path with its ids in place.
fn filled(path: &str, target: &Aim<'_>) -> String {
    let id = if path.starts_with("/api/credentials/") {
        target.credential
    } else if path.starts_with("/api/credential-types/") {
        "OPENAI"
    } else if path.starts_with("/api/teams/") {
        target.team
    } else if path.starts_with("/api/invitations/") {
        target.invitation
    } else if path.starts_with("/api/users/") {
        target.user
    } else {
        NOTHING
    };
    let path = path.replace("{type}", id).replacen("{id}", id, 1);
    let mut filled = String::new();
    let mut rest = path.as_str();
    // A second id in a path is of something inside the first.
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        filled += before;
        filled += if matches!(name, "n" | "version" | "sequence" | "generation") {
            "1"
        } else {
            NOTHING
        };
        rest = after;
    }
    filled + rest
}

/// A body that the route accepts; nothing for a route that this test does not know.
fn body(operation: &str, target: &Aim<'_>) -> Option<Value> {
    let bearer = json!({"token": "not-a-real-token"});
    Some(match operation {
        "login" => json!({"email": "somebody@example.com", "password": PASSWORD}),
        "reauthenticate" => json!({"password": PASSWORD}),
        // Proved, and then refused as no change: the later routes sign in with it.
        "changePassword" => json!({"currentPassword": PASSWORD, "newPassword": PASSWORD}),
        "setUp" => json!({"code": "no-code", "email": ADMIN, "password": PASSWORD}),
        "createCredential" => json!({
            "name": "Made", "type": "BEARER_TOKEN", "teamId": target.team, "data": bearer,
        }),
        "createToken" => json!({"name": "ci", "teamId": target.team, "role": "VIEWER"}),
        "updateCredential" => json!({"name": "Renamed"}),
        "revealCredential" => json!({"reason": "the sweep"}),
        "confirmSecondFactor" => json!({"code": "000000"}),
        "undeleteCredential" => json!({"name": "Back"}),
        "createTeam" => json!({"name": "Made"}),
        "updateTeam" => json!({"name": "Default"}),
        // Nobody deletes the team that all others are asked about.
        "deleteTeam" => json!({"confirm": "another name"}),
        "createInvitation" => json!({"email": "invited@example.com", "role": "VIEWER"}),
        "readInvitation" | "acceptInvitation" => json!({"code": "no-code"}),
        "createUser" => json!({"email": "made@example.com"}),
        "updateUser" => json!({"firstName": "Renamed", "instanceAdmin": false}),
        "grantMember" => json!({"role": "VIEWER"}),
        _ => return None,
    })
}

struct World {
    router: Router,
    team: String,
    _folder: tempfile::TempDir,
}

/// Connects nowhere: who may test is the question here.
struct NoTester;

impl ConnectionTester for NoTester {
    fn test<'a>(&'a self, _: TestRequest<'a>) -> Testing<'a> {
        Box::pin(async {
            TestFinding {
                status: "ok",
                code: "reached",
                message: "nothing was asked".into(),
                duration: std::time::Duration::ZERO,
            }
        })
    }
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodeloom.db");
    let store = Store::open(&Target::Sqlite { path }).await.unwrap();
    store.migrate().await.unwrap();
    let root = RootKey::derive(b"TEST-ROOT-of-the-sweep/0123456789abcdef-0123");
    let origin = Origin::default();
    let app = App::open(store.clone(), root, Clock::system(), &origin)
        .await
        .unwrap();
    app.use_connection_tester(NoTester);
    let admin = NewAdmin {
        email: ADMIN.into(),
        password: Secret::new(PASSWORD.into()),
        first_name: "Ada".into(),
        last_name: "L".into(),
    };
    app.create_first_admin(admin, &origin).await.unwrap();
    let team = store.list_teams().await.unwrap()[0].id;
    people(&store, team).await;
    let settings = WebSettings {
        mode: Mode::Development,
        base_url: None,
        listen: HOST.parse().unwrap(),
        trusted_proxies: Vec::new(),
        tls: false,
        version: "0.0.0",
        metrics_token: None,
        audit_anchor: None,
        rate_limits: RateLimits::default(),
    };
    World {
        router: nodeloom_web::router(app, settings),
        team: team.to_string(),
        _folder: folder,
    }
}

/// One member for each role, and an administrator of another team.
async fn people(store: &Store, team: TeamId) {
    let permit = policy::first_admin(0).unwrap();
    let hash = password::hash(Secret::new(PASSWORD.into())).await.unwrap();
    let now = Clock::system().now();
    let other = TeamRow {
        id: TeamId::generate(now),
        name: "Other".into(),
        created_at: now,
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_team(&permit, &other).await.unwrap();
    let members = [
        ("stranger", other.id, Role::Admin),
        ("viewer", team, Role::Viewer),
        ("auditor", team, Role::Auditor),
        ("operator", team, Role::Operator),
        ("builder", team, Role::Builder),
        ("admin", team, Role::Admin),
    ];
    for (name, team_id, role) in members {
        let user = UserRow {
            id: UserId::generate(now),
            email: format!("{name}@example.com"),
            first_name: String::new(),
            last_name: String::new(),
            password_hash: hash.clone(),
            state: UserState::Active,
            instance_admin: false,
            created_at: now,
            updated_at: now,
            break_glass: false,
            password_changed_at: None,
            last_sign_in_at: None,
            totp_generation: None,
            totp_last_step: None,
        };
        tx.insert_user(&permit, &user).await.unwrap();
        let membership = MembershipRow {
            user_id: user.id,
            team_id,
            role,
            created_at: now,
        };
        tx.insert_membership(&permit, &membership).await.unwrap();
    }
    tx.commit_unaudited("people of a test").await.unwrap();
}

impl World {
    async fn send(
        &self,
        method: &str,
        path: &str,
        cookie: &str,
        body: Option<&Value>,
    ) -> (u16, Value, String) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST)
            .header("origin", format!("http://{HOST}"));
        if cookie.starts_with("Bearer ") {
            request = request.header("authorization", cookie);
        } else if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).unwrap();
        let peer: SocketAddr = "192.0.2.7:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let cookie = response
            .headers()
            .get("set-cookie")
            .and_then(|value| value.to_str().unwrap().split(';').next())
            .unwrap_or_default()
            .to_owned();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (status, body, cookie)
    }

    async fn sign_in(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let (status, _, cookie) = self.send("POST", "/api/auth/login", "", Some(&body)).await;
        assert_eq!(status, 200);
        cookie
    }

    /// An `Authorization` header with a new token of that person.
    async fn token(&self, email: &str) -> String {
        let cookie = self.sign_in(email).await;
        let body = json!({"name": "sweep", "teamId": self.team, "role": "VIEWER"});
        let (status, made, _) = self.send("POST", "/api/tokens", &cookie, Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        format!("Bearer {}", made["token"].as_str().unwrap())
    }

    async fn new_credential(&self, cookie: &str, number: usize) -> String {
        let data = json!({"token": "not-a-real-token"});
        let body = json!({
            "name": format!("Number {number}"), "type": "BEARER_TOKEN", "teamId": self.team,
            "data": data,
        });
        let (status, made, _) = self
            .send("POST", "/api/credentials", cookie, Some(&body))
            .await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }
}

impl World {
    /// An open invitation.
    async fn new_invitation(&self, cookie: &str, number: usize) -> String {
        let path = format!("/api/teams/{}/invitations", self.team);
        let email = format!("invited{number}@example.com");
        let body = json!({"email": email, "role": "VIEWER"});
        let (status, made, _) = self.send("POST", &path, cookie, Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        made["details"]["id"].as_str().unwrap().to_owned()
    }

    /// A person whom nobody signs in as.
    async fn new_user(&self, cookie: &str, number: usize) -> String {
        let body = json!({"email": format!("number{number}@example.com")});
        let (status, made, _) = self.send("POST", "/api/users", cookie, Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }
}

/// What the document says of one route.
struct Route {
    operation: String,
    method: String,
    path: String,
    takes_body: bool,
    query: Vec<String>,
}

fn routes() -> Vec<Route> {
    let document: Value = serde_json::from_str(&nodeloom_web::openapi()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !matches!(method.as_str(), "get" | "post" | "put" | "patch" | "delete") {
                continue;
            }
            let required = operation["parameters"].as_array().into_iter().flatten();
            routes.push(Route {
                operation: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                takes_body: operation["requestBody"].is_object(),
                query: required
                    .filter(|p| p["in"] == "query" && p["name"] == "teamId")
                    .map(|p| p["name"].as_str().unwrap().to_owned())
                    .collect(),
            });
        }
    }
    routes
}

#[tokio::test]
async fn every_route_answers_everybody_as_was_reviewed() {
    let mut table: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    for (title, email) in CALLERS {
        // A world of their own, so that what one may delete, the next may too.
        let world = world().await;
        let admin = world.sign_in(ADMIN).await;
        for (number, route) in routes().iter().enumerate() {
            let credential = world.new_credential(&admin, number).await;
            let user = world.new_user(&admin, number).await;
            let invitation = world.new_invitation(&admin, number).await;
            let target = Aim {
                invitation: &invitation,
                team: &world.team,
                credential: &credential,
                user: &user,
            };
            let body = route.takes_body.then(|| {
                body(&route.operation, &target).unwrap_or_else(|| {
                    panic!("{} is not known here: give it a body", route.operation)
                })
            });
            let mut path = filled(&route.path, &target);
            for name in &route.query {
                path += &format!("?{name}={}", world.team);
            }
            // Signed in anew each time: a route may end the session, and a proof is fresh.
            let cookie = match email {
                Some(email) if title == TOKEN => world.token(email).await,
                Some(email) => world.sign_in(email).await,
                None => String::new(),
            };
            let (status, answer, _) = world
                .send(&route.method, &path, &cookie, body.as_ref())
                .await;
            assert!(status < 500, "{} {path}: {answer}", route.method);
            let line = format!("{:<24}{:<7}{}", route.operation, route.method, route.path);
            table.entry(line).or_default().push(status);
        }
    }
    let titles: Vec<&str> = CALLERS.iter().map(|(title, _)| *title).collect();
    let mut text = format!("{:<86}{}\n", "operation", titles.join(" "));
    for (line, statuses) in &table {
        text += &format!("{line:<86}");
        for (title, status) in titles.iter().zip(statuses) {
            text += &format!("{status:<width$}", width = title.len() + 1);
        }
        text.truncate(text.trim_end().len());
        text += "\n";
    }
    insta::assert_snapshot!("routes", text);
}
