//! People, as an administrator of the instance keeps them.

use nodeloom_domain::{
    Email, Timestamp, UserId,
    policy::{Action, Permit},
};

use crate::{
    Store, StoreError, Tx, UserRow, UserState,
    engine::{Param, Sql, signed},
    member::user_columns,
    store::require,
};

/// What of a person is replaced, all of it.
#[derive(Debug, Clone, Copy)]
pub struct UserChanges<'a> {
    /// Their address.
    pub email: &'a Email,
    /// Given name; may be empty.
    pub first_name: &'a str,
    /// Family name; may be empty.
    pub last_name: &'a str,
    /// Whether they may sign in by password where everybody else must use single sign-on.
    pub break_glass: bool,
}

/// `text` anywhere, as a pattern of LIKE whose escape character is `!`.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.trim().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern + "%"
}

/// Both sides folded by the database: SQLite folds ASCII alone, PostgreSQL as its collation says.
macro_rules! matching {
    () => {
        " FROM users WHERE (lower(email) LIKE lower($1) ESCAPE '!' \
         OR lower(first_name || ' ' || last_name) LIKE lower($1) ESCAPE '!')"
    };
}

impl Store {
    /// A page of the people in whose address or name `search` stands, ASCII case aside, by
    /// address; and how many there are on all pages. An empty search finds everybody.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_users(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<UserRow>, u64), StoreError> {
        const PAGE: &str = concat!(
            "SELECT ",
            user_columns!(""),
            matching!(),
            " ORDER BY email, id LIMIT $2 OFFSET $3"
        );
        const TOTAL: &str = concat!("SELECT count(*)", matching!());
        let pattern = pattern(search);
        let pattern = Param::from(pattern.as_str());
        let params = [pattern, signed(limit)?.into(), signed(offset)?.into()];
        let rows = self.fetch(PAGE, &params).await?;
        let users: Result<Vec<UserRow>, StoreError> = rows
            .iter()
            .map(|row| UserRow::read(&mut row.columns("users")))
            .collect();
        let total = self.fetch(TOTAL, &[pattern]).await?;
        let total = total
            .first()
            .map_or(Ok(0), |row| row.columns("users").count())?;
        Ok((users?, total))
    }
}

impl Tx {
    /// The person with this id, held until this transaction ends: nobody gives them a place in
    /// a team or a session in the meantime.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds them for long.
    pub async fn lock_user(&mut self, user: UserId) -> Result<Option<UserRow>, StoreError> {
        // SQLite has one writer, which needs no lock and knows no such clause.
        const LITE: &str = concat!("SELECT ", user_columns!(""), " FROM users WHERE id = $1");
        const PG: &str = concat!(
            "SELECT ",
            user_columns!(""),
            " FROM users WHERE id = $1 FOR UPDATE"
        );
        let rows = self
            .fetch(Sql::per_engine(LITE, PG), &[(&user).into()])
            .await?;
        rows.first()
            .map(|row| UserRow::read(&mut row.columns("users")))
            .transpose()
    }

    /// How many active people besides `user` administer the instance. Hold the instance by
    /// [`Tx::lock_instance`] before.
    ///
    /// # Errors
    /// As any read.
    pub async fn other_instance_admins(&mut self, user: UserId) -> Result<u64, StoreError> {
        const SQL: &str = "SELECT count(*) FROM users \
             WHERE instance_admin = $2 AND state = 'active' AND id <> $1";
        let params = [(&user).into(), Param::Bool(true)];
        let rows = self.fetch(SQL, &params).await?;
        rows.first()
            .map_or(Ok(0), |row| row.columns("users").count())
    }

    /// The names of the teams that have no active ADMIN but this person, by name. The
    /// person's teams are held until this transaction ends; hold the person by
    /// [`Tx::lock_user`] before.
    ///
    /// # Errors
    /// As any read; [`StoreError::Unavailable`] when another holds one for long.
    pub async fn teams_that_need(&mut self, user: UserId) -> Result<Vec<String>, StoreError> {
        // SQLite has one writer. By id, so that two who hold several never wait for each other.
        let lock = Sql::per_engine(
            "SELECT team_id FROM memberships WHERE user_id = $1",
            "SELECT id FROM teams WHERE id IN \
             (SELECT team_id FROM memberships WHERE user_id = $1) ORDER BY id FOR UPDATE",
        );
        self.fetch(lock, &[(&user).into()]).await?;
        const SQL: &str = "SELECT t.name FROM teams t JOIN memberships m ON m.team_id = t.id \
             WHERE m.user_id = $1 AND m.role = 'ADMIN' AND NOT EXISTS ( \
                 SELECT 1 FROM memberships o JOIN users u ON u.id = o.user_id \
                 WHERE o.team_id = t.id AND o.user_id <> $1 AND o.role = 'ADMIN' \
                 AND u.state = 'active') \
             ORDER BY t.name";
        let rows = self.fetch(SQL, &[(&user).into()]).await?;
        rows.iter().map(|row| row.columns("teams").text()).collect()
    }

    /// Replaces what an administrator may change of a person; `false` when there is no such
    /// person. Permit: changing people.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another person has that address.
    pub async fn update_user(
        &mut self,
        permit: &Permit,
        user: UserId,
        changes: UserChanges<'_>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::UserUpdate), "a person")?;
        const SQL: &str = "UPDATE users SET email = $2, first_name = $3, last_name = $4, \
             break_glass = $5, updated_at = $6 WHERE id = $1";
        let params = [
            (&user).into(),
            changes.email.as_str().into(),
            changes.first_name.into(),
            changes.last_name.into(),
            Param::Bool(changes.break_glass),
            at.into(),
        ];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Makes a person an administrator of the instance, or no longer one; `false` when there
    /// is no such person. Permit: granting that.
    ///
    /// # Errors
    /// As any write.
    pub async fn set_instance_admin(
        &mut self,
        permit: &Permit,
        user: UserId,
        admin: bool,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_instance(Action::InstanceGrant);
        require(covered, "the administration of the instance")?;
        const SQL: &str = "UPDATE users SET instance_admin = $2, updated_at = $3 WHERE id = $1";
        let params = [(&user).into(), Param::Bool(admin), at.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Lets a person in or keeps them out; `false` when there is no such person. Whoever is
    /// kept out loses the invitations that they made and nobody accepted. Permit: deactivating
    /// or reactivating people, as the state says.
    ///
    /// # Errors
    /// As any write.
    pub async fn set_user_state(
        &mut self,
        permit: &Permit,
        user: UserId,
        state: UserState,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let action = match state {
            UserState::Active => Action::UserReactivate,
            UserState::Deactivated => Action::UserDeactivate,
        };
        require(permit.covers_instance(action), "the state of a person")?;
        if state == UserState::Deactivated {
            self.revoke_invitations_by(user, at).await?;
        }
        const SQL: &str = "UPDATE users SET state = $2, updated_at = $3 WHERE id = $1";
        let params = [(&user).into(), state.as_str().into(), at.into()];
        Ok(self.execute(SQL, &params).await? > 0)
    }

    /// Deletes a person with their sessions, API tokens, memberships, recovery codes, ties to
    /// single sign-on and second factor; `false` when there is no such person. What they made
    /// stays, and so does their address where the audit trail and the records have it. Permit:
    /// deleting people.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_user(
        &mut self,
        permit: &Permit,
        user: UserId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        require(permit.covers_instance(Action::UserDelete), "a person")?;
        self.revoke_invitations_by(user, at).await?;
        for sql in [
            "DELETE FROM sessions WHERE user_id = $1",
            "DELETE FROM api_tokens WHERE user_id = $1",
            "DELETE FROM memberships WHERE user_id = $1",
            "DELETE FROM recovery_codes WHERE user_id = $1",
            "DELETE FROM user_identities WHERE user_id = $1",
            "DELETE FROM sealed_values WHERE kind = 'totp' AND owner_id = $1",
        ] {
            self.execute(sql, &[(&user).into()]).await?;
        }
        let deleted = self
            .execute("DELETE FROM users WHERE id = $1", &[(&user).into()])
            .await?;
        Ok(deleted > 0)
    }

    async fn revoke_invitations_by(
        &mut self,
        user: UserId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE invitations SET revoked_at = $2 \
             WHERE created_by = $1 AND accepted_at IS NULL AND revoked_at IS NULL";
        self.execute(SQL, &[(&user).into(), at.into()])
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_taken_as_it_stands() {
        assert_eq!(pattern(""), "%%");
        assert_eq!(pattern(" a%b_c! "), "%a!%b!_c!!%");
    }
}
