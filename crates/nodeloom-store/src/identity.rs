//! Single sign-on: who a person is at an issuer, and sign-ins that are under way there.

use nodeloom_crypto::{INSTANCE, KeyId};
use nodeloom_domain::{
    SignInFlowId, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    StoreError, Tx, UserRow,
    engine::{Param, signed},
    member::user_columns,
    store::require,
};

/// The kind of a flow's sealed value.
pub const SIGN_IN_FLOW_KIND: &str = "sign-in-flow";

/// Who a person is at an issuer. The pair of issuer and subject is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentityRow {
    /// The issuer, as configured.
    pub issuer: String,
    /// The issuer's name for the person, 1 to 255 ASCII characters.
    pub subject: String,
    /// The person here.
    pub user_id: UserId,
    /// Since when.
    pub created_at: Timestamp,
}

/// A sign-in that is under way at an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInFlowRow {
    /// Its id, the public half of the cookie.
    pub id: SignInFlowId,
    /// Keyed hash of the cookie's secret half, 32 bytes.
    pub tag: [u8; 32],
    /// The index key that made the tag.
    pub index_key_id: KeyId,
    /// Where the browser goes afterwards: a path of this host.
    pub return_to: String,
    /// When it began.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

impl Tx {
    /// The person with this identity.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_user_by_identity(
        &mut self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UserRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            user_columns!("u."),
            " FROM user_identities i JOIN users u ON u.id = i.user_id \
             WHERE i.issuer = $1 AND i.subject = $2"
        );
        let rows = self.fetch(SQL, &[issuer.into(), subject.into()]).await?;
        rows.first()
            .map(|row| UserRow::read(&mut row.columns("users")))
            .transpose()
    }

    /// Whether the person has any identity at this issuer.
    ///
    /// # Errors
    /// As any read.
    pub async fn has_identity_at(
        &mut self,
        user: UserId,
        issuer: &str,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT count(*) FROM user_identities WHERE user_id = $1 AND issuer = $2";
        let rows = self.fetch(SQL, &[(&user).into(), issuer.into()]).await?;
        let count = rows
            .first()
            .map_or(Ok(0), |row| row.columns("user_identities").count())?;
        Ok(count > 0)
    }

    /// Notes who a person is at an issuer. Permit: provisioning that person.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the identity is somebody's already.
    pub async fn insert_user_identity(
        &mut self,
        permit: &Permit,
        identity: &UserIdentityRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_user(Action::UserProvision, identity.user_id);
        require(covered, "an identity of this person")?;
        const SQL: &str = "INSERT INTO user_identities (issuer, subject, user_id, created_at) \
             VALUES ($1, $2, $3, $4)";
        let params = [
            identity.issuer.as_str().into(),
            identity.subject.as_str().into(),
            (&identity.user_id).into(),
            identity.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Adds a flow. Permit: housekeeping, since nobody is known yet.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken or the index key is unknown.
    pub async fn insert_sign_in_flow(
        &mut self,
        permit: &Permit,
        flow: &SignInFlowRow,
    ) -> Result<(), StoreError> {
        require(keeps_house(permit), "a sign-in under way")?;
        const SQL: &str = "INSERT INTO sign_in_flows \
             (id, tag, index_key_id, return_to, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let params = [
            (&flow.id).into(),
            Param::Bytes(&flow.tag),
            Param::Bytes(flow.index_key_id.as_bytes()),
            flow.return_to.as_str().into(),
            flow.created_at.into(),
            flow.expires_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// The flow with this id, expired or not.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_sign_in_flow(
        &mut self,
        id: SignInFlowId,
    ) -> Result<Option<SignInFlowRow>, StoreError> {
        const SQL: &str = "SELECT id, tag, index_key_id, return_to, created_at, expires_at \
             FROM sign_in_flows WHERE id = $1";
        let rows = self.fetch(SQL, &[(&id).into()]).await?;
        rows.first()
            .map(|row| {
                let mut row = row.columns("sign_in_flows");
                Ok(SignInFlowRow {
                    id: row.fixed()?,
                    tag: row.fixed()?,
                    index_key_id: row.fixed()?,
                    return_to: row.text()?,
                    created_at: row.time()?,
                    expires_at: row.time()?,
                })
            })
            .transpose()
    }

    /// Takes a flow away with its sealed value; `false` when another was faster. Permit:
    /// housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_sign_in_flow(
        &mut self,
        permit: &Permit,
        id: SignInFlowId,
    ) -> Result<bool, StoreError> {
        require(keeps_house(permit), "a sign-in under way")?;
        const SEALED: &str = "DELETE FROM sealed_values \
             WHERE team_id = $1 AND kind = $2 AND owner_id = $3";
        let place = [
            Param::Bytes(&INSTANCE),
            SIGN_IN_FLOW_KIND.into(),
            (&id).into(),
        ];
        self.execute(SEALED, &place).await?;
        const FLOW: &str = "DELETE FROM sign_in_flows WHERE id = $1";
        Ok(self.execute(FLOW, &[(&id).into()]).await? > 0)
    }

    /// Drops up to `limit` flows that ended before `before`, with their sealed values, and says
    /// how many. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_expired_sign_in_flows(
        &mut self,
        permit: &Permit,
        before: Timestamp,
        limit: u64,
    ) -> Result<u64, StoreError> {
        require(keeps_house(permit), "expired sign-ins")?;
        // The same rows in both statements: the oldest first, by id among equals.
        const SEALED: &str = "DELETE FROM sealed_values WHERE team_id = $1 AND kind = $2 \
             AND owner_id IN (SELECT id FROM sign_in_flows WHERE expires_at < $3 \
                              ORDER BY expires_at, id LIMIT $4)";
        let limit = signed(limit)?;
        let params = [
            Param::Bytes(&INSTANCE),
            SIGN_IN_FLOW_KIND.into(),
            before.into(),
            limit.into(),
        ];
        self.execute(SEALED, &params).await?;
        const FLOWS: &str = "DELETE FROM sign_in_flows WHERE id IN (SELECT id \
             FROM sign_in_flows WHERE expires_at < $1 ORDER BY expires_at, id LIMIT $2)";
        self.execute(FLOWS, &[before.into(), limit.into()]).await
    }
}

fn keeps_house(permit: &Permit) -> bool {
    permit.covers_instance(Action::Housekeeping)
}
