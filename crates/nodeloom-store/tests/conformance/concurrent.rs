//! Several writers, several processes.

use nodeloom_domain::{
    name_words,
    policy::{Action, Resource},
};
use nodeloom_store::{CredentialQuery, StoreError};

use crate::harness::{Db, World, chain_key, event, may, on_both};

on_both!(writers_leave_no_gap, no_update_is_lost, migrations_run_once);

/// Four stores, as four processes would have, write at the same time.
async fn writers_leave_no_gap(db: Db) {
    let world = World::new(db).await;
    let mut tasks = Vec::new();
    for process in 0..4 {
        let store = world.db.open().await;
        let chain = chain_key(world.audit);
        let rows: Vec<_> = (0..10)
            .map(|number| world.credential(&format!("c {process} {number}")))
            .collect();
        let permit = world.may_create();
        tasks.push(tokio::spawn(async move {
            for row in rows {
                let mut tx = store.begin().await.unwrap();
                tx.insert_credential(&permit, &row, &name_words(&row.name))
                    .await
                    .unwrap();
                tx.commit(&event("credential.create"), &chain)
                    .await
                    .unwrap();
            }
            store.close().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let chain = &world.chain;
    let report = world
        .store
        .verify_chain(|_| Some(chain), &[])
        .await
        .unwrap();
    assert_eq!((report.events, report.first_bad), (41, None));
    let query = CredentialQuery {
        team: world.team,
        kind: None,
        terms: Vec::new(),
        offset: 0,
        limit: 100,
        ..CredentialQuery::of(world.team)
    };
    let page = world.store.list_credentials(&query).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (40, 40));
}

/// Eight tasks each count a revision up ten times, starting again when they lost the race.
async fn no_update_is_lost(db: Db) {
    let world = World::new(db).await;
    let id = world.add("counter").await.id;
    let resource = Resource::Record {
        team: world.team,
        id: *id.as_bytes(),
    };
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = world.store.clone();
        let chain = chain_key(world.audit);
        let permit = may(Action::CredentialUpdate, resource);
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while done < 10 {
                let mut row = store.find_credential(id).await.unwrap().unwrap();
                let expected = row.revision;
                row.revision += 1;
                row.generation += 1;
                let mut tx = store.begin().await.unwrap();
                if tx
                    .update_credential(&permit, &row, &[], expected)
                    .await
                    .unwrap()
                {
                    tx.commit(&event("credential.update"), &chain)
                        .await
                        .unwrap();
                    done += 1;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let row = world.store.find_credential(id).await.unwrap().unwrap();
    assert_eq!((row.revision, row.generation), (81, 81));
    assert_eq!(world.store.credential_versions(id).await.unwrap().len(), 81);
    let chain = &world.chain;
    let report = world
        .store
        .verify_chain(|_| Some(chain), &[])
        .await
        .unwrap();
    assert_eq!((report.events, report.first_bad), (82, None));
}

async fn migrations_run_once(db: Db) {
    let (one, two) = tokio::join!(db.open(), db.open());
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    let ran: Vec<_> = [first, second]
        .into_iter()
        .collect::<Result<Vec<_>, StoreError>>()
        .unwrap();
    assert_eq!(
        ran.iter().flatten().count(),
        nodeloom_store::SCHEMA_VERSION as usize,
        "{ran:?}"
    );
    assert!(one.migrate().await.unwrap().is_empty());
    assert!(two.migration_status().await.unwrap().pending.is_empty());
}
