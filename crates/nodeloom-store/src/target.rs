//! Which database, and how connections to it are set up.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{StoreError, engine::Engine, error::Cause};

/// How long a statement waits for another process's write lock on the SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for a free connection, connecting included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// A PostgreSQL connection that has been idle for longer is tried before it is used, so that
/// a restarted server costs one reconnection and no failed request.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(1);

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A SQLite file; made with mode 0600, in a directory with mode 0700, when missing.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL server.
    Postgres {
        /// Its address, with user and perhaps password.
        url: DatabaseUrl,
    },
}

/// The address of a server. It may hold a password, so it never shows itself: `Debug` and
/// `Display` give host, port and database.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: String,
    shown: String,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "{}", path.display()),
            Self::Postgres { url } => write!(f, "{url}"),
        }
    }
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?sslmode=verify-full` (or
    /// `postgresql://`), or `sqlite:path/to/file`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for another scheme, an address that cannot be read, or an
    /// unknown option.
    pub fn parse_url(text: &str) -> Result<Self, StoreError> {
        const BAD: StoreError = StoreError::Refused {
            reason: "the database URL cannot be read",
        };
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('?') {
                return Err(BAD);
            }
            return Ok(Self::Sqlite { path: path.into() });
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(StoreError::Refused {
                reason: "the database URL must start with postgres:// or sqlite:",
            });
        }
        // The driver would write an option that it does not know into the log, value and all.
        const KNOWN: [&str; 11] = [
            "sslmode",
            "sslrootcert",
            "sslcert",
            "sslkey",
            "host",
            "hostaddr",
            "port",
            "dbname",
            "user",
            "password",
            "application_name",
        ];
        let options = text.split_once('?').map_or("", |(_, options)| options);
        let unknown = options
            .split('&')
            .filter(|option| !option.is_empty())
            .any(|option| !KNOWN.contains(&option.split('=').next().unwrap_or_default()));
        if unknown {
            return Err(StoreError::Refused {
                reason: "the database URL has an unknown option",
            });
        }
        let parsed: PgConnectOptions = text.parse().map_err(|_| BAD)?;
        let shown = format!(
            "postgres://{}:{}/{}",
            parsed.get_host(),
            parsed.get_port(),
            parsed.get_database().unwrap_or_default()
        );
        Ok(Self::Postgres {
            url: DatabaseUrl {
                text: text.to_owned(),
                shown,
            },
        })
    }
}

/// How a store is opened. The defaults suit one server process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Connections to PostgreSQL, 1 or more.
    pub postgres_connections: u32,
    /// Reading connections to the SQLite file, 1 or more; there is always one writer.
    pub sqlite_readers: u32,
    /// Largest size of the SQLite file in pages of 4,096 bytes; a write beyond it fails with
    /// [`StoreError::Full`]. `None` leaves it to the disk.
    pub sqlite_max_pages: Option<u32>,
    /// Whether every write is refused with [`StoreError::ReadOnly`].
    pub access: Access,
}

/// Whether a store may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes.
    ReadWrite,
    /// Every write is refused.
    ReadOnly,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            postgres_connections: 8,
            sqlite_readers: 4,
            sqlite_max_pages: None,
            access: Access::ReadWrite,
        }
    }
}

impl Target {
    /// Connects, and fails if that is not possible now.
    pub(crate) async fn connect(&self, options: &Options) -> Result<Engine, StoreError> {
        match self {
            Self::Sqlite { path } => connect_lite(path, options).await,
            Self::Postgres { url } => connect_pg(url, options).await,
        }
    }
}

fn lite_options(path: &Path) -> Result<SqliteConnectOptions, StoreError> {
    // Absolute, so that no path can be taken for a `file:` URI with options of its own.
    let path = std::path::absolute(path).map_err(|error| unavailable(&error))?;
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(200)
        // A damaged page is reported instead of read as something else.
        .pragma("cell_size_check", "ON")
        // A view or trigger planted in the file must not call functions.
        .pragma("trusted_schema", "OFF")
        // Sorting never leaves names in temporary files.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging())
}

/// A connection that reads a file and leaves nothing behind, not even beside it.
pub(crate) async fn peek_lite(path: &Path) -> Result<Engine, StoreError> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).exists()
    };
    // Without a WAL or journal nobody is writing, and the file can be taken as it is. With
    // one, SQLite has to read it too, which may make the shared-memory file.
    let at_rest = !beside("-wal") && !beside("-journal");
    let options = lite_options(path)?.read_only(true).immutable(at_rest);
    let pool = lite_pool(1).connect_with(options).await?;
    Ok(Engine::Lite {
        writer: pool.clone(),
        reader: pool,
    })
}

async fn connect_lite(path: &Path, options: &Options) -> Result<Engine, StoreError> {
    let read_only = options.access == Access::ReadOnly;
    if !read_only {
        create_private(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => StoreError::Refused {
                reason: "the database file may not be made or opened",
            },
            std::io::ErrorKind::StorageFull => StoreError::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
            _ => unavailable(&error),
        })?;
    }
    let mut base = lite_options(path)?;
    if let Some(pages) = options.sqlite_max_pages {
        base = base.pragma("max_page_count", pages.to_string());
    }
    let writer = base
        .clone()
        .read_only(read_only)
        // A commit is on the disk when it returns: an answer "stored" survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        // What is deleted or replaced is overwritten, old ciphertext and old slots above all.
        .pragma("secure_delete", "ON")
        .pragma("cache_size", "-16384");
    let writer = if read_only {
        writer
    } else {
        writer.journal_mode(SqliteJournalMode::Wal)
    };
    // Two processes that make the file at the same moment cannot wait for each other while
    // they switch to WAL: SQLite answers "busy" at once.
    let mut tries = 0;
    let writer = loop {
        match lite_pool(1)
            .connect_with(writer.clone())
            .await
            .map_err(StoreError::from)
        {
            Err(StoreError::Unavailable(_)) if tries < 50 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => break other?,
        }
    };
    let reader = base
        .read_only(true)
        .pragma("query_only", "ON")
        .pragma("cache_size", "-8192");
    let reader = lite_pool(options.sqlite_readers.max(1)).connect_lazy_with(reader);
    Ok(Engine::Lite { writer, reader })
}

fn lite_pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT * 2)
        // A connection in this process does not go stale.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the file before SQLite does, which would leave it readable to the group. The WAL and
/// shared-memory files take their mode from it.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    let mut file = std::fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        folder.recursive(true).create(parent)?;
    }
    match file.write(true).create_new(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn pg_options(url: &DatabaseUrl) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.text.parse().map_err(|_| StoreError::Refused {
        reason: "the database URL cannot be read",
    })?;
    let options = if options.get_application_name().is_some() {
        options
    } else {
        options.application_name("nodeloom")
    };
    Ok(options
        .statement_cache_capacity(200)
        .disable_statement_logging())
}

/// Limits on every connection, so that one stuck statement or lock cannot hold the rest; and
/// the settings that this crate's locking relies on, whatever the server's defaults are.
const PG_SESSION: &str = "SET statement_timeout = '15s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '30s'; \
     SET default_transaction_isolation = 'read committed'; SET synchronous_commit = 'on'";
const PG_SESSION_READ_ONLY: &str = "SET default_transaction_read_only = on";

async fn connect_pg(url: &DatabaseUrl, options: &Options) -> Result<Engine, StoreError> {
    let connect = pg_options(url)?;
    // One connection first: a pool would hide the reason behind a timeout.
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, connect.connect())
        .await
        .map_err(|_| {
            StoreError::Unavailable(Cause::new("the server did not answer within 5 seconds"))
        })??;
    first.close().await?;
    let access = options.access;
    let pool = PgPoolOptions::new()
        .max_connections(options.postgres_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(PG_SESSION).await?;
                if access == Access::ReadOnly {
                    connection.execute(PG_SESSION_READ_ONLY).await?;
                }
                Ok(())
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRY_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect);
    Ok(Engine::Pg(pool))
}

fn unavailable(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(Cause::new(error.kind().to_string()))
}
