//! API tokens.

use std::collections::BTreeMap;

use nodeloom_crypto::KeyId;
use nodeloom_domain::{
    ApiTokenId, Role, TeamId, Timestamp, UserId,
    policy::{Action, Membership, Permit},
};

use crate::{
    Store, StoreError, Tx, UserRow,
    engine::{Columns, Param, Run, json_list},
    member::user_columns,
    store::require,
};

/// An API token: what its text proves, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id, the public half of its text.
    pub id: ApiTokenId,
    /// Whose rights it carries.
    pub user_id: UserId,
    /// The one team that it works in.
    pub team_id: TeamId,
    /// What its owner calls it.
    pub name: String,
    /// The most that it may do in the team.
    pub role: Role,
    /// Names of the sensitive things that it may do.
    pub scopes: Vec<String>,
    /// The networks it may come from, in CIDR form; none: from anywhere.
    pub addresses: Vec<String>,
    /// Keyed hash of the text's secret half and of the limits, 32 bytes.
    pub tag: [u8; 32],
    /// The index key that made the tag.
    pub index_key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; nothing: when it is revoked.
    pub expires_at: Option<Timestamp>,
    /// Its last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Where it was last used from.
    pub last_used_address: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    fn read(row: &mut Columns<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.fixed()?,
            user_id: row.fixed()?,
            team_id: row.fixed()?,
            name: row.text()?,
            role: row.word()?,
            scopes: row.list()?,
            addresses: row.list()?,
            tag: row.fixed()?,
            index_key_id: row.fixed()?,
            created_at: row.time()?,
            expires_at: row.opt_time()?,
            last_used_at: row.opt_time()?,
            last_used_address: row.opt_text()?,
            revoked_at: row.opt_time()?,
        })
    }
}

/// A token with its owner and the owner's teams, as of one moment.
#[derive(Debug, Clone)]
pub struct TokenWithOwner {
    /// The token.
    pub token: TokenRow,
    /// Its owner.
    pub owner: UserRow,
    /// The owner's teams.
    pub memberships: Vec<Membership>,
}

macro_rules! token_columns {
    () => {
        "a.id, a.user_id, a.team_id, a.name, a.role, a.scopes, a.addresses, a.tag, \
         a.index_key_id, a.created_at, a.expires_at, a.last_used_at, a.last_used_address, \
         a.revoked_at"
    };
}

async fn token_with_owner(
    mut run: impl Run,
    id: ApiTokenId,
) -> Result<Option<TokenWithOwner>, StoreError> {
    // One statement, so that token, owner and roles are of one moment.
    const SQL: &str = concat!(
        "SELECT ",
        token_columns!(),
        ", ",
        user_columns!("u."),
        ", m.team_id, t.name, m.role \
         FROM api_tokens a JOIN users u ON u.id = a.user_id \
         LEFT JOIN memberships m ON m.user_id = u.id LEFT JOIN teams t ON t.id = m.team_id \
         WHERE a.id = $1"
    );
    let rows = run.fetch(SQL.into(), &[(&id).into()]).await?;
    let mut found: Option<TokenWithOwner> = None;
    for row in &rows {
        let mut row = row.columns("api_tokens");
        let token = TokenRow::read(&mut row)?;
        let owner = UserRow::read(&mut row)?;
        let entry = found.get_or_insert(TokenWithOwner {
            token,
            owner,
            memberships: Vec::new(),
        });
        if let Some(team) = row.opt_fixed()? {
            entry.memberships.push(Membership {
                team,
                team_name: row.text()?,
                role: row.word()?,
            });
        }
    }
    Ok(found)
}

impl Store {
    /// The token with its owner and their roles, in one statement. Whether it still works
    /// is for the caller to say.
    ///
    /// # Errors
    /// As any read.
    pub async fn token_with_owner(
        &self,
        id: ApiTokenId,
    ) -> Result<Option<TokenWithOwner>, StoreError> {
        token_with_owner(self, id).await
    }

    /// The tokens of a person, newest first, revoked and expired ones included.
    ///
    /// # Errors
    /// As any read.
    pub async fn tokens_of(&self, user: UserId) -> Result<Vec<TokenRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            token_columns!(),
            " FROM api_tokens a WHERE a.user_id = $1 ORDER BY a.created_at DESC, a.id DESC"
        );
        let rows = self.fetch(SQL, &[(&user).into()]).await?;
        rows.iter()
            .map(|row| TokenRow::read(&mut row.columns("api_tokens")))
            .collect()
    }

    /// The tokens of a team with their owners' addresses, newest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn tokens_in(&self, team: TeamId) -> Result<Vec<TokenRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            token_columns!(),
            " FROM api_tokens a WHERE a.team_id = $1 ORDER BY a.created_at DESC, a.id DESC"
        );
        let rows = self.fetch(SQL, &[(&team).into()]).await?;
        rows.iter()
            .map(|row| TokenRow::read(&mut row.columns("api_tokens")))
            .collect()
    }

    /// The addresses of the members of a team, by their ids.
    ///
    /// # Errors
    /// As any read.
    pub async fn owners_in(&self, team: TeamId) -> Result<BTreeMap<UserId, String>, StoreError> {
        const SQL: &str = "SELECT DISTINCT u.id, u.email FROM users u \
             JOIN api_tokens a ON a.user_id = u.id WHERE a.team_id = $1";
        let rows = self.fetch(SQL, &[(&team).into()]).await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("users");
                Ok((row.fixed()?, row.text()?))
            })
            .collect()
    }
}

impl Tx {
    /// As [`Store::token_with_owner`], with the state inside this transaction.
    ///
    /// # Errors
    /// As any read.
    pub async fn token_with_owner(
        &mut self,
        id: ApiTokenId,
    ) -> Result<Option<TokenWithOwner>, StoreError> {
        token_with_owner(self, id).await
    }

    /// Adds a token. Permit: making a token in that team.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or owner, team or index key do not
    /// exist.
    pub async fn insert_token(
        &mut self,
        permit: &Permit,
        token: &TokenRow,
    ) -> Result<(), StoreError> {
        let covered = permit.covers_team(Action::TokenCreate, token.team_id);
        require(covered, "a token in this team")?;
        const SQL: &str = "INSERT INTO api_tokens (id, user_id, team_id, name, role, scopes, \
             addresses, tag, index_key_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let (scopes, addresses) = (json_list(&token.scopes), json_list(&token.addresses));
        let params = [
            (&token.id).into(),
            (&token.user_id).into(),
            (&token.team_id).into(),
            token.name.as_str().into(),
            token.role.as_str().into(),
            scopes.as_str().into(),
            addresses.as_str().into(),
            Param::Bytes(&token.tag),
            Param::Bytes(token.index_key_id.as_bytes()),
            token.created_at.into(),
            Param::OptInt(token.expires_at.map(Timestamp::as_micros)),
        ];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Notes a use. Not for the trail: what the token does is there.
    ///
    /// # Errors
    /// As any write.
    pub async fn touch_token(
        &mut self,
        id: ApiTokenId,
        at: Timestamp,
        address: Option<&str>,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE api_tokens SET last_used_at = $2, last_used_address = $3 WHERE id = $1";
        let params = [(&id).into(), at.into(), Param::OptText(address)];
        self.execute(SQL, &params).await.map(drop)
    }

    /// Revokes a token; `false` when it was revoked already. Permit: revoking that person's
    /// own tokens, those of its team, or any.
    ///
    /// # Errors
    /// As any write.
    pub async fn revoke_token(
        &mut self,
        permit: &Permit,
        token: &TokenRow,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let covered = permit.covers_user(Action::TokenRevoke, token.user_id)
            || permit.covers_team(Action::TokenRevoke, token.team_id)
            || permit.covers_instance(Action::TokenRevoke);
        require(covered, "this token")?;
        const SQL: &str =
            "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        Ok(self.execute(SQL, &[(&token.id).into(), at.into()]).await? > 0)
    }
}
