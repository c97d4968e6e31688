//! A credential's row, and how it is read.

use nodeloom_domain::{CredentialId, TeamId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{StoreError, engine::Columns};

/// A credential's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its id; also the owner of its sealed value.
    pub id: CredentialId,
    /// Its team.
    pub team_id: TeamId,
    /// Its name, unique among the credentials of the team that are not deleted.
    pub name: String,
    /// The text it sorts by: `nodeloom_domain::sort_key` of the name.
    pub sort_key: String,
    /// Id of its type, such as `HTTP_BASIC`.
    pub kind: String,
    /// Version of its values, from 1; the generation of its sealed value.
    pub generation: u64,
    /// Version of the whole row, from 1: counts each change, of the name too.
    pub revision: u64,
    /// The names of the fields that are set, in order.
    pub fields: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By which person, if it was one.
    pub created_by: Option<UserId>,
    /// By whom, as people know them.
    pub created_by_name: String,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// By which person, if it was one.
    pub updated_by: Option<UserId>,
    /// By whom, as people know them.
    pub updated_by_name: String,
    /// What people say about it.
    pub attributes: CredentialAttributes,
    /// What happened to it; never written with the row.
    pub activity: CredentialActivity,
}

/// What people say about a credential beside its name and values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialAttributes {
    /// Who answers for it.
    pub owner_id: Option<UserId>,
    /// Free text; empty for none.
    pub notes: String,
    /// Labels, in the order given; distinct when folded.
    pub tags: Vec<String>,
    /// The only hosts it may be sent to; without any, those of its type decide.
    pub hosts: Vec<String>,
    /// Its values can be replaced and never shown.
    pub restricted: bool,
    /// When it stops to work.
    pub expires_at: Option<Timestamp>,
    /// When its values should have been replaced.
    pub rotate_by: Option<Timestamp>,
}

/// What happened to a credential.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialActivity {
    /// First and last name of its owner.
    pub owner_name: Option<String>,
    /// When its values were last opened for somebody or something.
    pub last_used_at: Option<Timestamp>,
    /// What its last test said.
    pub last_test: Option<CredentialTestRow>,
    /// Set when it is deleted, and can still be undeleted.
    pub deletion: Option<DeletionRow>,
}

/// The outcome of a connection test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialTestRow {
    /// When it ended.
    pub at: Timestamp,
    /// `ok`, `failed`, `refused` or `unsupported`.
    pub status: String,
    /// The reason in one word.
    pub code: String,
    /// The reason in words, without secrets.
    pub message: String,
}

/// When and by whom a credential was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionRow {
    /// When.
    pub at: Timestamp,
    /// By which person, if it was one.
    pub by: Option<UserId>,
    /// By whom, as people know them.
    pub by_name: String,
}

/// One version of a credential's values: who made it, and which fields it has. Stays when the
/// credential is deleted, so that no version number is used twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialVersionRow {
    /// The credential.
    pub credential_id: CredentialId,
    /// The version, from 1.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// By which person, if it was one.
    pub created_by: Option<UserId>,
    /// By whom, as people know them.
    pub created_by_name: String,
    /// The names of the fields that are set.
    pub fields: Vec<String>,
    /// How it differs from the version before; nothing where that did not open, and for the
    /// first.
    pub changes: Option<FieldChanges>,
    /// The version that it repeats.
    pub restored_from: Option<u64>,
}

/// Names of fields by what became of them; never a value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FieldChanges {
    /// Set now and not before.
    pub added: Vec<String>,
    /// With another value than before.
    pub changed: Vec<String>,
    /// Set before and not now.
    pub removed: Vec<String>,
}

/// The columns of table `credentials`, named `c` in the statement, as
/// [`CredentialRow::read`] takes them.
macro_rules! credential_columns {
    () => {
        "c.id, c.team_id, c.name, c.sort_key, c.type, c.generation, c.revision, c.fields, \
         c.created_at, c.created_by, c.created_by_name, c.updated_at, c.updated_by, \
         c.updated_by_name, c.owner_id, c.notes, c.tags, c.hosts, c.restricted, c.expires_at, \
         c.rotate_by, (SELECT u.first_name || ' ' || u.last_name FROM users u \
         WHERE u.id = c.owner_id), c.last_used_at, c.last_tested_at, c.test_status, c.test_code, \
         c.test_message, c.deleted_at, c.deleted_by, c.deleted_by_name"
    };
}
pub(crate) use credential_columns;

/// How many columns [`credential_columns`] names.
pub(crate) const COLUMNS: usize = 30;

impl CredentialRow {
    /// [`credential_columns`], in order.
    pub(crate) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            team_id: row.fixed()?,
            name: row.text()?,
            sort_key: row.text()?,
            kind: row.text()?,
            generation: row.count()?,
            revision: row.count()?,
            fields: row.list()?,
            created_at: row.time()?,
            created_by: row.opt_fixed()?,
            created_by_name: row.text()?,
            updated_at: row.time()?,
            updated_by: row.opt_fixed()?,
            updated_by_name: row.text()?,
            attributes: CredentialAttributes {
                owner_id: row.opt_fixed()?,
                notes: row.text()?,
                tags: row.list()?,
                hosts: row.list()?,
                restricted: row.bool()?,
                expires_at: row.opt_time()?,
                rotate_by: row.opt_time()?,
            },
            activity: CredentialActivity::read(row)?,
        })
    }
}

impl CredentialActivity {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        let (owner_name, last_used_at) = (row.opt_text()?, row.opt_time()?);
        let (tested_at, status) = (row.opt_time()?, row.opt_text()?);
        let (code, message) = (row.opt_text()?, row.opt_text()?);
        let last_test = match (tested_at, status) {
            (Some(at), Some(status)) => Some(CredentialTestRow {
                at,
                status,
                code: code.unwrap_or_default(),
                message: message.unwrap_or_default(),
            }),
            _ => None,
        };
        let (deleted_at, by, by_name) = (row.opt_time()?, row.opt_fixed()?, row.opt_text()?);
        Ok(Self {
            owner_name,
            last_used_at,
            last_test,
            deletion: deleted_at.map(|at| DeletionRow {
                at,
                by,
                by_name: by_name.unwrap_or_default(),
            }),
        })
    }
}
