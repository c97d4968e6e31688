//! What the data say about the key at start-up, and that a refusal changes nothing.

use nodeloom_app::{KeyRefusal, OpenError, Verdict, judge};
use nodeloom_crypto::{Purpose, RootId, RootKey};
use nodeloom_domain::Clock;
use nodeloom_store::{SchemaState, Store};

use crate::support::{Db, NOW, ROOT, World, assert_refused, on_both, origin, x};

on_both!(
    an_empty_database_takes_any_key,
    the_same_key_opens_the_instance_again,
    a_key_that_was_never_seen_is_refused,
    a_root_id_on_record_is_no_proof,
    a_retired_key_is_refused_by_name,
    a_damaged_slot_is_told_from_a_wrong_key,
    a_slot_in_another_place_does_not_open,
    keys_without_a_root_are_no_fresh_database,
    emptied_key_tables_are_no_fresh_database,
    two_processes_with_one_key_make_one_instance,
    two_processes_with_two_keys_make_one_instance,
);

const OTHER: &str = "another root string of the tests, fedcba98";

fn key(text: &str) -> RootKey {
    RootKey::derive(text.as_bytes())
}

/// Judges from outside and by opening; both must refuse alike and change nothing.
async fn refused(world: &World, root: &str) -> KeyRefusal {
    let before = world.db.dump().await;
    let survey = Store::survey(&world.db.target).await.unwrap();
    let Verdict::Refused(refusal) = judge(&survey, &key(root)) else {
        panic!("the key was not refused");
    };
    assert_refused!(world.open_with(root).await, OpenError::Key(same) if same == refusal);
    assert_eq!(
        world.db.dump().await,
        before,
        "a refusal changed the database"
    );
    assert!(!refusal.next_steps().is_empty());
    let words = format!("{refusal} {}", refusal.next_steps().join(" "));
    assert!(!words.contains(root), "a refusal repeats the key");
    refusal
}

async fn an_empty_database_takes_any_key(db: Db) {
    let survey = Store::survey(&db.target).await.unwrap();
    assert_eq!(survey.schema, SchemaState::Absent);
    assert!(matches!(judge(&survey, &key(OTHER)), Verdict::Fresh));
    let store = Store::open(&db.target).await.unwrap();
    store.migrate().await.unwrap();
    let survey = Store::survey(&db.target).await.unwrap();
    assert!(matches!(judge(&survey, &key(ROOT)), Verdict::Fresh));
    assert_eq!(db.count("root_keys").await, 0, "judging wrote something");
}

async fn the_same_key_opens_the_instance_again(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "first-value").await;
    let tables = ["instance", "teams", "data_keys", "key_slots"];
    let mut before = world.db.dump().await;
    world.clock.advance_seconds(60);
    let survey = Store::survey(&world.db.target).await.unwrap();
    assert!(matches!(judge(&survey, &key(ROOT)), Verdict::Match));
    let app = world.other_process().await;
    let mut after = world.db.dump().await;
    for table in tables {
        assert_eq!(before.remove(table), after.remove(table), "{table}");
    }
    assert_eq!(
        world.store.roots().await.unwrap()[0].last_seen,
        world.clock.now()
    );
    assert_eq!(
        crate::support::token_of(&app, stored.id).await.unwrap(),
        "first-value"
    );
}

async fn a_key_that_was_never_seen_is_refused(db: Db) {
    let world = World::new(db).await;
    let refusal = refused(&world, OTHER).await;
    let KeyRefusal::NeverSeen { given, expected } = &refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(*given, key(OTHER).id());
    assert_eq!(
        expected.iter().map(|root| root.id).collect::<Vec<_>>(),
        [key(ROOT).id()]
    );
    let words = refusal.to_string();
    assert!(words.contains(&key(ROOT).id().to_string()), "{words}");
    assert!(words.contains("2023-11-14"), "{words}");
}

async fn a_root_id_on_record_is_no_proof(db: Db) {
    let world = World::new(db).await;
    let planted = key(OTHER).id();
    let row = format!("VALUES ({}, 'active', 1, 1)", x(planted.as_bytes()));
    world
        .db
        .run(&format!(
            "INSERT INTO root_keys (id, state, first_seen, last_seen) {row}"
        ))
        .await;
    let refusal = refused(&world, OTHER).await;
    let KeyRefusal::DamagedSlot { root, keys } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!((root, keys.len()), (planted, 4));
    world.open_with(ROOT).await.unwrap();
}

async fn a_retired_key_is_refused_by_name(db: Db) {
    let world = World::new(db).await;
    let new = RootId::from_bytes([9; 8]);
    world.db.run("UPDATE root_keys SET state = 'retired'").await;
    let row = format!("VALUES ({}, 'active', 1, 1)", x(new.as_bytes()));
    world
        .db
        .run(&format!(
            "INSERT INTO root_keys (id, state, first_seen, last_seen) {row}"
        ))
        .await;
    let refusal = refused(&world, ROOT).await;
    let KeyRefusal::Retired { given, expected } = &refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!((given.id, given.first_seen), (key(ROOT).id(), NOW));
    assert_eq!(
        expected.iter().map(|root| root.id).collect::<Vec<_>>(),
        [new]
    );
    let words = refusal.to_string();
    assert!(
        words.contains("retired") && words.contains(&new.to_string()),
        "{words}"
    );
}

async fn a_damaged_slot_is_told_from_a_wrong_key(db: Db) {
    let world = World::new(db).await;
    for purpose in [Purpose::Seal, Purpose::Index, Purpose::Audit, Purpose::Sign] {
        let key = world.active(None, purpose).await.id;
        let good = world.store.slots_of(key).await.unwrap().remove(0).envelope;
        let at = format!("data_key_id = {}", x(key.as_bytes()));
        let mut flipped = good.clone();
        flipped[50] ^= 1;
        for bad in [flipped, good[..81].to_vec(), Vec::new()] {
            let bad = x(&bad);
            world
                .db
                .run(&format!("UPDATE key_slots SET envelope = {bad} WHERE {at}"))
                .await;
            let refusal = refused(&world, ROOT).await;
            let root = world.root.id();
            assert_eq!(
                refusal,
                KeyRefusal::DamagedSlot {
                    root,
                    keys: vec![key]
                }
            );
        }
        let back = x(&good);
        world
            .db
            .run(&format!(
                "UPDATE key_slots SET envelope = {back} WHERE {at}"
            ))
            .await;
        world.open_with(ROOT).await.unwrap();
    }
    let index = world.active(None, Purpose::Index).await.id;
    let at = x(index.as_bytes());
    world
        .db
        .run(&format!("DELETE FROM key_slots WHERE data_key_id = {at}"))
        .await;
    let refusal = refused(&world, ROOT).await;
    assert_eq!(
        refusal,
        KeyRefusal::DamagedSlot {
            root: world.root.id(),
            keys: vec![index]
        }
    );
}

async fn a_slot_in_another_place_does_not_open(db: Db) {
    let world = World::new(db).await;
    let (index, audit) = (
        world.active(None, Purpose::Index).await.id,
        world.active(None, Purpose::Audit).await.id,
    );
    let envelope = async |id| world.store.slots_of(id).await.unwrap().remove(0).envelope;
    let (of_index, of_audit) = (envelope(index).await, envelope(audit).await);
    for (id, foreign) in [(index, of_audit), (audit, of_index)] {
        let (id, foreign) = (x(id.as_bytes()), x(&foreign));
        let set = format!("UPDATE key_slots SET envelope = {foreign} WHERE data_key_id = {id}");
        world.db.run(&set).await;
    }
    let refusal = refused(&world, ROOT).await;
    let KeyRefusal::DamagedSlot { keys, .. } = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(keys.len(), 2);
}

async fn keys_without_a_root_are_no_fresh_database(db: Db) {
    let world = World::new(db).await;
    world.db.run("DELETE FROM root_keys").await;
    assert_eq!(refused(&world, ROOT).await, KeyRefusal::KeysWithoutRoot);
}

async fn emptied_key_tables_are_no_fresh_database(db: Db) {
    let world = World::new(db).await;
    world
        .db
        .run("DELETE FROM key_slots; DELETE FROM data_keys; DELETE FROM root_keys")
        .await;
    let before = world.db.dump().await;
    assert_refused!(world.open_with(ROOT).await, OpenError::Key(_));
    assert_eq!(world.db.dump().await, before);
}

async fn two_processes_with_one_key_make_one_instance(db: Db) {
    let (first, second) = race(&db, ROOT, ROOT).await;
    assert!(
        first.is_ok() && second.is_ok(),
        "{:?} {:?}",
        first.err(),
        second.err()
    );
    assert_eq!(db.count("instance").await, 1);
    assert_eq!(db.count("data_keys").await, 5);
}

async fn two_processes_with_two_keys_make_one_instance(db: Db) {
    let (first, second) = race(&db, ROOT, OTHER).await;
    assert_ne!(first.is_ok(), second.is_ok(), "exactly one begins");
    assert_refused!(
        first.and(second),
        OpenError::Key(KeyRefusal::NeverSeen { .. })
    );
    assert_eq!(db.count("root_keys").await, 1);
}

/// Two processes on one fresh database, at the same moment.
async fn race(db: &Db, one: &str, two: &str) -> (Result<(), OpenError>, Result<(), OpenError>) {
    let clock = Clock::fixed(NOW);
    let (a, b) = (
        Store::open(&db.target).await.unwrap(),
        Store::open(&db.target).await.unwrap(),
    );
    a.migrate().await.unwrap();
    let begin = async |store, root: &str| {
        nodeloom_app::App::open(store, key(root), clock.clone(), &origin())
            .await
            .map(drop)
    };
    tokio::join!(begin(a, one), begin(b, two))
}
