//! Looking for known secrets in everything that a program leaves behind.

/// A text and every form in which it could have been written down.
#[derive(Debug)]
pub(crate) struct Canary {
    name: String,
    needles: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    pub(crate) fn new(name: &str, secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let mut needles = vec![
            ("raw", bytes.to_vec()),
            ("hex", hex(bytes, false)),
            ("HEX", hex(bytes, true)),
            ("url", url(bytes, false)),
            ("form", url(bytes, true)),
            ("reversed", bytes.iter().rev().copied().collect()),
        ];
        let json = serde_json::Value::from(secret).to_string();
        needles.push(("json", unquoted(&json).as_bytes().to_vec()));
        needles.push(("json ascii", json_ascii(secret)));
        needles.push(("json twice", {
            let twice = serde_json::Value::from(unquoted(&json)).to_string();
            unquoted(&twice).as_bytes().to_vec()
        }));
        needles.push(("html", html(secret)));
        needles.push(("debug", {
            let debug = format!("{secret:?}");
            unquoted(&debug).as_bytes().to_vec()
        }));
        needles.push(("bytes debug", {
            let debug = format!("{bytes:?}");
            unquoted(&debug).as_bytes().to_vec()
        }));
        // A secret inside a longer text is encoded at any of three alignments; the letters
        // at its ends mix with its neighbours and are left out.
        for shift in 0..3 {
            for (form, url_safe) in [("base64", false), ("base64url", true)] {
                needles.push((form, base64_core(bytes, shift, url_safe)));
            }
        }
        needles.retain(|(_, needle)| needle.len() >= 8);
        Self {
            name: name.to_owned(),
            needles,
        }
    }

    /// The form in which the secret stands in `hay`, if it does.
    pub(crate) fn found_in(&self, hay: &[u8]) -> Option<&'static str> {
        self.needles
            .iter()
            .find(|(_, needle)| contains(hay, needle))
            .map(|(form, _)| *form)
    }

    #[track_caller]
    pub(crate) fn assert_absent(&self, place: &str, hay: &[u8]) {
        if let Some(form) = self.found_in(hay) {
            panic!("{} stands in {place} as {form}", self.name);
        }
    }
}

pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let (Some(first), true) = (needle.first(), hay.len() >= needle.len()) else {
        return false;
    };
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// What stands between the first and the last character.
fn unquoted(text: &str) -> &str {
    &text[1..text.len() - 1]
}

fn hex(bytes: &[u8], upper: bool) -> Vec<u8> {
    bytes
        .iter()
        .map(|byte| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        })
        .collect::<String>()
        .into_bytes()
}

fn url(bytes: &[u8], form: bool) -> Vec<u8> {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            b' ' if form => text.push('+'),
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text.into_bytes()
}

fn json_ascii(secret: &str) -> Vec<u8> {
    let mut text = String::new();
    for c in secret.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_ascii() && !c.is_ascii_control() => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text += &format!("\\u{unit:04x}");
                }
            }
        }
    }
    text.into_bytes()
}

fn html(secret: &str) -> Vec<u8> {
    secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .into_bytes()
}

fn base64_core(bytes: &[u8], shift: usize, url_safe: bool) -> Vec<u8> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let alphabet = if url_safe { URL_SAFE } else { STANDARD };
    // Only whole groups of three bytes that hold nothing but the secret.
    let skip = (3 - shift) % 3;
    bytes
        .get(skip..)
        .unwrap_or_default()
        .chunks_exact(3)
        .flat_map(|group| {
            let value =
                usize::from(group[0]) << 16 | usize::from(group[1]) << 8 | usize::from(group[2]);
            [18, 12, 6, 0].map(|bits| alphabet[value >> bits & 63])
        })
        .collect()
}
