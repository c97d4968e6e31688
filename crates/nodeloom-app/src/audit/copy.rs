//! Checking a copy of the trail without the rows of the database.

use std::io;

use nodeloom_domain::policy::{Action, Resource};
use nodeloom_store::{Anchor, AuditHead, ChainFault, ChainWalk, FaultKind, SeamRow};

use super::{
    AuditAnchor, AuditRecord, AuditReport, AuditSeam,
    export::{ExportEnd, ExportNote},
};
use crate::{App, AppError, Ctx};

/// Why a copy cannot be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The caller may not, or the database does not answer.
    #[error(transparent)]
    App(#[from] AppError),
    /// The copy cannot be read.
    #[error("the copy cannot be read")]
    Read(#[source] io::Error),
    /// A line is neither an event nor a note of an export.
    #[error("line {line} is no line of an export")]
    Line {
        /// Which line, from 1.
        line: usize,
    },
    /// Events were left out on purpose: what is left is no chain.
    #[error("the copy was made with a search, and only a whole one is a chain")]
    Filtered,
}

impl App {
    /// Checks a copy in JSON, line by line, with the keys of this instance and without its rows:
    /// every link, the seams, the signed end of the copy and the anchors that are older than it.
    ///
    /// # Errors
    /// As [`App::verify_audit`], and when the copy is none. What is wrong with the chain in it is
    /// in the report.
    pub async fn verify_audit_copy(
        &self,
        ctx: &Ctx,
        lines: impl Iterator<Item = io::Result<String>>,
        outside: &[AuditAnchor],
    ) -> Result<AuditReport, CopyError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::AuditRead, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let (genuine, mut false_anchors) = self.genuine(outside, Vec::new()).await?;
        let mut lines = lines
            .enumerate()
            .filter(|(_, line)| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
        let mut seams: Vec<SeamRow> = Vec::new();
        let mut first = None;
        let mut end = None;
        for (index, line) in lines.by_ref() {
            match parse(index, line)? {
                Line::Event(event) => {
                    first = Some((index, event));
                    break;
                }
                Line::Note(note) => match *note {
                    ExportNote::Seam(seam) => {
                        let line = CopyError::Line { line: index + 1 };
                        seams.push(seam.row().ok_or(line)?);
                    }
                    ExportNote::End(note) => {
                        end = Some(note);
                        break;
                    }
                },
            }
        }
        if end.as_ref().is_some_and(|end| end.anchor.is_none()) {
            return Err(CopyError::Filtered);
        }
        let keys = self.keys();
        let pairs: Vec<Anchor> = genuine.iter().map(|(_, anchor)| *anchor).collect();
        let begun = self
            .start_of(&seams)
            .and_then(|start| ChainWalk::new(|id| keys.audit_key(id), &pairs, start));
        let mut walk = match begun {
            Ok(walk) => walk,
            Err(fault) => {
                return Ok(AuditReport::new(
                    AuditHead::ORIGIN,
                    0,
                    Some(fault),
                    None,
                    seams.last(),
                    genuine.len(),
                    false_anchors,
                ));
            }
        };
        let mut fault = None;
        let mut next = first;
        while let Some((index, event)) = next.take() {
            let row = event
                .into_row()
                .ok_or(CopyError::Line { line: index + 1 })?;
            if let Err(found) = walk.step(&row) {
                fault = Some(found);
                break;
            }
            let Some((index, line)) = lines.next() else {
                break;
            };
            match parse(index, line)? {
                Line::Event(event) => next = Some((index, event)),
                Line::Note(note) => match *note {
                    ExportNote::End(note) => end = Some(note),
                    ExportNote::Seam(_) => return Err(CopyError::Line { line: index + 1 }),
                },
            }
        }
        // A copy with a search has gaps, and says in its end that it is one.
        if fault.is_some() {
            for (index, line) in lines.by_ref() {
                if let Ok(Line::Note(note)) = parse(index, line)
                    && matches!(*note, ExportNote::End(ExportEnd { anchor: None, .. }))
                {
                    return Err(CopyError::Filtered);
                }
            }
        } else if let Some((index, _)) = lines.next() {
            return Err(CopyError::Line { line: index + 1 });
        }
        if end.as_ref().is_some_and(|end| end.anchor.is_none()) {
            return Err(CopyError::Filtered);
        }
        let signed_end = end.and_then(|end| end.anchor);
        let mut complete = false;
        if let Some(anchor) = signed_end.filter(|_| fault.is_none()) {
            let (own, false_end) = self
                .genuine(std::slice::from_ref(&anchor), Vec::new())
                .await?;
            false_anchors += false_end;
            let head = walk.head();
            if let Some((at, own)) = own.first() {
                complete = (own.sequence, own.mac) == (head.sequence, head.mac);
                // What is newer than the copy says nothing of it.
                let older = genuine
                    .iter()
                    .find(|(signed, anchor)| signed <= at && anchor.sequence > head.sequence);
                if !complete {
                    fault = Some(fault_at(head.sequence + 1, FaultKind::CutTail));
                } else if let Some((_, anchor)) = older {
                    fault = Some(fault_at(anchor.sequence, FaultKind::AnchorMismatch));
                }
            }
        } else if fault.is_none() {
            fault = Some(fault_at(walk.head().sequence + 1, FaultKind::CutTail));
        }
        let mut report = AuditReport::new(
            walk.head(),
            walk.events(),
            fault,
            walk.unchecked(),
            seams.last(),
            genuine.len(),
            false_anchors,
        );
        report.intact &= complete;
        Ok(report)
    }
}

const fn fault_at(sequence: u64, kind: FaultKind) -> ChainFault {
    ChainFault { sequence, kind }
}

enum Line {
    Event(Box<AuditRecord>),
    Note(Box<ExportNote>),
}

fn parse(index: usize, line: io::Result<String>) -> Result<Line, CopyError> {
    let line = line.map_err(CopyError::Read)?;
    if let Ok(event) = serde_json::from_str(&line) {
        return Ok(Line::Event(event));
    }
    serde_json::from_str(&line)
        .map(|note| Line::Note(Box::new(note)))
        .map_err(|_| CopyError::Line { line: index + 1 })
}

impl AuditSeam {
    /// The row; nothing when a text has a form that no export writes.
    fn row(&self) -> Option<SeamRow> {
        use super::unhex;
        Some(SeamRow {
            first: self.first,
            last: self.last,
            mac: unhex(&self.mac)?,
            segment: self.segment,
            key_id: self.key_id.parse().ok()?,
            at: self.at.parse().ok()?,
            actor_kind: self.actor_kind.clone(),
            actor_name: self.actor_name.clone(),
            sign_key_id: self.sign_key_id.parse().ok()?,
            public_key: unhex(&self.public_key)?,
            signature: unhex(&self.signature)?,
        })
    }
}
