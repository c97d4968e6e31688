//! What finds a credential: its words, its tags and the counts of both.

use nodeloom_domain::sort_key;

use crate::{CredentialRow, StoreError, Tx, engine::Param};

impl Tx {
    /// Adds a credential to the indexes and counts.
    pub(super) async fn index_credential(
        &mut self,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<(), StoreError> {
        self.insert_words(row, words).await?;
        self.insert_tags(row).await?;
        // Last, since on PostgreSQL these rows are shared by all who add to the team.
        self.count_tags(row, 1).await?;
        self.count(row, 1).await
    }

    /// Takes a credential out of the indexes and counts.
    pub(super) async fn unindex_credential(
        &mut self,
        row: &CredentialRow,
    ) -> Result<(), StoreError> {
        self.delete_words(row).await?;
        self.delete_tags(row).await?;
        self.count_tags(row, -1).await?;
        self.count(row, -1).await
    }

    /// Brings the indexes from `old` to `row`, where they differ.
    pub(super) async fn reindex_credential(
        &mut self,
        old: &CredentialRow,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<(), StoreError> {
        let moved = (&row.sort_key, &row.kind) != (&old.sort_key, &old.kind);
        if moved || row.name != old.name {
            self.delete_words(old).await?;
            self.insert_words(row, words).await?;
        }
        let tagged = folded_tags(row) != folded_tags(old);
        if moved || tagged {
            self.delete_tags(old).await?;
            self.insert_tags(row).await?;
        }
        if tagged {
            self.count_tags(old, -1).await?;
            self.count_tags(row, 1).await?;
        }
        if row.kind != old.kind {
            self.count(old, -1).await?;
            self.count(row, 1).await?;
        }
        Ok(())
    }

    async fn insert_words(
        &mut self,
        row: &CredentialRow,
        words: &[String],
    ) -> Result<(), StoreError> {
        // Four at a time: fewer statements, and few enough texts to stay prepared. A word that
        // fills an empty place is there already.
        const SQL: &str = "INSERT INTO credential_words \
             (team_id, word, sort_key, credential_id, type) VALUES ($1, $5, $3, $2, $4), \
             ($1, $6, $3, $2, $4), ($1, $7, $3, $2, $4), ($1, $8, $3, $2, $4) \
             ON CONFLICT DO NOTHING";
        for four in words.chunks(4) {
            let word = |index: usize| Param::Text(four.get(index).unwrap_or(&four[0]));
            let params = [
                (&row.team_id).into(),
                (&row.id).into(),
                row.sort_key.as_str().into(),
                row.kind.as_str().into(),
                word(0),
                word(1),
                word(2),
                word(3),
            ];
            self.execute(SQL, &params).await?;
        }
        Ok(())
    }

    async fn delete_words(&mut self, row: &CredentialRow) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM credential_words WHERE credential_id = $1";
        self.execute(SQL, &[(&row.id).into()]).await.map(drop)
    }

    async fn insert_tags(&mut self, row: &CredentialRow) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO credential_tags \
             (team_id, tag, sort_key, credential_id, type) VALUES ($1, $2, $3, $4, $5)";
        for tag in folded_tags(row) {
            let params = [
                (&row.team_id).into(),
                tag.as_str().into(),
                row.sort_key.as_str().into(),
                (&row.id).into(),
                row.kind.as_str().into(),
            ];
            self.execute(SQL, &params).await?;
        }
        Ok(())
    }

    async fn delete_tags(&mut self, row: &CredentialRow) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM credential_tags WHERE credential_id = $1";
        self.execute(SQL, &[(&row.id).into()]).await.map(drop)
    }

    // In the order of the tags, so that two who add the same tags do not wait for each other
    // in a circle.
    async fn count_tags(&mut self, row: &CredentialRow, change: i64) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO credential_tag_counts (team_id, tag, total) \
             VALUES ($1, $2, 1) ON CONFLICT (team_id, tag) \
             DO UPDATE SET total = credential_tag_counts.total + $3";
        for tag in folded_tags(row) {
            let params = [(&row.team_id).into(), tag.as_str().into(), change.into()];
            self.execute(SQL, &params).await?;
        }
        Ok(())
    }

    async fn count(&mut self, row: &CredentialRow, change: i64) -> Result<(), StoreError> {
        // The first of its type is inserted, hence never with a negative total.
        const SQL: &str = "INSERT INTO credential_counts (team_id, type, total) VALUES ($1, $2, 1) \
             ON CONFLICT (team_id, type) DO UPDATE SET total = credential_counts.total + $3";
        let params = [
            (&row.team_id).into(),
            row.kind.as_str().into(),
            change.into(),
        ];
        self.execute(SQL, &params).await.map(drop)
    }
}

/// The tags as they are found, sorted.
fn folded_tags(row: &CredentialRow) -> Vec<String> {
    let mut tags: Vec<String> = row
        .attributes
        .tags
        .iter()
        .map(|tag| sort_key(tag))
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
