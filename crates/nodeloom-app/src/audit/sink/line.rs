//! What a sink is given.

use serde::Serialize;

use super::super::{AuditRecord, hex, record::json_line};

/// One line of a sink.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// An event.
    Event(Box<AuditRecord>),
    /// The event of this place and link did not happen: its transaction was undone.
    Aborted {
        /// The event's sequence; another event may have it later.
        sequence: u64,
        /// The link in the line that does not count.
        mac: [u8; 32],
    },
}

#[derive(Serialize)]
struct Aborted {
    aborted: u64,
    mac: String,
}

impl Line {
    pub(super) const fn is_event(&self) -> bool {
        matches!(self, Self::Event(_))
    }

    /// The line as JSON, without its line end.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Event(event) => event.to_json_line(),
            Self::Aborted { sequence, mac } => json_line(&Aborted {
                aborted: *sequence,
                mac: hex(mac),
            }),
        }
    }
}
