//! Rows of the audit tables, and the bytes that their MACs and signatures cover.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{AuditEventId, TeamId, Timestamp, audit::AuditEvent};

use super::message::Message;
use crate::{StoreError, engine::Columns};

/// An event in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// Its id.
    pub id: AuditEventId,
    /// When it happened.
    pub at: Timestamp,
    /// Which segment it is in, from 1. A segment is what one key has chained.
    pub segment: u64,
    /// The audit key of the segment.
    pub key_id: KeyId,
    /// `user`, `operator`, `system` or `anonymous`.
    pub actor_kind: String,
    /// The person's id, 16 bytes, if it was one.
    pub actor_id: Option<Vec<u8>>,
    /// Who, as people know them.
    pub actor_name: String,
    /// The team; nothing for the instance.
    pub team_id: Option<TeamId>,
    /// What, as `noun.verb`.
    pub action: String,
    /// The sort of record it was done to.
    pub target_kind: Option<String>,
    /// The record's id, 16 or 8 bytes.
    pub target_id: Option<Vec<u8>>,
    /// The record's name at that time.
    pub target_name: Option<String>,
    /// `success`, `refused` or `failed`.
    pub outcome: String,
    /// The request id.
    pub request_id: String,
    /// The client's address.
    pub address: Option<String>,
    /// More, as a JSON object. The MAC covers this text as it is.
    pub detail: String,
    /// The link: 32 bytes over [`AuditRow::message`] and the link of the event before.
    pub mac: [u8; 32],
}

/// An event as it lies in a row of the database: what a check of the whole trail reads, so that
/// a million events cost no million copies.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowView<'r> {
    pub(super) sequence: u64,
    id: AuditEventId,
    at: Timestamp,
    pub(super) segment: u64,
    pub(super) key_id: KeyId,
    actor_kind: &'r str,
    actor_id: Option<&'r [u8]>,
    actor_name: &'r str,
    team_id: Option<TeamId>,
    action: &'r str,
    target_kind: Option<&'r str>,
    target_id: Option<&'r [u8]>,
    target_name: Option<&'r str>,
    outcome: &'r str,
    request_id: &'r str,
    address: Option<&'r str>,
    detail: &'r str,
    pub(super) mac: [u8; 32],
}

/// Where the chain ends; also where it begins, after a seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The last event's sequence; 0 before the first.
    pub sequence: u64,
    /// Its segment; 0 before the first.
    pub segment: u64,
    /// Its key; nothing before the first.
    pub key_id: Option<KeyId>,
    /// Its link; zeros before the first.
    pub mac: [u8; 32],
}

/// A signed statement that the chain had this link at this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The event's sequence.
    pub sequence: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The event's link.
    pub mac: [u8; 32],
    /// The signing key.
    pub sign_key_id: KeyId,
    /// Its public half, 32 bytes.
    pub public_key: [u8; 32],
    /// Ed25519 signature over [`CheckpointRow::message`], 64 bytes.
    pub signature: [u8; 64],
}

impl<'r> RowView<'r> {
    /// Columns in the order of the table.
    pub(super) fn read(row: &mut Columns<'r>) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.count()?,
            id: row.fixed()?,
            at: row.time()?,
            segment: row.count()?,
            key_id: row.fixed()?,
            actor_kind: row.str()?,
            actor_id: row.opt_slice()?,
            actor_name: row.str()?,
            team_id: row.opt_fixed()?,
            action: row.str()?,
            target_kind: row.opt_str()?,
            target_id: row.opt_slice()?,
            target_name: row.opt_str()?,
            outcome: row.str()?,
            request_id: row.str()?,
            address: row.opt_str()?,
            detail: row.str()?,
            mac: row.fixed()?,
        })
    }

    /// Writes [`AuditRow::message`] over what `message` held.
    pub(super) fn write_message(&self, message: &mut Message) {
        message.begin("nodeloom/audit/v1");
        message.put(&self.sequence.to_be_bytes());
        message.put(self.id.as_bytes());
        message.put(&self.at.as_micros().to_be_bytes());
        message.put(&self.segment.to_be_bytes());
        message.put(self.key_id.as_bytes());
        message.put(self.actor_kind.as_bytes());
        message.put_optional(self.actor_id);
        message.put(self.actor_name.as_bytes());
        message.put_optional(self.team_id.as_ref().map(|team| team.as_bytes().as_slice()));
        message.put(self.action.as_bytes());
        message.put_optional(self.target_kind.map(str::as_bytes));
        message.put_optional(self.target_id);
        message.put_optional(self.target_name.map(str::as_bytes));
        message.put(self.outcome.as_bytes());
        message.put(self.request_id.as_bytes());
        message.put_optional(self.address.map(str::as_bytes));
        message.put(self.detail.as_bytes());
    }

    pub(super) fn to_row(self) -> AuditRow {
        AuditRow {
            sequence: self.sequence,
            id: self.id,
            at: self.at,
            segment: self.segment,
            key_id: self.key_id,
            actor_kind: self.actor_kind.to_owned(),
            actor_id: self.actor_id.map(<[u8]>::to_vec),
            actor_name: self.actor_name.to_owned(),
            team_id: self.team_id,
            action: self.action.to_owned(),
            target_kind: self.target_kind.map(str::to_owned),
            target_id: self.target_id.map(<[u8]>::to_vec),
            target_name: self.target_name.map(str::to_owned),
            outcome: self.outcome.to_owned(),
            request_id: self.request_id.to_owned(),
            address: self.address.map(str::to_owned),
            detail: self.detail.to_owned(),
            mac: self.mac,
        }
    }
}

impl AuditRow {
    pub(super) fn view(&self) -> RowView<'_> {
        RowView {
            sequence: self.sequence,
            id: self.id,
            at: self.at,
            segment: self.segment,
            key_id: self.key_id,
            actor_kind: &self.actor_kind,
            actor_id: self.actor_id.as_deref(),
            actor_name: &self.actor_name,
            team_id: self.team_id,
            action: &self.action,
            target_kind: self.target_kind.as_deref(),
            target_id: self.target_id.as_deref(),
            target_name: self.target_name.as_deref(),
            outcome: &self.outcome,
            request_id: &self.request_id,
            address: self.address.as_deref(),
            detail: &self.detail,
            mac: self.mac,
        }
    }

    /// The bytes that the link covers, besides the link before: every column but the MAC.
    ///
    /// The label `nodeloom/audit/v1`, then in this order: sequence (u64), id (16 bytes), at
    /// (i64, microseconds), segment (u64), key id (8 bytes), actor kind, actor id, actor name,
    /// team id (16 bytes), action, target kind, target id, target name, outcome, request id,
    /// address, detail. Numbers are 8 bytes, most significant first; texts are UTF-8. Each is
    /// written as byte 0 if the column is NULL, else as byte 1, its length as 4 bytes, most
    /// significant first, and itself; the label and columns that are never NULL likewise. So
    /// no two different rows have the same message.
    ///
    /// The first event of all is linked to 32 zero bytes, each later one to the link of the
    /// event before, also across segments: a new key thereby vouches for where the chain of
    /// the old key ended, even for a reader who no longer holds the old key. The segment and
    /// the key id inside the message keep segments apart.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut message = Message::default();
        self.view().write_message(&mut message);
        message.into_bytes()
    }

    /// The event after `head`, not linked yet.
    pub(super) fn after(head: &AuditHead, segment: u64, key_id: KeyId, event: &AuditEvent) -> Self {
        let target = event.target.as_ref();
        Self {
            sequence: head.sequence + 1,
            id: AuditEventId::generate(event.at),
            at: event.at,
            segment,
            key_id,
            actor_kind: event.actor.kind.as_str().to_owned(),
            actor_id: event.actor.id.map(Vec::from),
            actor_name: storable(&event.actor.name),
            team_id: event.team,
            action: event.action.to_owned(),
            target_kind: target.map(|target| target.kind.to_owned()),
            target_id: target.map(|target| target.id.clone()),
            target_name: target.map(|target| storable(&target.name)),
            outcome: event.outcome.as_str().to_owned(),
            request_id: storable(&event.origin.request_id),
            address: event.origin.address.as_deref().map(storable),
            detail: serde_json::Value::Object(event.detail.clone()).to_string(),
            mac: [0; 32],
        }
    }

    pub(super) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        RowView::read(row).map(RowView::to_row)
    }
}

/// A text that both engines keep as it is. A stranger's input may be in it, and must not be
/// able to keep an event from being written.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl AuditHead {
    /// Before the first event of all.
    pub const ORIGIN: Self = Self {
        sequence: 0,
        segment: 0,
        key_id: None,
        mac: [0; 32],
    };

    pub(super) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.count()?,
            segment: row.count()?,
            key_id: row.opt_fixed()?,
            mac: row.fixed()?,
        })
    }
}

impl CheckpointRow {
    /// The bytes that the signature covers: the label `nodeloom/checkpoint/v1`, then sequence
    /// (u64), time (i64, microseconds), link (32 bytes) and signing key id (8 bytes), encoded
    /// as in [`AuditRow::message`].
    #[must_use]
    pub fn message(sequence: u64, at: Timestamp, mac: &[u8; 32], sign_key_id: KeyId) -> Vec<u8> {
        let mut message = Message::default();
        message.begin("nodeloom/checkpoint/v1");
        message.put(&sequence.to_be_bytes());
        message.put(&at.as_micros().to_be_bytes());
        message.put(mac);
        message.put(sign_key_id.as_bytes());
        message.into_bytes()
    }

    /// Whether the signature is good under the public key in this row. Whose that key is,
    /// the row cannot prove: compare it with the instance's.
    #[must_use]
    pub fn signature_is_good(&self) -> bool {
        let message = Self::message(self.sequence, self.at, &self.mac, self.sign_key_id);
        nodeloom_crypto::verify_signature(&self.public_key, &message, &self.signature)
    }

    pub(super) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.count()?,
            at: row.time()?,
            mac: row.fixed()?,
            sign_key_id: row.fixed()?,
            public_key: row.fixed()?,
            signature: row.fixed()?,
        })
    }
}
