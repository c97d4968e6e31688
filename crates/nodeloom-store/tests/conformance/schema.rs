//! The schema itself.

use nodeloom_store::{SCHEMA_VERSION, SchemaState, Store, StoreError};

use crate::harness::{Db, World, on_both};

on_both!(
    a_newer_schema_is_refused,
    other_migrations_are_noticed,
    survey_changes_nothing,
    a_schema_that_is_missing_says_so,
    envelopes_live_in_two_tables,
);

async fn a_newer_schema_is_refused(db: Db) {
    let store = db.migrated().await;
    let newer = SCHEMA_VERSION + 1;
    db.tamper(&format!(
        "INSERT INTO schema_migrations (version, name, checksum) \
         VALUES ({newer}, 'later', x'0000000000000000')"
    ))
    .await;
    let refused = |error| {
        matches!(error, StoreError::SchemaTooNew { found, known }
            if found == newer && known == SCHEMA_VERSION)
    };
    assert!(refused(store.migrate().await.unwrap_err()));
    assert!(refused(store.migration_status().await.unwrap_err()));
    let survey = Store::survey(&db.target).await.unwrap();
    assert_eq!(
        survey.schema,
        SchemaState::TooNew {
            found: newer,
            known: SCHEMA_VERSION
        }
    );
}

async fn other_migrations_are_noticed(db: Db) {
    let store = db.migrated().await;
    db.tamper("UPDATE schema_migrations SET checksum = x'0000000000000000'")
        .await;
    assert!(matches!(
        store.migrate().await.unwrap_err(),
        StoreError::Corrupt { .. }
    ));
}

async fn survey_changes_nothing(db: Db) {
    let survey = Store::survey(&db.target).await.unwrap();
    assert_eq!(survey.schema, SchemaState::Absent);
    if let nodeloom_store::Target::Sqlite { path } = &db.target {
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }
    let tables = "SELECT count(*)::TEXT FROM pg_tables WHERE schemaname = 'public'";
    if !db.is_sqlite() {
        assert_eq!(db.texts("", tables).await, ["0"]);
    }
    // Opened, and not migrated.
    let store = db.open().await;
    let status = store.migration_status().await.unwrap();
    assert_eq!(
        (status.current, status.pending.len()),
        (0, SCHEMA_VERSION as usize)
    );
    assert_eq!(
        Store::survey(&db.target).await.unwrap().schema,
        SchemaState::Absent
    );
    store.migrate().await.unwrap();
    store.close().await;
    let before = files(&db);
    let known = SchemaState::Known(SCHEMA_VERSION);
    assert_eq!(Store::survey(&db.target).await.unwrap().schema, known);
    assert_eq!(files(&db), before, "nothing is left beside the file");
}

/// Names and bytes of what lies in the database's folder.
fn files(db: &Db) -> Vec<(String, Vec<u8>)> {
    let nodeloom_store::Target::Sqlite { path } = &db.target else {
        return Vec::new();
    };
    let mut files: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

async fn a_schema_that_is_missing_says_so(db: Db) {
    let store = db.open().await;
    assert!(matches!(
        store.count_users().await.unwrap_err(),
        StoreError::SchemaBehind
    ));
    store.ping().await.unwrap();
}

/// Columns that hold ciphertext: `sealed_values.envelope`, and slots. Whoever adds a binary
/// column that is no id, tag or MAC has to come here.
async fn envelopes_live_in_two_tables(db: Db) {
    World::new_only_schema(&db).await;
    let columns = columns(&db).await;
    let other: Vec<&str> = columns
        .iter()
        .filter(|column| column.contains(" bytes"))
        .map(|column| column.split(' ').next().unwrap())
        .filter(|column| {
            let name = column.split('.').nth(1).unwrap();
            name != "id" && !name.ends_with("_id") && !name.ends_with("_by")
        })
        .collect();
    assert_eq!(
        other,
        [
            "api_tokens.tag",
            "audit_checkpoints.mac",
            "audit_checkpoints.public_key",
            "audit_checkpoints.signature",
            "audit_events.mac",
            "audit_head.mac",
            "audit_seams.mac",
            "audit_seams.public_key",
            "audit_seams.signature",
            "idempotency_keys.tag",
            "invitations.tag",
            "key_slots.envelope",
            "recovery_codes.tag",
            "root_keys.wrapped",
            "schema_migrations.checksum",
            "sealed_values.envelope",
            "sessions.tag",
            "setup_codes.tag",
            "sign_in_attempts.subject",
            "sign_in_flows.tag",
        ]
    );
}

/// `table.column type`, sorted, with one word for each type of both engines.
async fn columns(db: &Db) -> Vec<String> {
    let mut columns = db
        .texts(
            "SELECT t.name || '.' || c.name || ' ' || CASE c.type WHEN 'BLOB' THEN 'bytes' \
             WHEN 'INTEGER' THEN 'number' WHEN 'TEXT' THEN 'text' ELSE c.type END || \
             CASE WHEN c.\"notnull\" THEN '' ELSE ' or nothing' END \
             FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
            "SELECT table_name || '.' || column_name || ' ' || CASE data_type \
             WHEN 'bytea' THEN 'bytes' WHEN 'bigint' THEN 'number' WHEN 'boolean' THEN 'number' \
             WHEN 'text' THEN 'text' ELSE data_type END || \
             CASE is_nullable WHEN 'NO' THEN '' ELSE ' or nothing' END \
             FROM information_schema.columns WHERE table_schema = 'public'",
        )
        .await;
    columns.sort();
    columns
}

/// Indexes by name, and for each its table: what the database made itself has names of its own.
async fn indexes(db: &Db) -> Vec<String> {
    let mut indexes = db
        .texts(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
            "SELECT i.indexname::TEXT FROM pg_indexes i WHERE schemaname = 'public' AND NOT \
             EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)",
        )
        .await;
    indexes.sort();
    indexes
}

#[tokio::test]
async fn both_engines_have_the_same_tables() {
    let (lite, pg) = (Db::sqlite(), Db::postgres().await);
    World::new_only_schema(&lite).await;
    World::new_only_schema(&pg).await;
    assert_eq!(columns(&lite).await, columns(&pg).await);
    assert_eq!(indexes(&lite).await, indexes(&pg).await);
    let drop_it = pg.dropper();
    drop_it.await;
}

/// A released migration never changes. A new one adds its line; none is edited.
#[tokio::test]
async fn migrations_are_as_released() {
    let db = Db::sqlite();
    World::new_only_schema(&db).await;
    let sql = "SELECT name || ' ' || lower(hex(checksum)) FROM schema_migrations ORDER BY version";
    let found = db.texts(sql, "").await;
    let released = ["0001_vault ec564d8fe2afad27"];
    assert_eq!(found[..released.len()], released);
}
