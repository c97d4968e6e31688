//! An event as the API shows it and as a copy keeps it: everything that its link covers.

use std::fmt::Write as _;

use nodeloom_crypto::KeyId;
use nodeloom_domain::{AuditEventId, TeamId};
use nodeloom_store::AuditRow;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{hex, unhex};

/// One event of the trail. Written as JSON it holds every column, so that the chain can be
/// checked from the text alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRecord {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// Its id.
    pub id: AuditEventId,
    /// When it happened: RFC 3339 in UTC, with microseconds.
    pub at: String,
    /// Who did it.
    pub actor: RecordActor,
    /// In which team; nothing for the instance.
    pub team_id: Option<TeamId>,
    /// What, as `noun.verb`.
    pub action: String,
    /// On what.
    pub target: Option<RecordTarget>,
    /// `success`, `refused` or `failed`.
    pub outcome: String,
    /// The request id that answer and log also carry.
    pub request_id: String,
    /// The client's address; nothing for a command.
    pub address: Option<String>,
    /// Names of fields, counts, reasons: a JSON object, digit by digit as it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<RawValue>>,
    /// The detail as a text, where what is stored cannot stand in a line of JSON as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail_text: Option<String>,
    /// Which segment of the chain it is in, from 1.
    pub segment: u64,
    /// The audit key of the segment, 16 hex digits.
    pub key_id: String,
    /// The link: 64 hex digits.
    pub mac: String,
}

/// Who did it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordActor {
    /// `user`, `token`, `operator`, `system` or `anonymous`.
    pub kind: String,
    /// The person's or token's id, if it was one.
    pub id: Option<String>,
    /// An e-mail address, or `user@host` of an operator.
    pub name: String,
}

/// The record that an event is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordTarget {
    /// `credential`, `user`, `key` …
    pub kind: Option<String>,
    /// Its id: a UUID, or 16 hex digits for a key.
    pub id: Option<String>,
    /// Its name at that time.
    pub name: Option<String>,
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        let target = match (row.target_kind, row.target_id, row.target_name) {
            (None, None, None) => None,
            (kind, id, name) => Some(RecordTarget {
                kind,
                id: id.map(|id| id_text(&id)),
                name,
            }),
        };
        let (detail, detail_text) = match raw(&row.detail) {
            Some(detail) => (Some(detail), None),
            None => (None, Some(row.detail)),
        };
        Self {
            sequence: row.sequence,
            id: row.id,
            at: row.at.to_string(),
            actor: RecordActor {
                kind: row.actor_kind,
                id: row.actor_id.map(|id| id_text(&id)),
                name: row.actor_name,
            },
            team_id: row.team_id,
            action: row.action,
            target,
            outcome: row.outcome,
            request_id: row.request_id,
            address: row.address,
            detail,
            detail_text,
            segment: row.segment,
            key_id: row.key_id.to_string(),
            mac: hex(&row.mac),
        }
    }
}

impl AuditRecord {
    /// The event as the chain knows it; nothing when a text has a form that no export writes.
    pub(crate) fn into_row(self) -> Option<AuditRow> {
        let (target_kind, target_id, target_name) = match self.target {
            None => (None, None, None),
            Some(target) => {
                let id = match target.id {
                    None => None,
                    Some(text) => Some(id_bytes(&text)?),
                };
                (target.kind, id, target.name)
            }
        };
        let actor_id = match self.actor.id {
            None => None,
            Some(text) => Some(id_bytes(&text)?),
        };
        let detail = match (self.detail, self.detail_text) {
            (Some(detail), None) => detail.get().to_owned(),
            (None, Some(text)) => text,
            _ => return None,
        };
        Some(AuditRow {
            sequence: self.sequence,
            id: self.id,
            at: self.at.parse().ok()?,
            segment: self.segment,
            key_id: self.key_id.parse::<KeyId>().ok()?,
            actor_kind: self.actor.kind,
            actor_id,
            actor_name: self.actor.name,
            team_id: self.team_id,
            action: self.action,
            target_kind,
            target_id,
            target_name,
            outcome: self.outcome,
            request_id: self.request_id,
            address: self.address,
            detail,
            mac: unhex(&self.mac)?,
        })
    }

    /// The detail as a text.
    pub(crate) fn detail(&self) -> &str {
        match (&self.detail, &self.detail_text) {
            (Some(detail), _) => detail.get(),
            (None, Some(text)) => text,
            (None, None) => "",
        }
    }

    /// One line of JSON without its line end. No character in it moves a cursor, ends a line or
    /// turns the direction of reading, whatever stands in a name.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        json_line(self)
    }
}

/// A value as one line of JSON, with every unprintable character as `\u` and four digits.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("texts and numbers are always JSON");
    if !text.chars().any(is_unprintable) {
        return text;
    }
    // Such a character can only stand inside a string, where its escape means the same.
    escape(&text)
}

/// `text` with every unprintable character as `\u` and four digits.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) {
            // All of them are below U+10000.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Controls, line separators, and marks that turn the direction of what follows.
pub(crate) const fn is_unprintable(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The stored detail as it is, if it can stand in a line of JSON without any change.
fn raw(detail: &str) -> Option<Box<RawValue>> {
    if !detail.starts_with('{') || detail.chars().any(is_unprintable) {
        return None;
    }
    let raw = RawValue::from_string(detail.to_owned()).ok()?;
    (raw.get() == detail).then_some(raw)
}

/// 16 bytes as a UUID, any others as hex digits: two different ids never have the same text.
fn id_text(id: &[u8]) -> String {
    match AuditEventId::try_from(id) {
        Ok(id) => id.to_string(),
        Err(_) => hex(id),
    }
}

/// The bytes that [`id_text`] wrote.
pub(crate) fn id_bytes(text: &str) -> Option<Vec<u8>> {
    if let Ok(id) = text.parse::<AuditEventId>() {
        return (id.to_string() == text).then(|| id.as_bytes().to_vec());
    }
    if !text.len().is_multiple_of(2) || text.len() == 32 || !text.is_ascii() {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| unhex::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeloom_domain::Timestamp;

    fn row() -> AuditRow {
        AuditRow {
            sequence: 7,
            id: AuditEventId::from_bytes([1; 16]),
            at: Timestamp::from_micros(1_700_000_000_123_456),
            segment: 2,
            key_id: KeyId::from_bytes([3; 8]),
            actor_kind: "user".into(),
            actor_id: Some(vec![4; 16]),
            actor_name: "=cmd|' /C calc'!A0".into(),
            team_id: Some(TeamId::from_bytes([5; 16])),
            action: "credential.reveal".into(),
            target_kind: Some("credential".into()),
            target_id: Some(vec![6; 16]),
            target_name: Some("a\r\n\u{1b}[2J\u{9b}\u{202e}\u{2028}, \"b\" ü".into()),
            outcome: "success".into(),
            request_id: "r-1".into(),
            address: None,
            detail: r#"{"fields":["a"],"n":1}"#.into(),
            mac: [8; 32],
        }
    }

    #[test]
    fn a_line_reads_back_to_the_same_row() {
        let mut rows = vec![row()];
        for detail in [
            "{}",
            "",
            "null",
            "[1]",
            "{ \"a\" : 1.50 }",
            "{\"a\":\n1}",
            "{\"a\":1} ",
            "not json",
            "{\"a\":\"\u{202e}\"}",
            "{\"a\":\"\\u202e\"}",
            "{\"a\":\"\u{7f}\"}",
        ] {
            rows.push(AuditRow {
                detail: detail.into(),
                ..row()
            });
        }
        for target in [
            None,
            Some(vec![9; 8]),
            Some(vec![]),
            Some(vec![1; 18]),
            Some(vec![2; 15]),
        ] {
            rows.push(AuditRow {
                target_id: target,
                ..row()
            });
        }
        let none = AuditRow {
            actor_id: None,
            team_id: None,
            target_kind: None,
            target_id: None,
            target_name: None,
            address: Some("::1".into()),
            ..row()
        };
        rows.push(none);
        for row in rows {
            let line = AuditRecord::from(row.clone()).to_json_line();
            assert!(!line.chars().any(is_unprintable), "{line:?}");
            let read: AuditRecord = serde_json::from_str(&line).unwrap();
            assert_eq!(read.into_row(), Some(row), "{line}");
        }
    }

    #[test]
    fn ids_have_one_text() {
        for no in [
            "0",
            "zz",
            "00112233445566778899aabbccddeeff",
            "+1",
            "éé",
            "018F4C6E-7D3A-7C2B-9A51-0123456789AB",
        ] {
            assert_eq!(id_bytes(no), None, "{no}");
        }
        assert_eq!(id_bytes("0a0b"), Some(vec![10, 11]));
    }
}
