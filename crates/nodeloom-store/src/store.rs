//! The store, and its transactions.

use std::fmt;

use crate::{
    EngineKind, Options, StoreError, Target,
    engine::{Engine, EngineTx, Param, Row, Run, Sql},
};

/// A database, open. Cheap to clone: the clones share their connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Engine,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.engine.kind())
    }
}

/// A write transaction. What it did is undone when it is dropped; it ends well only in
/// [`Tx::commit`], together with its audit event.
pub struct Tx {
    pub(crate) inner: EngineTx,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx(..)")
    }
}

impl Store {
    /// Opens the database with the default [`Options`]; makes the SQLite file when missing.
    /// The schema stays as it is: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Refused`], [`StoreError::NotADatabase`],
    /// [`StoreError::Corrupt`].
    pub async fn open(target: &Target) -> Result<Self, StoreError> {
        Self::open_with(target, &Options::default()).await
    }

    /// Opens the database with these options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(target: &Target, options: &Options) -> Result<Self, StoreError> {
        Ok(Self {
            engine: target.connect(options).await?,
        })
    }

    /// Opens a database, or a copy of one, that shall stay as it is: every write is refused, and
    /// beside a SQLite file that nobody writes nothing is made.
    ///
    /// # Errors
    /// As [`Store::open`]; a SQLite file that is missing is [`StoreError::Refused`].
    pub async fn open_to_read(target: &Target) -> Result<Self, StoreError> {
        let engine = match target {
            Target::Sqlite { path } => crate::target::peek_lite(path).await?,
            Target::Postgres { .. } => {
                let options = Options {
                    access: crate::Access::ReadOnly,
                    ..Options::default()
                };
                target.connect(&options).await?
            }
        };
        Ok(Self { engine })
    }

    /// Which database this is.
    #[must_use]
    pub fn engine(&self) -> EngineKind {
        self.engine.kind()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // On SQLite a constant would not touch the file.
        let sql = Sql::per_engine("SELECT count(*) FROM sqlite_schema", "SELECT 1::BIGINT");
        self.fetch(sql, &[]).await.map(drop)
    }

    /// Ends all connections, waiting for those in use. SQLite folds its WAL into the file.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Begins a write transaction. On SQLite there is one at a time; the others wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection or lock becomes free in time,
    /// [`StoreError::ReadOnly`].
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(Tx {
            inner: self.engine.begin().await?,
        })
    }

    pub(crate) async fn fetch(
        &self,
        sql: impl Into<Sql>,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        (&self.engine).fetch(sql.into(), params).await
    }
}

impl Tx {
    /// Undoes everything. Dropping does the same, later.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database has gone, which undoes it too.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.inner.rollback().await
    }

    /// Commits without an audit event. Only for what is neither a change that a person made
    /// nor a reading of a secret: times of last use and counters of failed sign-ins.
    /// `reason` says which, at the call site, for the reader.
    ///
    /// # Errors
    /// As any write.
    pub async fn commit_unaudited(self, reason: &'static str) -> Result<(), StoreError> {
        tracing::trace!(reason, "commit without audit event");
        self.inner.commit().await
    }

    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Param<'_>],
    ) -> Result<u64, StoreError> {
        self.inner.execute(sql.into(), params).await
    }

    pub(crate) async fn fetch(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        (&mut self.inner).fetch(sql.into(), params).await
    }
}

impl Run for &Store {
    async fn fetch(&mut self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        Store::fetch(self, sql, params).await
    }
}

impl Run for &mut Tx {
    async fn fetch(&mut self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        Tx::fetch(self, sql, params).await
    }
}

/// The write is allowed, or its caller has a bug.
pub(crate) fn require(covered: bool, what: &'static str) -> Result<(), StoreError> {
    if covered {
        return Ok(());
    }
    tracing::error!(what, "a write came with a permit for something else");
    Err(StoreError::PermitMismatch(what))
}
