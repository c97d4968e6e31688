//! API tokens: made by a person for a program, narrower than the person, shown once.

mod text;

pub use text::ApiToken;

use std::net::IpAddr;

use ipnet::IpNet;
use nodeloom_crypto::Secret;
use nodeloom_domain::{
    ApiTokenId, Email, FieldErrors, Name, Role, TeamId, Timestamp, UserId,
    audit::{AuditEvent, Origin},
    policy::{self, Action, Actor, Resource, TokenLimit, TokenScope},
};
use nodeloom_store::{TokenRow, TokenWithOwner, UserRow, UserState};
use serde::Serialize;

use crate::{App, AppError, Ctx, Who};

/// A token that may do something sensitive lives this long at most, in days.
const MAX_DAYS_WITH_SCOPES: u32 = 90;
/// Any other token that has an end, in days.
const MAX_DAYS: u32 = 365;
const DAY_SECONDS: i64 = 86_400;
/// How exactly the last use is kept, in seconds.
const TOUCH_SECONDS: i64 = 60;
const MAX_ADDRESSES: usize = 50;

/// A token to be made.
pub struct NewToken {
    /// The one team that it works in.
    pub team: TeamId,
    /// What its owner calls it.
    pub name: String,
    /// The most that it may do: what its owner may not do, it may not do either.
    pub role: String,
    /// The sensitive things that it may do: `reveal`, `export`, `keys`, `grants`.
    pub scopes: Vec<String>,
    /// Networks or addresses that it may come from; none: from anywhere.
    pub addresses: Vec<String>,
    /// Days until it ends; nothing: until it is revoked.
    pub expires_in_days: Option<u32>,
    /// The address of its owner, for an operator; a person makes only their own.
    pub owner: Option<String>,
}

/// A token, as lists show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its id, which also stands in its text.
    pub id: ApiTokenId,
    /// Its name.
    pub name: String,
    /// The team that it works in.
    pub team_id: TeamId,
    /// The address of its owner.
    pub owner: String,
    /// The most that it may do.
    pub role: Role,
    /// The sensitive things that it may do.
    pub scopes: Vec<String>,
    /// The networks that it may come from; none: from anywhere.
    pub addresses: Vec<String>,
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

/// A token that was just made.
pub struct MadeToken {
    /// Its text: shown once, and never again.
    pub token: Secret<String>,
    /// Everything else about it.
    pub view: TokenView,
}

struct Limits {
    name: Name,
    role: Role,
    scopes: Vec<TokenScope>,
    addresses: Vec<IpNet>,
    days: Option<u32>,
}

impl App {
    /// Makes a token. Its text leaves here alone.
    ///
    /// # Errors
    /// [`AppError::Invalid`] names every broken field; [`AppError::Denied`], also without
    /// a fresh proof of identity.
    pub async fn create_token(&self, ctx: &Ctx, new: NewToken) -> Result<MadeToken, AppError> {
        let action = Action::TokenCreate;
        let team = Resource::Team(new.team);
        let actor = self.actor(ctx).await?;
        self.allow(&actor, action, team, ctx, Some(&new.name), self.now())
            .await?;
        let done_before = |id: [u8; 16]| AppError::DoneBefore {
            what: "token",
            id: ApiTokenId::from_bytes(id).to_string(),
        };
        // Its text was shown once, and is nowhere to be shown again.
        if let Some(before) = self.created_before(ctx, &actor, "token").await? {
            return Err(done_before(before));
        }
        let limits = Limits::check(&new)?;

        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        let owner: UserRow = match (actor.user_id(), &new.owner) {
            (Some(own), None) => tx.find_user(own).await?.ok_or(AppError::Unauthenticated)?,
            (Some(_), Some(_)) => {
                let message = "a person makes tokens for themselves alone";
                return Err(FieldErrors::one("owner", "own", message).into());
            }
            (None, owner) => {
                let found = match owner.as_deref().map(Email::parse) {
                    Some(Ok(email)) => tx.find_user_by_email(&email).await?,
                    _ => None,
                };
                found
                    .filter(|user| user.state == UserState::Active)
                    .ok_or_else(|| {
                        let message = "must be the address of an active person";
                        AppError::Invalid(FieldErrors::one("owner", "unknown", message))
                    })?
            }
        };
        let is_member = tx
            .memberships_of(owner.id)
            .await?
            .iter()
            .any(|membership| membership.team == new.team);
        if !is_member {
            let message = "its owner must be a member of the team";
            return Err(FieldErrors::one("teamId", "member", message).into());
        }

        let token = ApiToken::generate(ApiTokenId::generate(now))?;
        let index = self.keys().index();
        let mut row = limits.row(token.id(), owner.id, new.team, now);
        row.index_key_id = index.id();
        row.tag = token.tag(index, &row);
        let id = *row.id.as_bytes();
        match self.note_created(&mut tx, ctx, &actor, "token", &id).await {
            Err(AppError::Repeated) => {
                tx.rollback().await?;
                let before = self.created_before(ctx, &actor, "token").await?;
                return Err(before.map_or(AppError::Repeated, done_before));
            }
            noted => noted?,
        }
        tx.insert_token(&permit, &row).await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on("token", row.id.as_bytes(), row.name.clone())
            .with("owner", owner.email.clone())
            .with("role", row.role.as_str())
            .with("scopes", row.scopes.clone())
            .with("addresses", row.addresses.clone())
            .with("expiresAt", row.expires_at.map(|at| at.to_string()));
        self.commit(tx, &event).await?;
        Ok(MadeToken {
            token: token.text(),
            view: view(row, owner.email),
        })
    }

    /// One's own tokens, or with `team` all of that team; newest first.
    ///
    /// # Errors
    /// [`AppError::Denied`] for a team that one does not administer.
    pub async fn list_tokens(
        &self,
        ctx: &Ctx,
        team: Option<TeamId>,
    ) -> Result<Vec<TokenView>, AppError> {
        let actor = self.actor(ctx).await?;
        let action = Action::TokenRead;
        if let Some(team) = team {
            let resource = Resource::Team(team);
            self.allow(&actor, action, resource, ctx, None, self.now())
                .await?;
            let owners = self.store().owners_in(team).await?;
            let rows = self.store().tokens_in(team).await?;
            return Ok(rows
                .into_iter()
                .map(|row| {
                    let owner = owners.get(&row.user_id).cloned().unwrap_or_default();
                    view(row, owner)
                })
                .collect());
        }
        let Actor::User { id, email, .. } = &actor else {
            let message = "an operator names the team";
            return Err(FieldErrors::one("teamId", "required", message).into());
        };
        let resource = Resource::User(*id);
        self.allow(&actor, action, resource, ctx, None, self.now())
            .await?;
        let rows = self.store().tokens_of(*id).await?;
        Ok(rows
            .into_iter()
            .map(|row| view(row, email.clone()))
            .collect())
    }

    /// Revokes a token: one's own, or one of a team that one administers. It works no
    /// longer from then on; a second time changes nothing.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown token, or one of others.
    pub async fn revoke_token(&self, ctx: &Ctx, id: ApiTokenId) -> Result<(), AppError> {
        let action = Action::TokenRevoke;
        let actor = self.actor(ctx).await?;
        let found = self.store().token_with_owner(id).await?;
        let row = found.ok_or(AppError::NotFound)?.token;
        let resource = if actor.user_id() == Some(row.user_id) {
            Resource::User(row.user_id)
        } else {
            Resource::Team(row.team_id)
        };
        match policy::authorise(&actor, action, resource, self.now()) {
            Ok(_permit) => {}
            // That there is such a token is its owner's and the administrators' to know.
            Err(denied) => {
                let refused = self
                    .refused(&actor, action, resource, ctx, Some(&row.name), denied)
                    .await;
                return Err(match refused {
                    AppError::Denied(policy::Denied::RoleTooLow { .. }) => AppError::NotFound,
                    other => other,
                });
            }
        }
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, resource, now)?;
        if !tx.revoke_token(&permit, &row, now).await? {
            return Ok(());
        }
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(row.team_id)
            .on("token", row.id.as_bytes(), row.name.clone());
        self.commit(tx, &event).await
    }

    /// Whether a stored token is the caller's, still works and may come from there; then
    /// whose rights it carries.
    pub(crate) fn known_token(
        &self,
        token: &ApiToken,
        origin: &Origin,
        found: Option<TokenWithOwner>,
    ) -> Result<(Actor, TokenWithOwner), AppError> {
        let found = found.ok_or(AppError::Unauthenticated)?;
        let row = &found.token;
        let genuine = self
            .keys()
            .index_key(row.index_key_id)
            .is_some_and(|key| token.matches(key, row));
        let now = self.now();
        let is_alive = row.revoked_at.is_none() && row.expires_at.is_none_or(|end| now < end);
        let is_from_there = may_come_from(&row.addresses, origin.address.as_deref());
        let is_member = found.memberships.iter().any(|m| m.team == row.team_id);
        let is_active = found.owner.state == UserState::Active;
        if !(genuine && is_alive && is_from_there && is_member && is_active) {
            return Err(AppError::Unauthenticated);
        }
        let actor = Actor::User {
            id: found.owner.id,
            email: found.owner.email.clone(),
            instance_admin: found.owner.instance_admin,
            memberships: found.memberships.clone(),
            authenticated_at: row.created_at,
            token: Some(TokenLimit {
                id: row.id,
                name: row.name.clone(),
                team: row.team_id,
                role: row.role,
                scopes: row.scopes.iter().filter_map(|s| s.parse().ok()).collect(),
            }),
        };
        Ok((actor, found))
    }

    /// The team of the token that asks: it need not be named in a request.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] for a token that does not work.
    pub async fn team_of_token(&self, ctx: &Ctx) -> Result<Option<TeamId>, AppError> {
        let Who::Token(token) = &ctx.who else {
            return Ok(None);
        };
        let found = self.store().token_with_owner(token.id()).await?;
        let (_, found) = self.known_token(token, &ctx.origin, found)?;
        Ok(Some(found.token.team_id))
    }

    /// Checks a token and notes its use.
    pub(crate) async fn authenticate_token(
        &self,
        token: &ApiToken,
        origin: &Origin,
    ) -> Result<(), AppError> {
        let found = self.store().token_with_owner(token.id()).await?;
        let (_, found) = self.known_token(token, origin, found)?;
        let (row, now) = (&found.token, self.now());
        let is_recent = row
            .last_used_at
            .is_some_and(|at| now.seconds_since(at) < TOUCH_SECONDS);
        if !is_recent || row.last_used_address != origin.address {
            let mut tx = self.store().begin().await?;
            tx.touch_token(row.id, now, origin.address.as_deref())
                .await?;
            tx.commit_unaudited("the last use of an API token").await?;
        }
        Ok(())
    }
}

impl Limits {
    fn check(new: &NewToken) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = Name::parse(&new.name)
            .map_err(|error| errors.push("name", error.rule(), error.to_string()))
            .ok();
        let role = new
            .role
            .parse::<Role>()
            .map_err(|error| errors.push("role", "unknown", error.to_string()))
            .ok();
        let mut scopes = Vec::new();
        for text in &new.scopes {
            match text.parse::<TokenScope>() {
                Ok(scope) => scopes.push(scope),
                Err(error) => errors.push("scopes", "unknown", error.to_string()),
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        let mut addresses = Vec::new();
        for text in &new.addresses {
            match network(text) {
                Some(network) => addresses.push(network),
                None => {
                    let message = "must be addresses or networks like 192.0.2.7 or 10.0.0.0/8";
                    errors.push("addresses", "network", message);
                }
            }
        }
        if addresses.len() > MAX_ADDRESSES {
            let message = format!("must be at most {MAX_ADDRESSES}");
            errors.push("addresses", "too-many", message);
        }
        let most = if scopes.is_empty() {
            MAX_DAYS
        } else {
            MAX_DAYS_WITH_SCOPES
        };
        let is_too_long = match new.expires_in_days {
            None => !scopes.is_empty(),
            Some(days) => days == 0 || days > most,
        };
        if is_too_long {
            let message = if scopes.is_empty() {
                format!("must be from 1 to {most} days, or left out")
            } else {
                format!("must be from 1 to {most} days for a token with a scope")
            };
            errors.push("expiresInDays", "range", message);
        }
        match (name, role) {
            (Some(name), Some(role)) if errors.0.is_empty() => Ok(Self {
                name,
                role,
                scopes,
                addresses,
                days: new.expires_in_days,
            }),
            _ => Err(errors),
        }
    }

    /// The row without its tag.
    fn row(self, id: ApiTokenId, user_id: UserId, team_id: TeamId, now: Timestamp) -> TokenRow {
        let days = self.days.map(i64::from);
        TokenRow {
            id,
            user_id,
            team_id,
            name: self.name.as_str().to_owned(),
            role: self.role,
            scopes: self.scopes.iter().map(|s| s.as_str().to_owned()).collect(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            tag: [0; 32],
            index_key_id: nodeloom_crypto::KeyId::from_bytes([0; 8]),
            created_at: now,
            expires_at: days.map(|days| now.plus_seconds(days * DAY_SECONDS)),
            last_used_at: None,
            last_used_address: None,
            revoked_at: None,
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let network = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(network.trunc())
}

/// An address that nobody knows is in no network.
fn may_come_from(networks: &[String], address: Option<&str>) -> bool {
    if networks.is_empty() {
        return true;
    }
    let Some(address) = address.and_then(|text| text.parse::<IpAddr>().ok()) else {
        return false;
    };
    let address = address.to_canonical();
    networks
        .iter()
        .filter_map(|text| text.parse::<IpNet>().ok())
        .any(|network| network.contains(&address))
}

fn view(row: TokenRow, owner: String) -> TokenView {
    TokenView {
        id: row.id,
        name: row.name,
        team_id: row.team_id,
        owner,
        role: row.role,
        scopes: row.scopes,
        addresses: row.addresses,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        last_used_address: row.last_used_address,
        revoked_at: row.revoked_at,
    }
}
