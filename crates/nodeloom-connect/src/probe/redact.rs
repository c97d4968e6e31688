//! Keeping a credential's secrets out of texts that a server had a hand in.
//!
//! A server may repeat what it was sent: as it is, percent-encoded, in JSON, in hex, or in Base64,
//! alone or in the middle of something longer, such as the `user:password` of HTTP Basic.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use nodeloom_domain::credential_type::CredentialType;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Most characters of a message.
pub const MAX_SHOWN: usize = 300;

/// Secrets shorter than this are found in any text; a text in which one is found is dropped whole.
const SHORT: usize = 4;

const COVER: &str = "[secret]";

/// Finds the secrets of one credential in texts, in every form that is likely to be repeated.
pub struct Redactor {
    /// Lower-case in ASCII, longest first.
    forms: Vec<Zeroizing<String>>,
    short: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(..)")
    }
}

impl Redactor {
    /// For the secret fields of `kind` in `data`; of a JSON field, every text and number in it.
    #[must_use]
    pub fn new(kind: &CredentialType, data: &Map<String, Value>) -> Self {
        let mut found = Vec::new();
        for (name, value) in data {
            // A field that the type does not know may be anything.
            if kind.field(name).is_none_or(|field| field.secret) {
                leaves(value, &mut found);
            }
        }
        Self::of(found.iter().map(|secret| secret.as_str()))
    }

    /// For these secrets.
    #[must_use]
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let (mut forms, mut short) = (Vec::new(), Vec::new());
        for secret in secrets {
            let line = Zeroizing::new(one_line(secret));
            if line.is_empty() {
                continue;
            }
            if line.len() < SHORT {
                short.push(Zeroizing::new(line.to_ascii_lowercase()));
            } else {
                // Lines of a key are also repeated one by one.
                for line in secret.lines().filter(|line| line.len() >= 2 * SHORT) {
                    add_forms(line, &mut forms);
                }
                add_forms(secret, &mut forms);
            }
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms, short }
    }

    /// A text in a server's words: without secrets, on one line, short. `None` if nothing that
    /// could be shown is left of it.
    #[must_use]
    pub fn foreign(&self, text: &str) -> Option<String> {
        // First: what is invisible could stand in the middle of a secret.
        let plain = one_line(text);
        let lower = plain.to_ascii_lowercase();
        if self
            .short
            .iter()
            .any(|secret| lower.contains(secret.as_str()))
        {
            return None;
        }
        let shown = cut(&self.cover(&plain));
        (!shown.is_empty()).then_some(shown)
    }

    /// A text in nodeloom's own words, with parts that passed [`Redactor::foreign`].
    #[must_use]
    pub fn own(&self, text: &str) -> String {
        cut(&self.cover(&one_line(text)))
    }

    fn cover(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            // Changing the case in ASCII moves no byte, so places in one are places in the other.
            let lower = text.to_ascii_lowercase();
            if !lower.contains(form.as_str()) {
                continue;
            }
            let mut covered = String::with_capacity(text.len());
            let mut from = 0;
            for (at, _) in lower.match_indices(form.as_str()) {
                covered.push_str(&text[from..at]);
                covered.push_str(COVER);
                from = at + form.len();
            }
            covered.push_str(&text[from..]);
            text = covered;
        }
        text
    }
}

fn leaves(value: &Value, into: &mut Vec<Zeroizing<String>>) {
    match value {
        Value::String(text) => into.push(Zeroizing::new(text.clone())),
        // Small numbers are no secrets, and are in every text.
        Value::Number(number) => {
            let text = number.to_string();
            if text.len() >= SHORT {
                into.push(Zeroizing::new(text));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, into)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn add_forms(secret: &str, into: &mut Vec<Zeroizing<String>>) {
    let mut add = |form: String| {
        let form = Zeroizing::new(form);
        let line = Zeroizing::new(one_line(&form));
        if line.len() >= SHORT {
            into.push(Zeroizing::new(line.to_ascii_lowercase()));
        }
    };
    add(secret.to_owned());
    for keep in [
        // What encoders of addresses leave as it is differs.
        "-._~",
        "-._*",
        "-._~!*'()",
        "-._~!$&'()*+,;=:@/?",
    ] {
        let encoded = percent_encoded(secret, keep);
        add(encoded.replace("%20", "+"));
        add(encoded);
    }
    if let Ok(json) = serde_json::to_string(secret) {
        let inner = json.trim_start_matches('"');
        add(inner.strip_suffix('"').unwrap_or(inner).to_owned());
        add(inner.strip_suffix('"').unwrap_or(inner).replace('/', "\\/"));
    }
    add(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
    for offset in 0..3 {
        add(base64_core(secret, offset, &STANDARD_NO_PAD));
        add(base64_core(secret, offset, &URL_SAFE_NO_PAD));
    }
}

fn percent_encoded(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The digits that Base64 has for `text` wherever it stands at `offset` (modulo 3) in something
/// longer: those that its neighbours have no part in.
fn base64_core(text: &str, offset: usize, engine: &impl Engine) -> String {
    let mut bytes = Zeroizing::new(vec![0; offset]);
    bytes.extend_from_slice(text.as_bytes());
    let encoded = engine.encode(&bytes);
    let first = (offset * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    encoded.get(first..end).unwrap_or_default().to_owned()
}

/// The text on one line: runs of white space and control characters become one space, and what is
/// invisible or turns the direction of writing goes.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !invisible && !c.is_control() {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MAX_SHOWN - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests;
