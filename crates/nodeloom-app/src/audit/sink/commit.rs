//! The end of every use-case: change, event and sink together.

use nodeloom_crypto::AuditKey;
use nodeloom_domain::audit::AuditEvent;
use nodeloom_store::{AuditRow, Prepared, Tx};

use super::{AuditSink, Line};
use crate::{AppError, audit::AuditRecord};

/// Commits `tx` with its events. With a required sink the events are in it before.
///
/// # Errors
/// [`AppError::AuditUnavailable`] when the required sink does not take them; then nothing was
/// written.
pub(crate) async fn commit_all(
    tx: Tx,
    events: &[AuditEvent],
    chain: &AuditKey,
    sink: Option<&AuditSink>,
) -> Result<(), AppError> {
    let prepared = tx.prepare(events, chain).await?;
    let Some(sink) = sink.filter(|sink| sink.is_required()) else {
        return Ok(prepared.commit().await?);
    };
    // A caller who goes away between the two writes must not leave the one without the other.
    let sink = sink.clone();
    tokio::spawn(async move { keep_and_commit(&sink, prepared).await })
        .await
        .map_err(|_| AppError::internal("a commit ended early"))?
}

async fn keep_and_commit(sink: &AuditSink, prepared: Prepared) -> Result<(), AppError> {
    let rows: Vec<AuditRow> = prepared.rows().to_vec();
    let places = rows.iter().map(|row| (row.sequence, row.mac)).collect();
    let lines = rows
        .into_iter()
        .map(|row| Line::Event(Box::new(AuditRecord::from(row))))
        .collect();
    if sink.append(lines).await.is_err() {
        // The transaction is undone in any case; the sink's own error is in the log.
        let _ = prepared.rollback().await;
        return Err(AppError::AuditUnavailable);
    }
    match prepared.commit().await {
        Ok(()) => Ok(()),
        Err(error) => {
            sink.abort(places);
            Err(error.into())
        }
    }
}
