use std::fmt::Write;

use ::http::{HeaderMap, Method, StatusCode};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nodeloom_crypto::Secret;
use nodeloom_domain::credential_type::{find_type, list_types, parse_type};
use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;
use crate::http::Response;

/// 2015-08-30T12:36:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_440_938_160_000_000);

/// Begins every secret of the property tests; found nowhere else.
const MARK: &str = "Zq9Kx7";

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn get(address: &str) -> Request {
    Request::get(Url::parse(address).unwrap())
}

fn placed(id: &str, data: Value, draft: Request) -> Result<Placed, PlacementError> {
    place(find_type(id).unwrap(), &object(data), draft, NOW)
}

fn ready(id: &str, data: Value, draft: Request) -> Request {
    match placed(id, data, draft).unwrap() {
        Placed::Ready(request) => *request,
        Placed::NeedsToken(_) => panic!("{id} needs a token"),
    }
}

fn needs_token(id: &str, data: Value, draft: Request) -> NeedsToken {
    match placed(id, data, draft).unwrap() {
        Placed::NeedsToken(step) => *step,
        Placed::Ready(_) => panic!("{id} needs no token"),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    std::str::from_utf8(request.headers[name].as_bytes()).unwrap()
}

fn body(request: &Request) -> &str {
    std::str::from_utf8(request.body.expose()).unwrap()
}

fn answer(status: u16, body: &str) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Secret::new(body.as_bytes().to_vec()),
    }
}

fn rsa_key() -> (RsaKeyPair, String) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in STANDARD.encode(der.as_ref()).as_bytes().chunks(64) {
        writeln!(pem, "{}", std::str::from_utf8(line).unwrap()).unwrap();
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    (pair, pem)
}

/// The example of a type, with a private key that can sign.
fn example(kind: &CredentialType, pem: &str) -> Map<String, Value> {
    let mut data = kind.example.clone();
    if let Some(key) = data.get_mut("serviceAccountKey") {
        key["private_key"] = pem.into();
    }
    data
}

fn shown(table: &mut String, request: &Request) {
    writeln!(table, "    {} {}", request.method, request.url).unwrap();
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("    {name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    for header in headers {
        writeln!(table, "{header}").unwrap();
    }
    if let Some((before, _)) = body(request).split_once("assertion=") {
        writeln!(table, "    body {before}assertion=(a signed JWT)").unwrap();
    } else if !body(request).is_empty() {
        writeln!(table, "    body {}", body(request)).unwrap();
    }
}

#[test]
fn every_types_example_makes_the_test_that_its_file_states() {
    let (_, pem) = rsa_key();
    let mut table = String::new();
    for kind in list_types() {
        let plan = test_plan(kind, &example(kind, &pem), NOW).unwrap();
        writeln!(table, "{}", kind.id).unwrap();
        match &plan {
            TestPlan::Http { placed, expect } => {
                match placed {
                    Placed::Ready(request) => shown(&mut table, request),
                    Placed::NeedsToken(step) => {
                        shown(&mut table, &step.request);
                        writeln!(table, "  then, with the token").unwrap();
                        shown(&mut table, &step.draft);
                    }
                }
                let member = expect.json_true.as_deref().unwrap_or("-");
                writeln!(table, "    expects {:?}, true: {member}", expect.statuses).unwrap();
            }
            TestPlan::Token(request) => shown(&mut table, request),
            TestPlan::Protocol(protocol) => writeln!(table, "    {}", protocol.as_str()).unwrap(),
            TestPlan::None { reason } => writeln!(table, "    none: {reason}").unwrap(),
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn no_secret_shows_in_debug_and_in_a_url_only_where_the_type_says_so() {
    let (_, pem) = rsa_key();
    for kind in list_types() {
        let data = example(kind, &pem);
        let secrets: Vec<&str> = kind
            .fields
            .iter()
            .filter(|field| field.secret)
            .filter_map(|field| data.get(&field.name)?.as_str())
            .collect();
        let address = kind
            .base_url(&data)
            .unwrap()
            .unwrap_or_else(|| "https://api.example.com/v1".into());
        let says_so = kind.auth.iter().any(|auth| {
            matches!(
                auth.place,
                Place::Path { .. } | Place::Query { .. } | Place::Url { .. }
            )
        });
        let Ok(placed) = place(kind, &data, get(&address), NOW) else {
            let none = kind
                .auth
                .iter()
                .any(|a| matches!(a.place, Place::None { .. }));
            assert!(none, "{}", kind.id);
            continue;
        };
        let debug = format!(
            "{placed:?} {placed:#?} {:?}",
            test_plan(kind, &data, NOW).unwrap()
        );
        let urls = match &placed {
            Placed::Ready(request) => vec![&request.url],
            Placed::NeedsToken(step) => vec![&step.request.url, &step.draft.url],
        };
        for secret in secrets {
            assert!(!debug.contains(secret), "{}", kind.id);
            for url in &urls {
                assert!(says_so || !url.as_str().contains(secret), "{}", kind.id);
            }
        }
        assert!(!debug.contains("PRIVATE"), "{}", kind.id);
    }
}

/// A type with a secret in a JSON body, since none of ours has one.
const IN_BODY: &str = r#"
id = "IN_BODY"
name = "In body"
description = "Sends a key in the body."
category = "generic"
documentation = "https://example.com/"
[[field]]
name = "apiKey"
label = "Key"
description = "the key"
kind = "text"
secret = true
required = true
[[auth]]
place.body = { name = "api_key", value = "{apiKey}" }
[[test]]
by.none = { reason = "It is a test." }
[example]
apiKey = "EXAMPLE"
"#;

/// Where the mark is found, but for the place that is named.
fn strays(request: &Request, stated: &str) -> Vec<String> {
    let mut found = Vec::new();
    if stated != "url" && request.url.as_str().contains(MARK) {
        found.push("url".into());
    }
    for (name, value) in &request.headers {
        let holds = value
            .as_bytes()
            .windows(MARK.len())
            .any(|w| w == MARK.as_bytes());
        if holds && stated != name.as_str() {
            found.push(name.to_string());
        }
    }
    if stated != "body" && body(request).contains(MARK) {
        found.push("body".into());
    }
    found
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "\\PC{0,40}", any::<String>()]
        .prop_map(|tail| format!("{MARK}{tail}"))
}

/// What may stand in a header: no control character but the tab.
fn fits_header(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

const DRAFT: &str = "https://api.example.com/v1/a%20b?x=1&y=%2F";

proptest! {
    #[test]
    fn a_header_holds_exactly_the_value_or_nothing_is_sent(value in secret()) {
        let data = json!({"name": "X-Auth", "value": value});
        match placed("HTTP_HEADER", data, get(DRAFT)) {
            Ok(Placed::Ready(request)) => {
                prop_assert_eq!(request.headers["x-auth"].as_bytes(), value.as_bytes());
                prop_assert!(fits_header(&value));
                prop_assert_eq!(request.url.as_str(), DRAFT);
                prop_assert_eq!(strays(&request, "x-auth"), Vec::<String>::new());
            }
            refused => {
                prop_assert!(!fits_header(&value));
                let shown = format!("{refused:?}");
                prop_assert!(!shown.contains(MARK));
            }
        }
    }

    #[test]
    fn a_bearer_token_is_in_its_header_alone(value in secret()) {
        match placed("BEARER_TOKEN", json!({"token": value}), get(DRAFT)) {
            Ok(Placed::Ready(request)) => {
                let wanted = format!("Bearer {value}");
                prop_assert_eq!(request.headers["authorization"].as_bytes(), wanted.as_bytes());
                prop_assert_eq!(strays(&request, "authorization"), Vec::<String>::new());
            }
            _ => prop_assert!(!fits_header(&value)),
        }
    }

    #[test]
    fn a_query_parameter_reads_back_and_leaves_the_others(value in secret()) {
        let data = json!({"apiKey": value, "in": "query", "name": "key"});
        match placed("API_KEY", data, get("https://api.example.com/v1?key=old&x=1&y=%2F&k%65y=2")) {
            Ok(Placed::Ready(request)) => {
                let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
                let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
                prop_assert_eq!(pairs, [pair("x", "1"), pair("y", "/"), pair("key", &value)]);
                prop_assert_eq!(request.url.path(), "/v1");
                prop_assert_eq!(request.url.host_str(), Some("api.example.com"));
                prop_assert_eq!(request.url.fragment(), None);
                prop_assert_eq!(strays(&request, "url"), Vec::<String>::new());
            }
            _ => prop_assert!(!fits_header(&value)),
        }
    }

    #[test]
    fn a_password_reads_back_from_basic(user in any::<String>(), password in secret()) {
        let data = json!({"username": user, "password": password});
        match placed("HTTP_BASIC", data, get(DRAFT)) {
            Ok(Placed::Ready(request)) => {
                let encoded = header(&request, "authorization").strip_prefix("Basic ").unwrap();
                let decoded = STANDARD.decode(encoded).unwrap();
                prop_assert_eq!(String::from_utf8(decoded).unwrap(), format!("{user}:{password}"));
                prop_assert!(!user.contains(':'));
                prop_assert_eq!(strays(&request, "authorization"), Vec::<String>::new());
            }
            _ => prop_assert!(
                user.is_empty()
                    || user.contains(':')
                    || user.chars().chain(password.chars()).any(char::is_control)
            ),
        }
    }

    #[test]
    fn a_path_prefix_stays_one_segment(tail in "[A-Za-z0-9._~+/=:-]{0,40}") {
        let token = format!("{MARK}{tail}");
        let request = ready("TELEGRAM", json!({"botToken": token}), get("https://api.telegram.org/getMe?a=1"));
        let segments: Vec<&str> = request.url.path_segments().unwrap().collect();
        prop_assert_eq!(segments.len(), 2);
        prop_assert_eq!(segments[0].replace("%2F", "/"), format!("bot{token}"));
        prop_assert_eq!(segments[1], "getMe");
        prop_assert_eq!(request.url.host_str(), Some("api.telegram.org"));
        prop_assert_eq!(strays(&request, "url"), Vec::<String>::new());
    }

    #[test]
    fn a_member_of_the_body_reads_back(value in secret()) {
        let kind = parse_type(IN_BODY).unwrap();
        let mut draft = get(DRAFT);
        draft.method = Method::POST;
        draft.body = Secret::new(br#"{"text":"hi","api_key":"planted"}"#.to_vec());
        let data = object(json!({"apiKey": value}));
        let Placed::Ready(request) = place(&kind, &data, draft, NOW).unwrap() else { panic!() };
        let read: Value = serde_json::from_str(body(&request)).unwrap();
        prop_assert_eq!(read, json!({"text": "hi", "api_key": value}));
        prop_assert_eq!(header(&request, "content-type"), "application/json");
        prop_assert_eq!(strays(&request, "body"), Vec::<String>::new());
    }

    #[test]
    fn client_credentials_read_back_from_both_places(id in any::<String>(), value in secret()) {
        prop_assume!(!id.is_empty());
        let data = |way: &str| json!({
            "tokenUrl": "https://auth.example.com/token", "clientId": id, "clientSecret": value,
            "scope": "a b", "clientAuthentication": way,
        });
        let step = needs_token("CUSTOM_OAUTH2", data("body"), get(DRAFT));
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(body(&step.request).as_bytes()).into_owned().collect();
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        prop_assert_eq!(pairs, [
            pair("grant_type", "client_credentials"), pair("scope", "a b"),
            pair("client_id", &id), pair("client_secret", &value),
        ]);
        prop_assert_eq!(strays(&step.request, "body"), Vec::<String>::new());

        let step = needs_token("CUSTOM_OAUTH2", data("basic"), get(DRAFT));
        prop_assert_eq!(body(&step.request), "grant_type=client_credentials&scope=a+b");
        let encoded = header(&step.request, "authorization").strip_prefix("Basic ").unwrap();
        let decoded = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        let (left, right) = decoded.split_once(':').unwrap();
        let plain = |text: &str| {
            let form = format!("{text}=");
            let pair = url::form_urlencoded::parse(form.as_bytes()).next().unwrap();
            pair.0.into_owned()
        };
        prop_assert_eq!((plain(left), plain(right)), (id, value));
    }
}

#[test]
fn basic_is_that_of_rfc_7617() {
    let basic = |user: &str, password: &str| {
        let data = json!({"username": user, "password": password});
        header(&ready("HTTP_BASIC", data, get(DRAFT)), "authorization").to_owned()
    };
    assert_eq!(
        basic("Aladdin", "open sesame"),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    assert_eq!(basic("test", "123\u{a3}"), "Basic dGVzdDoxMjPCow==");
}

#[test]
fn nothing_is_sent_elsewhere() {
    for (id, data, address) in [
        (
            "SLACK",
            json!({"token": "t"}),
            "https://slack.com.evil.example/api/x",
        ),
        ("SLACK", json!({"token": "t"}), "http://slack.com/api/x"),
        (
            "SLACK",
            json!({"token": "t"}),
            "https://slack.com:444/api/x",
        ),
        (
            "SLACK",
            json!({"token": "t"}),
            "https://user@slack.com/api/x",
        ),
        (
            "TELEGRAM",
            json!({"botToken": "t"}),
            "https://evil.example/getMe",
        ),
        (
            "OPENAI",
            json!({"apiKey": "k", "baseUrl": "http://10.1.1.1:80/v1"}),
            "https://api.openai.com/v1",
        ),
        (
            "AWS",
            json!({"accessKeyId": "a", "secretAccessKey": "s"}),
            "https://evil.example/",
        ),
        (
            "AZURE",
            json!({"tenantId": "t", "clientId": "c", "clientSecret": "s"}),
            "https://evil.example/",
        ),
    ] {
        let refused = placed(id, data, get(address)).unwrap_err();
        assert!(
            matches!(refused, PlacementError::Host { .. }),
            "{id} {address}: {refused}"
        );
    }
}

#[test]
fn headers_that_frame_a_message_are_refused() {
    for name in ["Host", "content-length", "Transfer-Encoding"] {
        let refused = placed(
            "HTTP_HEADER",
            json!({"name": name, "value": "x"}),
            get(DRAFT),
        );
        assert!(
            matches!(refused, Err(PlacementError::Unfit { .. })),
            "{name}"
        );
    }
    for value in ["a\r\nHost: evil.example", "a\nb", "a\0b", "a\x7fb"] {
        let refused = placed("BEARER_TOKEN", json!({"token": value}), get(DRAFT));
        assert!(matches!(refused, Err(PlacementError::Data(_))), "{value:?}");
    }
}

#[test]
fn a_secret_wins_over_the_drafts_header_and_a_version_gives_way() {
    let mut draft = get("https://api.notion.com/v1/users");
    draft
        .headers
        .insert("authorization", "Bearer planted".parse().unwrap());
    draft
        .headers
        .insert("notion-version", "2025-09-03".parse().unwrap());
    let request = ready("NOTION", json!({"token": "ntn_x"}), draft);
    assert_eq!(header(&request, "authorization"), "Bearer ntn_x");
    assert_eq!(request.headers.get_all("authorization").iter().count(), 1);
    assert_eq!(header(&request, "notion-version"), "2025-09-03");
}

#[test]
fn conditions_choose_the_place() {
    let plain = ready("OLLAMA", json!({}), get("http://localhost:11434/api/tags"));
    assert!(plain.headers.is_empty());
    let keyed = ready(
        "OLLAMA",
        json!({"apiKey": "k"}),
        get("http://localhost:11434/api/tags"),
    );
    assert_eq!(header(&keyed, "authorization"), "Bearer k");
    let organised = json!({"apiKey": "k", "organization": "org-1"});
    let request = ready("OPENAI", organised, get("https://api.openai.com/v1/models"));
    assert_eq!(header(&request, "openai-organization"), "org-1");

    let hook = "https://acme.webhook.office.com/webhookb2/secret?x=1";
    let mut draft = get("https://ignored.example/");
    draft.method = Method::POST;
    let request = ready("MICROSOFT_TEAMS", json!({"webhookUrl": hook}), draft);
    assert_eq!(request.url.as_str(), hook);
    assert!(request.headers.is_empty());
    let application = json!({
        "connection": "application", "tenantId": "t", "clientId": "c", "clientSecret": "s",
    });
    let step = needs_token(
        "MICROSOFT_TEAMS",
        application,
        get("https://graph.microsoft.com/v1.0/me"),
    );
    assert_eq!(
        step.request.url.as_str(),
        "https://login.microsoftonline.com/t/oauth2/v2.0/token"
    );
}

#[test]
fn databases_are_not_http() {
    let data = json!({"host": "db", "database": "d", "username": "u", "password": "p"});
    let refused = placed("POSTGRESQL", data, get(DRAFT)).unwrap_err();
    assert!(
        matches!(refused, PlacementError::NotHttp { .. }),
        "{refused}"
    );
}

#[test]
fn a_service_account_signs_a_jwt_that_its_public_key_verifies() {
    let (pair, pem) = rsa_key();
    let key =
        json!({"client_email": "robot@acme.example", "private_key": pem, "private_key_id": "k1"});
    let data = json!({"serviceAccountKey": key, "subject": "ada@example.com"});
    let step = needs_token(
        "GOOGLE_SHEETS",
        data,
        get("https://sheets.googleapis.com/v4/spreadsheets"),
    );
    assert_eq!(
        step.request.url.as_str(),
        "https://oauth2.googleapis.com/token"
    );
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body(&step.request).as_bytes())
        .into_owned()
        .collect();
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = form[1].1.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(
        json(head),
        json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})
    );
    let issued = 1_440_938_160;
    assert_eq!(
        json(claims),
        json!({
            "iss": "robot@acme.example", "sub": "ada@example.com",
            "scope": "https://www.googleapis.com/auth/spreadsheets",
            "aud": "https://oauth2.googleapis.com/token", "iat": issued, "exp": issued + 3600,
        })
    );

    let token = read_token(&answer(
        200,
        r#"{"access_token":"ya29.x","token_type":"Bearer","expires_in":3599}"#,
    ))
    .unwrap();
    assert_eq!(token.expires_in, Some(3599));
    assert!(!format!("{token:?}").contains("ya29"));
    let request = step.place(&token).unwrap();
    assert_eq!(
        request.url.as_str(),
        "https://sheets.googleapis.com/v4/spreadsheets"
    );
    assert_eq!(header(&request, "authorization"), "Bearer ya29.x");
    assert!(!body(&request).contains("assertion"));
}

#[test]
fn a_broken_private_key_is_named_and_not_shown() {
    for pem in [
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        let key = json!({"client_email": "robot@acme.example", "private_key": pem});
        let draft = get("https://sheets.googleapis.com/v4/x");
        let refused =
            placed("GOOGLE_SHEETS", json!({"serviceAccountKey": key}), draft).unwrap_err();
        assert!(
            matches!(refused, PlacementError::Key(KeyError::Unreadable)),
            "{refused}"
        );
        assert!(!format!("{refused:?}").contains("AAAA"));
    }
}

#[test]
fn the_token_address_is_https_or_this_machine() {
    let step = |address: &str| {
        let data = json!({"tokenUrl": address, "clientId": "c", "clientSecret": "s"});
        placed("CUSTOM_OAUTH2", data, get(DRAFT))
    };
    for good in [
        "https://auth.example.com/token",
        "http://127.0.0.1:9/token",
        "http://[::1]:9/",
        "http://localhost/",
    ] {
        assert!(step(good).is_ok(), "{good}");
    }
    for bad in [
        "http://auth.example.com/token",
        "http://10.0.0.1/",
        "http://localhost.evil.example/",
    ] {
        assert!(
            matches!(step(bad), Err(PlacementError::TokenAddress)),
            "{bad}"
        );
    }
}

#[test]
fn answers_of_a_token_endpoint_are_read_strictly() {
    for (status, text, wanted) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"secret"}"#,
            TokenError::Refused("invalid_grant"),
        ),
        (
            401,
            r#"{"error":"invalid_client"}"#,
            TokenError::Refused("invalid_client"),
        ),
        (
            200,
            r#"{"error":"invalid_scope"}"#,
            TokenError::Refused("invalid_scope"),
        ),
        (400, r#"{"error":"<script>"}"#, TokenError::Status(400)),
        (302, "", TokenError::Status(302)),
        (200, "<html>", TokenError::NoToken),
        (200, "{}", TokenError::NoToken),
        (200, r#"{"access_token":""}"#, TokenError::NoToken),
        (200, r#"{"access_token":5}"#, TokenError::NoToken),
        (
            200,
            r#"{"access_token":"a","token_type":"mac"}"#,
            TokenError::NotBearer,
        ),
    ] {
        assert_eq!(
            read_token(&answer(status, text)).unwrap_err(),
            wanted,
            "{text}"
        );
    }
    let token = read_token(&answer(
        200,
        r#"{"access_token":"a b\r\nc","expires_in":"60"}"#,
    ))
    .unwrap();
    assert_eq!(token.expires_in, Some(60));
    let data = json!({"tokenUrl": "https://a.example/t", "clientId": "c", "clientSecret": "s"});
    let refused = needs_token("CUSTOM_OAUTH2", data, get(DRAFT)).place(&token);
    assert!(matches!(refused, Err(PlacementError::Unfit { .. })));
}

#[test]
fn a_good_answer_has_the_status_and_the_member() {
    let slack = find_type("SLACK").unwrap();
    let plan = test_plan(slack, &slack.example, NOW).unwrap();
    let TestPlan::Http { expect, .. } = plan else {
        panic!()
    };
    assert!(expect.is_met_by(&answer(200, r#"{"ok":true}"#)));
    assert!(!expect.is_met_by(&answer(200, r#"{"ok":false,"error":"invalid_auth"}"#)));
    assert!(!expect.is_met_by(&answer(200, r#"{"ok":"true"}"#)));
    assert!(!expect.is_met_by(&answer(200, "not JSON")));
    assert!(!expect.is_met_by(&answer(401, r#"{"ok":true}"#)));
}
