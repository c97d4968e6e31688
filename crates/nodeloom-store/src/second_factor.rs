//! Second factors: whether a person has one, which time step it was last used in, and the
//! recovery codes. The TOTP secret itself is a sealed value of the instance.

use nodeloom_crypto::{INSTANCE, KeyId};
use nodeloom_domain::{
    RecoveryCodeId, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Param, Run, signed},
    store::require,
};

/// The kind of a sealed TOTP secret; its owner is the person.
pub const TOTP_KIND: &str = "totp";

/// A recovery code. Only its keyed hash is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCodeRow {
    /// Its id.
    pub id: RecoveryCodeId,
    /// Whose it is.
    pub user_id: UserId,
    /// Keyed hash of the code.
    pub tag: [u8; 32],
    /// The index key of `tag`.
    pub index_key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
}

async fn unused(mut run: impl Run, user: UserId) -> Result<Vec<RecoveryCodeRow>, StoreError> {
    const SQL: &str = "SELECT id, user_id, tag, index_key_id, created_at FROM recovery_codes \
         WHERE user_id = $1 AND used_at IS NULL ORDER BY id";
    let rows = run.fetch(SQL.into(), &[(&user).into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = row.columns("recovery_codes");
            Ok(RecoveryCodeRow {
                id: row.fixed()?,
                user_id: row.fixed()?,
                tag: row.fixed()?,
                index_key_id: row.fixed()?,
                created_at: row.time()?,
            })
        })
        .collect()
}

impl Store {
    /// The recovery codes of a person that were not used yet.
    ///
    /// # Errors
    /// As any read.
    pub async fn recovery_codes(&self, user: UserId) -> Result<Vec<RecoveryCodeRow>, StoreError> {
        unused(self, user).await
    }
}

/// A person about themselves, or an administrator about another.
fn covers(permit: &Permit, user: UserId) -> bool {
    permit.covers_user(Action::TotpManage, user)
        || permit.covers_instance(Action::SessionAdminister)
}

impl Tx {
    /// As [`Store::recovery_codes`], inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn recovery_codes(
        &mut self,
        user: UserId,
    ) -> Result<Vec<RecoveryCodeRow>, StoreError> {
        unused(self, user).await
    }

    /// Turns a person's second factor on, with the generation of its sealed secret, or off.
    /// Permit: managing that second factor.
    ///
    /// # Errors
    /// As any write.
    pub async fn set_totp(
        &mut self,
        permit: &Permit,
        user: UserId,
        generation: Option<u64>,
        last_step: Option<i64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        require(covers(permit, user), "this second factor")?;
        const SQL: &str = "UPDATE users SET totp_generation = $2, totp_last_step = $3, \
             updated_at = $4 WHERE id = $1";
        let params = [
            (&user).into(),
            Param::OptInt(generation.map(signed).transpose()?),
            Param::OptInt(last_step),
            at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Takes a time step for a person: `false` when it, or a later one, was taken before, so
    /// that no code works twice. Permit: that person's sign-in.
    ///
    /// # Errors
    /// As any write.
    pub async fn take_totp_step(
        &mut self,
        permit: &Permit,
        user: UserId,
        step: i64,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_user(Action::SessionCreate, user);
        require(covered, "this person's sign-in")?;
        const SQL: &str = "UPDATE users SET totp_last_step = $2 WHERE id = $1 \
             AND totp_generation IS NOT NULL \
             AND (totp_last_step IS NULL OR totp_last_step < $2)";
        Ok(self.execute(SQL, &[(&user).into(), step.into()]).await? > 0)
    }

    /// Marks a recovery code as used: `false` when it was. Permit: its owner's sign-in.
    ///
    /// # Errors
    /// As any write.
    pub async fn use_recovery_code(
        &mut self,
        permit: &Permit,
        code: &RecoveryCodeRow,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_user(Action::SessionCreate, code.user_id);
        require(covered, "this person's sign-in")?;
        const SQL: &str = "UPDATE recovery_codes SET used_at = $2 \
             WHERE id = $1 AND used_at IS NULL";
        Ok(self.execute(SQL, &[(&code.id).into(), at.into()]).await? > 0)
    }

    /// Puts these codes in the place of all that a person has. Permit: managing that second
    /// factor.
    ///
    /// # Errors
    /// As any write.
    pub async fn replace_recovery_codes(
        &mut self,
        permit: &Permit,
        user: UserId,
        codes: &[RecoveryCodeRow],
    ) -> Result<(), StoreError> {
        require(covers(permit, user), "this second factor")?;
        const CLEAR: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
        self.execute(CLEAR, &[(&user).into()]).await?;
        const SQL: &str = "INSERT INTO recovery_codes (id, user_id, tag, index_key_id, \
             created_at) VALUES ($1, $2, $3, $4, $5)";
        for code in codes {
            let params = [
                (&code.id).into(),
                (&user).into(),
                Param::Bytes(&code.tag),
                Param::Bytes(code.index_key_id.as_bytes()),
                code.created_at.into(),
            ];
            self.execute(SQL, &params).await?;
        }
        Ok(())
    }

    /// Deletes the sealed TOTP secrets of a person in `field`. Permit: managing that second
    /// factor.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_totp_secrets(
        &mut self,
        permit: &Permit,
        user: UserId,
        field: &str,
    ) -> Result<(), StoreError> {
        require(covers(permit, user), "this second factor")?;
        const SQL: &str = "DELETE FROM sealed_values WHERE team_id = $1 AND kind = $2 \
             AND owner_id = $3 AND field = $4";
        let params = [
            Param::Bytes(&INSTANCE),
            TOTP_KIND.into(),
            (&user).into(),
            field.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }
}
