//! Listing credentials: whole teams, by type and tag, in several orders, page by page or behind a
//! place. Each page costs the same in a team of a thousand and of a million.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

use nodeloom_domain::TeamId;

use crate::{
    CredentialOrder, CredentialPage, CredentialQuery, CredentialSort, EngineKind, Store,
    StoreError,
    credential::credential_columns,
    engine::{Param, signed},
    search::read,
};

/// Up to so many credentials of a tag are sorted; of a tag that is more frequent, the index of
/// the order is walked instead.
pub(crate) const SORTED: u64 = 2_000;

/// What a statement is made for; there are some hundreds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// Terms, of a type, with a tag, beginning from the tag, on an engine.
    Search(usize, bool, bool, bool, CredentialOrder, EngineKind),
    /// Of a type, with which way to a tag, behind a place.
    List(bool, Way, bool, CredentialOrder),
}

/// Which rows a list begins from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// The index of the order; no tag is asked for.
    Order,
    /// The index of tags, which has the order by name.
    Tag,
    /// The index of tags, sorted: for a rare tag.
    TagSorted,
    /// The index of the order, with a look at the tag of each: for a frequent tag.
    OrderTagged,
}

static STATEMENTS: LazyLock<RwLock<HashMap<Shape, &'static str>>> = LazyLock::new(RwLock::default);

/// The statement of this shape. Made once and kept for the life of the process, so that it stays
/// prepared.
pub(crate) fn statement(shape: Shape, make: impl FnOnce() -> String) -> &'static str {
    let known = STATEMENTS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(sql) = known.get(&shape) {
        return sql;
    }
    drop(known);
    let mut known = STATEMENTS.write().unwrap_or_else(PoisonError::into_inner);
    known
        .entry(shape)
        .or_insert_with(|| Box::leak(make().into_boxed_str()))
}

/// `$1` team, `$2` limit, `$3` offset, then the type, the tag, and key and id of the place.
fn list(of_type: bool, way: Way, behind: bool, order: CredentialOrder) -> String {
    let mut next = 3;
    let mut number = || {
        next += 1;
        next
    };
    let by_tag = matches!(way, Way::Tag);
    // The index of tags calls the id otherwise.
    let (rows, id) = match way {
        Way::Order | Way::OrderTagged => ("credentials k", "id"),
        Way::Tag => ("credential_tags k", "credential_id"),
        // SQLite takes the tables of a CROSS JOIN in this order; left to itself it would walk the
        // index of the order.
        Way::TagSorted => ("credential_tags g CROSS JOIN credentials k", "id"),
    };
    let mut wanted = String::from("k.team_id = $1");
    if !by_tag {
        wanted += " AND k.deleted_at IS NULL";
    }
    if of_type {
        wanted += &format!(" AND k.type = ${}", number());
    }
    match way {
        Way::Order => {}
        Way::Tag => wanted += &format!(" AND k.tag = ${}", number()),
        Way::TagSorted => {
            wanted += &format!(
                " AND k.id = g.credential_id AND g.team_id = $1 AND g.tag = ${}",
                number()
            );
        }
        // No EXISTS, which PostgreSQL would turn into a join of the whole tag.
        Way::OrderTagged => {
            wanted += &format!(
                " AND (SELECT 1 FROM credential_tags g WHERE g.team_id = $1 \
                 AND g.tag = ${} AND g.sort_key = k.sort_key AND g.credential_id = k.id) = 1",
                number()
            );
        }
    }
    if behind {
        let sign = if order.descending { '<' } else { '>' };
        wanted += &format!(
            " AND (k.{}, k.{id}) {sign} (${}, ${})",
            order.by.column(),
            number(),
            number()
        );
    }
    // The ids of the page come from an index alone, so that skipping rows does not read them.
    format!(
        "SELECT {columns} FROM (SELECT k.{id} AS id FROM {rows} WHERE {wanted} {inner} \
         LIMIT $2 OFFSET $3) p JOIN credentials c ON c.id = p.id {outer}",
        columns = credential_columns!(),
        inner = order.clause("k.", id),
        outer = order.clause("c.", "id"),
    )
}

impl Store {
    pub(crate) async fn list(&self, query: &CredentialQuery) -> Result<CredentialPage, StoreError> {
        let (total, total_is_exact) = self.total(query).await?;
        let way = match (&query.tag, query.order.by) {
            (None, _) => Way::Order,
            (Some(_), CredentialSort::Name) => Way::Tag,
            (Some(_), _) if total <= SORTED && total_is_exact => Way::TagSorted,
            (Some(_), _) => Way::OrderTagged,
        };
        let of_type = query.kind.is_some();
        let behind = query.after.is_some();
        let shape = Shape::List(of_type, way, behind, query.order);
        let sql = statement(shape, || list(of_type, way, behind, query.order));
        let mut params = vec![
            Param::from(&query.team),
            signed(query.limit)?.into(),
            signed(query.offset)?.into(),
        ];
        params.extend(query.kind.as_deref().map(Param::Text));
        params.extend(query.tag.as_deref().map(Param::Text));
        if let Some(place) = &query.after {
            params.push(match query.order.by {
                CredentialSort::Name => place.sort_key.as_str().into(),
                CredentialSort::Created | CredentialSort::Updated => place.at.into(),
            });
            params.push((&place.id).into());
        }
        let rows = self.fetch(sql, &params).await?;
        Ok(CredentialPage {
            rows: read(&rows)?,
            total,
            total_is_exact,
        })
    }

    /// How many credentials of the team have that tag.
    pub(crate) async fn tagged(&self, team: TeamId, tag: &str) -> Result<u64, StoreError> {
        let query = CredentialQuery {
            tag: Some(tag.to_owned()),
            ..CredentialQuery::of(team)
        };
        self.total(&query).await.map(|(total, _)| total)
    }

    /// How many there are in all, and whether that is exact.
    async fn total(&self, query: &CredentialQuery) -> Result<(u64, bool), StoreError> {
        const OF_TEAM: &str = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) \
             FROM credential_counts WHERE team_id = $1";
        const OF_TYPE: &str = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) \
             FROM credential_counts WHERE team_id = $1 AND type = $2";
        const OF_TAG: &str = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) \
             FROM credential_tag_counts WHERE team_id = $1 AND tag = $2";
        // No count is kept of both: counting stops where searches stop, too.
        const OF_BOTH: &str = "SELECT count(*) FROM (SELECT 1 FROM credential_tags \
             WHERE team_id = $1 AND tag = $2 AND type = $3 LIMIT $4) n";
        let team = Param::from(&query.team);
        let rows = match (query.kind.as_deref(), query.tag.as_deref()) {
            (None, None) => self.fetch(OF_TEAM, &[team]).await?,
            (Some(kind), None) => self.fetch(OF_TYPE, &[team, kind.into()]).await?,
            (None, Some(tag)) => self.fetch(OF_TAG, &[team, tag.into()]).await?,
            (Some(kind), Some(tag)) => {
                let limit = signed(SORTED + 1)?.into();
                self.fetch(OF_BOTH, &[team, tag.into(), kind.into(), limit])
                    .await?
            }
        };
        let total = rows
            .first()
            .map_or(Ok(0), |row| row.columns("credential_counts").count())?;
        let is_cut = query.kind.is_some() && query.tag.is_some() && total > SORTED;
        Ok((total.min(if is_cut { SORTED } else { total }), !is_cut))
    }

    /// The tags of a team with how many credentials have each, by tag, at most `limit`.
    ///
    /// # Errors
    /// As any read.
    pub async fn credential_tags(
        &self,
        team: TeamId,
        limit: u64,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        const SQL: &str = "SELECT tag, total FROM credential_tag_counts \
             WHERE team_id = $1 AND total > 0 ORDER BY tag LIMIT $2";
        let rows = self
            .fetch(SQL, &[(&team).into(), signed(limit)?.into()])
            .await?;
        rows.iter()
            .map(|row| {
                let mut row = row.columns("credential_tag_counts");
                Ok((row.text()?, row.count()?))
            })
            .collect()
    }
}
