//! Taking a copy of the trail away, a page at a time.

use nodeloom_domain::{audit::AuditEvent, policy::Action};
use nodeloom_store::{AuditFilter, CheckpointRow};
use serde::{Deserialize, Serialize};

use super::{AuditAnchor, AuditRecord, AuditSeam, AuditSearch, csv, record::json_line};
use crate::{App, AppError, Ctx};

/// Events that are read at a time.
const PAGE: u64 = 500;

/// How a copy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object a line; a whole copy can be verified.
    Jsonl,
    /// RFC 4180, for spreadsheets.
    Csv,
}

impl ExportFormat {
    /// The name in settings and addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// The last line of a copy in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExportEnd {
    /// Events in the copy.
    pub(super) count: u64,
    /// The signed end of the chain; absent where a search left events out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<AuditAnchor>,
}

/// A line of a copy that is no event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ExportNote {
    /// Where the beginning was removed.
    Seam(AuditSeam),
    /// The copy is complete.
    End(ExportEnd),
}

/// A copy under way.
pub struct AuditExport {
    app: App,
    filter: AuditFilter,
    format: ExportFormat,
    count: u64,
    upto: u64,
    after: u64,
    written: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Beginning,
    Events,
    Done,
}

impl App {
    /// Begins a copy of the events that a search finds. The copy is in the trail before its first
    /// line leaves, with the search and the number of events.
    ///
    /// # Errors
    /// As [`App::list_audit`].
    pub async fn export_audit(
        &self,
        ctx: &Ctx,
        mut search: AuditSearch,
        format: ExportFormat,
    ) -> Result<AuditExport, AppError> {
        let actor = self
            .may_audit(ctx, &mut search, Action::AuditExport)
            .await?;
        let filter = search.filter()?;
        let upto = self.store().audit_head().await?.sequence;
        let start = self.store().audit_start().await?;
        let count = if filter.is_empty() {
            upto.saturating_sub(start)
        } else {
            self.store().count_audit_events(&filter, upto).await?
        };
        let action = Action::AuditExport.as_str();
        let mut event = AuditEvent::new(self.now(), actor.audited(), action, &ctx.origin)
            .with("format", format.as_str())
            .with("search", search.described())
            .with("count", count)
            .with("upTo", upto);
        if let Some(team) = search.team {
            event = event.in_team(team);
        }
        self.record(&event).await?;
        Ok(AuditExport {
            app: self.clone(),
            filter,
            format,
            count,
            upto,
            after: start,
            written: 0,
            state: State::Beginning,
        })
    }
}

impl AuditExport {
    /// How many events the copy will have.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The next part of the copy; nothing once it is complete.
    ///
    /// # Errors
    /// [`AppError::Unavailable`], and [`AppError::Internal`] when events went away meanwhile: a
    /// copy with a gap is none.
    pub async fn next_part(&mut self) -> Result<Option<String>, AppError> {
        match self.state {
            State::Beginning => {
                self.state = State::Events;
                self.beginning().await.map(Some)
            }
            State::Events => {
                let rows = self
                    .app
                    .store()
                    .audit_events_after(&self.filter, self.after, self.upto, PAGE)
                    .await?;
                let mut part = String::with_capacity(rows.len() * 640);
                for row in rows {
                    if self.filter.is_empty() && row.sequence != self.after + 1 {
                        return Err(AppError::internal("events went away during an export"));
                    }
                    self.after = row.sequence;
                    self.written += 1;
                    let record = AuditRecord::from(row);
                    match self.format {
                        ExportFormat::Jsonl => {
                            part.push_str(&record.to_json_line());
                            part.push('\n');
                        }
                        ExportFormat::Csv => part.push_str(&csv::line(&record)),
                    }
                }
                if part.is_empty() {
                    self.state = State::Done;
                    return self.end().await.map(Some);
                }
                Ok(Some(part))
            }
            State::Done => Ok(None),
        }
    }

    async fn beginning(&self) -> Result<String, AppError> {
        if self.format == ExportFormat::Csv {
            return Ok(csv::HEADING.to_owned());
        }
        let mut text = String::new();
        if self.filter.is_empty() {
            for seam in self.app.store().audit_seams().await? {
                text.push_str(&json_line(&ExportNote::Seam(AuditSeam::from(&seam))));
                text.push('\n');
            }
        }
        Ok(text)
    }

    async fn end(&self) -> Result<String, AppError> {
        if self.format == ExportFormat::Csv {
            return Ok(String::new());
        }
        let mut anchor = None;
        if self.filter.is_empty() {
            if self.after != self.upto {
                return Err(AppError::internal("events went away during an export"));
            }
            let last = self.app.store().find_audit_event(self.upto).await?;
            if let Some(last) = last {
                anchor = Some(self.app.sign_link(last.sequence, last.mac));
            }
        }
        let end = ExportEnd {
            count: self.written,
            anchor,
        };
        Ok(json_line(&ExportNote::End(end)) + "\n")
    }
}

impl App {
    /// The instance's word that the chain has this link at this place.
    pub(super) fn sign_link(&self, sequence: u64, mac: [u8; 32]) -> AuditAnchor {
        AuditAnchor::from(&self.signed_checkpoint(sequence, mac))
    }

    pub(super) fn signed_checkpoint(&self, sequence: u64, mac: [u8; 32]) -> CheckpointRow {
        let signing = self.keys().signing();
        let at = self.now();
        let message = CheckpointRow::message(sequence, at, &mac, signing.id());
        CheckpointRow {
            sequence,
            at,
            mac,
            sign_key_id: signing.id(),
            public_key: signing.public_key(),
            signature: signing.sign(&message),
        }
    }
}
