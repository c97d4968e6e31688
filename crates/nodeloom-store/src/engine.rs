//! The two engines behind one face. The only file that knows which one is running: the rest
//! of the crate writes each statement once and reads rows by column.

use std::{fmt, future::Future, str::FromStr};

use nodeloom_domain::{Id, Timestamp};
use sqlx::{
    Column as _, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction,
    postgres::{PgArguments, PgRow},
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::StoreError;

/// The databases that a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// The embedded default: one file.
    Sqlite,
    /// PostgreSQL, or anything that speaks its protocol and dialect.
    Postgres,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A statement: one text for both engines, or one for each.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    lite: &'static str,
    pg: &'static str,
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self {
            lite: text,
            pg: text,
        }
    }
}

impl Sql {
    /// For the few statements that cannot be the same. Each use says why.
    pub(crate) const fn per_engine(lite: &'static str, pg: &'static str) -> Self {
        Self { lite, pg }
    }
}

/// One bound value.
#[derive(Clone, Copy)]
pub(crate) enum Param<'a> {
    Int(i64),
    OptInt(Option<i64>),
    Bytes(&'a [u8]),
    OptBytes(Option<&'a [u8]>),
    Text(&'a str),
    OptText(Option<&'a str>),
    Bool(bool),
}

impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<Timestamp> for Param<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.as_micros())
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl<'a, K> From<&'a Id<K>> for Param<'a> {
    fn from(value: &'a Id<K>) -> Self {
        Self::Bytes(value.as_bytes())
    }
}

macro_rules! bind_all {
    ($query:expr, $params:expr) => {{
        let mut query = $query;
        for param in $params {
            query = match *param {
                Param::Int(value) => query.bind(value),
                Param::OptInt(value) => query.bind(value),
                Param::Bytes(value) => query.bind(value),
                Param::OptBytes(value) => query.bind(value),
                Param::Text(value) => query.bind(value),
                Param::OptText(value) => query.bind(value),
                Param::Bool(value) => query.bind(value),
            };
        }
        query
    }};
}

fn lite_query(sql: Sql, params: &[Param<'_>]) -> Query<'static, Sqlite, SqliteArguments> {
    bind_all!(sqlx::query(sql.lite), params)
}

fn pg_query(sql: Sql, params: &[Param<'_>]) -> Query<'static, Postgres, PgArguments> {
    bind_all!(sqlx::query(sql.pg), params)
}

/// The pools of one store.
#[derive(Clone)]
pub(crate) enum Engine {
    /// One writer, since SQLite has one, and readers that never wait for it.
    Lite {
        writer: SqlitePool,
        reader: SqlitePool,
    },
    Pg(PgPool),
}

/// An open transaction on either engine.
pub(crate) enum EngineTx {
    Lite(Transaction<'static, Sqlite>),
    Pg(Transaction<'static, Postgres>),
}

/// Where a statement runs: on any connection, or inside a transaction. Lets a read that both
/// a store and a transaction offer be written once.
pub(crate) trait Run: Send {
    /// All rows.
    fn fetch(
        &mut self,
        sql: Sql,
        params: &[Param<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;
}

impl Engine {
    pub(crate) fn kind(&self) -> EngineKind {
        match self {
            Self::Lite { .. } => EngineKind::Sqlite,
            Self::Pg(_) => EngineKind::Postgres,
        }
    }

    /// Begins a write transaction. On SQLite it takes the write lock at once: one that reads
    /// first and writes later could fail without any chance to wait.
    pub(crate) async fn begin(&self) -> Result<EngineTx, StoreError> {
        Ok(match self {
            Self::Lite { writer, .. } => EngineTx::Lite(begin_lite(writer).await?),
            Self::Pg(pool) => EngineTx::Pg(pool.begin().await?),
        })
    }

    /// Takes deleted rows out of the files; see `Store::scrub`. `vacuum` is for PostgreSQL,
    /// which runs it outside of any transaction.
    pub(crate) async fn scrub(&self, vacuum: &'static str) -> Result<bool, StoreError> {
        match self {
            Self::Lite { writer, .. } => {
                let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                    .fetch_one(writer)
                    .await?;
                // The first column says whether a reader was in the way.
                Ok(row.try_get::<i64, _>(0)? == 0)
            }
            Self::Pg(pool) => {
                sqlx::raw_sql(vacuum).execute(pool).await?;
                Ok(true)
            }
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Lite { writer, reader } => {
                // The writer last: closing it folds the WAL into the file.
                reader.close().await;
                writer.close().await;
            }
            Self::Pg(pool) => pool.close().await,
        }
    }
}

/// Begins on the one writing connection.
///
/// A full disk or a failed write makes SQLite end the transaction by itself. The driver's own
/// ROLLBACK then finds none, so that it counts the transaction as open for ever and refuses each
/// later one: such a connection is replaced.
async fn begin_lite(writer: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match writer.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement) => {
            writer.acquire().await?.close().await?;
            writer.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

impl Run for &Engine {
    async fn fetch(&mut self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Engine::Lite { reader, .. } => {
                lite_rows(lite_query(sql, params).fetch_all(reader).await?)
            }
            Engine::Pg(pool) => {
                refuse_nul(params)?;
                pg_rows(pg_query(sql, params).fetch_all(pool).await?)
            }
        })
    }
}

impl EngineTx {
    pub(crate) async fn execute(
        &mut self,
        sql: Sql,
        params: &[Param<'_>],
    ) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Lite(tx) => lite_query(sql, params)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
            Self::Pg(tx) => {
                refuse_nul(params)?;
                pg_query(sql, params)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
        })
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn script(&mut self, sql: Sql) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => sqlx::raw_sql(sql.lite).execute(&mut **tx).await.map(drop)?,
            Self::Pg(tx) => sqlx::raw_sql(sql.pg).execute(&mut **tx).await.map(drop)?,
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => tx.commit().await?,
            Self::Pg(tx) => tx.commit().await?,
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => tx.rollback().await?,
            Self::Pg(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

impl Run for &mut EngineTx {
    async fn fetch(&mut self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            EngineTx::Lite(tx) => lite_rows(lite_query(sql, params).fetch_all(&mut **tx).await?),
            EngineTx::Pg(tx) => {
                refuse_nul(params)?;
                pg_rows(pg_query(sql, params).fetch_all(&mut **tx).await?)
            }
        })
    }
}

/// PostgreSQL keeps no NUL in a text and would say so with the text in its message.
fn refuse_nul(params: &[Param<'_>]) -> Result<(), StoreError> {
    let nul = params.iter().any(|param| {
        matches!(param, Param::Text(text) | Param::OptText(Some(text)) if text.contains('\0'))
    });
    if nul {
        Err(StoreError::other("a text holds a NUL character"))
    } else {
        Ok(())
    }
}

fn lite_rows(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Lite).collect()
}

fn pg_rows(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Pg).collect()
}

/// A row of either engine.
pub(crate) enum Row {
    Lite(SqliteRow),
    Pg(PgRow),
}

impl Row {
    /// Reads the columns from the first to the last; `table` goes into the error.
    pub(crate) fn columns(&self, table: &'static str) -> Columns<'_> {
        Columns {
            row: self,
            table,
            next: 0,
        }
    }
}

/// A cursor over the columns of a row, in the order of the SELECT list. A value of another
/// type or length than expected is [`StoreError::Corrupt`], naming table and column.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    table: &'static str,
    next: usize,
}

macro_rules! readers {
    ($($name:ident: $type:ty),+ $(,)?) => {$(
        pub(crate) fn $name(&mut self) -> Result<$type, StoreError> {
            let index = self.next;
            self.next += 1;
            let value = match self.row {
                Row::Lite(row) => row.try_get::<$type, _>(index),
                Row::Pg(row) => row.try_get::<$type, _>(index),
            };
            value.map_err(|_| self.corrupt())
        }
    )+};
}

impl<'r> Columns<'r> {
    readers! {
        int: i64,
        opt_int: Option<i64>,
        bool: bool,
        text: String,
        opt_text: Option<String>,
        bytes: Vec<u8>,
        opt_bytes: Option<Vec<u8>>,
        slice: &'r [u8],
        opt_slice: Option<&'r [u8]>,
        str: &'r str,
        opt_str: Option<&'r str>,
    }

    /// The same row, from column `index` on.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.next = index;
        self
    }

    /// The error for the column that was read last.
    pub(crate) fn corrupt(&self) -> StoreError {
        let index = self.next.saturating_sub(1);
        let name = match self.row {
            Row::Lite(row) => row.try_column(index).map(|column| column.name().to_owned()),
            Row::Pg(row) => row.try_column(index).map(|column| column.name().to_owned()),
        };
        let name = name.unwrap_or_else(|_| index.to_string());
        StoreError::corrupt(format!("table {}, column {name}", self.table))
    }

    /// An unsigned count or number.
    pub(crate) fn count(&mut self) -> Result<u64, StoreError> {
        let value = self.int()?;
        u64::try_from(value).map_err(|_| self.corrupt())
    }

    pub(crate) fn opt_count(&mut self) -> Result<Option<u64>, StoreError> {
        let value = self.opt_int()?.map(u64::try_from).transpose();
        value.map_err(|_| self.corrupt())
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.int().map(Timestamp::from_micros)
    }

    pub(crate) fn opt_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.opt_int()?.map(Timestamp::from_micros))
    }

    /// Anything of fixed size: ids, key ids, MACs.
    pub(crate) fn fixed<T: TryFrom<&'r [u8]>>(&mut self) -> Result<T, StoreError> {
        let value = self.slice()?;
        T::try_from(value).map_err(|_| self.corrupt())
    }

    pub(crate) fn opt_fixed<T: TryFrom<&'r [u8]>>(&mut self) -> Result<Option<T>, StoreError> {
        let value = self.opt_slice()?;
        value
            .map(T::try_from)
            .transpose()
            .map_err(|_| self.corrupt())
    }

    /// A word from a closed list.
    pub(crate) fn word<T: FromStr>(&mut self) -> Result<T, StoreError> {
        let value = self.str()?;
        value.parse().map_err(|_| self.corrupt())
    }

    /// A JSON array of strings.
    pub(crate) fn list(&mut self) -> Result<Vec<String>, StoreError> {
        let value = self.str()?;
        serde_json::from_str(value).map_err(|_| self.corrupt())
    }
}

/// An integer column for a number that the domain keeps unsigned.
pub(crate) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::other("a number is too large to store"))
}

/// A JSON array of strings, as `Columns::list` reads it.
pub(crate) fn json_list(items: &[String]) -> String {
    serde_json::Value::from(items.to_vec()).to_string()
}

/// The words of a closed list: how storage spells each variant.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word in storage.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::engine::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err($crate::engine::UnknownWord) }
            }
        }
    };
}
pub(crate) use words;

/// The text is none of the words that the column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;
