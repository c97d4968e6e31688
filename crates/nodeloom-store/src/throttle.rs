//! Counts of failed sign-ins.

use nodeloom_domain::{
    Timestamp,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Param, signed},
    store::require,
};

impl Store {
    /// How many sign-ins of `subject` failed in the window that `at` falls into; 0 when the
    /// last window began `window_seconds` or more before.
    ///
    /// `subject` is a keyed hash of an account or an address: neither is stored.
    ///
    /// # Errors
    /// As any read.
    pub async fn failures(
        &self,
        subject: &[u8; 32],
        at: Timestamp,
        window_seconds: i64,
    ) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT failures FROM sign_in_attempts \
             WHERE subject = $1 AND window_started_at > $2";
        let since = at.plus_seconds(-window_seconds);
        let rows = self
            .fetch(SQL, &[Param::Bytes(subject), since.into()])
            .await?;
        rows.first()
            .map_or(Ok(0), |row| row.columns("sign_in_attempts").count())
    }
}

impl Tx {
    /// Counts one more failure of `subject` and returns the count of its window. The window
    /// begins with its first failure.
    ///
    /// # Errors
    /// As any write.
    pub async fn record_failure(
        &mut self,
        subject: &[u8; 32],
        at: Timestamp,
        window_seconds: i64,
    ) -> Result<u64, StoreError> {
        const SQL: &str = "INSERT INTO sign_in_attempts (subject, failures, window_started_at) \
             VALUES ($1, 1, $2) ON CONFLICT (subject) DO UPDATE SET \
             failures = CASE WHEN sign_in_attempts.window_started_at > $3 \
                 THEN sign_in_attempts.failures + 1 ELSE 1 END, \
             window_started_at = CASE WHEN sign_in_attempts.window_started_at > $3 \
                 THEN sign_in_attempts.window_started_at ELSE $2 END \
             RETURNING failures";
        let since = at.plus_seconds(-window_seconds);
        let rows = self
            .fetch(SQL, &[Param::Bytes(subject), at.into(), since.into()])
            .await?;
        rows.first().map_or_else(
            || Err(StoreError::other("a counter was not written")),
            |row| row.columns("sign_in_attempts").count(),
        )
    }

    /// Forgets the failures of `subject`, after a sign-in that succeeded.
    ///
    /// # Errors
    /// As any write.
    pub async fn clear_failures(&mut self, subject: &[u8; 32]) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sign_in_attempts WHERE subject = $1";
        self.execute(SQL, &[Param::Bytes(subject)]).await.map(drop)
    }

    /// Drops up to `limit` counters whose window began before `before`, and says how many.
    /// Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_stale_failures(
        &mut self,
        permit: &Permit,
        before: Timestamp,
        limit: u64,
    ) -> Result<u64, StoreError> {
        require(
            permit.covers_instance(Action::Housekeeping),
            "stale counters",
        )?;
        const SQL: &str = "DELETE FROM sign_in_attempts WHERE subject IN (SELECT subject \
             FROM sign_in_attempts WHERE window_started_at < $1 LIMIT $2)";
        self.execute(SQL, &[before.into(), signed(limit)?.into()])
            .await
    }
}
