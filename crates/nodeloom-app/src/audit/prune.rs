//! Removing the beginning of the trail, on request or by age, and the seam that stays.

use nodeloom_domain::{
    Timestamp,
    audit::{AuditActor, AuditEvent},
    policy::{self, Action, Permit, Resource},
};
use nodeloom_store::SeamRow;
use serde::{Deserialize, Serialize};

use super::hex;
use crate::{App, AppError, Ctx, keys::system};

/// Rows that one transaction deletes, so that other writers never wait for long.
const BATCH: u64 = 2_000;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A seam: a signed record of which events were removed and with which link the chain goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditSeam {
    /// The first removed event.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// When: RFC 3339 in UTC.
    pub at: String,
    /// `operator`, `user`, or `system` for the retention setting.
    pub actor_kind: String,
    /// Who.
    pub actor_name: String,
    /// The link of the last removed event, 64 hex digits.
    pub mac: String,
    /// Its segment.
    pub segment: u64,
    /// Its audit key, 16 hex digits.
    pub key_id: String,
    /// The id of the signing key, 16 hex digits.
    pub sign_key_id: String,
    /// Its public half, 64 hex digits.
    pub public_key: String,
    /// Ed25519 over the message that `docs/formats/audit.md` gives, 128 hex digits.
    pub signature: String,
}

impl From<&SeamRow> for AuditSeam {
    fn from(row: &SeamRow) -> Self {
        Self {
            first: row.first,
            last: row.last,
            at: row.at.to_string(),
            actor_kind: row.actor_kind.clone(),
            actor_name: row.actor_name.clone(),
            mac: hex(&row.mac),
            segment: row.segment,
            key_id: row.key_id.to_string(),
            sign_key_id: row.sign_key_id.to_string(),
            public_key: hex(&row.public_key),
            signature: hex(&row.signature),
        }
    }
}

impl AuditSeam {
    /// How many events were removed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

impl App {
    /// Removes every event from the first on that is older than `before`, up to the newest
    /// checkpoint, and leaves a signed seam. The trail is checked first: what is broken is
    /// evidence and stays. Nothing that a second sink still waits for is removed.
    ///
    /// Returns the seam; nothing when there was nothing to remove.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but administrators of the instance, with a fresh proof, and
    /// operators; [`AppError::AuditBroken`].
    pub async fn prune_audit(
        &self,
        ctx: &Ctx,
        before: Timestamp,
    ) -> Result<Option<AuditSeam>, AppError> {
        let (action, instance) = (Action::AuditPrune, Resource::Instance);
        let actor = self.actor(ctx).await?;
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let permit = policy::authorise(&actor, action, instance, self.now())?;
        let event = AuditEvent::new(self.now(), actor.audited(), action.as_str(), &ctx.origin);
        self.prune(&permit, actor.audited(), event, before).await
    }

    /// As [`App::prune_audit`], on the program's own account: events older than `days` days.
    ///
    /// # Errors
    /// [`AppError::AuditBroken`], [`AppError::Unavailable`].
    pub async fn prune_audit_by_age(&self, days: u32) -> Result<Option<AuditSeam>, AppError> {
        let before = self.now().plus_seconds(-DAY_SECONDS * i64::from(days));
        let permit = policy::housekeeping();
        let origin = nodeloom_domain::audit::Origin::default();
        let action = Action::AuditPrune.as_str();
        let event = AuditEvent::new(self.now(), system(), action, &origin).with("keepDays", days);
        self.prune(&permit, system(), event, before).await
    }

    async fn prune(
        &self,
        permit: &Permit,
        actor: AuditActor,
        event: AuditEvent,
        before: Timestamp,
    ) -> Result<Option<AuditSeam>, AppError> {
        // What an earlier run left lying goes in any case.
        self.delete_pruned(permit).await?;
        let start = self.store().audit_start().await?;
        let head = self.store().audit_head().await?.sequence;
        let mut last = match self.store().first_event_since(before).await? {
            Some(first_kept) => first_kept.saturating_sub(1),
            None => head,
        };
        if last > start {
            // There has to be a signed link that is newer than the seam.
            self.checkpoint().await?;
            let newest = self.store().newest_checkpoint().await?.unwrap_or(0);
            last = last.min(newest.saturating_sub(1));
        }
        if let Some(delivered) = self.delivered_to_sink().await? {
            last = last.min(delivered);
        }
        if last <= start {
            return Ok(None);
        }
        let report = self.check_chain(&[]).await?;
        if !report.intact {
            let sequence = report.broken_at.unwrap_or(report.head_sequence);
            return Err(AppError::AuditBroken { sequence });
        }
        let Some(row) = self.store().find_audit_event(last).await? else {
            return Err(AppError::internal("the last event to prune is gone"));
        };
        let signing = self.keys().signing();
        let mut seam = SeamRow {
            first: start + 1,
            last,
            mac: row.mac,
            segment: row.segment,
            key_id: row.key_id,
            at: self.now(),
            actor_kind: actor.kind.as_str().to_owned(),
            actor_name: actor.name,
            sign_key_id: signing.id(),
            public_key: signing.public_key(),
            signature: [0; 64],
        };
        seam.signature = signing.sign(&seam.message());
        let mut tx = self.store().begin().await?;
        let newest = tx
            .audit_seams_locked()
            .await?
            .last()
            .map_or(0, |seam| seam.last);
        if newest != start {
            // Another process has just pruned.
            return Ok(None);
        }
        tx.add_seam(permit, &seam).await?;
        let event = event
            .with("first", seam.first)
            .with("last", seam.last)
            .with("count", seam.count())
            .with("before", before.to_string());
        self.commit(tx, &event).await?;
        self.delete_pruned(permit).await?;
        Ok(Some(AuditSeam::from(&seam)))
    }

    /// Deletes the rows before the newest seam, if the seams are the instance's own.
    async fn delete_pruned(&self, permit: &Permit) -> Result<(), AppError> {
        let seams = self.store().audit_seams().await?;
        if seams.is_empty() || self.start_of(&seams).is_err() {
            return Ok(());
        }
        loop {
            let mut tx = self.store().begin().await?;
            let gone = tx.delete_pruned(permit, BATCH).await?;
            tx.commit_unaudited("rows before a seam").await?;
            if gone < BATCH {
                return Ok(());
            }
        }
    }
}
