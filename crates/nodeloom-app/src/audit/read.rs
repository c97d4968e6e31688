//! Looking into the trail: who did what, and who saw this secret.

use nodeloom_domain::{
    FieldErrors, TeamId, Timestamp, UserId,
    policy::{Action, Actor, Resource},
};
use nodeloom_store::{AuditFilter, AuditPageQuery};
use serde_json::{Map, Value};

use super::{AuditRecord, record::id_bytes};
use crate::{App, AppError, Ctx};

/// Most events that a page number may skip; from there on `before` goes further.
pub const MOST_SKIPPED: u64 = 10_000;
/// Most characters of a name or action that is searched for.
const MAX_TEXT_CHARS: usize = 320;
const OUTCOMES: [&str; 3] = ["success", "refused", "failed"];

/// Which events, in the words of a caller. Empty is every event.
#[derive(Debug, Clone, Default)]
pub struct AuditSearch {
    /// Of this team. Without one: of the whole instance, for its administrators.
    pub team: Option<TeamId>,
    /// By the person with this id, or by whoever had this name.
    pub actor: Option<String>,
    /// Of this action, such as `credential.reveal`.
    pub action: Option<String>,
    /// On the record with this id: who saw this secret.
    pub target: Option<String>,
    /// `success`, `refused` or `failed`.
    pub outcome: Option<String>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

/// Which page of a search, newest first.
#[derive(Debug, Clone, Default)]
pub struct ListAudit {
    /// Which events.
    pub search: AuditSearch,
    /// Only those with a lower sequence.
    pub before: Option<u64>,
    /// The page, from 0.
    pub page: u32,
    /// Events of a page, 1 or more.
    pub size: u32,
}

/// One page of events, newest first.
#[derive(Debug)]
pub struct AuditList {
    /// The events.
    pub items: Vec<AuditRecord>,
    /// How many the search finds on all pages; at least, if it is not exact.
    pub total: u64,
    /// Whether `total` is exact.
    pub total_is_exact: bool,
}

impl AuditSearch {
    /// The store's filter.
    pub(super) fn filter(&self) -> Result<AuditFilter, FieldErrors> {
        let mut errors = FieldErrors::default();
        for (field, text) in [("actor", &self.actor), ("action", &self.action)] {
            let too_long = |text: &String| text.chars().nth(MAX_TEXT_CHARS).is_some();
            if text
                .as_ref()
                .is_some_and(|text| too_long(text) || text.contains('\0'))
            {
                errors.push(field, "form", "must have at most 320 characters and no NUL");
            }
        }
        let target = self.target.as_deref().map(id_bytes);
        if target
            .as_ref()
            .is_some_and(|id| !id.as_ref().is_some_and(|id| [8, 16].contains(&id.len())))
        {
            let rule = "must be the id of a record: 36 characters, or 16 hex digits for a key";
            errors.push("target", "id", rule);
        }
        if self
            .outcome
            .as_deref()
            .is_some_and(|outcome| !OUTCOMES.contains(&outcome))
        {
            errors.push(
                "outcome",
                "one-of",
                "must be `success`, `refused` or `failed`",
            );
        }
        errors.into_result()?;
        let id = self
            .actor
            .as_deref()
            .and_then(|text| text.parse::<UserId>().ok());
        Ok(AuditFilter {
            team: self.team,
            actor_id: id.map(|id| *id.as_bytes()),
            actor_name: self.actor.clone().filter(|_| id.is_none()),
            action: self.action.clone(),
            target: target.flatten(),
            outcome: self.outcome.clone(),
            from: self.from,
            to: self.to,
        })
    }

    /// The search for the trail's own record of it.
    pub(super) fn described(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value.into());
            }
        };
        put("teamId", self.team.map(|team| team.to_string()));
        put("actor", self.actor.clone());
        put("action", self.action.clone());
        put("target", self.target.clone());
        put("outcome", self.outcome.clone());
        put("from", self.from.map(|at| at.to_string()));
        put("to", self.to.map(|at| at.to_string()));
        map
    }
}

impl App {
    /// A page of the events that a search finds, newest first.
    ///
    /// # Errors
    /// [`AppError::Denied`] to all but the team's auditors and administrators and those of the
    /// instance, [`AppError::NotFound`] for a team that is not the caller's,
    /// [`AppError::Invalid`].
    pub async fn list_audit(&self, ctx: &Ctx, mut ask: ListAudit) -> Result<AuditList, AppError> {
        self.may_audit(ctx, &mut ask.search, Action::AuditRead)
            .await?;
        let filter = ask.search.filter()?;
        let offset = u64::from(ask.page) * u64::from(ask.size);
        if offset > MOST_SKIPPED {
            let message = "must not skip more than 10000 events; go on with `before`";
            return Err(FieldErrors::one("page", "range", message).into());
        }
        let query = AuditPageQuery {
            filter,
            before: ask.before,
            offset,
            limit: u64::from(ask.size),
        };
        let page = self.store().list_audit_events(&query).await?;
        Ok(AuditList {
            items: page.rows.into_iter().map(AuditRecord::from).collect(),
            total: page.total,
            total_is_exact: page.total_is_exact,
        })
    }

    /// One event.
    ///
    /// # Errors
    /// As [`App::list_audit`]; [`AppError::NotFound`] also when it was pruned.
    pub async fn audit_event(&self, ctx: &Ctx, sequence: u64) -> Result<AuditRecord, AppError> {
        let actor = self.actor(ctx).await?;
        let row = self.store().find_audit_event(sequence).await?;
        let row = row.ok_or(AppError::NotFound)?;
        let resource = row.team_id.map_or(Resource::Instance, Resource::Team);
        self.allow(&actor, Action::AuditRead, resource, ctx, None, self.now())
            .await?;
        Ok(row.into())
    }

    /// Asks the policy about the team of the search, or about the instance. A token that names
    /// no team means its own.
    pub(super) async fn may_audit(
        &self,
        ctx: &Ctx,
        search: &mut AuditSearch,
        action: Action,
    ) -> Result<Actor, AppError> {
        let actor = self.actor(ctx).await?;
        if let Actor::User {
            token: Some(token), ..
        } = &actor
        {
            search.team = search.team.or(Some(token.team));
        }
        let resource = search.team.map_or(Resource::Instance, Resource::Team);
        self.allow(&actor, action, resource, ctx, None, self.now())
            .await?;
        Ok(actor)
    }
}
