//! Root keys, data keys, slots, and sealed values.

use nodeloom_crypto::{KeyId, Purpose, RootId};
use nodeloom_domain::{
    TeamId,
    policy::{self, Action, Resource},
};
use nodeloom_store::{ConflictKind, KeyState, SealedState, Store, StoreError};

use crate::harness::{Db, NOW, World, data_key, event, may, on_both, root_row, slot};

on_both!(
    keys_and_slots,
    one_active_key_per_team_and_purpose,
    sealed_values,
    quarantine_compares,
    survey_reads_the_keys,
);

async fn keys_and_slots(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    assert_eq!(store.data_keys().await.unwrap().len(), 3);
    assert_eq!(store.keys_under_root(world.root).await.unwrap().len(), 3);
    let (key, found) = store.key_with_slots(world.seal).await.unwrap().unwrap();
    assert_eq!(key.team_id, Some(world.team));
    assert_eq!(found, [slot(world.seal, world.root)]);
    let stranger = RootId::from_bytes([1; 8]);
    let unknown = KeyId::from_bytes([1; 8]);
    assert!(store.key_with_slots(unknown).await.unwrap().is_none());
    assert!(store.data_key(unknown).await.unwrap().is_none());
    let active = store
        .active_data_key(Some(world.team), Purpose::Seal)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(active.id, world.seal);
    let mut tx = store.begin().await.unwrap();
    let active = tx
        .active_data_key(None, Purpose::Audit)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(active.id, world.audit);
    let none = tx
        .active_data_key(Some(TeamId::generate(NOW)), Purpose::Seal)
        .await
        .unwrap();
    assert!(none.is_none());

    assert!(
        tx.touch_root(world.root, NOW.plus_seconds(9))
            .await
            .unwrap()
    );
    assert!(!tx.touch_root(world.root, NOW).await.unwrap());
    assert_eq!(tx.roots().await.unwrap()[0].last_seen, NOW.plus_seconds(9));
    let keeper = policy::housekeeping();
    let error = tx
        .insert_root(&keeper, &root_row(world.root))
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("root_keys"), "{error:?}");
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let error = tx
        .insert_slot(&keeper, &slot(world.seal, stranger))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        StoreError::Conflict {
            kind: ConflictKind::Reference,
            ..
        }
    ));
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    let wrong = may(Action::CredentialCreate, Resource::Instance);
    let error = tx
        .insert_slot(&wrong, &slot(world.seal, stranger))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
}

async fn one_active_key_per_team_and_purpose(db: Db) {
    let world = World::new(db).await;
    let keeper = policy::housekeeping();
    for (team, purpose) in [(Some(world.team), Purpose::Seal), (None, Purpose::Audit)] {
        let mut tx = world.store.begin().await.unwrap();
        let error = tx
            .insert_data_key(&keeper, &data_key(team, purpose))
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            StoreError::Conflict {
                kind: ConflictKind::Duplicate,
                ..
            }
        ));
    }
    let mut tx = world.store.begin().await.unwrap();
    let (active, draining) = (KeyState::Active, KeyState::Draining);
    assert!(
        tx.set_key_state(&keeper, world.seal, active, draining)
            .await
            .unwrap()
    );
    assert!(
        !tx.set_key_state(&keeper, world.seal, active, draining)
            .await
            .unwrap()
    );
    tx.insert_data_key(&keeper, &data_key(Some(world.team), Purpose::Seal))
        .await
        .unwrap();
    tx.commit(&event("key.create"), &world.chain).await.unwrap();
}

async fn sealed_values(db: Db) {
    let world = World::new(db).await;
    let owner = world.add("one").await;
    let id = *owner.id.as_bytes();
    let find = |generation| {
        world
            .store
            .find_sealed(world.team, "credential", &[0; 16], "data", generation)
    };
    assert!(find(1).await.unwrap().is_none());
    let value = world
        .store
        .find_sealed(world.team, "credential", &id, "data", 1)
        .await
        .unwrap();
    let value = value.unwrap();
    assert_eq!(value.envelope, [1; 60]);

    let record = Resource::Record {
        team: world.team,
        id,
    };
    let change = may(Action::CredentialUpdate, record);
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_sealed(&change, &world.sealed(&owner, 2))
        .await
        .unwrap();
    let mut stray = world.sealed(&owner, 3);
    stray.owner_id = [8; 16];
    let error = tx.insert_sealed(&change, &stray).await.unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let error = tx
        .insert_sealed(&change, &world.sealed(&owner, 2))
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("sealed_values"), "{error:?}");
    drop(tx);
    let mut tx = world.store.begin().await.unwrap();
    let mut orphan = world.sealed(&owner, 2);
    orphan.key_id = KeyId::from_bytes([1; 8]);
    let error = tx.insert_sealed(&change, &orphan).await.unwrap_err();
    assert!(matches!(
        error,
        StoreError::Conflict {
            kind: ConflictKind::Reference,
            ..
        }
    ));
    drop(tx);

    for index in 0..9 {
        world.add(&format!("more {index}")).await;
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = world.store.sealed_page(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.into_iter().map(|row| row.id));
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.is_sorted());
    let census = world.store.census().await.unwrap();
    assert_eq!(census.len(), 1);
    assert_eq!((census[0].key_id, census[0].count), (world.seal, 10));

    let mut tx = world.store.begin().await.unwrap();
    let error = tx
        .delete_sealed_of(&change, world.team, "credential", &id)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let delete = may(Action::CredentialPurge, record);
    assert_eq!(
        tx.delete_sealed_of(&delete, world.team, "credential", &id)
            .await
            .unwrap(),
        1
    );
    tx.commit(&event("credential.delete"), &world.chain)
        .await
        .unwrap();
}

async fn quarantine_compares(db: Db) {
    let world = World::new(db).await;
    let owner = world.add("one").await;
    let row = world.store.sealed_page(None, 1).await.unwrap().remove(0);
    let keeper = policy::housekeeping();
    let bad = SealedState::Quarantined;
    let mut tx = world.store.begin().await.unwrap();
    assert!(
        !tx.mark_sealed(&keeper, row.id, bad, Some("x"), b"other")
            .await
            .unwrap()
    );
    assert!(
        tx.mark_sealed(&keeper, row.id, bad, Some("tag"), &row.envelope)
            .await
            .unwrap()
    );
    let create = world.may_create();
    let error = tx
        .mark_sealed(&create, row.id, bad, None, &row.envelope)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    tx.commit(&event("value.quarantine"), &world.chain)
        .await
        .unwrap();
    let found = world.store.quarantined_page(None, 9).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].owner_id, *owner.id.as_bytes());
    assert_eq!(found[0].reason.as_deref(), Some("tag"));
    assert_eq!(found[0].envelope, row.envelope, "kept as it is");
    let census = world.store.census().await.unwrap();
    assert_eq!((census[0].state, census[0].count), (bad, 1));
}

async fn survey_reads_the_keys(db: Db) {
    let world = World::new(db).await;
    let survey = Store::survey(&world.db.target).await.unwrap();
    let newest = nodeloom_store::SchemaState::Known(nodeloom_store::SCHEMA_VERSION);
    assert_eq!(survey.schema, newest);
    assert_eq!(survey.roots.len(), 1);
    assert_eq!(survey.data_keys_total, 3);
    assert_eq!(survey.instance_keys.len(), 2);
    assert!(
        survey
            .instance_keys
            .iter()
            .all(|(_, slots)| slots.len() == 1)
    );
    world.store.close().await;
    let survey = Store::survey(&world.db.target).await.unwrap();
    assert_eq!(survey.data_keys_total, 3, "also at rest");
}
