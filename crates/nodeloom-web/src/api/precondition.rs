//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, section 13.1).

use axum::http::{HeaderMap, HeaderValue, header};

use crate::error::Problem;

/// The strong tag of a revision: its number in quotes.
pub(super) fn etag(revision: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits and quotes are ASCII")
}

/// The revisions that `If-Match` names. `None` sets no condition: there is no such
/// header, or it is `*`, which any existing resource meets. Tags that are not ours,
/// and weak ones, match nothing.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Problem> {
    let mut revisions = None;
    for line in headers.get_all(header::IF_MATCH) {
        let tags = line.to_str().ok().and_then(parse).ok_or_else(|| {
            Problem::field(
                "If-Match",
                "format",
                "must be `*` or a list of entity tags in quotes, such as \"3\"",
            )
        })?;
        match tags {
            Tags::Any => return Ok(None),
            Tags::List(tags) => {
                let revisions = revisions.get_or_insert_with(Vec::new);
                let strong = tags.into_iter().filter(|tag| !tag.weak);
                revisions.extend(strong.filter_map(|tag| revision(tag.opaque)));
            }
        }
    }
    Ok(revisions)
}

/// Whether `If-None-Match` names the revision, so that the client has it already. A
/// malformed header only costs a full answer.
pub(super) fn is_known(headers: &HeaderMap, current: u64) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|line| line.to_str().ok().and_then(parse))
        .any(|tags| match tags {
            Tags::Any => true,
            Tags::List(tags) => tags.iter().any(|tag| revision(tag.opaque) == Some(current)),
        })
}

/// Only the text that `etag` writes: no sign, no leading zero.
fn revision(opaque: &str) -> Option<u64> {
    let number: u64 = opaque.parse().ok()?;
    (number.to_string() == opaque).then_some(number)
}

enum Tags<'a> {
    Any,
    List(Vec<Tag<'a>>),
}

struct Tag<'a> {
    weak: bool,
    opaque: &'a str,
}

fn parse(line: &str) -> Option<Tags<'_>> {
    let mut rest = line.trim();
    if rest == "*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    loop {
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque
            .bytes()
            .all(|b| b == 0x21 || (0x23..=0x7e).contains(&b))
        {
            return None;
        }
        tags.push(Tag { weak, opaque });
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(Tags::List(tags));
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(lines: &[&str]) -> Result<Option<Vec<u64>>, ()> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, line.parse().unwrap());
        }
        if_match(&headers).map_err(|_| ())
    }

    #[test]
    fn if_match_names_revisions() {
        assert_eq!(condition(&[]), Ok(None));
        assert_eq!(condition(&["*"]), Ok(None));
        assert_eq!(condition(&["\"3\""]), Ok(Some(vec![3])));
        assert_eq!(condition(&["\"3\", \"4\""]), Ok(Some(vec![3, 4])));
        assert_eq!(condition(&["\"3\"", "\"4\""]), Ok(Some(vec![3, 4])));
        assert_eq!(condition(&["W/\"3\""]), Ok(Some(vec![])));
        assert_eq!(condition(&["\"abc\", \"03\", \"+3\""]), Ok(Some(vec![])));
        for bad in [
            "3",
            "\"3",
            "\"3\" \"4\"",
            "\"3\",",
            "",
            "*, \"3\"",
            "w/\"3\"",
            "\"a b\"",
        ] {
            assert_eq!(condition(&[bad]), Err(()), "{bad}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let known = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, line.parse().unwrap());
            is_known(&headers, 3)
        };
        assert!(known("\"3\"") && known("W/\"3\"") && known("*") && known("\"2\", \"3\""));
        assert!(!known("\"2\"") && !known("3") && !known(""));
        assert_eq!(etag(3), "\"3\"");
    }
}
