//! Teams, people, and who belongs where.

use std::fmt;

use nodeloom_domain::{
    Email, Role, TeamId, Timestamp, UserId,
    policy::{Action, Membership, Permit},
};

use crate::{
    Store, StoreError, Tx,
    engine::{Columns, Param, Run, words},
    store::require,
};

words! {
    /// Whether a person may sign in.
    UserState {
        /// May sign in.
        Active = "active",
        /// Keeps the record and loses every session.
        Deactivated = "deactivated",
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRow {
    /// Its id.
    pub id: TeamId,
    /// Its name, unique in the instance.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A person.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The person's id.
    pub id: UserId,
    /// E-mail address in lower case, unique in the instance.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// The password's argon2 hash in PHC form. Stays out of `Debug`.
    pub password_hash: String,
    /// Whether the person may sign in.
    pub state: UserState,
    /// Whether the person administers the instance.
    pub instance_admin: bool,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// Whether the person may sign in by password where everybody else must use single
    /// sign-on.
    pub break_glass: bool,
    /// When the password last changed; nothing before the first change.
    pub password_changed_at: Option<Timestamp>,
    /// The last sign-in.
    pub last_sign_in_at: Option<Timestamp>,
    /// The generation of the sealed TOTP secret; nothing without a second factor.
    pub totp_generation: Option<u64>,
    /// The last TOTP time step that was accepted (RFC 6238, section 5.2).
    pub totp_last_step: Option<i64>,
}

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserRow({}, {})", self.id, self.state.as_str())
    }
}

/// A person's place in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipRow {
    /// The person.
    pub user_id: UserId,
    /// The team.
    pub team_id: TeamId,
    /// What they may do there.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
}

impl UserRow {
    /// Columns in the order that [`UserRow::read`] takes them.
    pub(crate) fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            email: row.text()?,
            first_name: row.text()?,
            last_name: row.text()?,
            password_hash: row.text()?,
            state: row.word()?,
            instance_admin: row.bool()?,
            created_at: row.time()?,
            updated_at: row.time()?,
            break_glass: row.bool()?,
            password_changed_at: row.opt_time()?,
            last_sign_in_at: row.opt_time()?,
            totp_generation: row.opt_count()?,
            totp_last_step: row.opt_int()?,
        })
    }
}

/// The columns of [`UserRow::read`], as part of a statement's text.
macro_rules! user_columns {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "id, ",
            $prefix,
            "email, ",
            $prefix,
            "first_name, ",
            $prefix,
            "last_name, ",
            $prefix,
            "password_hash, ",
            $prefix,
            "state, ",
            $prefix,
            "instance_admin, ",
            $prefix,
            "created_at, ",
            $prefix,
            "updated_at, ",
            $prefix,
            "break_glass, ",
            $prefix,
            "password_changed_at, ",
            $prefix,
            "last_sign_in_at, ",
            $prefix,
            "totp_generation, ",
            $prefix,
            "totp_last_step"
        )
    };
}
pub(crate) use user_columns;

async fn find_user(mut run: impl Run, id: UserId) -> Result<Option<UserRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", user_columns!(""), " FROM users WHERE id = $1");
    let rows = run.fetch(SQL.into(), &[(&id).into()]).await?;
    rows.first()
        .map(|row| UserRow::read(&mut row.columns("users")))
        .transpose()
}

async fn find_user_by_email(
    mut run: impl Run,
    email: &Email,
) -> Result<Option<UserRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", user_columns!(""), " FROM users WHERE email = $1");
    let rows = run.fetch(SQL.into(), &[email.as_str().into()]).await?;
    rows.first()
        .map(|row| UserRow::read(&mut row.columns("users")))
        .transpose()
}

async fn memberships_of(mut run: impl Run, user: UserId) -> Result<Vec<Membership>, StoreError> {
    const SQL: &str = "SELECT m.team_id, t.name, m.role FROM memberships m \
         JOIN teams t ON t.id = m.team_id WHERE m.user_id = $1 ORDER BY t.name, t.id";
    let rows = run.fetch(SQL.into(), &[(&user).into()]).await?;
    rows.iter()
        .map(|row| {
            let mut row = row.columns("memberships");
            Ok(Membership {
                team: row.fixed()?,
                team_name: row.text()?,
                role: row.word()?,
            })
        })
        .collect()
}

async fn count_users(mut run: impl Run) -> Result<u64, StoreError> {
    let rows = run.fetch("SELECT count(*) FROM users".into(), &[]).await?;
    rows.first()
        .map_or(Ok(0), |row| row.columns("users").count())
}

async fn list_teams(mut run: impl Run) -> Result<Vec<TeamRow>, StoreError> {
    const SQL: &str =
        "SELECT id, name, created_at FROM teams WHERE deleted_at IS NULL ORDER BY name, id";
    let rows = run.fetch(SQL.into(), &[]).await?;
    rows.iter()
        .map(|row| {
            let mut row = row.columns("teams");
            Ok(TeamRow {
                id: row.fixed()?,
                name: row.text()?,
                created_at: row.time()?,
            })
        })
        .collect()
}

macro_rules! reads {
    ($type:ty, $($mut:tt)?) => {
        impl $type {
            /// How many people there are, deactivated ones included.
            ///
            /// # Errors
            /// As any read.
            pub async fn count_users(& $($mut)? self) -> Result<u64, StoreError> {
                count_users(self).await
            }

            /// The person with this id.
            ///
            /// # Errors
            /// As any read.
            pub async fn find_user(& $($mut)? self, id: UserId) -> Result<Option<UserRow>, StoreError> {
                find_user(self, id).await
            }

            /// The person with this address.
            ///
            /// # Errors
            /// As any read.
            pub async fn find_user_by_email(& $($mut)? self, email: &Email) -> Result<Option<UserRow>, StoreError> {
                find_user_by_email(self, email).await
            }

            /// The teams of a person and their role in each, by the team's name.
            ///
            /// # Errors
            /// As any read.
            pub async fn memberships_of(& $($mut)? self, user: UserId) -> Result<Vec<Membership>, StoreError> {
                memberships_of(self, user).await
            }

            /// Every team, by name.
            ///
            /// # Errors
            /// As any read.
            pub async fn list_teams(& $($mut)? self) -> Result<Vec<TeamRow>, StoreError> {
                list_teams(self).await
            }
        }
    };
}
reads!(Store,);
reads!(Tx, mut);

impl Tx {
    /// Whether this person is active and a member of the team.
    ///
    /// # Errors
    /// As any read.
    pub async fn is_active_member(
        &mut self,
        user: UserId,
        team: TeamId,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.user_id = $1 AND m.team_id = $2 AND u.state = 'active'";
        let rows = self.fetch(SQL, &[(&user).into(), (&team).into()]).await?;
        Ok(!rows.is_empty())
    }

    /// Adds a team. Permit: setting the instance up, or making teams.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a team has that id or name.
    pub async fn insert_team(&mut self, permit: &Permit, team: &TeamRow) -> Result<(), StoreError> {
        let covered = permit.covers_instance(Action::InstanceSetUp)
            || permit.covers_instance(Action::TeamCreate);
        require(covered, "a new team")?;
        const SQL: &str = "INSERT INTO teams (id, name, created_at) VALUES ($1, $2, $3)";
        let params = [
            (&team.id).into(),
            team.name.as_str().into(),
            team.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Adds a person. Permit: setting the instance up; provisioning that person, who then has no
    /// password and does not administer the instance; making people, or an invitation, which
    /// makes no administrator of the instance either.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a person has that id or address.
    pub async fn insert_user(&mut self, permit: &Permit, user: &UserRow) -> Result<(), StoreError> {
        let provisioned = permit.covers_user(Action::UserProvision, user.id)
            && user.password_hash.is_empty()
            && !user.instance_admin
            && !user.break_glass;
        let made = permit.covers_instance(Action::UserCreate) && !user.instance_admin;
        let invited = permit.action() == Action::InvitationAccept
            && !user.instance_admin
            && !user.break_glass;
        require(
            permit.covers_instance(Action::InstanceSetUp) || provisioned || made || invited,
            "a new person",
        )?;
        const SQL: &str = "INSERT INTO users (id, email, first_name, last_name, password_hash, \
             state, instance_admin, created_at, updated_at, break_glass) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let params = [
            (&user.id).into(),
            user.email.as_str().into(),
            user.first_name.as_str().into(),
            user.last_name.as_str().into(),
            user.password_hash.as_str().into(),
            user.state.as_str().into(),
            Param::Bool(user.instance_admin),
            user.created_at.into(),
            user.updated_at.into(),
            Param::Bool(user.break_glass),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Puts a person into a team. Permit: setting the instance up, provisioning that person,
    /// making teams (for the maker's own place), granting roles in this team, or an invitation
    /// into it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the person is a member already, or when person or team
    /// does not exist.
    pub async fn insert_membership(
        &mut self,
        permit: &Permit,
        membership: &MembershipRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_instance(Action::InstanceSetUp)
            || permit.covers_user(Action::UserProvision, membership.user_id)
            || permit.covers_instance(Action::TeamCreate)
            || permit.covers_team(Action::MemberGrant, membership.team_id)
            || permit.covers_team(Action::InvitationAccept, membership.team_id);
        require(covered, "a new membership")?;
        const SQL: &str = "INSERT INTO memberships (user_id, team_id, role, created_at) \
             VALUES ($1, $2, $3, $4)";
        let params = [
            (&membership.user_id).into(),
            (&membership.team_id).into(),
            membership.role.as_str().into(),
            membership.created_at.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Replaces the hash of a person's password; `false` when there is no such person.
    /// Permit: the person's sign-in (a hash with newer parameters), or housekeeping.
    ///
    /// # Errors
    /// As any write.
    pub async fn set_password_hash(
        &mut self,
        permit: &Permit,
        user: UserId,
        hash: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_user(Action::SessionCreate, user)
            || permit.covers_instance(Action::Housekeeping);
        require(covered, "this person's password")?;
        const SQL: &str = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
        Ok(self
            .execute(SQL, &[(&user).into(), hash.into(), at.into()])
            .await?
            > 0)
    }

    /// Replaces the hash of a person's password because the person chose another one;
    /// `false` when there is no such person. Permit: the person's change of password.
    ///
    /// # Errors
    /// As any write.
    pub async fn change_password(
        &mut self,
        permit: &Permit,
        user: UserId,
        hash: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        require(
            permit.covers_user(Action::PasswordChange, user),
            "this person's password",
        )?;
        const SQL: &str = "UPDATE users SET password_hash = $2, password_changed_at = $3, \
             updated_at = $3 WHERE id = $1";
        Ok(self
            .execute(SQL, &[(&user).into(), hash.into(), at.into()])
            .await?
            > 0)
    }

    /// Notes that a person signed in; never moves backwards. Permit: that sign-in.
    ///
    /// # Errors
    /// As any write.
    pub async fn note_sign_in(
        &mut self,
        permit: &Permit,
        user: UserId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        require(
            permit.covers_user(Action::SessionCreate, user),
            "this person's sign-in",
        )?;
        const SQL: &str = "UPDATE users SET last_sign_in_at = $2 \
             WHERE id = $1 AND (last_sign_in_at IS NULL OR last_sign_in_at < $2)";
        self.execute(SQL, &[(&user).into(), at.into()])
            .await
            .map(drop)
    }
}
