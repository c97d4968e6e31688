//! Events as CSV (RFC 4180), for people and their spreadsheets.

use super::{AuditRecord, record::escape};

/// The first line.
pub(super) const HEADING: &str = "sequence,at,actorKind,actorId,actorName,teamId,action,\
     targetKind,targetId,targetName,outcome,requestId,address,detail,segment,keyId,mac\r\n";

/// One event as one line with its line end.
pub(super) fn line(record: &AuditRecord) -> String {
    let target = record.target.as_ref();
    let of_target = |pick: fn(&super::RecordTarget) -> &Option<String>| {
        target.and_then(|target| pick(target).clone())
    };
    let cells = [
        Some(record.sequence.to_string()),
        Some(record.at.clone()),
        Some(record.actor.kind.clone()),
        record.actor.id.clone(),
        Some(record.actor.name.clone()),
        record.team_id.map(|team| team.to_string()),
        Some(record.action.clone()),
        of_target(|target| &target.kind),
        of_target(|target| &target.id),
        of_target(|target| &target.name),
        Some(record.outcome.clone()),
        Some(record.request_id.clone()),
        record.address.clone(),
        Some(record.detail().to_owned()),
        Some(record.segment.to_string()),
        Some(record.key_id.clone()),
        Some(record.mac.clone()),
    ];
    let mut line = String::with_capacity(512);
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        if let Some(cell) = cell {
            put(&mut line, cell);
        }
    }
    line.push_str("\r\n");
    line
}

/// A cell. A spreadsheet would calculate what begins like a formula, so that gets an apostrophe,
/// which spreadsheets take for "this is a text". Line ends and other controls are written as in
/// JSON: a line of the file is an event, and no name moves a terminal's cursor.
fn put(line: &mut String, cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = escape(cell);
    let quoted =
        formula || text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ');
    if quoted {
        line.push('"');
    }
    if formula {
        line.push('\'');
    }
    line.push_str(&text.replace('"', "\"\""));
    if quoted {
        line.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (cell, written) in [
            ("", ""),
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            (" a", "\" a\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\\u0009=1\""),
            ("\r=1", "\"'\\u000d=1\""),
            ("a\r\nb", "a\\u000d\\u000ab"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("a=1", "a=1"),
        ] {
            let mut line = String::new();
            put(&mut line, cell);
            assert_eq!(line, written, "{cell:?}");
        }
    }
}
