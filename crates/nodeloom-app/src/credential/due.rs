//! Credentials that somebody should look at, by their dates.

use nodeloom_domain::{
    TeamId, Timestamp,
    policy::{Action, Resource},
};
use nodeloom_store::{CredentialRow, Due};
use serde::Serialize;

use super::CredentialView;
use crate::{App, AppError, Ctx};

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// Most credentials of one answer.
const MOST: u64 = 1_000;
/// The furthest that is looked ahead, in days.
const MAX_DAYS: u32 = 3_650;

/// One date of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueDate {
    /// `expiry` or `rotation`.
    pub kind: &'static str,
    /// The date.
    pub at: Timestamp,
    /// Whether it has passed.
    pub is_overdue: bool,
}

/// A credential with a date to act by.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueCredential {
    /// The credential.
    #[serde(flatten)]
    pub view: CredentialView,
    /// Its dates within the time asked for, earliest first.
    pub due: Vec<DueDate>,
}

/// The dates of `row` up to `until`, earliest first.
pub(super) fn dates(row: &CredentialRow, until: Timestamp) -> Vec<(Due, Timestamp)> {
    let attributes = &row.attributes;
    let mut dates: Vec<(Due, Timestamp)> = [
        (Due::Expiry, attributes.expires_at),
        (Due::Rotation, attributes.rotate_by),
    ]
    .into_iter()
    .filter_map(|(due, at)| Some((due, at?)))
    .filter(|(_, at)| *at <= until)
    .collect();
    dates.sort_by_key(|(_, at)| *at);
    dates
}

impl App {
    /// The credentials of a team that expire or should be rotated within `days`, and those that
    /// are overdue: earliest date first, at most a thousand. No value is opened.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an unknown or foreign team, [`AppError::Denied`].
    pub async fn due_credentials(
        &self,
        ctx: &Ctx,
        team: TeamId,
        days: u32,
    ) -> Result<Vec<DueCredential>, AppError> {
        let actor = self.actor(ctx).await?;
        let (action, of) = (Action::CredentialRead, Resource::Team(team));
        self.allow(&actor, action, of, ctx, None, self.now())
            .await?;
        let now = self.now();
        let until = now.plus_seconds(i64::from(days.min(MAX_DAYS)) * DAY_SECONDS);
        let rows = self.store().credentials_due(team, until, MOST).await?;
        let view = |row: CredentialRow| DueCredential {
            due: dates(&row, until)
                .into_iter()
                .map(|(due, at)| DueDate {
                    kind: due.as_str(),
                    at,
                    is_overdue: at <= now,
                })
                .collect(),
            view: row.into(),
        };
        Ok(rows.into_iter().map(view).collect())
    }
}
