//! Where a credential's values come from. No message repeats what was read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::Path;

use nodeloom_crypto::Secret;
use nodeloom_domain::credential_type::{CredentialType, Field, FieldKind, MAX_DATA_BYTES};
use serde_json::{Map, Value};

use crate::output::{Failure, Outcome};
use crate::root_source::plain_reason;

/// JSON text may be longer than what it says, by escapes and white space.
const MAX_TEXT_BYTES: usize = 8 * MAX_DATA_BYTES;

/// What an empty answer to a prompt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// The field is not set.
    LeavesOut,
    /// The field stays as it is.
    Keeps,
}

/// A JSON object from a file, or from standard input for `-`.
pub(super) fn from_file(path: &Path) -> Outcome<Map<String, Value>> {
    if path.as_os_str() == "-" {
        return from_stdin();
    }
    let label = path.display().to_string();
    let mut file = File::open(path).map_err(|error| unreadable(&label, &error))?;
    object(&label, &read(&label, &mut file)?)
}

/// A JSON object from standard input.
pub(super) fn from_stdin() -> Outcome<Map<String, Value>> {
    object(
        "standard input",
        &read("standard input", &mut io::stdin().lock())?,
    )
}

/// One field's value from standard input, without one line end.
pub(super) fn value_from_stdin(field: &Field) -> Outcome<Map<String, Value>> {
    let bytes = read("standard input", &mut io::stdin().lock())?;
    let bytes = crate::root_source::trim_line_end(bytes);
    // EXPOSE: on its way into the sealed value.
    let text = std::str::from_utf8(bytes.expose())
        .map_err(|_| Failure::usage("standard input is not UTF-8"))?;
    Ok(Map::from_iter([(field.name.clone(), typed(field, text))]))
}

fn read(label: &str, from: &mut impl Read) -> Outcome<Secret<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| unreadable(label, &error))?;
    // EXPOSE: its length alone.
    if bytes.expose().len() > MAX_TEXT_BYTES {
        return Err(Failure::failed(format!("{label} is too large"))
            .because(format!(
                "a credential's data have at most {MAX_DATA_BYTES} bytes"
            ))
            .next_step("store less in one credential"));
    }
    Ok(bytes)
}

fn unreadable(label: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("{label} cannot be read"))
        .because(plain_reason(error))
        .next_step("name a readable file with a JSON object, or `-` for standard input")
}

fn object(label: &str, bytes: &Secret<Vec<u8>>) -> Outcome<Map<String, Value>> {
    let wrong = |why: String| {
        Failure::failed(format!("{label} holds no credential data"))
            .because(why)
            .next_step("give a JSON object with the fields, such as {\"token\": \"…\"}")
    };
    // EXPOSE: on its way into the sealed value.
    let bytes = bytes.expose();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(wrong("it is empty".into()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong("it is JSON, but no object".into())),
        // The position alone: a message could quote the text.
        Err(error) => Err(wrong(format!(
            "it is not JSON, from line {}, column {} on",
            error.line(),
            error.column()
        ))),
    }
}

/// Asks for every field of a type.
pub(super) fn ask_all(kind: &CredentialType, empty: Empty) -> Outcome<Map<String, Value>> {
    ask(&kind.fields.iter().collect::<Vec<_>>(), empty)
}

/// Asks for these fields on the terminal.
pub(super) fn ask(fields: &[&Field], empty: Empty) -> Outcome<Map<String, Value>> {
    let mut data = Map::new();
    for field in fields {
        let hint = match empty {
            Empty::Keeps => "; empty keeps it",
            Empty::LeavesOut if field.required && field.when.is_none() => "",
            Empty::LeavesOut => "; may be empty",
        };
        let choice = match field.one_of.as_slice() {
            [] => String::new(),
            choices => format!(": {}", choices.join(", ")),
        };
        let prompt = format!("{} ({}{choice}{hint}): ", field.label, field.description);
        let text = if field.secret {
            rpassword::prompt_password(&prompt).map_err(|error| no_terminal(&error))?
        } else {
            line(&prompt)?
        };
        if !text.is_empty() {
            data.insert(field.name.clone(), typed(field, &text));
        }
    }
    Ok(data)
}

/// A line that is shown while it is typed.
pub(super) fn line(prompt: &str) -> Outcome<String> {
    let mut stderr = io::stderr().lock();
    let mut text = String::new();
    let read = write!(stderr, "{prompt}")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().read_line(&mut text));
    match read {
        Err(error) => Err(no_terminal(&error)),
        Ok(0) => Err(Failure::usage(
            "the input ended before every question was answered",
        )),
        Ok(_) => {
            let end = text.trim_end_matches(['\n', '\r']).len();
            text.truncate(end);
            Ok(text)
        }
    }
}

fn no_terminal(error: &io::Error) -> Failure {
    Failure::failed("the terminal cannot be read")
        .because(error.to_string())
        .next_step("give the fields as a JSON object with --data-file")
}

/// The text as the JSON that the field wants. What does not fit stays a text, and the rules of
/// the type refuse it with the right message.
fn typed(field: &Field, text: &str) -> Value {
    let plain = || Value::from(text);
    match field.kind {
        FieldKind::Port | FieldKind::Integer => text
            .trim()
            .parse::<u64>()
            .map_or_else(|_| plain(), Value::from),
        FieldKind::Boolean => match text.trim() {
            "true" | "yes" | "y" => true.into(),
            "false" | "no" | "n" => false.into(),
            _ => plain(),
        },
        FieldKind::Json => serde_json::from_str(text).unwrap_or_else(|_| plain()),
        _ => plain(),
    }
}

/// Asks for a yes. Without a terminal there is nobody to ask.
///
/// # Errors
/// No terminal; the answer cannot be read.
pub(super) fn confirm(what: &str, question: &str) -> Outcome<bool> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{what} needs a confirmation"))
            .next_step("add --yes to confirm without a terminal"));
    }
    let answer = line(question)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeloom_domain::credential_type::find_type;

    #[test]
    fn what_is_not_an_object_is_refused_without_repeating_it() {
        for (text, why) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("[1]", "no object"),
            ("\"hunter2\"", "no object"),
            ("{\"token\": hunter2}", "line 1"),
        ] {
            let refused = object("x", &Secret::new(text.as_bytes().to_vec())).unwrap_err();
            assert!(refused.text().contains(why), "{text}");
            assert!(!refused.text().contains("hunter2"));
        }
    }

    #[test]
    fn answers_become_the_json_that_the_field_wants() {
        let postgres = find_type("POSTGRESQL").unwrap();
        let port = postgres.field("port").unwrap();
        assert_eq!(typed(port, "5432"), Value::from(5432));
        assert_eq!(typed(port, "none"), Value::from("none"));
        let password = postgres.field("password").unwrap();
        assert_eq!(typed(password, " 5 "), Value::from(" 5 "));
        let json = find_type("CUSTOM_JSON").unwrap().field("json").unwrap();
        assert_eq!(typed(json, "{\"a\":1}"), serde_json::json!({"a": 1}));
        assert_eq!(typed(json, "plain"), Value::from("plain"));
    }
}
