use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "Pa55/wörd+ &\"x\"=?";

#[test]
fn every_form_of_a_secret_is_covered() {
    let redactor = Redactor::of([SECRET]);
    let encoded = [
        SECRET.to_owned(),
        SECRET.to_ascii_uppercase(),
        "Pa55%2Fw%C3%B6rd%2B%20%26%22x%22%3D%3F".into(),
        "pa55%2fw%c3%b6rd%2b+%26%22x%22%3d%3f".into(),
        "Pa55/w%C3%B6rd+%20&%22x%22=?".into(),
        "Pa55/wörd+ &\\\"x\\\"=?".into(),
        "Pa55\\/wörd+ &\\\"x\\\"=?".into(),
        "Pa55/w\u{200b}ör\u{0}d+ &\"x\"=?".into(),
        "Pa55/wörd+\n\t&\"x\"=?".into(),
        STANDARD.encode(SECRET),
        URL_SAFE.encode(SECRET),
        STANDARD.encode(format!("ada:{SECRET}")),
        STANDARD.encode(format!("a:{SECRET}")),
        STANDARD.encode(format!("\0ab\0{SECRET}")),
        SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
    ];
    for text in encoded {
        let shown = redactor.foreign(&format!("<< {text} >>")).unwrap();
        assert!(shown.contains(COVER), "{text} -> {shown}");
        for part in ["55/w", "55%2", "NTUv"] {
            assert!(
                !shown.to_lowercase().contains(&part.to_lowercase()),
                "{text} -> {shown}"
            );
        }
    }
}

#[test]
fn a_text_is_shown_on_one_short_line() {
    let redactor = Redactor::of([]);
    let shown = redactor
        .foreign("  a\r\n\tb\u{1b}[31m\u{202e}c\u{0}  ")
        .unwrap();
    assert_eq!(shown, "a b[31mc");
    let long = redactor.foreign(&"ü".repeat(1000)).unwrap();
    assert_eq!(long.chars().count(), MAX_SHOWN);
    assert_eq!(redactor.foreign(" \n\u{0}"), None);
}

#[test]
fn a_text_with_a_short_secret_is_dropped() {
    let redactor = Redactor::of(["a1"]);
    assert_eq!(redactor.foreign("wrong password A1"), None);
    assert_eq!(redactor.foreign("wrong").as_deref(), Some("wrong"));
}

#[test]
fn secret_fields_are_found_also_inside_json() {
    let kind = nodeloom_domain::credential_type::find_type("CUSTOM_JSON").unwrap();
    let data = serde_json::json!({"json": {"a": ["inner-secret-1", {"b": 123_456}]}, "extra": "odd-value"});
    let redactor = Redactor::new(kind, data.as_object().unwrap());
    let shown = redactor
        .foreign("x inner-secret-1 y 123456 z odd-value")
        .unwrap();
    assert_eq!(shown, "x [secret] y [secret] z [secret]");
}

proptest! {
    #[test]
    fn no_secret_survives(secret in "[!-~]{8,40}", before in "[a-z ]{0,5}", after in ".{0,40}") {
        let redactor = Redactor::of([secret.as_str()]);
        let text = format!("{before}{secret}{after} {}", STANDARD.encode(format!("{before}{secret}")));
        let shown = redactor.foreign(&text).unwrap_or_default();
        prop_assert!(!shown.contains(&secret));
        prop_assert!(!shown.contains(STANDARD.encode(&secret).trim_end_matches('=').get(2..).unwrap_or("=")));
    }
}
