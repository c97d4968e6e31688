//! Teams and their members: renamed, joined, left, deleted.

use nodeloom_domain::{
    Role, TeamId, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    MembershipRow, Store, StoreError, TeamRow, Tx, UserState,
    engine::{Columns, Run, Sql},
    store::require,
};

/// A member of a team, with what others may see of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The person.
    pub user_id: UserId,
    /// Their address.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Whether they may sign in.
    pub state: UserState,
    /// What they may do in the team.
    pub role: Role,
    /// Since when they are a member.
    pub created_at: Timestamp,
}

/// What a deleted team took with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmptiedTeam {
    /// Credentials.
    pub credentials: u64,
    /// Sealed values of any kind, older versions included.
    pub values: u64,
    /// Data keys that were destroyed.
    pub keys: u64,
    /// Memberships.
    pub members: u64,
}

impl MemberRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            user_id: row.fixed()?,
            email: row.text()?,
            first_name: row.text()?,
            last_name: row.text()?,
            state: row.word()?,
            role: row.word()?,
            created_at: row.time()?,
        })
    }
}

const FIND_TEAM: &str =
    "SELECT id, name, created_at FROM teams WHERE id = $1 AND deleted_at IS NULL";

async fn find_team(mut run: impl Run, sql: Sql, id: TeamId) -> Result<Option<TeamRow>, StoreError> {
    let rows = run.fetch(sql, &[(&id).into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut row = row.columns("teams");
    Ok(Some(TeamRow {
        id: row.fixed()?,
        name: row.text()?,
        created_at: row.time()?,
    }))
}

impl Store {
    /// The team with this id; nothing once it is deleted.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_team(&self, id: TeamId) -> Result<Option<TeamRow>, StoreError> {
        find_team(self, FIND_TEAM.into(), id).await
    }

    /// The members of a team, by address.
    ///
    /// # Errors
    /// As any read.
    pub async fn members_of(&self, team: TeamId) -> Result<Vec<MemberRow>, StoreError> {
        const SQL: &str = "SELECT u.id, u.email, u.first_name, u.last_name, u.state, m.role, \
             m.created_at FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.team_id = $1 ORDER BY u.email, u.id";
        let rows = self.fetch(SQL, &[(&team).into()]).await?;
        rows.iter()
            .map(|row| MemberRow::read(&mut row.columns("memberships")))
            .collect()
    }

    /// Takes what was deleted out of the files: on SQLite, whose pages are overwritten at a
    /// deletion, by folding the WAL into the file; on PostgreSQL by VACUUM of the tables that
    /// a team's deletion touches. `false` when a reader was in the way, so that the WAL still
    /// holds something.
    ///
    /// # Errors
    /// As any write.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        self.engine
            .scrub(
                "VACUUM credentials, credential_words, credential_versions, credential_counts, \
                 sealed_values, key_slots, memberships, invitations, api_tokens, sessions",
            )
            .await
    }
}

impl Tx {
    /// The team with this id, held until this transaction ends: whoever changes its members
    /// waits here for whoever came first.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds it for long.
    pub async fn lock_team(&mut self, id: TeamId) -> Result<Option<TeamRow>, StoreError> {
        // SQLite has one writer, which needs no lock and knows no such clause.
        let sql = Sql::per_engine(
            FIND_TEAM,
            "SELECT id, name, created_at FROM teams WHERE id = $1 AND deleted_at IS NULL \
             FOR UPDATE",
        );
        find_team(self, sql, id).await
    }

    /// A person's place in a team.
    ///
    /// # Errors
    /// As any read.
    pub async fn find_membership(
        &mut self,
        team: TeamId,
        user: UserId,
    ) -> Result<Option<MembershipRow>, StoreError> {
        const SQL: &str = "SELECT user_id, team_id, role, created_at FROM memberships \
             WHERE team_id = $1 AND user_id = $2";
        let rows = self.fetch(SQL, &[(&team).into(), (&user).into()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut row = row.columns("memberships");
        Ok(Some(MembershipRow {
            user_id: row.fixed()?,
            team_id: row.fixed()?,
            role: row.word()?,
            created_at: row.time()?,
        }))
    }

    /// How many active people besides `user` are ADMIN of the team.
    ///
    /// # Errors
    /// As any read.
    pub async fn other_admins(&mut self, team: TeamId, user: UserId) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.team_id = $1 AND m.user_id <> $2 AND m.role = 'ADMIN' AND u.state = 'active'";
        let rows = self.fetch(SQL, &[(&team).into(), (&user).into()]).await?;
        rows.first()
            .map_or(Ok(0), |row| row.columns("memberships").count())
    }

    /// Gives a team another name; `false` when there is no such team. Permit: changing this
    /// team.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another team has that name.
    pub async fn rename_team(
        &mut self,
        permit: &Permit,
        team: TeamId,
        name: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        require(permit.covers_team(Action::TeamUpdate, team), "this team")?;
        const SQL: &str = "UPDATE teams SET name = $2, updated_at = $3 \
             WHERE id = $1 AND deleted_at IS NULL";
        let params = [(&team).into(), name.into(), at.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Gives a member another role; `false` when the person is no member. Permit: granting
    /// roles in this team.
    ///
    /// # Errors
    /// As any write.
    pub async fn set_role(
        &mut self,
        permit: &Permit,
        team: TeamId,
        user: UserId,
        role: Role,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_team(Action::MemberGrant, team);
        require(covered, "a role in this team")?;
        const SQL: &str = "UPDATE memberships SET role = $3 WHERE team_id = $1 AND user_id = $2";
        let params = [(&team).into(), (&user).into(), role.as_str().into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Takes a person out of a team and revokes their API tokens and open invitations there;
    /// `false` when the person is no member. Permit: removing members of this team.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_membership(
        &mut self,
        permit: &Permit,
        team: TeamId,
        user: UserId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_team(Action::MemberRemove, team);
        require(covered, "a membership of this team")?;
        const TOKENS: &str = "UPDATE api_tokens SET revoked_at = $3 \
             WHERE team_id = $1 AND user_id = $2 AND revoked_at IS NULL";
        let params = [(&team).into(), (&user).into(), at.into()];
        self.execute(TOKENS, &params).await?;
        const INVITATIONS: &str = "UPDATE invitations SET revoked_at = $3 \
             WHERE team_id = $1 AND created_by = $2 AND accepted_at IS NULL AND revoked_at IS NULL";
        self.execute(INVITATIONS, &params).await?;
        const SQL: &str = "DELETE FROM memberships WHERE team_id = $1 AND user_id = $2";
        Ok(self.execute(SQL, &[(&team).into(), (&user).into()]).await? > 0)
    }

    /// Deletes everything in a team, ends its members' sessions, destroys its data keys and
    /// closes it: the row stays, under its id as a name, so that the audit trail keeps its
    /// subject. Hold the team by [`Tx::lock_team`] before. Permit: deleting this team.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_team(
        &mut self,
        permit: &Permit,
        team: TeamId,
        at: Timestamp,
    ) -> Result<EmptiedTeam, StoreError> {
        require(permit.covers_team(Action::TeamDelete, team), "this team")?;
        let only = [(&team).into()];
        let (mut credentials, mut values) = self.empty_team(team).await?;
        // After the records, in the order of every writer: the record first, then the key.
        const SLOTS: &str = "DELETE FROM key_slots WHERE data_key_id IN \
             (SELECT id FROM data_keys WHERE team_id = $1)";
        self.execute(SLOTS, &only).await?;
        const KEYS: &str = "UPDATE data_keys SET state = 'destroyed' \
             WHERE team_id = $1 AND state <> 'destroyed'";
        let keys = self.execute(KEYS, &only).await?;
        // On PostgreSQL the last statement waited for whoever was sealing under the key. What
        // they wrote in the meantime can be seen from here on, and nobody can follow them.
        let late = self.empty_team(team).await?;
        credentials += late.0;
        values += late.1;
        let members = self
            .execute("DELETE FROM memberships WHERE team_id = $1", &only)
            .await?;
        const CLOSE: &str = "UPDATE teams SET name = $2, updated_at = $3, deleted_at = $3 \
             WHERE id = $1 AND deleted_at IS NULL";
        let id = team.to_string();
        let params = [(&team).into(), id.as_str().into(), at.into()];
        self.execute(CLOSE, &params).await?;
        Ok(EmptiedTeam {
            credentials,
            values,
            keys,
            members,
        })
    }

    /// Deletes the records of a team; returns how many credentials and sealed values.
    async fn empty_team(&mut self, team: TeamId) -> Result<(u64, u64), StoreError> {
        let only = [(&team).into()];
        for sql in [
            "DELETE FROM sessions WHERE user_id IN \
             (SELECT user_id FROM memberships WHERE team_id = $1)",
            "DELETE FROM credential_words WHERE team_id = $1",
            "DELETE FROM credential_tags WHERE team_id = $1",
            "DELETE FROM credential_versions WHERE credential_id IN \
             (SELECT id FROM credentials WHERE team_id = $1)",
            "DELETE FROM credential_counts WHERE team_id = $1",
            "DELETE FROM credential_tag_counts WHERE team_id = $1",
            "DELETE FROM invitations WHERE team_id = $1",
            "DELETE FROM api_tokens WHERE team_id = $1",
        ] {
            self.execute(sql, &only).await?;
        }
        let credentials = self
            .execute("DELETE FROM credentials WHERE team_id = $1", &only)
            .await?;
        let values = self
            .execute("DELETE FROM sealed_values WHERE team_id = $1", &only)
            .await?;
        Ok((credentials, values))
    }
}
