//! The audit trail: a chain of events, each authenticated together with the one before it.

mod chain;
mod cursor;
mod message;
mod query;
mod row;
mod seam;
mod verify;
mod walk;

pub use chain::Prepared;
pub use query::{AuditFilter, AuditPage, AuditPageQuery, COUNT_LIMIT};
pub use row::{AuditHead, AuditRow, CheckpointRow};
pub use seam::SeamRow;
pub use verify::ChainReport;
pub use walk::{Anchor, ChainFault, ChainWalk, FaultKind};
