//! The sessions of others, for administrators of the instance.

use nodeloom_domain::{
    SessionId, UserId,
    audit::AuditEvent,
    policy::{self, Action, Resource},
};

use super::{ABSOLUTE_SECONDS, IDLE_SECONDS, SessionView};
use crate::{App, AppError, Ctx};

impl App {
    /// The live sessions of somebody, newest first.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but administrators of the instance and operators;
    /// [`AppError::NotFound`] for an unknown person.
    pub async fn sessions_of_user(
        &self,
        ctx: &Ctx,
        user: UserId,
    ) -> Result<Vec<SessionView>, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::SessionAdminister, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        self.store()
            .find_user(user)
            .await?
            .ok_or(AppError::NotFound)?;
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
                current: false,
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

    /// Ends one session of somebody, or all of them, at once; says how many.
    ///
    /// # Errors
    /// As [`App::sessions_of_user`]; [`AppError::NotFound`] also for a session of somebody else.
    pub async fn end_sessions_of_user(
        &self,
        ctx: &Ctx,
        user: UserId,
        only: Option<SessionId>,
    ) -> Result<u64, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, instance) = (Action::SessionAdminister, Resource::Instance);
        self.allow(&actor, action, instance, ctx, None, self.now())
            .await?;
        let now = self.now();
        let mut tx = self.store().begin().await?;
        let actor = self.actor_in(&mut tx, ctx).await?;
        let permit = policy::authorise(&actor, action, instance, now)?;
        let row = tx.find_user(user).await?.ok_or(AppError::NotFound)?;
        let ended = match only {
            None => tx.delete_sessions_of(&permit, user).await?,
            Some(id) => {
                let owner = tx.session_with_user(id).await?.map(|found| found.user.id);
                if owner != Some(user) || !tx.delete_session(&permit, id).await? {
                    return Err(AppError::NotFound);
                }
                1
            }
        };
        let event = AuditEvent::new(now, actor.audited(), "session.end", &ctx.origin)
            .on("user", user.as_bytes(), row.email)
            .with("sessions", ended);
        self.commit(tx, &event).await?;
        Ok(ended)
    }
}
