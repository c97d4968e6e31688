//! Teams, as far as commands need them now.

use nodeloom_domain::{TeamId, Timestamp};
use serde::Serialize;

use crate::{App, AppError, Ctx, Who};

/// A team, as lists show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamView {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl App {
    /// The teams that the caller may know of: all for an operator, one's own for a
    /// person.
    ///
    /// # Errors
    /// [`AppError::Unauthenticated`] without a session.
    pub async fn list_teams(&self, ctx: &Ctx) -> Result<Vec<TeamView>, AppError> {
        let actor = self.actor(ctx).await?;
        let mut teams = self.store().list_teams().await?;
        if !matches!(ctx.who, Who::Operator { .. })
            && let nodeloom_domain::policy::Actor::User { memberships, .. } = &actor
        {
            teams.retain(|team| memberships.iter().any(|m| m.team == team.id));
        }
        Ok(teams
            .into_iter()
            .map(|row| TeamView {
                id: row.id,
                name: row.name,
                created_at: row.created_at,
            })
            .collect())
    }
}
