//! Files that are not as they should be, disks that are full, servers that are gone.

use std::{error::Error as _, fs, path::PathBuf};

use nodeloom_store::{Access, DeletionRow, Options, Store, StoreError, Target};

use crate::harness::{Db, NOW, World, event, on_both};

on_both!(a_read_only_store_reads_and_writes_nothing);

fn path(db: &Db) -> PathBuf {
    let Target::Sqlite { path } = &db.target else {
        panic!("only for SQLite")
    };
    path.clone()
}

async fn a_read_only_store_reads_and_writes_nothing(db: Db) {
    let world = World::new(db).await;
    let row = world.add("one").await;
    let mut options = Options::default();
    options.access = Access::ReadOnly;
    let reader = Store::open_with(&world.db.target, &options).await.unwrap();
    assert!(reader.find_credential(row.id).await.unwrap().is_some());
    let write = async {
        let mut tx = reader.begin().await?;
        let row = world.credential("two");
        tx.insert_credential(&world.may_create(), &row, &[]).await?;
        tx.commit(&event("credential.create"), &world.chain).await
    };
    let error = write.await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_so_and_kept() {
    let db = Db::sqlite();
    fs::create_dir_all(path(&db).parent().unwrap()).unwrap();
    let text = b"This is a letter, not a database. ".repeat(100);
    fs::write(path(&db), &text).unwrap();
    assert!(matches!(
        Store::survey(&db.target).await.unwrap_err(),
        StoreError::NotADatabase
    ));
    assert!(matches!(
        Store::open(&db.target).await.unwrap_err(),
        StoreError::NotADatabase
    ));
    assert_eq!(fs::read(path(&db)).unwrap(), text);
}

#[tokio::test]
async fn a_truncated_file_is_damaged_and_not_taken_for_empty() {
    let db = Db::sqlite();
    let world = World::new(db).await;
    for number in 0..50 {
        world.add(&format!("c {number}")).await;
    }
    world.store.close().await;
    let whole = fs::read(path(&world.db)).unwrap();
    for keep in [whole.len() / 2, 4096 * 3, 4096, 1000] {
        fs::write(path(&world.db), &whole[..keep]).unwrap();
        let survey = Store::survey(&world.db.target).await;
        let opened = async {
            let store = Store::open(&world.db.target).await?;
            store.migrate().await?;
            store.sealed_page(None, 1000).await?;
            store.census().await
        };
        let opened = opened.await;
        for error in [survey.err(), opened.err()].into_iter().flatten() {
            let typed = matches!(error, StoreError::Corrupt { .. } | StoreError::NotADatabase);
            assert!(typed, "{keep}: {error:?}");
        }
        let again = Store::survey(&world.db.target).await;
        let absent = again.is_ok_and(|survey| survey.schema == nodeloom_store::SchemaState::Absent);
        assert!(!absent, "{keep}: a cut file must not look like a new one");
    }
}

#[tokio::test]
async fn a_full_disk_writes_nothing_and_recovers() {
    let db = Db::sqlite();
    let world = World::new(db).await;
    world.add("before").await;
    world.store.close().await;
    let pages = fs::metadata(path(&world.db)).unwrap().len() / 4096;
    let mut options = Options::default();
    options.sqlite_max_pages = Some(u32::try_from(pages).unwrap() + 2);
    let full = Store::open_with(&world.db.target, &options).await.unwrap();
    let mut error = None;
    for number in 0..2000 {
        let write = async {
            let mut tx = full.begin().await?;
            let row = world.credential(&format!("fill {number}"));
            tx.insert_credential(&world.may_create(), &row, &[]).await?;
            tx.commit(&event("credential.create"), &world.chain).await
        };
        if let Err(found) = write.await {
            error = Some(found);
            break;
        }
    }
    assert!(matches!(error, Some(StoreError::Full)), "{error:?}");
    let chain = &world.chain;
    let report = full.verify_chain(|_| Some(chain), &[]).await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    full.close().await;
    let again = World {
        store: world.db.open().await,
        ..world
    };
    again.add("after").await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(Db::sqlite()).await;
    let file = path(&world.db);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[tokio::test]
async fn a_damaged_column_is_named() {
    let world = World::new(Db::sqlite()).await;
    world.add("one").await;
    world
        .db
        .tamper("UPDATE sealed_values SET key_id = x'01'")
        .await;
    let error = world.store.sealed_page(None, 9).await.unwrap_err();
    let StoreError::Corrupt { what } = error else {
        panic!("{error:?}")
    };
    assert_eq!(what, "table sealed_values, column key_id");
}

#[tokio::test]
async fn deleted_ciphertext_is_overwritten_in_the_file() {
    use nodeloom_domain::policy::{Action, Resource};
    let world = World::new(Db::sqlite()).await;
    let row = world.credential("one");
    let mut sealed = world.sealed(&row, 1);
    sealed.envelope = b"CANARY-CIPHERTEXT-0123456789".repeat(4);
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &row, &[])
        .await
        .unwrap();
    tx.insert_sealed(&world.may_create(), &sealed)
        .await
        .unwrap();
    tx.commit(&event("credential.create"), &world.chain)
        .await
        .unwrap();
    let resource = Resource::Record {
        team: world.team,
        id: *row.id.as_bytes(),
    };
    let delete = crate::harness::may(Action::CredentialDelete, resource);
    let mut tx = world.store.begin().await.unwrap();
    let purge = crate::harness::may(Action::CredentialPurge, resource);
    tx.delete_sealed_of(&purge, world.team, "credential", row.id.as_bytes())
        .await
        .unwrap();
    let gone = DeletionRow {
        at: NOW,
        by: None,
        by_name: "root@host".into(),
    };
    tx.delete_credential(&delete, &row, &gone).await.unwrap();
    tx.commit(&event("credential.delete"), &world.chain)
        .await
        .unwrap();
    world.store.close().await;
    let file = fs::read(path(&world.db)).unwrap();
    assert!(!file.windows(17).any(|bytes| bytes == b"CANARY-CIPHERTEXT"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_not_named() {
    // Port 1 on loopback: nothing listens there.
    let url = "postgres://someone:hunter2hunter2@127.0.0.1:1/nowhere";
    let target = Target::parse_url(url).unwrap();
    let shown = format!("{target} {target:?}");
    assert!(
        !shown.contains("hunter2") && shown.contains("127.0.0.1:1/nowhere"),
        "{shown}"
    );
    let error = Store::open(&target).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    let shown = format!(
        "{error:?} {error} {:?}",
        error.source().map(ToString::to_string)
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("someone"),
        "{shown}"
    );
    assert!(matches!(
        Store::survey(&target).await.unwrap_err(),
        StoreError::Unavailable(_)
    ));
}

#[tokio::test]
async fn a_missing_database_and_bad_urls_are_refused() {
    let db = Db::postgres().await;
    db.dropper().await;
    let error = Store::open(&db.target).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    for url in [
        "mysql://h/db",
        "postgres://h:port/db",
        "postgres://h/db?sslmode=perhaps",
        "postgres://h/db?secret=hunter2",
        "sqlite:",
        "",
    ] {
        let error = Target::parse_url(url).unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{url}");
    }
    let Target::Sqlite { path } = Target::parse_url("sqlite:///var/lib/n.db").unwrap() else {
        panic!("a path")
    };
    assert_eq!(path, std::path::Path::new("/var/lib/n.db"));
}

/// A restart of the server ends every connection; the next call finds a new one.
#[tokio::test]
async fn a_database_that_comes_back_is_used_again() {
    let db = Db::postgres().await;
    let store = db.migrated().await;
    store.ping().await.unwrap();
    db.tamper(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // At worst each connection of the pool fails once.
    let mut answered = false;
    for _ in 0..10 {
        answered = store.ping().await.is_ok();
        if answered {
            break;
        }
    }
    assert!(answered);
    db.dropper().await;
}
