//! Invitations into a team.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    InvitationId, Role, TeamId, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Columns, Param, Run},
    store::require,
};

/// An invitation: what its link proves, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Its id, the public half of the link's code.
    pub id: InvitationId,
    /// Into which team.
    pub team_id: TeamId,
    /// For whom: an address in lower case.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// Keyed hash of the code's secret half and of all that the invitation gives, 32 bytes.
    pub tag: [u8; 32],
    /// The index key that made the tag.
    pub index_key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; nothing for an operator.
    pub created_by: Option<UserId>,
    /// How the audit trail names the maker.
    pub created_by_name: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl InvitationRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            team_id: row.fixed()?,
            email: row.text()?,
            role: row.word()?,
            tag: row.fixed()?,
            index_key_id: row.fixed()?,
            created_at: row.time()?,
            created_by: row.opt_fixed()?,
            created_by_name: row.text()?,
            expires_at: row.time()?,
            accepted_at: row.opt_time()?,
            revoked_at: row.opt_time()?,
        })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, team_id, email, role, tag, index_key_id, created_at, created_by, \
             created_by_name, expires_at, accepted_at, revoked_at FROM invitations ",
            $rest
        )
    };
}

async fn fetch(
    mut run: impl Run,
    sql: &'static str,
    params: &[Param<'_>],
) -> Result<Vec<InvitationRow>, StoreError> {
    let rows = run.fetch(sql.into(), params).await?;
    rows.iter()
        .map(|row| InvitationRow::read(&mut row.columns("invitations")))
        .collect()
}

impl Store {
    /// The invitation with this id, whatever became of it.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_invitation(
        &self,
        id: InvitationId,
    ) -> Result<Option<InvitationRow>, StoreError> {
        let rows = fetch(self, select!("WHERE id = $1"), &[(&id).into()]).await?;
        Ok(rows.into_iter().next())
    }

    /// The invitations of a team, newest first: at most the last thousand.
    ///
    /// # Errors
    /// As any read.
    pub async fn invitations_of(&self, team: TeamId) -> Result<Vec<InvitationRow>, StoreError> {
        const SQL: &str =
            select!("WHERE team_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000");
        fetch(self, SQL, &[(&team).into()]).await
    }
}

impl Tx {
    /// Adds an invitation; an open one of the same team for the same address ends. Permit:
    /// inviting into this team.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    pub async fn insert_invitation(
        &mut self,
        permit: &Permit,
        row: &InvitationRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_team(Action::InvitationCreate, row.team_id);
        require(covered, "a new invitation")?;
        const FORMER: &str = "UPDATE invitations SET revoked_at = $3 WHERE team_id = $1 \
             AND email = $2 AND accepted_at IS NULL AND revoked_at IS NULL";
        let params = [
            (&row.team_id).into(),
            row.email.as_str().into(),
            row.created_at.into(),
        ];
        self.execute(FORMER, &params).await?;
        const SQL: &str = "INSERT INTO invitations (id, team_id, email, role, tag, index_key_id, \
             created_at, created_by, created_by_name, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let maker = row.created_by;
        let params = [
            (&row.id).into(),
            (&row.team_id).into(),
            row.email.as_str().into(),
            row.role.as_str().into(),
            Param::Bytes(&row.tag),
            Param::Bytes(row.index_key_id.as_bytes()),
            row.created_at.into(),
            Param::OptBytes(maker.as_ref().map(|id| id.as_bytes().as_slice())),
            row.created_by_name.as_str().into(),
            row.expires_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Takes an invitation back; `false` when it was accepted or taken back before. Permit:
    /// revoking invitations of this team.
    ///
    /// # Errors
    /// As any write.
    pub async fn revoke_invitation(
        &mut self,
        permit: &Permit,
        team: TeamId,
        id: InvitationId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_team(Action::InvitationRevoke, team);
        require(covered, "an invitation of this team")?;
        const SQL: &str = "UPDATE invitations SET revoked_at = $3 WHERE id = $1 AND team_id = $2 \
             AND accepted_at IS NULL AND revoked_at IS NULL";
        let params = [(&id).into(), (&team).into(), at.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Marks an invitation as accepted. `false` when it is used, taken back or over: of two
    /// who come at once, one gets `true`. Permit: an invitation into this team.
    ///
    /// # Errors
    /// As any write.
    pub async fn use_invitation(
        &mut self,
        permit: &Permit,
        team: TeamId,
        id: InvitationId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_team(Action::InvitationAccept, team);
        require(covered, "an invitation of this team")?;
        const SQL: &str = "UPDATE invitations SET accepted_at = $3 WHERE id = $1 AND team_id = $2 \
             AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $3";
        let params = [(&id).into(), (&team).into(), at.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }
}
