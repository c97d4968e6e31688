//! Keys that documentation, tutorials and standards publish, known by their hashes alone.

use aws_lc_rs::digest::{SHA256, digest};

/// Whether `text`, or the bytes it encodes in hexadecimal or base64, is a published sample.
///
/// The text counts without surrounding space and quotes, and in lower case.
pub(super) fn is_published(text: &str, decoded: &[Vec<u8>]) -> bool {
    let trimmed = text.trim().trim_matches(['"', '\'', '`']).trim();
    let unprefixed = trimmed.strip_prefix("base64:").unwrap_or(trimmed);
    [trimmed, unprefixed]
        .iter()
        .any(|text| is_listed(text.to_lowercase().as_bytes()))
        || decoded.iter().any(|bytes| is_listed(bytes))
}

fn is_listed(text: &[u8]) -> bool {
    let hash: String = digest(&SHA256, text)
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    include_str!("data/samples.tsv")
        .lines()
        .any(|line| line.starts_with(&hash))
}
