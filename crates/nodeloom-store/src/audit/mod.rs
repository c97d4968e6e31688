//! The audit trail: a chain of events, each authenticated together with the one before it.

mod chain;
mod row;
mod verify;

pub use row::{AuditHead, AuditRow, CheckpointRow};
pub use verify::{Anchor, ChainFault, ChainReport, FaultKind};
