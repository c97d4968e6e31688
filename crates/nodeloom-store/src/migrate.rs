//! The schema's versions, and how a database comes to the newest.

use crate::{
    Store, StoreError,
    engine::{EngineTx, Param, Run, Sql},
};

/// One step of the schema: the same number and name for both engines.
struct Migration {
    version: u32,
    name: &'static str,
    lite: &'static str,
    pg: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        /// Every step, in order. Never edited once released: a test knows their checksums.
        const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            lite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            pg: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),+];
    };
}

migrations! {
    1 "0001_vault",
    2 "0002_people",
    3 "0003_audit",
    4 "0004_credential_life",
}

/// The newest schema that this program knows.
pub const SCHEMA_VERSION: u32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The database's schema; 0 when it has none.
    pub current: u32,
    /// The newest schema of this program.
    pub known: u32,
    /// The names of the migrations that have not run, in order.
    pub pending: Vec<&'static str>,
}

/// FNV-1a, 64 bits. It is there to notice an edit by mistake, not an attack: whoever can
/// change the migrations can change the program.
const fn checksum(lite: &str, pg: &str) -> [u8; 8] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let texts = [lite.as_bytes(), pg.as_bytes()];
    let mut text = 0;
    while text < 2 {
        let mut index = 0;
        while index < texts[text].len() {
            hash = (hash ^ texts[text][index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            index += 1;
        }
        text += 1;
    }
    hash.to_be_bytes()
}

// The catalogues have nothing in common. In a search path with several schemas the one that
// this connection would use counts.
const HAS_SCHEMA: Sql = Sql::per_engine(
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
    "SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('schema_migrations')",
);
const CREATE: Sql = Sql::per_engine(
    "CREATE TABLE schema_migrations (version INTEGER NOT NULL PRIMARY KEY, \
     name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT",
    "CREATE TABLE schema_migrations (version BIGINT NOT NULL PRIMARY KEY, \
     name TEXT COLLATE \"C\" NOT NULL, checksum BYTEA NOT NULL)",
);
// SQLite took the write lock with BEGIN IMMEDIATE. PostgreSQL has a lock by number: "nodeloom"
// in ASCII; it waits for another migration for a minute, and a large one may take its time.
const LOCK: Sql = Sql::per_engine(
    "SELECT 1",
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
     SELECT pg_advisory_xact_lock(7957689453360672621)",
);

/// The database's schema, 0 when it has none.
///
/// # Errors
/// [`StoreError::SchemaTooNew`], and [`StoreError::Corrupt`] when its migrations were others.
pub(crate) async fn current_version(mut run: impl Run) -> Result<u32, StoreError> {
    let rows = run.fetch(HAS_SCHEMA, &[]).await?;
    let has = rows
        .first()
        .map_or(Ok(0), |row| row.columns("schema_migrations").int())?;
    if has == 0 {
        return Ok(0);
    }
    const SQL: &str = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    let rows = run.fetch(SQL.into(), &[]).await?;
    let mut current = 0;
    let mut differs = None;
    for row in &rows {
        let mut row = row.columns("schema_migrations");
        let version = u32::try_from(row.int()?).map_err(|_| row.corrupt())?;
        let found: [u8; 8] = row.fixed()?;
        let known = MIGRATIONS
            .iter()
            .find(|migration| migration.version == version);
        if known.is_some_and(|known| checksum(known.lite, known.pg) != found) {
            differs = Some(version);
        }
        current = version;
    }
    if current > SCHEMA_VERSION {
        return Err(StoreError::SchemaTooNew {
            found: current,
            known: SCHEMA_VERSION,
        });
    }
    match differs {
        Some(version) => Err(StoreError::corrupt(format!(
            "schema {version} was made by another migration than this program's"
        ))),
        None => Ok(current),
    }
}

impl Store {
    /// Brings the schema to the newest version, under a lock and in one transaction: of two
    /// processes that start at once, one migrates and the other waits. Returns the names of
    /// the migrations that ran.
    ///
    /// # Errors
    /// [`StoreError::SchemaTooNew`], with nothing changed; [`StoreError::ReadOnly`],
    /// [`StoreError::Full`], [`StoreError::Unavailable`] when the lock does not become free.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, StoreError> {
        // The usual start has nothing to do and takes no lock.
        if current_version(self).await? == SCHEMA_VERSION {
            return Ok(Vec::new());
        }
        let mut tx = self.engine.begin().await?;
        tx.script(LOCK).await?;
        let ran = run_pending(&mut tx).await?;
        tx.commit().await?;
        Ok(ran)
    }

    /// Which migrations have run and which have not. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::SchemaTooNew`].
    pub async fn migration_status(&self) -> Result<MigrationStatus, StoreError> {
        let current = current_version(self).await?;
        let pending = MIGRATIONS
            .iter()
            .filter(|migration| migration.version > current)
            .map(|migration| migration.name)
            .collect();
        Ok(MigrationStatus {
            current,
            known: SCHEMA_VERSION,
            pending,
        })
    }
}

async fn run_pending(tx: &mut EngineTx) -> Result<Vec<&'static str>, StoreError> {
    let current = current_version(&mut *tx).await?;
    if current == 0 {
        tx.script(CREATE).await?;
    }
    let mut ran = Vec::new();
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.version > current)
    {
        tx.script(Sql::per_engine(migration.lite, migration.pg))
            .await?;
        const SQL: &str = "INSERT INTO schema_migrations (version, name, checksum) \
             VALUES ($1, $2, $3)";
        let checksum = checksum(migration.lite, migration.pg);
        let params = [
            i64::from(migration.version).into(),
            migration.name.into(),
            Param::Bytes(&checksum),
        ];
        tx.execute(SQL.into(), &params).await?;
        ran.push(migration.name);
    }
    Ok(ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one_and_names_begin_with_them() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            // A gap that is filled later would never run where the next one has.
            assert_eq!(migration.version as usize, index + 1);
            assert!(
                migration
                    .name
                    .starts_with(&format!("{:04}_", migration.version))
            );
        }
    }
}
