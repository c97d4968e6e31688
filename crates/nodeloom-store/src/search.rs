//! Listing and searching credentials.

use std::sync::LazyLock;

use nodeloom_domain::TeamId;

use crate::{
    CredentialRow, Store, StoreError,
    credential::{COLUMNS, credential_columns},
    engine::{Param, Row, signed},
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
    /// Only those of which each term starts a word: `nodeloom_domain::search_terms`.
    pub terms: Vec<String>,
    /// How many to skip.
    pub offset: u64,
    /// How many to return at most.
    pub limit: u64,
}

/// One page of a list, by sort key, then id.
#[derive(Debug, Clone)]
pub struct CredentialPage {
    /// The credentials of the page.
    pub rows: Vec<CredentialRow>,
    /// How many there are in all; at least, if it is not exact.
    pub total: u64,
    /// Whether `total` is exact.
    pub total_is_exact: bool,
}

// The ids of the page come from the index alone, so that skipping rows does not read them.
const LIST: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM (SELECT id FROM credentials WHERE team_id = $1 AND deleted_at IS NULL \
     ORDER BY sort_key, id LIMIT $2 OFFSET $3) p JOIN credentials c ON c.id = p.id \
     ORDER BY c.sort_key, c.id"
);
const LIST_OF_TYPE: &str = concat!(
    "SELECT ",
    credential_columns!(),
    " FROM (SELECT id FROM credentials WHERE team_id = $1 AND type = $4 \
     AND deleted_at IS NULL ORDER BY sort_key, id LIMIT $2 OFFSET $3) p \
     JOIN credentials c ON c.id = p.id ORDER BY c.sort_key, c.id"
);
const TOTAL: &str = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) FROM credential_counts \
     WHERE team_id = $1";
const TOTAL_OF_TYPE: &str = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) \
     FROM credential_counts WHERE team_id = $1 AND type = $2";

/// Most terms that a statement takes; more do not narrow a search that already has these.
const MAX_TERMS: usize = 8;

/// The search with 1 to [`MAX_TERMS`] terms, without and with a type. Made once, of constant
/// parts, so that each stays prepared.
///
/// `$1` team, `$2` limit, `$3` offset, `$4` most candidates, then a first and a last word per
/// term, then the type.
static SEARCHES: LazyLock<Vec<[String; 2]>> = LazyLock::new(|| {
    (1..=MAX_TERMS)
        .map(|terms| [search(terms, false), search(terms, true)])
        .collect()
});

fn search(terms: usize, of_type: bool) -> String {
    let mut probes = String::new();
    for term in 1..terms {
        let (first, last) = (5 + 2 * term, 6 + 2 * term);
        probes += &format!(
            " AND EXISTS (SELECT 1 FROM credential_words x WHERE x.credential_id = \
             w.credential_id AND x.word >= ${first} AND x.word < ${last})"
        );
    }
    let kind = if of_type {
        format!(" AND w.type = ${}", 5 + 2 * terms)
    } else {
        String::new()
    };
    // Cut in the order of the index, before anything is sorted: whatever the team's size, no
    // more is read. The counts are of the same candidates that the page is cut from.
    format!(
        "WITH hits AS (SELECT w.sort_key AS sort_key, w.credential_id AS id \
         FROM credential_words w \
         WHERE w.team_id = $1 AND w.word >= $5 AND w.word < $6{probes}{kind} \
         ORDER BY w.word, w.sort_key, w.credential_id LIMIT $4), \
         found AS (SELECT DISTINCT h.sort_key AS sort_key, h.id AS id FROM hits h), \
         page AS (SELECT f.id FROM found f ORDER BY f.sort_key, f.id LIMIT $2 OFFSET $3) \
         SELECT {columns}, (SELECT count(*) FROM found) AS total, \
         (SELECT count(*) FROM hits) AS hits \
         FROM page p JOIN credentials c ON c.id = p.id ORDER BY c.sort_key, c.id",
        columns = credential_columns!()
    )
}

impl Store {
    /// A page of the credentials of a team, by sort key, then id.
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

    async fn list(&self, query: &CredentialQuery) -> Result<CredentialPage, StoreError> {
        let page = [
            (&query.team).into(),
            signed(query.limit)?.into(),
            signed(query.offset)?.into(),
        ];
        let (rows, total) = match &query.kind {
            None => (
                self.fetch(LIST, &page).await?,
                self.fetch(TOTAL, &page[..1]).await?,
            ),
            Some(kind) => {
                let kind = Param::Text(kind);
                let rows = self
                    .fetch(LIST_OF_TYPE, &[page[0], page[1], page[2], kind])
                    .await?;
                (rows, self.fetch(TOTAL_OF_TYPE, &[page[0], kind]).await?)
            }
        };
        let total = total
            .first()
            .map_or(Ok(0), |row| row.columns("credential_counts").count())?;
        Ok(CredentialPage {
            rows: read(&rows)?,
            total,
            total_is_exact: true,
        })
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
        let kind = query.kind.as_deref();
        let sql: &'static str = &SEARCHES[terms.len() - 1][usize::from(kind.is_some())];
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

fn read(rows: &[Row]) -> Result<Vec<CredentialRow>, StoreError> {
    rows.iter()
        .map(|row| CredentialRow::read(&mut row.columns("credentials")))
        .collect()
}
