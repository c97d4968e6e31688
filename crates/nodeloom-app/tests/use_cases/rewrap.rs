//! From one root key to the next: rewrapping at start, two roots side by side, the end of one.

use nodeloom_app::{App, AppError, Ctx, HeldRoots, KeyRefusal, KeyVerbRefusal, OpenError};
use nodeloom_crypto::{RootId, RootKey};
use nodeloom_domain::Role;

use crate::support::{
    Db, ROOT, World, assert_refused, ctx, on_both, operator, origin, token_of, x,
};

on_both!(
    a_new_key_beside_the_former_one_rewraps_every_key,
    rewrapping_again_changes_nothing,
    a_previous_key_that_fits_nothing_is_no_help,
    replicas_on_both_keys_serve_side_by_side,
    a_key_made_on_the_former_root_gets_its_slot_before_it_is_retired,
    a_root_that_a_live_process_needs_is_not_retired,
    retiring_refuses_what_would_lose_a_key,
    a_retired_key_is_refused_by_name,
    a_process_on_a_retired_root_makes_no_keys,
    who_may_change_the_root_key,
    two_processes_with_the_same_new_key_rewrap_once,
);

const NEXT: &str = "the next root string of the tests, fedcba9876543210";
const THIRD: &str = "a third root string of the tests, 0f1e2d3c4b5a6978";

fn key(text: &str) -> RootKey {
    RootKey::derive(text.as_bytes())
}

fn id(text: &str) -> RootId {
    key(text).id()
}

/// A process that holds `current` and, where given, `previous`.
async fn start(world: &World, current: &str, previous: Option<&str>) -> Result<App, OpenError> {
    let roots = HeldRoots::new(key(current), previous.map(key));
    App::open(world.store.clone(), roots, world.clock.clone(), &origin()).await
}

async fn slots(world: &World, root: &str) -> usize {
    world.store.keys_under_root(id(root)).await.unwrap().len()
}

async fn actions(world: &World, action: &str) -> usize {
    let sql = format!("SELECT sequence FROM audit_events WHERE action = '{action}'");
    world.db.rows(&sql).await.len()
}

async fn a_new_key_beside_the_former_one_rewraps_every_key(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let one = world.add(world.team, "One", "first").await.id;
    let two = world.add(other, "Two", "second").await.id;
    let person = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    let keys = slots(&world, ROOT).await;
    assert!(keys >= 6);

    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    assert_eq!(next.root_id(), id(NEXT));
    assert_eq!(
        (slots(&world, ROOT).await, slots(&world, NEXT).await),
        (keys, keys)
    );
    assert_eq!(token_of(&next, one).await.unwrap(), "first");
    assert_eq!(token_of(&next, two).await.unwrap(), "second");
    next.me(&person.ctx()).await.unwrap();

    // The new key alone will do from now on, and so does the former one.
    let alone = start(&world, NEXT, None).await.unwrap();
    assert_eq!(token_of(&alone, two).await.unwrap(), "second");
    assert_eq!(token_of(&world.app, two).await.unwrap(), "second");
    let status = alone.key_status(&operator()).await.unwrap();
    assert_eq!(status.roots.len(), 2);
    assert!(status.data_keys.iter().all(|key| key.slots.len() == 2));
    assert_eq!(actions(&world, "key.rewrap").await, 1);
    assert!(!world.doctor().await.needs_attention());
}

async fn rewrapping_again_changes_nothing(db: Db) {
    let world = World::new(db).await;
    start(&world, NEXT, Some(ROOT)).await.unwrap();
    let before = world
        .db
        .rows("SELECT envelope FROM key_slots ORDER BY 1")
        .await;
    start(&world, NEXT, Some(ROOT)).await.unwrap();
    // The other way round, too: both are active.
    start(&world, ROOT, Some(NEXT)).await.unwrap();
    let after = world
        .db
        .rows("SELECT envelope FROM key_slots ORDER BY 1")
        .await;
    assert!(before == after);
    assert_eq!(actions(&world, "key.rewrap").await, 1);
    let app = start(&world, NEXT, Some(NEXT)).await.unwrap();
    assert_refused!(
        app.rewrap_keys(&operator()).await,
        AppError::KeyRefused(KeyVerbRefusal::NothingToRewrap(_))
    );
}

async fn a_previous_key_that_fits_nothing_is_no_help(db: Db) {
    let world = World::new(db).await;
    let before = world.db.dump().await;
    for (current, previous) in [(NEXT, None), (NEXT, Some(THIRD)), (NEXT, Some(NEXT))] {
        assert_refused!(
            start(&world, current, previous).await,
            OpenError::Key(KeyRefusal::NeverSeen { .. })
        );
    }
    assert_eq!(world.db.dump().await, before);
}

async fn replicas_on_both_keys_serve_side_by_side(db: Db) {
    let world = World::new(db).await;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    let old = &world.app;
    for (number, app) in [old, &next, old, &next].into_iter().enumerate() {
        let name = format!("Shared {number}");
        let made = world.add_with(app, world.team, &name, &name).await;
        assert_eq!(token_of(old, made.id).await.unwrap(), name);
        assert_eq!(token_of(&next, made.id).await.unwrap(), name);
    }
    // A team that is made where both keys are held opens on either side.
    let team = next
        .create_team(&operator(), "Made later")
        .await
        .unwrap()
        .id;
    let made = world.add(team, "There", "value").await.id;
    assert_eq!(token_of(old, made).await.unwrap(), "value");
    assert_eq!(token_of(&next, made).await.unwrap(), "value");
}

async fn a_key_made_on_the_former_root_gets_its_slot_before_it_is_retired(db: Db) {
    let world = World::new(db).await;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    // This process knows nothing of the new key.
    let team = world.app.create_team(&operator(), "Late").await.unwrap().id;
    let made = world.add(team, "There", "value").await.id;
    let alone = start(&world, NEXT, None).await.unwrap();
    assert_refused!(token_of(&alone, made).await, AppError::Locked);
    // Locked is not damaged: nothing was noted against it.
    assert_eq!(
        world
            .db
            .rows("SELECT id FROM sealed_values WHERE state <> 'ok'")
            .await
            .len(),
        0
    );
    assert_refused!(
        alone.retire_root(&operator(), id(ROOT)).await,
        AppError::KeyRefused(KeyVerbRefusal::KeysNotHeld { .. })
    );
    assert_eq!(token_of(&next, made).await.unwrap(), "value");
    let retired = next.retire_root(&operator(), id(ROOT)).await.unwrap();
    assert_eq!((retired.rewrapped, retired.still_held_by.len()), (1, 0));
    assert_eq!(slots(&world, ROOT).await, 0);
    let alone = start(&world, NEXT, None).await.unwrap();
    assert_eq!(token_of(&alone, made).await.unwrap(), "value");
}

async fn a_root_that_a_live_process_needs_is_not_retired(db: Db) {
    let world = World::new(db).await;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    next.announce("new-host").await.unwrap();
    world.app.announce("old-host").await.unwrap();
    let keys = slots(&world, ROOT).await;
    let refused = next.retire_root(&operator(), id(ROOT)).await;
    let Err(AppError::KeyRefused(KeyVerbRefusal::HeldByProcesses { processes, .. })) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(processes.len(), 1);
    assert!(
        processes[0].starts_with("old-host (process "),
        "{processes:?}"
    );
    assert_eq!(slots(&world, ROOT).await, keys);
    assert_eq!(
        next.key_status(&operator()).await.unwrap().processes.len(),
        2
    );

    // It says good-bye, or it is silent for a minute.
    world.app.withdraw().await.unwrap();
    let retired = next.retire_root(&operator(), id(ROOT)).await.unwrap();
    assert_eq!(retired.slots_dropped, keys as u64);
    assert_eq!(retired.still_held_by.len(), 1, "the one that holds both");

    start(&world, THIRD, Some(NEXT)).await.unwrap();
    world.clock.advance_seconds(61);
    let third = start(&world, THIRD, None).await.unwrap();
    third.retire_root(&operator(), id(NEXT)).await.unwrap();
    assert_eq!(actions(&world, "key.retire").await, 2);
}

async fn retiring_refuses_what_would_lose_a_key(db: Db) {
    let world = World::new(db).await;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    assert_refused!(
        next.retire_root(&operator(), id(NEXT)).await,
        AppError::KeyRefused(KeyVerbRefusal::RootInUse(_))
    );
    assert_refused!(
        next.retire_root(&operator(), id(THIRD)).await,
        AppError::KeyRefused(KeyVerbRefusal::UnknownRoot(_))
    );
    // A slot under the new root that somebody damaged: the one under the old must stay.
    let at = x(id(NEXT).as_bytes());
    let key = world.seal_key(world.team).await.id();
    let sql = format!(
        "UPDATE key_slots SET envelope = (SELECT o.envelope FROM key_slots o \
         WHERE o.data_key_id <> key_slots.data_key_id AND o.root_id = {at} LIMIT 1) \
         WHERE root_id = {at} AND data_key_id = {}",
        x(key.as_bytes())
    );
    world.db.run(&sql).await;
    let before = world.db.dump().await;
    let refused = next.retire_root(&operator(), id(ROOT)).await;
    let Err(AppError::KeyRefused(KeyVerbRefusal::KeysNotHeld { keys, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(keys, [key]);
    assert_eq!(world.db.dump().await, before, "nothing was changed");
}

async fn a_retired_key_is_refused_by_name(db: Db) {
    let world = World::new(db).await;
    let made = world.add(world.team, "There", "value").await.id;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    next.retire_root(&operator(), id(ROOT)).await.unwrap();
    let before = world.db.dump().await;
    for previous in [None, Some(NEXT), Some(THIRD)] {
        assert_refused!(
            start(&world, ROOT, previous).await,
            OpenError::Key(KeyRefusal::Retired { given, .. }) if given.id == id(ROOT)
        );
    }
    assert_eq!(world.db.dump().await, before);
    // As a previous key it is of no use, and does no harm.
    let app = start(&world, NEXT, Some(ROOT)).await.unwrap();
    assert_eq!(token_of(&app, made).await.unwrap(), "value");
    assert_eq!(slots(&world, ROOT).await, 0);
    assert_refused!(
        app.retire_root(&operator(), id(ROOT)).await,
        AppError::KeyRefused(KeyVerbRefusal::AlreadyRetired(_))
    );
    // A second change, by the same way.
    start(&world, THIRD, Some(NEXT)).await.unwrap();
    let third = start(&world, THIRD, None).await.unwrap();
    third.retire_root(&operator(), id(NEXT)).await.unwrap();
    assert_eq!(token_of(&third, made).await.unwrap(), "value");
}

async fn a_process_on_a_retired_root_makes_no_keys(db: Db) {
    let world = World::new(db).await;
    let made = world.add(world.team, "There", "value").await.id;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    next.retire_root(&operator(), id(ROOT)).await.unwrap();
    assert_refused!(
        world.app.create_team(&operator(), "Orphan").await,
        AppError::RootRetired { .. }
    );
    assert_eq!(world.store.list_teams().await.unwrap().len(), 1);
    // The one that was started with both wraps under the new one alone.
    let team = next.create_team(&operator(), "Fine").await.unwrap().id;
    assert_eq!(slots(&world, ROOT).await, 0);
    assert!(world.store.keys_under_root(id(NEXT)).await.unwrap().len() > 5);
    let alone = start(&world, NEXT, None).await.unwrap();
    let there = world.add_with(&alone, team, "There", "v").await.id;
    assert_eq!(token_of(&alone, there).await.unwrap(), "v");
    assert_eq!(token_of(&alone, made).await.unwrap(), "value");
}

async fn who_may_change_the_root_key(db: Db) {
    let world = World::new(db).await;
    let next = start(&world, NEXT, Some(ROOT)).await.unwrap();
    let admin = world
        .person("team-admin@example.com", world.team, Role::Admin)
        .await;
    let refused = async |ctx: &Ctx| {
        assert_refused!(
            next.retire_root(ctx, id(ROOT)).await,
            AppError::Denied(_) | AppError::NotFound
        );
        assert_refused!(
            next.rewrap_keys(ctx).await,
            AppError::Denied(_) | AppError::NotFound
        );
    };
    refused(&admin.ctx()).await;
    // The administrator of the instance has to prove who they are.
    let first = world
        .sign_in(crate::support::ADMIN, crate::support::PASSWORD, &origin())
        .await
        .unwrap();
    // EXPOSE: the cookie of the test's own session.
    let session = ctx(first.token.expose());
    world.clock.advance_seconds(301);
    assert_refused!(
        next.retire_root(&session, id(ROOT)).await,
        AppError::Denied(nodeloom_domain::policy::Denied::ReauthenticationRequired)
    );
    assert_eq!(slots(&world, ROOT).await, slots(&world, NEXT).await);
}

async fn two_processes_with_the_same_new_key_rewrap_once(db: Db) {
    let world = World::new(db).await;
    let made = world.add(world.team, "There", "value").await.id;
    let (one, two) = tokio::join!(
        start(&world, NEXT, Some(ROOT)),
        start(&world, NEXT, Some(ROOT))
    );
    assert_eq!(token_of(&one.unwrap(), made).await.unwrap(), "value");
    assert_eq!(token_of(&two.unwrap(), made).await.unwrap(), "value");
    assert_eq!(slots(&world, ROOT).await, slots(&world, NEXT).await);
    assert_eq!(actions(&world, "key.rewrap").await, 1);
}
