use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn rules(id: &str, data: Value) -> Vec<(String, String)> {
    match find_type(id).unwrap().validate(&object(data)) {
        Ok(()) => vec![],
        Err(errors) => errors.0.into_iter().map(|e| (e.field, e.rule)).collect(),
    }
}

/// The 42 types of the original system, by name.
const NAMES: &str = "OpenAI, Anthropic, Google AI, Azure OpenAI, Cohere, Ollama, Hugging Face, AWS, \
    Google Cloud service account, Azure, DigitalOcean, PostgreSQL, MySQL, MongoDB, Redis, \
    Elasticsearch, Supabase, Slack, Discord, Microsoft Teams, Telegram, Twilio, SendGrid, SMTP, \
    GitHub, GitLab, Jira, Notion, Airtable, Google Sheets, Trello, Salesforce, HubSpot, Mailchimp, \
    Brevo, ActiveCampaign, HTTP Header Auth, HTTP Basic Auth, API Key, Bearer Token, Custom OAuth2, \
    Custom JSON";

#[test]
fn every_type_is_there_with_the_id_that_its_name_gives() {
    let names: Vec<&str> = NAMES.split(", ").collect();
    assert_eq!(names.len(), 42);
    for name in names {
        let id = match name {
            "HTTP Header Auth" => "HTTP_HEADER".to_owned(),
            "HTTP Basic Auth" => "HTTP_BASIC".to_owned(),
            other => other.to_ascii_uppercase().replace(' ', "_"),
        };
        assert_eq!(find_type(&id).unwrap_or_else(|| panic!("{id}")).name, name);
    }
    let ids: Vec<&str> = list_types().iter().map(|t| t.id.as_str()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "sorted by id, each once");
}

#[test]
fn a_reviewer_sees_every_secret_its_place_and_its_hosts() {
    use std::fmt::Write;

    let mut table = String::new();
    for kind in list_types() {
        let secrets: Vec<&str> = kind
            .fields
            .iter()
            .filter(|field| field.secret)
            .map(|field| field.name.as_str())
            .collect();
        let hosts: Vec<String> = kind.allowed_hosts.iter().map(ToString::to_string).collect();
        writeln!(table, "{} [{}]", kind.id, secrets.join(", ")).unwrap();
        let base = kind.base_url.as_ref().map(ToString::to_string);
        if let Some(base) = base {
            writeln!(table, "    base   {base}").unwrap();
        }
        writeln!(
            table,
            "    hosts  {}",
            if hosts.is_empty() {
                "any".into()
            } else {
                hosts.join(" ")
            }
        )
        .unwrap();
        for field in kind.fields.iter().filter(|field| !field.hosts.is_empty()) {
            let hosts: Vec<String> = field.hosts.iter().map(ToString::to_string).collect();
            writeln!(table, "    {} only at {}", field.name, hosts.join(" ")).unwrap();
        }
        for auth in &kind.auth {
            writeln!(
                table,
                "    place  {}{}",
                auth.place,
                condition(auth.when.as_ref())
            )
            .unwrap();
        }
        for header in &kind.headers {
            writeln!(
                table,
                "    header {}: {}{}",
                header.name,
                header.value,
                condition(header.when.as_ref())
            )
            .unwrap();
        }
        for test in &kind.tests {
            let how = match &test.by {
                By::Http(http) => format!(
                    "{} {} -> {:?}{}",
                    http.method,
                    http.url,
                    http.expect,
                    http.json_true
                        .as_ref()
                        .map(|p| format!(" {p} is true"))
                        .unwrap_or_default(),
                ),
                By::None { reason } => format!("none: {reason}"),
                other => other.word().to_owned(),
            };
            writeln!(table, "    test   {how}{}", condition(test.when.as_ref())).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

fn condition(when: Option<&When>) -> String {
    when.map(|when| match (&when.is, when.set) {
        (Some(value), _) => format!(", when {} is {value}", when.field),
        (None, set) => format!(", when {} is set: {}", when.field, set.unwrap_or_default()),
    })
    .unwrap_or_default()
}

#[test]
fn the_fixed_types_have_their_fixed_fields() {
    let shape = |id: &str| -> String {
        let kind = find_type(id).unwrap();
        let fields: Vec<String> = kind
            .fields
            .iter()
            .map(|f| match &f.default {
                Some(Value::String(text)) => format!("{}?={text}", f.name),
                Some(other) => format!("{}?={other}", f.name),
                None if f.required => f.name.clone(),
                None => format!("{}?", f.name),
            })
            .collect();
        fields.join(",")
    };
    assert_eq!(shape("HTTP_HEADER"), "name,value");
    assert_eq!(shape("HTTP_BASIC"), "username,password");
    assert_eq!(shape("API_KEY"), "apiKey,in?=header,name?=X-API-Key");
    assert_eq!(shape("BEARER_TOKEN"), "token");
    assert_eq!(shape("CUSTOM_JSON"), "json");
    assert_eq!(
        shape("POSTGRESQL"),
        "host,port?=5432,database,username,password,sslMode?=prefer"
    );
    assert_eq!(
        shape("OPENAI"),
        "apiKey,organization?,baseUrl?=https://api.openai.com/v1"
    );
}

#[test]
fn good_data_passes() {
    assert_eq!(
        rules("HTTP_HEADER", json!({"name": "X-Key", "value": "v"})),
        []
    );
    assert_eq!(rules("API_KEY", json!({"apiKey": "k"})), []);
    assert_eq!(
        rules(
            "API_KEY",
            json!({"apiKey": "k", "in": "query", "name": "key"})
        ),
        []
    );
    assert_eq!(rules("CUSTOM_JSON", json!({"json": {"a": [1, 2]}})), []);
    let database =
        json!({"host": "db", "port": 5433, "database": "d", "username": "u", "password": "p"});
    assert_eq!(rules("POSTGRESQL", database), []);
}

#[test]
fn each_refusal_names_field_and_rule_and_never_the_value() {
    let pair = |f: &str, r: &str| (f.to_owned(), r.to_owned());
    assert_eq!(
        rules("BEARER_TOKEN", json!({})),
        [pair("data.token", "required")]
    );
    assert_eq!(
        rules("BEARER_TOKEN", json!({"token": 1})),
        [pair("data.token", "type")]
    );
    assert_eq!(
        rules("BEARER_TOKEN", json!({"token": ""})),
        [pair("data.token", "empty")]
    );
    assert_eq!(
        rules("BEARER_TOKEN", json!({"token": "a\r\nb"})),
        [pair("data.token", "header")]
    );
    assert_eq!(
        rules("BEARER_TOKEN", json!({"token": "t", "toke": "x"})),
        [pair("data.toke", "unknown")]
    );
    assert_eq!(
        rules("API_KEY", json!({"apiKey": "k", "in": "body"})),
        [pair("data.in", "one-of")]
    );
    assert_eq!(
        rules("HTTP_HEADER", json!({"name": "a b", "value": "v"})),
        [pair("data.name", "header-name")]
    );
    let database =
        json!({"host": "a/b", "port": 70000, "database": "d", "username": "u", "password": "p"});
    assert_eq!(
        rules("POSTGRESQL", database),
        [pair("data.host", "host"), pair("data.port", "range")]
    );
    assert_eq!(
        rules(
            "OPENAI",
            json!({"apiKey": "k", "baseUrl": "https://u:p@h/"})
        ),
        [pair("data.baseUrl", "url")]
    );
    let planted = find_type("BEARER_TOKEN")
        .unwrap()
        .validate(&object(json!({"sk-live very secret": "x", "token": 5})))
        .unwrap_err();
    assert!(!planted.to_string().contains("sk-live"), "{planted}");
}

#[test]
fn a_merge_replaces_removes_and_keeps() {
    let mut data = object(json!({"a": 1, "b": 2, "c": 3}));
    merge(&mut data, &object(json!({"a": 9, "b": null})));
    assert_eq!(Value::Object(data), json!({"a": 9, "c": 3}));
}

#[test]
fn conditional_fields_are_required_where_their_condition_holds() {
    let pair = |f: &str, r: &str| (f.to_owned(), r.to_owned());
    let url = "https://search.example.com";
    assert_eq!(
        rules("ELASTICSEARCH", json!({"url": url})),
        [
            pair("data.username", "required"),
            pair("data.password", "required")
        ]
    );
    let by_key = json!({"url": url, "authentication": "api-key"});
    assert_eq!(
        rules("ELASTICSEARCH", by_key),
        [pair("data.apiKey", "required")]
    );
    assert_eq!(rules("SMTP", json!({"host": "mail"})), []);
    assert_eq!(
        rules("SMTP", json!({"host": "mail", "username": "ada"})),
        [pair("data.password", "required")]
    );
    let schema = find_type("SMTP").unwrap().json_schema();
    assert_eq!(
        schema["allOf"],
        json!([{"if": {"required": ["username"]}, "then": {"required": ["password"]}}])
    );
    let schema = find_type("ELASTICSEARCH").unwrap().json_schema();
    assert_eq!(
        schema["allOf"][0]["if"],
        json!({"properties": {"authentication": {"const": "basic"}}})
    );
}

#[test]
fn a_field_cannot_redirect_a_secret() {
    let endpoint =
        |address: &str| rules("AZURE_OPENAI", json!({"endpoint": address, "apiKey": "k"}));
    assert_eq!(endpoint("https://acme.openai.azure.com"), []);
    assert_eq!(endpoint("https://ACME.openai.azure.com/"), []);
    for address in [
        "http://acme.openai.azure.com",
        "https://openai.azure.com",
        "https://openai.azure.com.evil.example",
        "https://evilopenai.azure.com",
        "https://evil.example/.openai.azure.com",
        "https://evil.example\\.openai.azure.com",
        "https://evil.example?.openai.azure.com",
        "https://evil.example#.openai.azure.com",
        "https://acme.openai.azure.com@evil.example",
        "https://acme.openai.azure.com:8443",
        "https://[::1]",
        "https://127.0.0.1",
        "https://acme.openai.azure.com/?x=1",
        "https://acme.openai.azure.com/#x",
    ] {
        assert!(!endpoint(address).is_empty(), "{address}");
    }
    let server = |name: &str| rules("MAILCHIMP", json!({"apiKey": "k", "server": name}));
    assert_eq!(server("us21"), []);
    for name in [
        "evil.example/",
        "a.b",
        "a@b",
        "a:1",
        "a#",
        "-a",
        "a/",
        "é",
        "a%2f",
        "a b",
    ] {
        assert_eq!(
            server(name),
            [("data.server".to_owned(), "host-label".to_owned())],
            "{name}"
        );
    }
}

#[test]
fn a_secret_goes_to_the_hosts_that_its_type_names() {
    let may = |id: &str, data: Value, address: &str| {
        let url = url::Url::parse(address).unwrap();
        find_type(id).unwrap().may_send_to(&object(data), &url)
    };
    let openai = || json!({"apiKey": "k"});
    assert!(may("OPENAI", openai(), "https://api.openai.com/v1/chat"));
    assert!(may(
        "OPENAI",
        openai(),
        "https://API.OPENAI.COM:443/v1/chat"
    ));
    assert!(!may("OPENAI", openai(), "http://api.openai.com/v1"));
    assert!(!may("OPENAI", openai(), "https://api.openai.com:8443/v1"));
    assert!(!may(
        "OPENAI",
        openai(),
        "https://api.openai.com.evil.example/"
    ));
    assert!(!may("OPENAI", openai(), "https://u@api.openai.com/"));
    let own = || json!({"apiKey": "k", "baseUrl": "http://10.0.0.1:8080/v1/"});
    assert!(may("OPENAI", own(), "http://10.0.0.1:8080/v1/models"));
    assert!(!may("OPENAI", own(), "https://api.openai.com/v1/models"));
    assert!(!may("OPENAI", own(), "http://10.0.0.1/v1/models"));
    let aws = || json!({"accessKeyId": "a", "secretAccessKey": "s"});
    assert!(may(
        "AWS",
        aws(),
        "https://bucket.s3.eu-west-1.amazonaws.com/key"
    ));
    assert!(!may("AWS", aws(), "https://amazonaws.com/"));
    assert!(!may("AWS", aws(), "https://evil-amazonaws.com/"));
    assert!(may(
        "BEARER_TOKEN",
        json!({"token": "t"}),
        "http://anywhere.example/"
    ));
}

#[test]
fn the_fields_that_name_a_destination_are_known() {
    let names = |id: &str| -> Vec<&str> {
        let kind = find_type(id).unwrap();
        kind.destination_fields().map(|f| f.name.as_str()).collect()
    };
    assert_eq!(names("OPENAI"), ["baseUrl"]);
    assert_eq!(names("MAILCHIMP"), ["server"]);
    assert_eq!(names("POSTGRESQL"), ["host", "port"]);
    assert_eq!(names("CUSTOM_OAUTH2"), ["tokenUrl"]);
    assert_eq!(names("SLACK"), [""; 0]);
}

/// A good type; each case below breaks one thing.
const GOOD: &str = r#"
id = "ACME"
name = "Acme"
description = "Calls Acme."
category = "crm"
documentation = "https://acme.example/keys"
base-url = "https://{site}.api.acme.example"
allowed-hosts = ["{base}"]
[[field]]
name = "site"
label = "Site"
description = "the account"
kind = "host-label"
required = true
[[field]]
name = "apiKey"
label = "Key"
description = "the key"
kind = "key-text"
secret = true
required = true
[[field]]
name = "note"
label = "Note"
description = "a note"
kind = "text"
[[auth]]
place.header = { name = "X-Key", value = "{apiKey}" }
[[header]]
name = "X-Version"
value = "1"
[[test]]
by.http = { method = "GET", url = "{base}/me" }
[example]
site = "one"
apiKey = "EXAMPLE"
"#;

#[test]
fn a_type_that_contradicts_itself_is_refused() {
    assert_eq!(parse_type(GOOD).map(|kind| kind.id), Ok("ACME".to_owned()));
    for (from, to, why) in [
        ("id = \"ACME\"", "id = \"Acme\"", "UPPER_SNAKE"),
        (
            "name = \"Acme\"",
            "name = \"Acme\"\ncolour = 1",
            "unknown field `colour`",
        ),
        ("category = \"crm\"", "category = \"x\"", "unknown variant"),
        (
            "https://acme.example/keys",
            "acme.example/keys",
            "documentation",
        ),
        ("secret = true", "", "no field is secret"),
        ("name = \"note\"", "name = \"site\"", "two fields"),
        ("name = \"note\"", "name = \"base\"", "not base"),
        (
            "kind = \"text\"",
            "kind = \"port\"\ndefault = \"x\"",
            "default breaks",
        ),
        (
            "kind = \"text\"",
            "kind = \"text\"\none-of = [\"a\"]\ndefault = \"b\"",
            "default breaks",
        ),
        (
            "kind = \"text\"",
            "kind = \"text\"\nwhen = { field = \"none\", set = true }",
            "earlier field",
        ),
        (
            "kind = \"text\"",
            "kind = \"text\"\nwhen = { field = \"site\" }",
            "either is or set",
        ),
        (
            "secret = true\nrequired = true",
            "secret = true\nrequired = true\ndefault = \"x\"",
            "required and a default",
        ),
        (
            "\"{apiKey}\"",
            "\"{apiKye}\"",
            "unknown placeholder {apiKye}",
        ),
        ("\"{apiKey}\"", "\"{apiKey\"", "braces"),
        ("\"{apiKey}\"", "\"{note} {apiKey}\"", "note may be absent"),
        ("\"{apiKey}\"", "\"fixed\"", "apiKey is placed nowhere"),
        (
            "kind = \"key-text\"",
            "kind = \"text\"",
            "header-text or key-text",
        ),
        ("\"X-Key\"", "\"X Key\"", "no header name"),
        (
            "value = \"1\"",
            "value = \"{apiKey}\"",
            "a place that people see",
        ),
        ("{base}/me", "{base}/me/{apiKey}", "a place that people see"),
        (
            "{base}/me",
            "{base}.evil.example/me",
            "url field and a slash",
        ),
        (
            "{base}/me",
            "https://evil.example/me",
            "not within allowed-hosts",
        ),
        (
            "{base}/me",
            "http://one.api.acme.example/me",
            "begins with https",
        ),
        ("{site}.api.acme.example", "api.acme.{site}", "fixed"),
        ("{site}.api.acme.example", "{site}.example", "fixed"),
        ("{site}.api.acme.example", "{site}api.acme.example", "fixed"),
        (
            "{site}.api.acme.example",
            "{note}.api.acme.example",
            "host-label",
        ),
        ("[\"{base}\"]", "[\"*.com\"]", "two labels"),
        ("[\"{base}\"]", "[]", "sent anywhere"),
        (
            "[\"{base}\"]",
            "[\"api.acme.example\"]",
            "not within allowed-hosts",
        ),
        (
            "method = \"GET\"",
            "method = \"DELETE\"",
            "GET, HEAD or POST",
        ),
        (
            "method = \"GET\"",
            "method = \"GET\", expect = [401]",
            "not 401",
        ),
        (
            "by.http",
            "when = { field = \"note\", set = true }\nby.http",
            "last test has no condition",
        ),
        (
            "apiKey = \"EXAMPLE\"",
            "apiKey = \"sk-live\"",
            "does not contain EXAMPLE",
        ),
        ("apiKey = \"EXAMPLE\"", "", "example is not valid"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let refused = parse_type(&GOOD.replacen(from, to, 1))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{from} -> {to}: {refused}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_good_type() {
    let page = include_str!("../../../../docs/adding-a-credential-type.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let kind = parse_type(text).unwrap();
    assert_eq!(kind.id, "ACME");
    let base = kind.base_url(&kind.example).unwrap();
    assert_eq!(base.as_deref(), Some("https://north.api.acme.example/v2"));
}

#[test]
fn the_documentation_names_every_category_kind_and_place() {
    let page = include_str!("../../../../docs/adding-a-credential-type.md");
    for kind in list_types() {
        let category = serde_json::to_value(kind.category).unwrap();
        assert!(page.contains(&format!("`{}`", category.as_str().unwrap())));
        for test in &kind.tests {
            let word = test.by.word();
            assert!(page.contains(&format!("`by.{word}")) || page.contains(&format!("`{word}`")));
        }
    }
    for place in [
        "header",
        "bearer",
        "basic",
        "query",
        "path",
        "body",
        "url",
        "aws-sigv4",
        "google-service-account",
        "client-credentials",
        "none",
    ] {
        assert!(page.contains(&format!("| `place.{place}` |")), "{place}");
    }
}
