//! What happens to a credential after it was stored: deletion and its reversal, use, tests.

use nodeloom_domain::{
    CredentialId, Timestamp,
    policy::{Action, Permit},
};

use super::write::optional;
use crate::{
    CredentialRow, CredentialTestRow, DeletionRow, Store, StoreError, Tx,
    engine::{Param, signed},
    store::require,
};

/// Who or what has used a credential, with first and last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUseRow {
    /// What it is: `person`, `token`, `operator`, …
    pub consumer_kind: String,
    /// Its id; 16 zero bytes where it has none.
    pub consumer_id: [u8; 16],
    /// Its name when it last used the credential.
    pub consumer_name: String,
    /// The first use on record.
    pub first_used_at: Timestamp,
    /// The latest use.
    pub last_used_at: Timestamp,
    /// How many there were, from 1.
    pub uses: u64,
}

impl Tx {
    /// Marks a credential as deleted and takes it out of lists and searches, if it still has
    /// the revision of `row`; `false` when it has not or is deleted already. The revision
    /// grows by one; values and versions stay. Permit: deleting this credential.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        deletion: &DeletionRow,
    ) -> Result<bool, StoreError> {
        let covered =
            permit.covers_record(Action::CredentialDelete, row.team_id, row.id.as_bytes());
        require(covered, "this credential")?;
        let Some(old) = self.find_credential(row.id).await? else {
            return Ok(false);
        };
        if old.revision != row.revision || old.team_id != row.team_id {
            return Ok(false);
        }
        const SQL: &str = "UPDATE credentials SET deleted_at = $2, deleted_by = $3, \
             deleted_by_name = $4, revision = revision + 1 WHERE id = $1";
        let params = [
            (&row.id).into(),
            deletion.at.into(),
            optional(deletion.by.as_ref()),
            deletion.by_name.as_str().into(),
        ];
        self.execute(SQL, &params).await?;
        self.unindex_credential(&old).await?;
        Ok(true)
    }

    /// Takes a deletion back, if the credential is deleted and still has the revision of
    /// `row`; `false` when not. The name of `row` becomes its name, `words` its search words,
    /// and the revision grows by one. Permit: undeleting this credential.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] in `credentials` when the name is taken by now.
    pub async fn undelete_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<bool, StoreError> {
        let covered =
            permit.covers_record(Action::CredentialUndelete, row.team_id, row.id.as_bytes());
        require(covered, "this credential")?;
        let Some(old) = self.find_any_credential(row.id).await? else {
            return Ok(false);
        };
        let here = old.revision == row.revision && old.team_id == row.team_id;
        if !here || old.activity.deletion.is_none() {
            return Ok(false);
        }
        const SQL: &str = "UPDATE credentials SET deleted_at = NULL, deleted_by = NULL, \
             deleted_by_name = NULL, name = $2, sort_key = $3, revision = revision + 1 \
             WHERE id = $1";
        let params = [
            (&row.id).into(),
            row.name.as_str().into(),
            row.sort_key.as_str().into(),
        ];
        self.execute(SQL, &params).await?;
        let restored = CredentialRow {
            name: row.name.clone(),
            sort_key: row.sort_key.clone(),
            ..old
        };
        self.index_credential(&restored, words).await?;
        Ok(true)
    }

    /// Removes a deleted credential for good, if it still has the revision of `row`; `false`
    /// when it has not or is not deleted. Its sealed values are deleted by
    /// [`Tx::delete_sealed_of`]; its version numbers stay used. Permit: purging this
    /// credential, or housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn purge_credential(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_record(Action::CredentialPurge, row.team_id, row.id.as_bytes());
        let by_age = permit.covers_instance(Action::Housekeeping);
        require(covered || by_age, "this credential")?;
        const SQL: &str = "DELETE FROM credentials WHERE id = $1 AND team_id = $2 \
             AND revision = $3 AND deleted_at IS NOT NULL";
        let params = [
            (&row.id).into(),
            (&row.team_id).into(),
            signed(row.revision)?.into(),
        ];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Notes that the values were opened for `consumer`. The revision stays. Permit: what it
    /// was opened for, revealing or testing this credential.
    ///
    /// # Errors
    /// As any write.
    pub async fn note_credential_use(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        consumer: &CredentialUseRow,
    ) -> Result<(), StoreError> {
        let covered = [Action::CredentialReveal, Action::CredentialTest]
            .into_iter()
            .any(|action| permit.covers_record(action, row.team_id, row.id.as_bytes()));
        require(covered, "a use of this credential")?;
        const USE: &str = "INSERT INTO credential_uses (credential_id, consumer_kind, \
             consumer_id, consumer_name, first_used_at, last_used_at, uses) \
             VALUES ($1, $2, $3, $4, $5, $5, 1) \
             ON CONFLICT (credential_id, consumer_kind, consumer_id) DO UPDATE SET \
             consumer_name = excluded.consumer_name, last_used_at = excluded.last_used_at, \
             uses = credential_uses.uses + 1";
        let params = [
            (&row.id).into(),
            consumer.consumer_kind.as_str().into(),
            Param::Bytes(&consumer.consumer_id),
            consumer.consumer_name.as_str().into(),
            consumer.last_used_at.into(),
        ];
        self.execute(USE, &params).await?;
        const LAST: &str = "UPDATE credentials SET last_used_at = $2 WHERE id = $1";
        let params = [(&row.id).into(), consumer.last_used_at.into()];
        self.execute(LAST, &params).await.map(drop)
    }

    /// Stores the outcome of a test of the version `row.generation`; `false` when the
    /// credential has another version by now, or is gone. The revision stays. Permit: testing
    /// this credential.
    ///
    /// # Errors
    /// As any write.
    pub async fn record_credential_test(
        &mut self,
        permit: &Permit,
        row: &CredentialRow,
        test: &CredentialTestRow,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_record(Action::CredentialTest, row.team_id, row.id.as_bytes());
        require(covered, "a test of this credential")?;
        const SQL: &str = "UPDATE credentials SET last_tested_at = $4, test_status = $5, \
             test_code = $6, test_message = $7 WHERE id = $1 AND team_id = $2 \
             AND generation = $3 AND deleted_at IS NULL";
        let params = [
            (&row.id).into(),
            (&row.team_id).into(),
            signed(row.generation)?.into(),
            test.at.into(),
            test.status.as_str().into(),
            test.code.as_str().into(),
            test.message.as_str().into(),
        ];
        Ok(self.execute(SQL, &params).await? > 0)
    }
}

impl Store {
    /// Who has used a credential, latest first, at most 1,000.
    ///
    /// # Errors
    /// As any read.
    pub async fn credential_uses(
        &self,
        id: CredentialId,
    ) -> Result<Vec<CredentialUseRow>, StoreError> {
        const SQL: &str = "SELECT consumer_kind, consumer_id, consumer_name, first_used_at, \
             last_used_at, uses FROM credential_uses WHERE credential_id = $1 \
             ORDER BY last_used_at DESC, consumer_kind, consumer_id LIMIT 1000";
        let rows = self.fetch(SQL, &[(&id).into()]).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("credential_uses");
                Ok(CredentialUseRow {
                    consumer_kind: row.text()?,
                    consumer_id: row.fixed()?,
                    consumer_name: row.text()?,
                    first_used_at: row.time()?,
                    last_used_at: row.time()?,
                    uses: row.count()?,
                })
            })
            .collect()
    }
}
