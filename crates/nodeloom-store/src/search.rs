//! What a list of credentials is asked for, and searching.

use nodeloom_domain::{CredentialId, TeamId, Timestamp};

use crate::{
    CredentialRow, EngineKind, Store, StoreError,
    credential::{COLUMNS, credential_columns},
    engine::{Param, Row, signed},
    list::{SORTED, Shape, statement},
};

/// Most hits that one search sorts and counts, so that it costs the same in a team of a
/// thousand and of a million. A search that hits more is answered from the first this many,
/// by word and then by sort key, and says that its total is not exact.
pub const SEARCH_LIMIT: u64 = 2_000;

/// What to list.
#[derive(Debug, Clone)]
pub struct CredentialQuery {
    /// Of which team.
    pub team: TeamId,
    /// Only this type.
    pub kind: Option<String>,
    /// Only those with this tag, as `nodeloom_domain::sort_key` folds it.
    pub tag: Option<String>,
    /// Only those of which each term starts a word: `nodeloom_domain::search_terms`.
    pub terms: Vec<String>,
    /// In which order.
    pub order: CredentialOrder,
    /// Only what comes behind this place in that order; not together with terms.
    pub after: Option<CredentialPlace>,
    /// How many to skip.
    pub offset: u64,
    /// How many to return at most.
    pub limit: u64,
}

impl CredentialQuery {
    /// The first 200 credentials of a team by name.
    #[must_use]
    pub const fn of(team: TeamId) -> Self {
        Self {
            team,
            kind: None,
            tag: None,
            terms: Vec::new(),
            order: CredentialOrder {
                by: CredentialSort::Name,
                descending: false,
            },
            after: None,
            offset: 0,
            limit: 200,
        }
    }
}

/// The order of a list; equal ones stand by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CredentialOrder {
    /// By what.
    pub by: CredentialSort,
    /// From the last to the first.
    pub descending: bool,
}

/// By what a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CredentialSort {
    /// By sort key.
    #[default]
    Name,
    /// By the time they were made.
    Created,
    /// By the time they last changed.
    Updated,
}

impl CredentialSort {
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Name => "sort_key",
            Self::Created => "created_at",
            Self::Updated => "updated_at",
        }
    }
}

impl CredentialOrder {
    /// `ORDER BY` over that column and the id of `table`.
    pub(crate) fn clause(self, table: &str, id: &str) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        format!(
            "ORDER BY {table}{}{direction}, {table}{id}{direction}",
            self.by.column()
        )
    }
}

/// A place in a list: behind the credential that has this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialPlace {
    /// Its sort key, in a list by name.
    pub sort_key: String,
    /// Its time, in a list by time.
    pub at: Timestamp,
    /// Its id.
    pub id: CredentialId,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct CredentialPage {
    /// The credentials of the page.
    pub rows: Vec<CredentialRow>,
    /// How many there are in all; at least, if it is not exact.
    pub total: u64,
    /// Whether `total` is exact.
    pub total_is_exact: bool,
}

/// Most terms that a statement takes; more do not narrow a search that already has these.
const MAX_TERMS: usize = 8;

/// `$1` team, `$2` limit, `$3` offset, `$4` most candidates, then a first and a last word per
/// term, then the type, then the tag.
///
/// With `tag_first` the tag's credentials are looked through for the terms; else those of the first
/// term for the other terms and the tag.
fn search(
    terms: usize,
    of_type: bool,
    tagged: bool,
    tag_first: bool,
    order: CredentialOrder,
    engine: EngineKind,
) -> String {
    // Each word is a part of the sort key, which is here: most that do not have the term are
    // seen without another look.
    let contains = match engine {
        EngineKind::Sqlite => "instr",
        EngineKind::Postgres => "strpos",
    };
    let mut probes = String::new();
    for term in usize::from(!tag_first)..terms {
        let (first, last) = (5 + 2 * term, 6 + 2 * term);
        probes += &format!(
            " AND {contains}(w.sort_key, ${first}) > 0 \
             AND EXISTS (SELECT 1 FROM credential_words x WHERE x.credential_id = \
             w.credential_id AND x.word >= ${first} AND x.word < ${last})"
        );
    }
    let mut next = 5 + 2 * terms;
    if of_type {
        probes += &format!(" AND w.type = ${next}");
        next += 1;
    }
    if tag_first {
        probes += &format!(" AND w.tag = ${next}");
    } else if tagged {
        probes += &format!(
            " AND EXISTS (SELECT 1 FROM credential_tags g WHERE g.team_id = w.team_id \
             AND g.tag = ${next} AND g.sort_key = w.sort_key \
             AND g.credential_id = w.credential_id)"
        );
    }
    let page = match order.by {
        CredentialSort::Name => format!("found f {}", order.clause("f.", "id")),
        _ => format!(
            "found f JOIN credentials o ON o.id = f.id {}",
            order.clause("o.", "id")
        ),
    };
    let (rows, by_word, word) = if tag_first {
        ("credential_tags", "", "")
    } else {
        (
            "credential_words",
            " AND w.word >= $5 AND w.word < $6",
            "w.word, ",
        )
    };
    // Cut in the order of the index, before anything is sorted: whatever the team's size, no
    // more is read. The counts are of the same candidates that the page is cut from.
    format!(
        "WITH hits AS (SELECT w.sort_key AS sort_key, w.credential_id AS id \
         FROM {rows} w WHERE w.team_id = $1{by_word}{probes} \
         ORDER BY {word}w.sort_key, w.credential_id LIMIT $4), \
         found AS (SELECT DISTINCT h.sort_key AS sort_key, h.id AS id FROM hits h), \
         page AS (SELECT f.id FROM {page} LIMIT $2 OFFSET $3) \
         SELECT {columns}, (SELECT count(*) FROM found) AS total, \
         (SELECT count(*) FROM hits) AS hits \
         FROM page p JOIN credentials c ON c.id = p.id {outer}",
        columns = credential_columns!(),
        outer = order.clause("c.", "id"),
    )
}

impl Store {
    /// A page of the credentials of a team.
    ///
    /// # Errors
    /// As any read.
    pub async fn list_credentials(
        &self,
        query: &CredentialQuery,
    ) -> Result<CredentialPage, StoreError> {
        if query.terms.is_empty() {
            self.list(query).await
        } else {
            self.search(query).await
        }
    }

    async fn search(&self, query: &CredentialQuery) -> Result<CredentialPage, StoreError> {
        let mut terms: Vec<(&str, String)> = query
            .terms
            .iter()
            // No character stands after the last one.
            .map(|term| (term.as_str(), format!("{term}\u{10ffff}")))
            .collect();
        terms.sort_by_key(|(term, _)| std::cmp::Reverse(term.chars().count()));
        terms.truncate(MAX_TERMS);
        if terms.len() > 1 {
            self.rarest_first(query.team, &mut terms).await?;
        }
        let (kind, tag) = (query.kind.as_deref(), query.tag.as_deref());
        let (of_type, tagged) = (kind.is_some(), tag.is_some());
        // The rarer of the two leads, where the tag is known to be rare.
        let tag_first = match tag {
            Some(tag) => self.tagged(query.team, tag).await? <= SORTED,
            None => false,
        };
        let key = Shape::Search(
            terms.len(),
            of_type,
            tagged,
            tag_first,
            query.order,
            self.engine(),
        );
        let sql = statement(key, || {
            let engine = self.engine();
            search(terms.len(), of_type, tagged, tag_first, query.order, engine)
        });
        let (mut limit, mut offset) = (query.limit, query.offset);
        loop {
            let mut params = vec![
                Param::from(&query.team),
                signed(limit)?.into(),
                signed(offset)?.into(),
                signed(SEARCH_LIMIT)?.into(),
            ];
            for (first, last) in &terms {
                params.extend([Param::Text(first), Param::Text(last)]);
            }
            params.extend(kind.map(Param::Text));
            params.extend(tag.map(Param::Text));
            let rows = self.fetch(sql, &params).await?;
            let counts = rows.first().map(|row| {
                let mut row = row.columns("credentials").at(COLUMNS);
                Ok::<_, StoreError>((row.count()?, row.count()?))
            });
            let counts = counts.transpose()?;
            if counts.is_none() && (offset > 0 || limit == 0) {
                // A page without rows does not say how many there are before it.
                (limit, offset) = (1, 0);
                continue;
            }
            let (total, hits) = counts.unwrap_or((0, 0));
            let wanted = if limit == query.limit && offset == query.offset {
                &rows[..]
            } else {
                &[]
            };
            return Ok(CredentialPage {
                rows: read(wanted)?,
                total,
                total_is_exact: hits < SEARCH_LIMIT,
            });
        }
    }

    /// Puts the term first that starts the fewest words: the others are looked up for each
    /// of its credentials. Counting stops early, and of two frequent terms the longer leads.
    async fn rarest_first(
        &self,
        team: TeamId,
        terms: &mut [(&str, String)],
    ) -> Result<(), StoreError> {
        const SQL: &str = "SELECT count(*) FROM (SELECT 1 FROM credential_words \
             WHERE team_id = $1 AND word >= $2 AND word < $3 LIMIT 1000) n";
        let mut best = (u64::MAX, 0);
        for (index, (first, last)) in terms.iter().enumerate() {
            let rows = self
                .fetch(
                    SQL,
                    &[(&team).into(), (*first).into(), last.as_str().into()],
                )
                .await?;
            let count = rows
                .first()
                .map_or(Ok(0), |row| row.columns("credential_words").count())?;
            best = best.min((count, index));
        }
        terms[..=best.1].rotate_right(1);
        Ok(())
    }
}

pub(crate) fn read(rows: &[Row]) -> Result<Vec<CredentialRow>, StoreError> {
    rows.iter()
        .map(|row| CredentialRow::read(&mut row.columns("credentials")))
        .collect()
}
