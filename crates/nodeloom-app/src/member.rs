//! Who belongs to a team, and with which role.

use nodeloom_domain::{
    Email, FieldErrors, Role, TeamId, Timestamp, UserId,
    audit::AuditEvent,
    policy::{self, Action, Resource},
};
use nodeloom_store::{MemberRow, MembershipRow, UserState};
use serde::Serialize;

use crate::{App, AppError, Ctx};

/// A member of a team.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The person.
    pub user_id: UserId,
    /// Their address.
    pub email: String,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
    /// Whether they may sign in.
    pub active: bool,
    /// What they may do in the team.
    pub role: Role,
    /// Since when they are a member.
    pub created_at: Timestamp,
}

impl From<MemberRow> for MemberView {
    fn from(row: MemberRow) -> Self {
        Self {
            user_id: row.user_id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            active: row.state == UserState::Active,
            role: row.role,
            created_at: row.created_at,
        }
    }
}

impl App {
    /// The members of a team, by address.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a team that is not the caller's to see.
    pub async fn list_members(&self, ctx: &Ctx, id: TeamId) -> Result<Vec<MemberView>, AppError> {
        self.team(ctx, id).await?;
        let rows = self.store().members_of(id).await?;
        Ok(rows.into_iter().map(MemberView::from).collect())
    }

    /// The id of the person with this address, for commands. Whoever may see every person of
    /// the instance may ask.
    ///
    /// # Errors
    /// [`AppError::NotFound`] when nobody has it; [`AppError::Denied`].
    pub async fn find_person(&self, ctx: &Ctx, email: &str) -> Result<UserId, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::UserRead, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let email = Email::parse(email).map_err(|_| AppError::NotFound)?;
        let user = self.store().find_user_by_email(&email).await?;
        user.map(|user| user.id).ok_or(AppError::NotFound)
    }

    /// Gives a person a role in a team, or another one than they have. Where that takes a
    /// right away, the person's sessions end at once.
    ///
    /// # Errors
    /// [`AppError::LastAdmin`] where the team would be left without an active ADMIN,
    /// [`AppError::Invalid`] on `userId` for an unknown person, [`AppError::NotFound`],
    /// [`AppError::Denied`].
    pub async fn grant_member(
        &self,
        ctx: &Ctx,
        id: TeamId,
        user_id: UserId,
        role: Role,
    ) -> Result<MemberView, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::MemberGrant, Resource::Team(id));
        self.allow(&actor, action, team, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let row = tx.lock_team(id).await?.ok_or(AppError::NotFound)?;
        // After the lock: whoever was waited for may have taken the right away.
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        let user = tx.find_user(user_id).await?.ok_or_else(|| {
            FieldErrors::one(
                "userId",
                "unknown",
                "must be the id of a person of the instance",
            )
        })?;
        let former = tx.find_membership(id, user_id).await?;
        let since = former.as_ref().map_or(now, |former| former.created_at);
        let mut ended = 0;
        match &former {
            Some(former) => {
                if former.role == Role::Admin
                    && role != Role::Admin
                    && tx.other_admins(id, user_id).await? == 0
                {
                    return Err(last_admin(&row.name));
                }
                tx.set_role(&permit, id, user_id, role).await?;
                if !role.includes(former.role) {
                    ended = tx
                        .delete_sessions_of(&policy::housekeeping(), user_id)
                        .await?;
                }
            }
            None => {
                let membership = MembershipRow {
                    user_id,
                    team_id: id,
                    role,
                    created_at: now,
                };
                tx.insert_membership(&permit, &membership).await?;
            }
        }
        let mut event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(id)
            .on("user", user_id.as_bytes(), user.email.clone())
            .with("role", role.as_str())
            .with("endedSessions", ended);
        if let Some(former) = former {
            event = event.with("formerRole", former.role.as_str());
        }
        self.commit(tx, &event).await?;
        Ok(MemberView {
            user_id,
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
            active: user.state == UserState::Active,
            role,
            created_at: since,
        })
    }

    /// Takes a person out of a team: their sessions end at once, their API tokens in the
    /// team are revoked.
    ///
    /// # Errors
    /// As [`App::grant_member`]; [`AppError::NotFound`] also for somebody who is no member.
    pub async fn remove_member(
        &self,
        ctx: &Ctx,
        id: TeamId,
        user_id: UserId,
    ) -> Result<(), AppError> {
        let actor = self.actor(ctx).await?;
        let (action, team) = (Action::MemberRemove, Resource::Team(id));
        self.allow(&actor, action, team, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let row = tx.lock_team(id).await?.ok_or(AppError::NotFound)?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, team, now)?;
        let former = tx
            .find_membership(id, user_id)
            .await?
            .ok_or(AppError::NotFound)?;
        if former.role == Role::Admin && tx.other_admins(id, user_id).await? == 0 {
            return Err(last_admin(&row.name));
        }
        let user = tx.find_user(user_id).await?.ok_or(AppError::NotFound)?;
        tx.delete_membership(&permit, id, user_id, now).await?;
        let ended = tx
            .delete_sessions_of(&policy::housekeeping(), user_id)
            .await?;
        let event = AuditEvent::new(now, actor.audited(), action.as_str(), &ctx.origin)
            .in_team(id)
            .on("user", user_id.as_bytes(), user.email)
            .with("formerRole", former.role.as_str())
            .with("endedSessions", ended);
        self.commit(tx, &event).await
    }
}

fn last_admin(team: &str) -> AppError {
    AppError::LastAdmin {
        of: format!("the team \"{team}\""),
    }
}
