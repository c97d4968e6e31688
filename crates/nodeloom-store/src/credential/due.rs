//! Credentials with a date to act by: those that expire, or whose values should be replaced, and
//! the reminders of them.

use nodeloom_domain::{
    CredentialId, TeamId, Timestamp,
    policy::{Action, Permit},
};

use super::row::credential_columns;
use crate::{
    CredentialRow, Store, StoreError, Tx,
    engine::{Param, signed},
    search::read,
    store::require,
};

/// Which date of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// When it stops to work.
    Expiry,
    /// When its values should have been replaced.
    Rotation,
}

impl Due {
    /// `expiry` or `rotation`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expiry => "expiry",
            Self::Rotation => "rotation",
        }
    }
}

/// A reminder of one date of a credential, at one distance from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReminderRow {
    /// Of which credential.
    pub credential: CredentialId,
    /// Of which date.
    pub due: Due,
    /// The date.
    pub due_at: Timestamp,
    /// How many days before, such as 30.
    pub days: u32,
}

impl ReminderRow {
    fn params(&self) -> [Param<'_>; 4] {
        [
            (&self.credential).into(),
            self.due.as_str().into(),
            self.due_at.into(),
            Param::Int(i64::from(self.days)),
        ]
    }
}

/// Each date has an index of its own; each is read from its earliest entry and cut before both
/// are sorted together.
const OF_TEAM: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM credentials c JOIN (SELECT id, min(at) AS at FROM (\
     SELECT id, at FROM (SELECT id, expires_at AS at FROM credentials WHERE team_id = $1 \
     AND expires_at IS NOT NULL AND deleted_at IS NULL AND expires_at <= $2 \
     ORDER BY expires_at, id LIMIT $3) e UNION ALL \
     SELECT id, at FROM (SELECT id, rotate_by AS at FROM credentials WHERE team_id = $1 \
     AND rotate_by IS NOT NULL AND deleted_at IS NULL AND rotate_by <= $2 \
     ORDER BY rotate_by, id LIMIT $3) r) d GROUP BY id) f ON f.id = c.id \
     ORDER BY f.at, c.id LIMIT $3"
);

impl Store {
    /// At most `limit` credentials of `team` that expire or are due for rotation at `until` or
    /// earlier, the overdue among them, by the earlier of their dates. Deleted ones are left out.
    ///
    /// # Errors
    /// As any read.
    pub async fn credentials_due(
        &self,
        team: TeamId,
        until: Timestamp,
        limit: u64,
    ) -> Result<Vec<CredentialRow>, StoreError> {
        let params = [(&team).into(), until.into(), signed(limit)?.into()];
        read(&self.fetch(OF_TEAM, &params).await?)
    }

    /// At most `limit` credentials of all teams with a date in `(after, until]` that has no
    /// reminder of `days` or fewer days, with that date: earliest first. Deleted ones are left
    /// out.
    ///
    /// # Errors
    /// As any read.
    pub async fn unreminded(
        &self,
        due: Due,
        days: u32,
        (after, until): (Timestamp, Timestamp),
        limit: u64,
    ) -> Result<Vec<CredentialRow>, StoreError> {
        macro_rules! of_date {
            ($column:literal, $due:literal) => {
                concat!(
                    "SELECT ",
                    credential_columns!(),
                    " FROM credentials c WHERE c.",
                    $column,
                    " > $1 AND c.",
                    $column,
                    " <= $2 AND c.deleted_at IS NULL AND NOT EXISTS (SELECT 1 \
                     FROM credential_reminders r WHERE r.credential_id = c.id AND r.due = '",
                    $due,
                    "' AND r.due_at = c.",
                    $column,
                    " AND r.days <= $3) ORDER BY c.",
                    $column,
                    ", c.id LIMIT $4"
                )
            };
        }
        let sql = match due {
            Due::Expiry => of_date!("expires_at", "expiry"),
            Due::Rotation => of_date!("rotate_by", "rotation"),
        };
        let params = [
            after.into(),
            until.into(),
            Param::Int(i64::from(days)),
            signed(limit)?.into(),
        ];
        read(&self.fetch(sql, &params).await?)
    }
}

impl Tx {
    /// Takes a reminder, so that no other process sends it too; `false` when one has. Permit:
    /// housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn take_reminder(
        &mut self,
        permit: &Permit,
        row: &ReminderRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "reminders")?;
        const SQL: &str = "INSERT INTO credential_reminders \
             (credential_id, due, due_at, days, sent_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING";
        let [credential, due, due_at, days] = row.params();
        let params = [credential, due, due_at, days, now.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Gives a reminder back that could not be sent. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn give_reminder_back(
        &mut self,
        permit: &Permit,
        row: &ReminderRow,
    ) -> Result<(), StoreError> {
        require(permit.covers_instance(Action::Housekeeping), "reminders")?;
        const SQL: &str = "DELETE FROM credential_reminders WHERE credential_id = $1 \
             AND due = $2 AND due_at = $3 AND days = $4";
        self.execute(SQL, &row.params()).await?;
        Ok(())
    }
}
