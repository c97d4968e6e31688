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

#[test]
fn every_file_is_a_well_formed_type() {
    let ids: Vec<&str> = list_types().iter().map(|t| t.id.as_str()).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(ids, sorted, "sorted by id, each once");
    for kind in list_types() {
        assert!(
            kind.id
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        );
        assert!(
            kind.fields.iter().any(|f| f.secret),
            "{} has no secret field",
            kind.id
        );
        for field in &kind.fields {
            assert!(
                !(field.required && field.default.is_some()),
                "{}.{}",
                kind.id,
                field.name
            );
            assert!(!field.secret || field.default.is_none());
        }
        assert_eq!(kind.json_schema()["additionalProperties"], json!(false));
    }
}

#[test]
fn the_fixed_types_have_their_fixed_fields() {
    let shape = |id: &str| -> String {
        let kind = find_type(id).unwrap();
        let fields: Vec<String> = kind
            .fields
            .iter()
            .map(|f| match &f.default {
                Some(toml::Value::String(text)) => format!("{}?={text}", f.name),
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
