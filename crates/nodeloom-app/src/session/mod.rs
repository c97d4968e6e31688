//! Sessions: opened by a proof, short by design, ended at once when they must be.

mod administer;
mod change_password;
mod second_factor;
mod sign_in;
mod throttle;
mod token;

pub(crate) use sign_in::{Lifetime, actor_of};

pub use second_factor::{OfferedSecret, SecondFactor};
pub use token::SessionToken;
pub(crate) use token::{parse_token, random_secret, token_text};

use nodeloom_crypto::Secret;
use nodeloom_domain::{
    Role, SessionId, TeamId, Timestamp, UserId,
    audit::AuditEvent,
    policy::{self, Action, Actor, Resource},
};
use nodeloom_store::{SessionWithUser, UserState};
use serde::Serialize;

use crate::{App, AppError, Ctx, Who};

/// A session without a request for this long has ended, in seconds.
pub(crate) const IDLE_SECONDS: i64 = 30 * 60;
/// A session that began this long ago has ended, in seconds.
pub(crate) const ABSOLUTE_SECONDS: i64 = 12 * 60 * 60;
/// How exactly the last use is kept, in seconds: a write per request would make
/// every read a write.
const TOUCH_SECONDS: i64 = 60;

/// The reply to a proof of identity: who it is, and the new session.
#[derive(Debug)]
pub struct SignedIn {
    /// What goes into the cookie and nowhere else.
    pub token: Secret<String>,
    /// Who signed in.
    pub me: Me,
}

/// A person, as they see themselves.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// Their id.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Their teams.
    pub teams: Vec<MyTeam>,
}

/// A team, as a member sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MyTeam {
    /// Its id.
    pub team_id: TeamId,
    /// Its name.
    pub team_name: String,
    /// The member's role.
    pub role: Role,
}

/// A session, as its owner sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id; not enough to use it.
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// Its last use, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends, used or not.
    pub expires_at: Timestamp,
    /// Where it began.
    pub address: Option<String>,
    /// What the browser says of itself.
    pub user_agent: Option<String>,
}

impl App {
    /// Whether a stored session is the token's, is alive and belongs to an active
    /// person; then who that is.
    pub(crate) fn known(
        &self,
        token: &SessionToken,
        found: Option<SessionWithUser>,
    ) -> Result<(Actor, SessionWithUser), AppError> {
        let found = found.ok_or(AppError::Unauthenticated)?;
        let session = &found.session;
        let now = self.now();
        let alive = now.seconds_since(session.last_seen_at) < IDLE_SECONDS
            && now.seconds_since(session.created_at) < ABSOLUTE_SECONDS;
        let genuine = self
            .keys()
            .index_key(session.index_key_id)
            .is_some_and(|key| token.matches(key, session.user_id, &session.tag));
        if !(alive && genuine && found.user.state == UserState::Active) {
            return Err(AppError::Unauthenticated);
        }
        let actor = Actor::User {
            id: found.user.id,
            email: found.user.email.clone(),
            instance_admin: found.user.instance_admin,
            memberships: found.memberships.clone(),
            authenticated_at: session.authenticated_at,
            token: None,
        };
        Ok((actor, found))
    }

    /// Checks the session and notes its use. For the edge, before a body is read.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] for no session, a false one, one that has ended,
    /// or one whose owner was deactivated.
    pub async fn authenticate(&self, ctx: &Ctx) -> Result<(), AppError> {
        let token = match &ctx.who {
            Who::Session(token) => token,
            Who::Token(token) => {
                return self.authenticate_token(token, &ctx.origin).await;
            }
            Who::Operator { .. } => return Ok(()),
        };
        let found = self.store().session_with_user(token.id()).await?;
        let (_, found) = self.known(token, found)?;
        let now = self.now();
        if now.seconds_since(found.session.last_seen_at) >= TOUCH_SECONDS {
            let mut tx = self.store().begin().await?;
            tx.touch_session(token.id(), now).await?;
            tx.commit_unaudited("the last use of a session").await?;
        }
        Ok(())
    }

    /// Who the session belongs to.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn me(&self, ctx: &Ctx) -> Result<Me, AppError> {
        let Who::Session(token) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        let found = self.store().session_with_user(token.id()).await?;
        self.known(token, found).map(|(_, found)| me(&found))
    }

    /// One's own live sessions, newest first.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn list_sessions(&self, ctx: &Ctx) -> Result<Vec<SessionView>, AppError> {
        let Who::Session(token) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        let actor = self.actor(ctx).await?;
        let user = actor.user_id().ok_or(AppError::Unauthenticated)?;
        let now = self.now();
        let mut views: Vec<SessionView> = self
            .store()
            .sessions_of(user)
            .await?
            .into_iter()
            .filter(|row| {
                now.seconds_since(row.last_seen_at) < IDLE_SECONDS
                    && now.seconds_since(row.created_at) < ABSOLUTE_SECONDS
            })
            .map(|row| SessionView {
                id: row.id,
                current: row.id == token.id(),
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
                expires_at: row.created_at.plus_seconds(ABSOLUTE_SECONDS),
                address: row.address,
                user_agent: row.user_agent,
            })
            .collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.created_at));
        Ok(views)
    }

    /// Ends one of one's own sessions, at once.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign session.
    pub async fn end_session(&self, ctx: &Ctx, id: SessionId) -> Result<(), AppError> {
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let user = actor.user_id().ok_or(AppError::Unauthenticated)?;
        let permit =
            policy::authorise(&actor, Action::SessionEnd, Resource::User(user), self.now())?;
        let owner = tx.session_with_user(id).await?.map(|found| found.user.id);
        if owner != Some(user) || !tx.delete_session(&permit, id).await? {
            return Err(AppError::NotFound);
        }
        let event = AuditEvent::new(self.now(), actor.audited(), "session.end", &ctx.origin).on(
            "session",
            id.as_bytes(),
            "",
        );
        self.commit(tx, &event).await
    }

    /// Ends the session that asks.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn sign_out(&self, ctx: &Ctx) -> Result<(), AppError> {
        let Who::Session(token) = &ctx.who else {
            return Err(AppError::Unauthenticated);
        };
        self.end_session(ctx, token.id()).await
    }
}

pub(crate) fn me(found: &SessionWithUser) -> Me {
    Me {
        id: found.user.id,
        email: found.user.email.clone(),
        first_name: found.user.first_name.clone(),
        last_name: found.user.last_name.clone(),
        teams: found
            .memberships
            .iter()
            .map(|m| MyTeam {
                team_id: m.team,
                team_name: m.team_name.clone(),
                role: m.role,
            })
            .collect(),
    }
}
