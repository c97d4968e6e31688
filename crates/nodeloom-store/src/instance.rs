//! The installation, its live processes, and the codes that set it up.

use nodeloom_crypto::{KeyId, RootId};
use nodeloom_domain::{
    InstanceId, SetupId, Timestamp,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Param, Run, Sql},
    store::require,
};

/// The installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// Its id.
    pub id: InstanceId,
    /// When it was first started.
    pub created_at: Timestamp,
}

/// A one-time code that makes the first administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupCodeRow {
    /// Its id, the public half of the code.
    pub id: SetupId,
    /// Keyed hash of the secret half, 32 bytes.
    pub tag: [u8; 32],
    /// The index key that made the tag.
    pub index_key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was used, if it was.
    pub used_at: Option<Timestamp>,
}

/// A process that serves this database, with the root keys it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// Random id of this run of the program.
    pub id: [u8; 16],
    /// Name of its machine.
    pub host: String,
    /// Its number on that machine.
    pub pid: u32,
    /// The root keys that it holds.
    pub roots: Vec<RootId>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub last_seen_at: Timestamp,
}

async fn instance(mut run: impl Run) -> Result<Option<InstanceRow>, StoreError> {
    let rows = run
        .fetch("SELECT id, created_at FROM instance".into(), &[])
        .await?;
    rows.first()
        .map(|row| {
            let mut row = row.columns("instance");
            Ok(InstanceRow {
                id: row.fixed()?,
                created_at: row.time()?,
            })
        })
        .transpose()
}

async fn find_setup_code(
    mut run: impl Run,
    id: SetupId,
) -> Result<Option<SetupCodeRow>, StoreError> {
    const SQL: &str = "SELECT id, tag, index_key_id, created_at, expires_at, used_at \
         FROM setup_codes WHERE id = $1";
    let rows = run.fetch(SQL.into(), &[(&id).into()]).await?;
    rows.first()
        .map(|row| {
            let mut row = row.columns("setup_codes");
            Ok(SetupCodeRow {
                id: row.fixed()?,
                tag: row.fixed()?,
                index_key_id: row.fixed()?,
                created_at: row.time()?,
                expires_at: row.time()?,
                used_at: row.opt_time()?,
            })
        })
        .transpose()
}

async fn list_processes(
    mut run: impl Run,
    since: Timestamp,
) -> Result<Vec<ProcessRow>, StoreError> {
    const SQL: &str = "SELECT id, host, pid, roots, started_at, last_seen_at FROM processes \
         WHERE last_seen_at >= $1 ORDER BY started_at, id";
    let rows = run.fetch(SQL.into(), &[since.into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = row.columns("processes");
            let (id, host) = (row.fixed()?, row.text()?);
            let pid = u32::try_from(row.int()?).map_err(|_| row.corrupt())?;
            let roots = row
                .text()?
                .split(',')
                .filter(|root| !root.is_empty())
                .map(|root| root.parse().map_err(|_| row.corrupt()))
                .collect::<Result<_, _>>()?;
            let (started_at, last_seen_at) = (row.time()?, row.time()?);
            Ok(ProcessRow {
                id,
                host,
                pid,
                roots,
                started_at,
                last_seen_at,
            })
        })
        .collect()
}

impl Store {
    /// The installation; nothing before its first start.
    ///
    /// # Errors
    /// As any read.
    pub async fn instance(&self) -> Result<Option<InstanceRow>, StoreError> {
        instance(self).await
    }

    /// The set-up code with this id, used or expired ones included.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_setup_code(&self, id: SetupId) -> Result<Option<SetupCodeRow>, StoreError> {
        find_setup_code(self, id).await
    }

    /// The processes that said they live at `since` or later, oldest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_processes(&self, since: Timestamp) -> Result<Vec<ProcessRow>, StoreError> {
        list_processes(self, since).await
    }
}

impl Tx {
    /// As [`Store::instance`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn instance(&mut self) -> Result<Option<InstanceRow>, StoreError> {
        instance(self).await
    }

    /// Keeps every other transaction that asks the same waiting until this one ends: what must
    /// happen once in an instance counts behind this.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when another holds it for long.
    pub async fn lock_instance(&mut self) -> Result<(), StoreError> {
        // SQLite has one writer, which needs no lock and knows no such clause.
        let sql = Sql::per_engine(
            "SELECT id FROM instance",
            "SELECT id FROM instance FOR UPDATE",
        );
        self.fetch(sql, &[]).await.map(drop)
    }

    /// Notes the installation. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one, as when two processes start at once.
    pub async fn insert_instance(
        &mut self,
        permit: &Permit,
        row: &InstanceRow,
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "the instance")?;
        const SQL: &str = "INSERT INTO instance (singleton, id, created_at) VALUES (1, $1, $2)";
        self.execute(SQL, &[(&row.id).into(), row.created_at.into()])
            .await
            .map(drop)
    }

    /// As [`Store::find_setup_code`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_setup_code(
        &mut self,
        id: SetupId,
    ) -> Result<Option<SetupCodeRow>, StoreError> {
        find_setup_code(self, id).await
    }

    /// Adds a set-up code. Permit: housekeeping, or setting the instance up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    pub async fn insert_setup_code(
        &mut self,
        permit: &Permit,
        code: &SetupCodeRow,
    ) -> Result<(), StoreError> {
        require(covers_birth(permit), "a set-up code")?;
        const SQL: &str = "INSERT INTO setup_codes \
             (id, tag, index_key_id, created_at, expires_at, used_at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let params = [
            (&code.id).into(),
            Param::Bytes(&code.tag),
            Param::Bytes(code.index_key_id.as_bytes()),
            code.created_at.into(),
            code.expires_at.into(),
            Param::OptInt(code.used_at.map(Timestamp::as_micros)),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Marks a code as used. `false` when it is used already, expired or unknown: of two who
    /// come at once, one gets `true`. Permit: setting the instance up.
    ///
    /// # Errors
    /// As any write.
    pub async fn use_setup_code(
        &mut self,
        permit: &Permit,
        id: SetupId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        require(
            permit.covers_instance(Action::InstanceSetUp),
            "a set-up code",
        )?;
        const SQL: &str = "UPDATE setup_codes SET used_at = $2 \
             WHERE id = $1 AND used_at IS NULL AND expires_at > $2";
        Ok(self.execute(SQL, &[(&id).into(), at.into()]).await? > 0)
    }

    /// Drops every set-up code and says how many. Permit: housekeeping, or setting the
    /// instance up.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_setup_codes(&mut self, permit: &Permit) -> Result<u64, StoreError> {
        require(covers_birth(permit), "set-up codes")?;
        self.execute("DELETE FROM setup_codes", &[]).await
    }

    /// As [`Store::list_processes`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_processes(
        &mut self,
        since: Timestamp,
    ) -> Result<Vec<ProcessRow>, StoreError> {
        list_processes(self, since).await
    }

    /// Says that a process lives: adds it, or updates its roots and time. Permit:
    /// housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn upsert_process(
        &mut self,
        permit: &Permit,
        process: &ProcessRow,
    ) -> Result<(), StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a process")?;
        const SQL: &str = "INSERT INTO processes (id, host, pid, roots, started_at, last_seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET \
             roots = excluded.roots, last_seen_at = excluded.last_seen_at";
        let roots: Vec<String> = process.roots.iter().map(ToString::to_string).collect();
        let roots = roots.join(",");
        let params = [
            Param::Bytes(&process.id),
            process.host.as_str().into(),
            i64::from(process.pid).into(),
            roots.as_str().into(),
            process.started_at.into(),
            process.last_seen_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Forgets a process that ends. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_process(
        &mut self,
        permit: &Permit,
        id: &[u8; 16],
    ) -> Result<(), StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "a process")?;
        self.execute("DELETE FROM processes WHERE id = $1", &[Param::Bytes(id)])
            .await
            .map(drop)
    }

    /// Forgets the processes that have been silent since before `before`, and says how many.
    /// Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_silent_processes(
        &mut self,
        permit: &Permit,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        require(
            permit.covers_instance(Action::Housekeeping),
            "silent processes",
        )?;
        self.execute(
            "DELETE FROM processes WHERE last_seen_at < $1",
            &[before.into()],
        )
        .await
    }
}

/// What is made once, at the birth of the instance, by the program or with its first
/// administrator.
pub(crate) fn covers_birth(permit: &Permit) -> bool {
    permit.covers_instance(Action::Housekeeping) || permit.covers_instance(Action::InstanceSetUp)
}
