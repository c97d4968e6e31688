//! A database per test, and the hostile writer's way into it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nodeloom_store::Target;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, TypeInfo as _, ValueRef as _};

/// An empty database, and what plain sqlx connects to.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) target: Target,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Lite(Arc<tempfile::TempDir>),
    Pg {
        admin: String,
        name: String,
        url: String,
    },
}

/// One column of one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(crate) fn int(&self) -> i64 {
        let Self::Int(value) = self else {
            panic!("{self:?} is no number")
        };
        *value
    }

    pub(crate) fn text(&self) -> &str {
        let Self::Text(value) = self else {
            panic!("{self:?} is no text")
        };
        value
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let Self::Bytes(value) = self else {
            panic!("{self:?} is no bytes")
        };
        value
    }
}

/// Every row of every table, by table.
pub(crate) type Dump = BTreeMap<String, Vec<Vec<Cell>>>;

macro_rules! cells {
    ($rows:expr) => {
        $rows
            .iter()
            .map(|row| {
                (0..row.columns().len())
                    .map(|at| {
                        let raw = row.try_get_raw(at).unwrap();
                        if raw.is_null() {
                            return Cell::Null;
                        }
                        match raw.type_info().name() {
                            "BLOB" | "BYTEA" => Cell::Bytes(row.get(at)),
                            "INTEGER" | "INT8" => Cell::Int(row.get(at)),
                            "INT4" => Cell::Int(row.get::<i32, _>(at).into()),
                            "BOOL" | "BOOLEAN" => Cell::Int(row.get::<bool, _>(at).into()),
                            _ => Cell::Text(row.get(at)),
                        }
                    })
                    .collect()
            })
            .collect()
    };
}

impl Db {
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Sqlite {
            path: dir.path().join("nodeloom.db"),
        };
        Self {
            target,
            place: Place::Lite(dir.into()),
        }
    }

    pub(crate) async fn postgres() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let admin = std::env::var("NODELOOM_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "NODELOOM_TEST_POSTGRES is not set; run scripts/test.sh, which starts a \
                 PostgreSQL of its own"
            )
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nodeloom_app_{}_{number}", std::process::id());
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .unwrap();
        let (base, _) = admin.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}?sslmode=disable");
        Self {
            target: Target::parse_url(&url).unwrap(),
            place: Place::Pg { admin, name, url },
        }
    }

    /// Drops the database of a test that went well.
    pub(crate) async fn drop_it(self) {
        let Place::Pg { admin, name, .. } = self.place else {
            return;
        };
        let mut connection = sqlx::PgConnection::connect(&admin).await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Lite(_))
    }

    /// The folder of a SQLite database.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Lite(dir) => Some(dir.path()),
            Place::Pg { .. } => None,
        }
    }

    async fn lite(&self) -> sqlx::SqliteConnection {
        let Target::Sqlite { path } = &self.target else {
            panic!("only for SQLite")
        };
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false);
        sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap()
    }

    async fn pg(url: &str) -> sqlx::PgConnection {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        // Whoever owns the database is not held up by references.
        let free = "SET session_replication_role = replica";
        sqlx::raw_sql(free).execute(&mut connection).await.unwrap();
        connection
    }

    /// Runs SQL behind the program's back, references unchecked. Write bytes as `X'…'`.
    pub(crate) async fn try_run(&self, sql: &str) -> Result<u64, sqlx::Error> {
        match &self.place {
            Place::Lite(_) => {
                let mut connection = self.lite().await;
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                connection.close().await.unwrap();
                done.map(|done| done.rows_affected())
            }
            Place::Pg { url, .. } => {
                let mut connection = Self::pg(url).await;
                let sql = sql.replace("X'", "'\\x");
                let done = sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut connection)
                    .await;
                done.map(|done| done.rows_affected())
            }
        }
    }

    /// Runs PostgreSQL statements in a transaction and leaves it open; `None` on SQLite,
    /// where one writer stands behind the other anyway.
    pub(crate) async fn hold(&self, sql: &str) -> Option<sqlx::PgConnection> {
        let Place::Pg { url, .. } = &self.place else {
            return None;
        };
        let mut connection = Self::pg(url).await;
        let sql = format!("BEGIN; {sql}");
        let held = sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await;
        held.unwrap();
        Some(connection)
    }

    /// Waits until this many of the program's connections wait for a lock, then lets
    /// `held` go.
    pub(crate) async fn release(&self, held: Option<sqlx::PgConnection>, waiting: i64) {
        let Some(held) = held else { return };
        let waiters = "pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        while self.count(waiters).await < waiting {
            tokio::task::yield_now().await;
        }
        held.close().await.unwrap();
    }

    pub(crate) async fn run(&self, sql: &str) -> u64 {
        self.try_run(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Cell>> {
        match &self.place {
            Place::Lite(_) => {
                let mut connection = self.lite().await;
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&mut connection)
                    .await;
                connection.close().await.unwrap();
                cells!(rows.unwrap())
            }
            Place::Pg { url, .. } => {
                let mut connection = Self::pg(url).await;
                let sql = sql.replace("X'", "'\\x");
                let rows = sqlx::query(AssertSqlSafe(sql))
                    .fetch_all(&mut connection)
                    .await;
                cells!(rows.unwrap())
            }
        }
    }

    /// The one value that a query gives.
    pub(crate) async fn one(&self, sql: &str) -> Cell {
        let rows = self.rows(sql).await;
        let [row] = rows.as_slice() else {
            panic!("{sql}: {} rows", rows.len())
        };
        row[0].clone()
    }

    pub(crate) async fn count(&self, from: &str) -> i64 {
        self.one(&format!("SELECT count(*) FROM {from}"))
            .await
            .int()
    }

    pub(crate) async fn tables(&self) -> Vec<String> {
        let sql = if self.is_sqlite() {
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        } else {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        };
        self.rows(sql)
            .await
            .iter()
            .map(|row| row[0].text().to_owned())
            .collect()
    }

    /// Everything that is stored.
    pub(crate) async fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        for table in self.tables().await {
            let mut rows = self.rows(&format!("SELECT * FROM {table}")).await;
            rows.sort();
            dump.insert(table, rows);
        }
        dump
    }

    /// Everything but the audit trail.
    pub(crate) async fn dump_records(&self) -> Dump {
        let mut dump = self.dump().await;
        dump.retain(|table, _| !table.starts_with("audit_"));
        dump
    }
}

/// Bytes as both engines read them in SQL that goes through [`Db`].
pub(crate) fn x(bytes: &[u8]) -> String {
    format!("X'{}'", hex(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
