//! What can go wrong in storage, told apart by what the caller can do.

use std::fmt;

/// A failure of storage. No text in it, the causes' included, holds a stored value, a
/// parameter or the database's address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The write collides with what is stored.
    #[error("{kind} in {what}")]
    Conflict {
        /// How it collides.
        kind: ConflictKind,
        /// The table, where the database names it, such as `credentials`.
        what: String,
    },
    /// The database cannot be reached, is busy for longer than we wait, or has gone away.
    /// The same call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// The database answers and refuses us: wrong user or password, no such database, an
    /// address that cannot be read, missing rights.
    #[error("the database refused the connection or the right: {reason}")]
    Refused {
        /// What to look at.
        reason: &'static str,
    },
    /// No space is left, on the disk or under a limit. Nothing was written.
    #[error("no space is left for the database")]
    Full,
    /// The database file or server takes no writes.
    #[error("the database is read-only")]
    ReadOnly,
    /// What is stored cannot be: a damaged file, a column of the wrong shape.
    #[error("the database is damaged: {what}")]
    Corrupt {
        /// File, or table and column.
        what: String,
    },
    /// The file is not a SQLite database.
    #[error("the file is not a database")]
    NotADatabase,
    /// A newer program has migrated this database.
    #[error("the database has schema {found}, this program knows schemas up to {known}")]
    SchemaTooNew {
        /// The database's schema.
        found: u32,
        /// The newest schema of this program.
        known: u32,
    },
    /// A table or column is missing: the migrations have not run.
    #[error("the database has no schema that this program can use; run its migrations")]
    SchemaBehind,
    /// The permit does not cover this write. A bug of the caller, never a user's error.
    #[error("the permit does not cover {0}")]
    PermitMismatch(&'static str),
    /// The audit chain cannot be continued under this key: it is not an active audit key.
    #[error("the audit key is not the active one")]
    AuditKeyNotActive,
    /// Anything else.
    #[error("the database failed")]
    Other(#[source] Cause),
}

/// How a write collides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Another row has that id or name.
    Duplicate,
    /// The row refers to one that is missing, or is still referred to.
    Reference,
    /// Two transactions crossed; the same transaction may succeed when repeated.
    Retry,
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "duplicate",
            Self::Reference => "broken reference",
            Self::Retry => "concurrent change",
        })
    }
}

/// The database's own words, cut to what carries no values: the error code and the
/// primary message, never detail, hint or statement.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl StoreError {
    /// Whether the write collides with a row of `table` that has the same id or name.
    #[must_use]
    pub fn is_duplicate_in(&self, table: &str) -> bool {
        matches!(self, Self::Conflict { kind: ConflictKind::Duplicate, what } if what == table)
    }

    /// Whether the same transaction may succeed when repeated at once.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Conflict {
                kind: ConflictKind::Retry,
                ..
            }
        )
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self::Other(Cause::new(text))
    }

    fn conflict(kind: ConflictKind, what: &str) -> Self {
        Self::Conflict {
            kind,
            what: what.to_owned(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                    from_sqlite(error)
                } else if let Some(error) =
                    error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                {
                    from_postgres(error)
                } else {
                    Self::other("an unknown database failed")
                }
            }
            // An I/O error names a cause of the operating system, no address.
            E::Io(error) => Self::Unavailable(Cause::new(error.to_string())),
            E::PoolTimedOut => Self::Unavailable(Cause::new("no connection became free in time")),
            E::PoolClosed => Self::Unavailable(Cause::new("the store is closed")),
            E::WorkerCrashed => Self::Unavailable(Cause::new("the database thread ended")),
            E::BeginFailed => Self::Unavailable(Cause::new("no transaction could be begun")),
            E::Protocol(_) => Self::Unavailable(Cause::new("the database broke its protocol")),
            E::Tls(_) => Self::Refused {
                reason: "TLS could not be agreed on",
            },
            E::Configuration(_) => Self::Refused {
                reason: "the database URL cannot be read",
            },
            // What is left says which column or argument; the texts may quote values.
            E::ColumnDecode { index, .. } => Self::corrupt(format!("column {index}")),
            E::ColumnNotFound(_) | E::ColumnIndexOutOfBounds { .. } | E::Decode(_) => {
                Self::corrupt("a result has another shape")
            }
            _ => Self::other("the database driver failed"),
        }
    }
}

/// Result codes: <https://www.sqlite.org/rescode.html>. The messages name tables and
/// columns, never values.
fn from_sqlite(error: &sqlx::sqlite::SqliteError) -> StoreError {
    use sqlx::error::DatabaseError as _;
    let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(1);
    let message = error.message();
    let cause = || Cause::new(format!("SQLite {code}: {message}"));
    match (code, code & 0xff) {
        (2067 | 1555, _) => {
            // "UNIQUE constraint failed: credentials.team_id, credentials.name", or
            // "UNIQUE constraint failed: index 'data_keys_active_team'".
            let columns = message.rsplit(": ").next().unwrap_or_default();
            let table = columns.split('.').next().unwrap_or_default();
            StoreError::conflict(ConflictKind::Duplicate, table)
        }
        (787, _) => StoreError::conflict(ConflictKind::Reference, "a reference"),
        // A page that should be in the file is not.
        (522, _) | (_, 11) => StoreError::corrupt("the database file"),
        (_, 13) => StoreError::Full,
        (_, 8) => StoreError::ReadOnly,
        (_, 26) => StoreError::NotADatabase,
        (_, 3 | 23) => StoreError::Refused {
            reason: "the database file may not be opened",
        },
        (_, 5 | 6 | 10 | 14) => StoreError::Unavailable(cause()),
        (1, _) if message.starts_with("no such table") || message.starts_with("no such column") => {
            StoreError::SchemaBehind
        }
        _ => StoreError::Other(cause()),
    }
}

/// SQLSTATE: PostgreSQL's appendix "Error Codes". `DETAIL`, `HINT` and `CONTEXT` quote
/// values and are dropped; so is the message of class 22, bad data.
fn from_postgres(error: &sqlx::postgres::PgDatabaseError) -> StoreError {
    let code = error.code();
    let cause = || {
        if code.starts_with("22") {
            Cause::new(format!("PostgreSQL {code}"))
        } else {
            Cause::new(format!("PostgreSQL {code}: {}", error.message()))
        }
    };
    let table = error.table().unwrap_or("a table");
    match code {
        "23505" => StoreError::conflict(ConflictKind::Duplicate, table),
        "23503" => StoreError::conflict(ConflictKind::Reference, "a reference"),
        "40001" | "40P01" => StoreError::conflict(ConflictKind::Retry, "a transaction"),
        "53100" => StoreError::Full,
        "25006" => StoreError::ReadOnly,
        "42P01" | "42703" => StoreError::SchemaBehind,
        "3D000" => StoreError::Refused {
            reason: "there is no such database",
        },
        "42501" => StoreError::Refused {
            reason: "the database user lacks a right",
        },
        "55P03" | "57014" | "XX000" => StoreError::Unavailable(cause()),
        // The message of an authentication failure names the user.
        _ if code.starts_with("28") => StoreError::Refused {
            reason: "the database user or password is wrong",
        },
        "XX001" | "XX002" => StoreError::corrupt("a table or index of the server"),
        _ if ["08", "53", "57P", "58"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            StoreError::Unavailable(cause())
        }
        _ => StoreError::Other(cause()),
    }
}
