//! Sessions.

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    SessionId, Timestamp, UserId,
    policy::{Action, Membership, Permit},
};

use crate::{
    Store, StoreError, Tx, UserRow,
    engine::{Columns, Param, Run},
    member::user_columns,
    store::require,
};

/// A session: what the cookie proves, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id, the public half of the cookie.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Keyed hash of the cookie's secret half, 32 bytes.
    pub tag: [u8; 32],
    /// The index key that made the tag.
    pub index_key_id: KeyId,
    /// When the person signed in; a refresh keeps it.
    pub created_at: Timestamp,
    /// When it was last used, to the precision of the touches.
    pub last_seen_at: Timestamp,
    /// When the person last proved who they are.
    pub authenticated_at: Timestamp,
    /// Client address at sign-in.
    pub address: Option<String>,
    /// Client program at sign-in.
    pub user_agent: Option<String>,
}

impl SessionRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            user_id: row.fixed()?,
            tag: row.fixed()?,
            index_key_id: row.fixed()?,
            created_at: row.time()?,
            last_seen_at: row.time()?,
            authenticated_at: row.time()?,
            address: row.opt_text()?,
            user_agent: row.opt_text()?,
        })
    }
}

/// A session with the person and their teams, as of one moment.
#[derive(Debug, Clone)]
pub struct SessionWithUser {
    /// The session.
    pub session: SessionRow,
    /// The person.
    pub user: UserRow,
    /// Their teams, by the team's name.
    pub memberships: Vec<Membership>,
}

async fn session_with_user(
    mut run: impl Run,
    id: SessionId,
) -> Result<Option<SessionWithUser>, StoreError> {
    // One statement, so that session, person and roles are of one moment.
    const SQL: &str = concat!(
        "SELECT s.id, s.user_id, s.tag, s.index_key_id, s.created_at, \
         s.last_seen_at, s.authenticated_at, s.address, s.user_agent, ",
        user_columns!("u."),
        ", m.team_id, t.name, m.role \
         FROM sessions s JOIN users u ON u.id = s.user_id \
         LEFT JOIN memberships m ON m.user_id = u.id LEFT JOIN teams t ON t.id = m.team_id \
         WHERE s.id = $1"
    );
    let rows = run.fetch(SQL.into(), &[(&id).into()]).await?;
    let mut found: Option<SessionWithUser> = None;
    for row in &rows {
        let mut row = row.columns("sessions");
        let session = SessionRow::read(&mut row)?;
        let user = UserRow::read(&mut row)?;
        let entry = found.get_or_insert(SessionWithUser {
            session,
            user,
            memberships: Vec::new(),
        });
        if let Some(team) = row.opt_fixed()? {
            let membership = Membership {
                team,
                team_name: row.text()?,
                role: row.word()?,
            };
            entry.memberships.push(membership);
        }
    }
    if let Some(found) = &mut found {
        found
            .memberships
            .sort_by(|a, b| (&a.team_name, a.team).cmp(&(&b.team_name, b.team)));
    }
    Ok(found)
}

impl Store {
    /// The session with the person and their roles, in one statement. Whether it is still
    /// valid (idle, absolute limit, state of the person, tag) is for the caller to say.
    ///
    /// # Errors
    /// As any read.
    pub async fn session_with_user(
        &self,
        id: SessionId,
    ) -> Result<Option<SessionWithUser>, StoreError> {
        session_with_user(self, id).await
    }

    /// The sessions of a person, newest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
        const SQL: &str = "SELECT id, user_id, tag, index_key_id, created_at, last_seen_at, \
             authenticated_at, address, user_agent FROM sessions WHERE user_id = $1 \
             ORDER BY created_at DESC, id DESC";
        let rows = self.fetch(SQL, &[(&user).into()]).await?;
        rows.iter()
            .map(|row| SessionRow::read(&mut row.columns("sessions")))
            .collect()
    }
}

impl Tx {
    /// As [`Store::session_with_user`], with the state inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn session_with_user(
        &mut self,
        id: SessionId,
    ) -> Result<Option<SessionWithUser>, StoreError> {
        session_with_user(self, id).await
    }

    /// Adds a session. Permit: that person's sign-in.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or person or index key do not exist.
    pub async fn insert_session(
        &mut self,
        permit: &Permit,
        session: &SessionRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_user(Action::SessionCreate, session.user_id);
        require(covered, "a session of this person")?;
        const SQL: &str = "INSERT INTO sessions (id, user_id, tag, index_key_id, created_at, \
             last_seen_at, authenticated_at, address, user_agent) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let params = [
            (&session.id).into(),
            (&session.user_id).into(),
            Param::Bytes(&session.tag),
            Param::Bytes(session.index_key_id.as_bytes()),
            session.created_at.into(),
            session.last_seen_at.into(),
            session.authenticated_at.into(),
            Param::OptText(session.address.as_deref()),
            Param::OptText(session.user_agent.as_deref()),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Notes that a session was used; never moves backwards. `false` when it has gone.
    ///
    /// # Errors
    /// As any write.
    pub async fn touch_session(
        &mut self,
        id: SessionId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE sessions SET last_seen_at = $2 \
             WHERE id = $1 AND last_seen_at <= $2";
        Ok(self.execute(SQL, &[(&id).into(), at.into()]).await? > 0)
    }

    /// Ends a session; `false` when it has ended already. Permit: the person's own (ending
    /// sessions, or signing in anew), or housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_session(
        &mut self,
        permit: &Permit,
        id: SessionId,
    ) -> Result<bool, StoreError> {
        let rows = self
            .fetch(
                "SELECT user_id FROM sessions WHERE id = $1",
                &[(&id).into()],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        require(
            covers(permit, row.columns("sessions").fixed()?),
            "this session",
        )?;
        Ok(self
            .execute("DELETE FROM sessions WHERE id = $1", &[(&id).into()])
            .await?
            > 0)
    }

    /// Ends every session of a person and says how many. Permit: as [`Tx::delete_session`].
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_sessions_of(
        &mut self,
        permit: &Permit,
        user: UserId,
    ) -> Result<u64, StoreError> {
        require(covers(permit, user), "the sessions of this person")?;
        self.execute("DELETE FROM sessions WHERE user_id = $1", &[(&user).into()])
            .await
    }

    /// Ends every session of a person but `kept`, and says how many. Permit: the person's own
    /// sign-in.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_other_sessions(
        &mut self,
        permit: &Permit,
        user: UserId,
        kept: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        require(covers(permit, user), "the sessions of this person")?;
        // No bytes at all are nobody's id.
        let kept: &[u8] = kept.as_ref().map_or(&[], |id| id.as_bytes());
        const SQL: &str = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
        self.execute(SQL, &[(&user).into(), Param::Bytes(kept)])
            .await
    }

    /// Drops the sessions that were opened before `opened_before` or last used before
    /// `seen_before`, and says how many. Permit: housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn delete_expired_sessions(
        &mut self,
        permit: &Permit,
        opened_before: Timestamp,
        seen_before: Timestamp,
    ) -> Result<u64, StoreError> {
        require(
            permit.covers_instance(Action::Housekeeping),
            "expired sessions",
        )?;
        const SQL: &str = "DELETE FROM sessions WHERE created_at < $1 OR last_seen_at < $2";
        self.execute(SQL, &[opened_before.into(), seen_before.into()])
            .await
    }
}

fn covers(permit: &Permit, user: UserId) -> bool {
    permit.covers_user(Action::SessionEnd, user)
        || permit.covers_user(Action::SessionCreate, user)
        || permit.covers_instance(Action::SessionAdminister)
        || permit.covers_instance(Action::Housekeeping)
}
