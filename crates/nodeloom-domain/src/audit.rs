//! What the audit trail says of a change, an opening, or a refusal: names always,
//! values never.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{TeamId, Timestamp};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditActor {
    /// `user`, `token`, `operator`, `system` or `anonymous`.
    pub kind: ActorKind,
    /// The user's id, where there is one.
    pub id: Option<[u8; 16]>,
    /// An e-mail address, or `user@host` of an operator; what a reader recognises.
    pub name: String,
}

/// The kinds of actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person who signed in.
    User,
    /// A person, through one of their API tokens.
    Token,
    /// A person with a shell on the machine and the instance's key.
    Operator,
    /// The program itself.
    System,
    /// Nobody that we know.
    Anonymous,
}

impl ActorKind {
    /// The name in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Token => "token",
            Self::Operator => "operator",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused by the policy, a limit or a proof that failed.
    Refused,
    /// It was allowed and went wrong.
    Failed,
}

impl Outcome {
    /// The name in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The request id that the reply and the log also carry.
    pub request_id: String,
    /// The client's address, or nothing for a command.
    pub address: Option<String>,
}

/// The record that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditTarget {
    /// `credential`, `user`, `session`, `key`, `instance` …
    pub kind: &'static str,
    /// The record's id: 16 bytes, or 8 for a key.
    pub id: Vec<u8>,
    /// The record's name at that time; never a secret.
    pub name: String,
}

/// One event of the audit trail, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// When, in UTC.
    pub at: Timestamp,
    /// Who.
    pub actor: AuditActor,
    /// In which team; nothing for the instance.
    pub team: Option<TeamId>,
    /// What, as `noun.verb`: `credential.reveal`, `session.create` …
    pub action: &'static str,
    /// On what.
    pub target: Option<AuditTarget>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where from.
    pub origin: Origin,
    /// Names of fields, counts, reasons; a JSON object without any value of a secret.
    pub detail: Map<String, Value>,
}

impl AuditEvent {
    /// A successful `action` by `actor`; add the rest with the `with_` methods.
    #[must_use]
    pub fn new(at: Timestamp, actor: AuditActor, action: &'static str, origin: &Origin) -> Self {
        Self {
            at,
            actor,
            team: None,
            action,
            target: None,
            outcome: Outcome::Success,
            origin: origin.clone(),
            detail: Map::new(),
        }
    }

    /// Names the team.
    #[must_use]
    pub fn in_team(mut self, team: TeamId) -> Self {
        self.team = Some(team);
        self
    }

    /// Names the record.
    #[must_use]
    pub fn on(mut self, kind: &'static str, id: &[u8], name: impl Into<String>) -> Self {
        self.target = Some(AuditTarget {
            kind,
            id: id.to_vec(),
            name: name.into(),
        });
        self
    }

    /// Says how it ended.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }
}
