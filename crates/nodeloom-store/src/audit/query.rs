//! Finding events: by team, person, action, record, outcome and time.

use std::sync::LazyLock;

use nodeloom_domain::{TeamId, Timestamp};

use super::AuditRow;
use crate::{
    Store, StoreError,
    engine::{Param, signed},
};

/// Most events that the total of a page counts, so that a page costs the same in a trail of a
/// thousand and of a million.
pub const COUNT_LIMIT: u64 = 10_000;
/// Most events that are counted to find out which condition is the rarest.
const PROBE_LIMIT: i64 = 1_000;
/// How far the clocks of two processes may be apart. Events stand in the order of their commits,
/// and a search by time looks this much further in that order.
const SKEW_SECONDS: i64 = 15 * 60;

/// Which events. An empty filter is every event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this team.
    pub team: Option<TeamId>,
    /// By the person with this id.
    pub actor_id: Option<[u8; 16]>,
    /// By whoever had this name: an e-mail address, or `user@host`.
    pub actor_name: Option<String>,
    /// Of this action, such as `credential.reveal`.
    pub action: Option<String>,
    /// On the record with this id, 16 or 8 bytes.
    pub target: Option<Vec<u8>>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether it is every event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which page of the events, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditPageQuery {
    /// Which events.
    pub filter: AuditFilter,
    /// Only those with a lower sequence; nothing for the newest.
    pub before: Option<u64>,
    /// How many of them to skip.
    pub offset: u64,
    /// How many to return at most.
    pub limit: u64,
}

/// One page.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The events, newest first.
    pub rows: Vec<AuditRow>,
    /// How many the filter finds; at least, if it is not exact.
    pub total: u64,
    /// Whether `total` is exact.
    pub total_is_exact: bool,
}

/// The condition that is looked up in an index; the others are applied to what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    Nothing,
    Team,
    ActorId,
    ActorName,
    Action,
    Target,
    Outcome,
}

const LEADS: [Lead; 7] = [
    Lead::Nothing,
    Lead::Team,
    Lead::ActorId,
    Lead::ActorName,
    Lead::Action,
    Lead::Target,
    Lead::Outcome,
];

impl Lead {
    const fn condition(self) -> &'static str {
        match self {
            Self::Nothing => "$3 IS NULL",
            Self::Team => "team_id = $3",
            Self::ActorId => "actor_id = $4",
            Self::ActorName => "actor_name = $5",
            Self::Action => "action = $6",
            Self::Target => "target_id = $7",
            // As the index has it.
            Self::Outcome => "outcome <> 'success' AND outcome = $8",
        }
    }

    fn statements(self) -> &'static Statements {
        &STATEMENTS[LEADS.iter().position(|lead| *lead == self).unwrap_or(0)]
    }
}

/// Made once, of constant parts, so that each stays prepared.
struct Statements {
    newest_first: String,
    oldest_first: String,
    count: String,
}

/// Parameters: `$1` after, `$2` before, `$3` team, `$4` actor's id, `$5` actor's name,
/// `$6` action, `$7` record, `$8` outcome, `$9` from, `$10` to, `$11` limit, `$12` offset.
static STATEMENTS: LazyLock<Vec<Statements>> = LazyLock::new(|| {
    const COLUMNS: &str = "sequence, id, at, segment, key_id, actor_kind, actor_id, actor_name, \
         team_id, action, target_kind, target_id, target_name, outcome, request_id, address, \
         detail, mac";
    LEADS
        .iter()
        .map(|lead| {
            let mut conditions =
                format!("sequence > $1 AND sequence < $2 AND {}", lead.condition());
            for other in &LEADS[1..] {
                if other == lead {
                    continue;
                }
                let (parameter, condition) = match other {
                    Lead::Outcome => ("$8", "outcome = $8"),
                    Lead::Team => ("$3", "team_id = $3"),
                    Lead::ActorId => ("$4", "actor_id = $4"),
                    Lead::ActorName => ("$5", "actor_name = $5"),
                    Lead::Action => ("$6", "action = $6"),
                    Lead::Target => ("$7", "target_id = $7"),
                    Lead::Nothing => continue,
                };
                conditions += &format!(" AND ({parameter} IS NULL OR {condition})");
            }
            conditions += " AND ($9 IS NULL OR at >= $9) AND ($10 IS NULL OR at < $10)";
            Statements {
                newest_first: format!(
                    "SELECT {COLUMNS} FROM audit_events WHERE {conditions} \
                     ORDER BY sequence DESC LIMIT $11 OFFSET $12"
                ),
                oldest_first: format!(
                    "SELECT {COLUMNS} FROM audit_events WHERE {conditions} \
                     ORDER BY sequence LIMIT $11"
                ),
                count: format!(
                    "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE {conditions} \
                     LIMIT $11) n"
                ),
            }
        })
        .collect()
});

impl AuditFilter {
    /// The conditions that an index serves, with the statement that counts each.
    fn leads(&self) -> Vec<(Lead, &'static str, Param<'_>)> {
        let mut leads = Vec::new();
        if let Some(target) = &self.target {
            const SQL: &str =
                "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE target_id = $1 LIMIT $2) n";
            leads.push((Lead::Target, SQL, Param::Bytes(target)));
        }
        if let Some(id) = &self.actor_id {
            const SQL: &str =
                "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE actor_id = $1 LIMIT $2) n";
            leads.push((Lead::ActorId, SQL, Param::Bytes(id)));
        }
        if let Some(name) = &self.actor_name {
            const SQL: &str = "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE actor_name = $1 LIMIT $2) n";
            leads.push((Lead::ActorName, SQL, name.as_str().into()));
        }
        if let Some(outcome) = self.outcome.as_deref()
            && outcome != "success"
        {
            const SQL: &str = "SELECT count(*) FROM (SELECT 1 FROM audit_events \
                 WHERE outcome <> 'success' AND outcome = $1 LIMIT $2) n";
            leads.push((Lead::Outcome, SQL, outcome.into()));
        }
        if let Some(action) = &self.action {
            const SQL: &str =
                "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE action = $1 LIMIT $2) n";
            leads.push((Lead::Action, SQL, action.as_str().into()));
        }
        if let Some(team) = &self.team {
            const SQL: &str =
                "SELECT count(*) FROM (SELECT 1 FROM audit_events WHERE team_id = $1 LIMIT $2) n";
            leads.push((Lead::Team, SQL, team.into()));
        }
        leads
    }

    /// The statement of a page when this condition is looked up in its index, for the test that
    /// asks each engine how it would run it. `$1` to `$12` are sequence after and before, team,
    /// actor's id, actor's name, action, record, outcome, from, to, limit and offset.
    #[doc(hidden)]
    #[must_use]
    pub fn page_sql(&self) -> &'static str {
        let lead = self
            .leads()
            .first()
            .map_or(Lead::Nothing, |(lead, ..)| *lead);
        &lead.statements().newest_first
    }

    fn params(&self, after: i64, before: i64, limit: i64) -> Vec<Param<'_>> {
        vec![
            after.into(),
            before.into(),
            Param::OptBytes(self.team.as_ref().map(|team| team.as_bytes().as_slice())),
            Param::OptBytes(self.actor_id.as_ref().map(<[u8; 16]>::as_slice)),
            Param::OptText(self.actor_name.as_deref()),
            Param::OptText(self.action.as_deref()),
            Param::OptBytes(self.target.as_deref()),
            Param::OptText(self.outcome.as_deref()),
            Param::OptInt(self.from.map(Timestamp::as_micros)),
            Param::OptInt(self.to.map(Timestamp::as_micros)),
            limit.into(),
        ]
    }
}

/// A filter with what the database says of it: where to look, and by which index.
#[derive(Debug, Clone, Copy)]
struct Plan {
    lead: Lead,
    /// Exclusive bounds of the sequence.
    after: i64,
    before: i64,
}

impl Store {
    async fn plan(&self, filter: &AuditFilter) -> Result<Plan, StoreError> {
        let after = signed(self.audit_start().await?)?;
        let mut plan = Plan {
            lead: Lead::Nothing,
            after,
            before: i64::MAX,
        };
        let leads = filter.leads();
        let mut rarest = i64::MAX;
        for (lead, sql, param) in &leads {
            if leads.len() == 1 {
                plan.lead = *lead;
                break;
            }
            let rows = self.fetch(*sql, &[*param, PROBE_LIMIT.into()]).await?;
            let count = rows
                .first()
                .map_or(Ok(0), |row| row.columns("audit_events").int())?;
            if count < rarest {
                (rarest, plan.lead) = (count, *lead);
            }
        }
        if let Some(from) = filter.from {
            const SQL: &str = "SELECT sequence FROM audit_events WHERE at >= $1 \
                 ORDER BY at, sequence LIMIT 1";
            let found = self
                .bound(SQL, from.plus_seconds(-SKEW_SECONDS))
                .await?
                .map_or(i64::MAX, |first| first - 1);
            plan.after = plan.after.max(found);
        }
        if let Some(to) = filter.to {
            const SQL: &str = "SELECT sequence FROM audit_events WHERE at <= $1 \
                 ORDER BY at DESC, sequence DESC LIMIT 1";
            plan.before = self
                .bound(SQL, to.plus_seconds(SKEW_SECONDS))
                .await?
                .map_or(0, |last| last.saturating_add(1));
        }
        Ok(plan)
    }

    async fn bound(&self, sql: &'static str, at: Timestamp) -> Result<Option<i64>, StoreError> {
        let rows = self.fetch(sql, &[at.into()]).await?;
        rows.first()
            .map(|row| row.columns("audit_events").int())
            .transpose()
    }

    /// A page of the events that a filter finds, newest first.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_audit_events(&self, query: &AuditPageQuery) -> Result<AuditPage, StoreError> {
        let plan = self.plan(&query.filter).await?;
        let (total, total_is_exact) = if query.filter.is_empty() {
            let head = self.audit_head().await?.sequence;
            (head.saturating_sub(self.audit_start().await?), true)
        } else {
            let limit = signed(COUNT_LIMIT + 1)?;
            let found = self.count(&query.filter, plan, limit).await?;
            (found.min(COUNT_LIMIT), found <= COUNT_LIMIT)
        };
        let before = match query.before {
            Some(before) => i64::try_from(before).map_or(plan.before, |b| b.min(plan.before)),
            None => plan.before,
        };
        let mut params = query
            .filter
            .params(plan.after, before, signed(query.limit)?);
        params.push(signed(query.offset)?.into());
        let sql: &'static str = &plan.lead.statements().newest_first;
        let rows = self.fetch(sql, &params).await?;
        Ok(AuditPage {
            rows: rows
                .iter()
                .map(|row| AuditRow::read(&mut row.columns("audit_events")))
                .collect::<Result<_, _>>()?,
            total,
            total_is_exact,
        })
    }

    /// How many events up to and with the sequence `upto` a filter finds, all of them counted.
    ///
    /// # Errors
    /// As any read.
    pub async fn count_audit_events(
        &self,
        filter: &AuditFilter,
        upto: u64,
    ) -> Result<u64, StoreError> {
        let mut plan = self.plan(filter).await?;
        plan.before = plan.before.min(signed(upto)?.saturating_add(1));
        self.count(filter, plan, i64::MAX).await
    }

    async fn count(&self, filter: &AuditFilter, plan: Plan, limit: i64) -> Result<u64, StoreError> {
        let sql: &'static str = &plan.lead.statements().count;
        let rows = self
            .fetch(sql, &filter.params(plan.after, plan.before, limit))
            .await?;
        rows.first()
            .map_or(Ok(0), |row| row.columns("audit_events").count())
    }

    /// Up to `limit` events that a filter finds behind the sequence `after` and up to `upto`, in
    /// the order of the chain.
    ///
    /// # Errors
    /// As any read.
    pub async fn audit_events_after(
        &self,
        filter: &AuditFilter,
        after: u64,
        upto: u64,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let plan = self.plan(filter).await?;
        let after = signed(after)?.max(plan.after);
        let before = plan.before.min(signed(upto)?.saturating_add(1));
        let sql: &'static str = &plan.lead.statements().oldest_first;
        let rows = self
            .fetch(sql, &filter.params(after, before, signed(limit)?))
            .await?;
        rows.iter()
            .map(|row| AuditRow::read(&mut row.columns("audit_events")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_has_its_own_parameter_in_every_statement() {
        for statements in STATEMENTS.iter() {
            for number in 1..=11 {
                let name = format!("${number}");
                for sql in [
                    &statements.newest_first,
                    &statements.oldest_first,
                    &statements.count,
                ] {
                    assert!(sql.contains(&name), "{name} is not in {sql}");
                }
            }
        }
    }
}
