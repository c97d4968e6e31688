//! People, sessions, set-up codes, counters, processes.

use nodeloom_crypto::RootId;
use nodeloom_domain::{
    Email, Role, SessionId, SetupId, TeamId, UserId,
    policy::{self, Action, Resource},
};
use nodeloom_store::{ProcessRow, SessionRow, SetupCodeRow, StoreError, TeamRow};

use crate::harness::{Db, NOW, World, event, may, on_both, user_row};

on_both!(
    people_and_teams,
    sessions,
    sessions_expire,
    setup_codes_work_once,
    failures_are_counted_in_a_window,
    processes,
    odd_texts,
    a_team_is_changed_by_its_own_permits_alone,
);

async fn people_and_teams(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    assert!(store.instance().await.unwrap().is_some());
    assert_eq!(store.count_users().await.unwrap(), 1);
    let email = Email::parse("Ada@Example.com").unwrap();
    let user = store.find_user_by_email(&email).await.unwrap().unwrap();
    assert_eq!(user, user_row(world.user, "ada@example.com"));
    assert_eq!(store.find_user(world.user).await.unwrap().unwrap(), user);
    assert!(!format!("{user:?}").contains("argon2"));
    assert!(
        store
            .find_user(UserId::generate(NOW))
            .await
            .unwrap()
            .is_none()
    );
    let memberships = store.memberships_of(world.user).await.unwrap();
    assert_eq!(memberships.len(), 1);
    assert_eq!(
        (memberships[0].team, memberships[0].role),
        (world.team, Role::Admin)
    );
    assert_eq!(store.list_teams().await.unwrap()[0].name, "Default");

    let admin = policy::first_admin(0).unwrap();
    let mut tx = store.begin().await.unwrap();
    let twin = user_row(UserId::generate(NOW), "ada@example.com");
    let error = tx.insert_user(&admin, &twin).await.unwrap_err();
    assert!(error.is_duplicate_in("users"), "{error:?}");
    drop(tx);

    let mut tx = store.begin().await.unwrap();
    let twin = TeamRow {
        id: TeamId::generate(NOW),
        name: "Default".into(),
        created_at: NOW,
    };
    let error = tx.insert_team(&admin, &twin).await.unwrap_err();
    assert!(error.is_duplicate_in("teams"), "{error:?}");
    drop(tx);

    let mut tx = store.begin().await.unwrap();
    let twin = user_row(UserId::generate(NOW), "b@example.com");
    let error = tx
        .insert_user(&policy::housekeeping(), &twin)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let error = tx
        .set_password_hash(&policy::signed_in(twin.id), world.user, "$new", NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let mine = policy::signed_in(world.user);
    assert!(
        tx.set_password_hash(&mine, world.user, "$new", NOW)
            .await
            .unwrap()
    );
    // A sign-in makes a hash stronger; it chooses no other password.
    let error = tx
        .change_password(&mine, world.user, "$other", NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let error = tx
        .note_sign_in(&policy::signed_in(twin.id), world.user, NOW)
        .await;
    assert!(matches!(error, Err(StoreError::PermitMismatch(_))));
    tx.note_sign_in(&mine, world.user, NOW.plus_seconds(9))
        .await
        .unwrap();
    tx.note_sign_in(&mine, world.user, NOW).await.unwrap();
    tx.commit(&event("user.rehash"), &world.chain)
        .await
        .unwrap();
    assert_eq!(
        store
            .find_user(world.user)
            .await
            .unwrap()
            .unwrap()
            .password_hash,
        "$new"
    );
}

fn session(world: &World) -> SessionRow {
    SessionRow {
        id: SessionId::generate(NOW),
        user_id: world.user,
        tag: [3; 32],
        index_key_id: world.index,
        created_at: NOW,
        last_seen_at: NOW,
        authenticated_at: NOW,
        address: Some("10.0.0.1".into()),
        user_agent: None,
    }
}

async fn sessions(db: Db) {
    let world = World::new(db).await;
    let mine = policy::signed_in(world.user);
    let (one, two) = (session(&world), session(&world));
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_session(&mine, &one).await.unwrap();
    tx.insert_session(&mine, &two).await.unwrap();
    let other = policy::signed_in(UserId::generate(NOW));
    let error = tx
        .insert_session(&other, &session(&world))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let seen = tx.session_with_user(one.id).await.unwrap().unwrap();
    assert_eq!(seen.session, one);
    tx.commit(&event("session.create"), &world.chain)
        .await
        .unwrap();

    let seen = world
        .store
        .session_with_user(one.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.session, one);
    assert_eq!(seen.user.email, "ada@example.com");
    assert_eq!(seen.memberships[0].team_name, "Default");
    assert!(
        world
            .store
            .session_with_user(SessionId::generate(NOW))
            .await
            .unwrap()
            .is_none()
    );

    let mut tx = world.store.begin().await.unwrap();
    assert!(
        tx.touch_session(one.id, NOW.plus_seconds(60))
            .await
            .unwrap()
    );
    assert!(
        !tx.touch_session(one.id, NOW.plus_seconds(30))
            .await
            .unwrap(),
        "never backwards"
    );
    tx.commit_unaudited("last use of a session").await.unwrap();
    let seen = world
        .store
        .session_with_user(one.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.session.last_seen_at, NOW.plus_seconds(60));

    let mut tx = world.store.begin().await.unwrap();
    let error = tx.delete_session(&other, one.id).await.unwrap_err();
    assert!(matches!(error, StoreError::PermitMismatch(_)));
    let end = may(Action::SessionEnd, Resource::User(world.user));
    assert!(tx.delete_session(&end, one.id).await.unwrap());
    assert!(!tx.delete_session(&end, one.id).await.unwrap());
    assert_eq!(tx.delete_sessions_of(&end, world.user).await.unwrap(), 1);
    tx.commit(&event("session.end"), &world.chain)
        .await
        .unwrap();
    assert!(
        world
            .store
            .sessions_of(world.user)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn sessions_expire(db: Db) {
    let world = World::new(db).await;
    let mine = policy::signed_in(world.user);
    let (mut old, mut idle, mut live) = (session(&world), session(&world), session(&world));
    old.created_at = NOW.plus_seconds(-100);
    idle.last_seen_at = NOW.plus_seconds(-100);
    live.last_seen_at = NOW.plus_seconds(5);
    let mut tx = world.store.begin().await.unwrap();
    for row in [&old, &idle, &live] {
        tx.insert_session(&mine, row).await.unwrap();
    }
    let cut = NOW.plus_seconds(-50);
    let keeper = policy::housekeeping();
    assert_eq!(
        tx.delete_expired_sessions(&keeper, cut, cut).await.unwrap(),
        2
    );
    tx.commit(&event("session.expire"), &world.chain)
        .await
        .unwrap();
    assert_eq!(world.store.sessions_of(world.user).await.unwrap(), [live]);
}

async fn setup_codes_work_once(db: Db) {
    let world = World::new(db).await;
    let admin = policy::first_admin(0).unwrap();
    let code = SetupCodeRow {
        id: SetupId::generate(NOW),
        tag: [5; 32],
        index_key_id: world.index,
        created_at: NOW,
        expires_at: NOW.plus_seconds(3600),
        used_at: None,
    };
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_setup_code(&policy::housekeeping(), &code)
        .await
        .unwrap();
    assert_eq!(tx.find_setup_code(code.id).await.unwrap().unwrap(), code);
    let late = NOW.plus_seconds(3600);
    assert!(
        !tx.use_setup_code(&admin, code.id, late).await.unwrap(),
        "expired"
    );
    assert!(tx.use_setup_code(&admin, code.id, NOW).await.unwrap());
    assert!(
        !tx.use_setup_code(&admin, code.id, NOW).await.unwrap(),
        "used"
    );
    tx.commit(&event("setup.use"), &world.chain).await.unwrap();
    let used = world.store.find_setup_code(code.id).await.unwrap().unwrap();
    assert_eq!(used.used_at, Some(NOW));
    let mut tx = world.store.begin().await.unwrap();
    assert_eq!(tx.delete_setup_codes(&admin).await.unwrap(), 1);
}

async fn failures_are_counted_in_a_window(db: Db) {
    let world = World::new(db).await;
    let store = &world.store;
    let subject = [1; 32];
    for expected in 1..=3 {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(
            tx.record_failure(&subject, NOW, 60).await.unwrap(),
            expected
        );
        tx.commit_unaudited("a failed sign-in").await.unwrap();
    }
    assert_eq!(
        store
            .failures(&subject, NOW.plus_seconds(59), 60)
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        store
            .failures(&subject, NOW.plus_seconds(60), 60)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.failures(&[2; 32], NOW, 60).await.unwrap(), 0);
    let mut tx = store.begin().await.unwrap();
    let later = NOW.plus_seconds(60);
    assert_eq!(
        tx.record_failure(&subject, later, 60).await.unwrap(),
        1,
        "a new window"
    );
    tx.clear_failures(&subject).await.unwrap();
    assert_eq!(tx.record_failure(&subject, later, 60).await.unwrap(), 1);
    let keeper = policy::housekeeping();
    let end = NOW.plus_seconds(120);
    assert_eq!(tx.delete_stale_failures(&keeper, end, 10).await.unwrap(), 1);
}

async fn processes(db: Db) {
    let world = World::new(db).await;
    let keeper = policy::housekeeping();
    let mut process = ProcessRow {
        id: [4; 16],
        host: "h".into(),
        pid: 42,
        roots: vec![world.root, RootId::from_bytes([0xab; 8])],
        started_at: NOW,
        last_seen_at: NOW,
    };
    let mut tx = world.store.begin().await.unwrap();
    tx.upsert_process(&keeper, &process).await.unwrap();
    process.last_seen_at = NOW.plus_seconds(5);
    process.roots.pop();
    tx.upsert_process(&keeper, &process).await.unwrap();
    tx.commit_unaudited("a sign of life").await.unwrap();
    assert_eq!(world.store.list_processes(NOW).await.unwrap(), [process]);
    assert!(
        world
            .store
            .list_processes(NOW.plus_seconds(6))
            .await
            .unwrap()
            .is_empty()
    );
    let mut tx = world.store.begin().await.unwrap();
    tx.delete_process(&keeper, &[4; 16]).await.unwrap();
    assert_eq!(
        tx.delete_silent_processes(&keeper, NOW.plus_seconds(9))
            .await
            .unwrap(),
        0
    );
}

/// Empty texts stay empty and are not NULL; a NUL fails and says so without the text.
async fn odd_texts(db: Db) {
    let world = World::new(db).await;
    let admin = policy::first_admin(0).unwrap();
    let mut row = user_row(UserId::generate(NOW), "b@example.com");
    row.first_name = String::new();
    row.last_name = "Žluťoučký 🐎 kůň".into();
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_user(&admin, &row).await.unwrap();
    assert_eq!(tx.find_user(row.id).await.unwrap().unwrap(), row);
    if !world.db.is_sqlite() {
        row.id = UserId::generate(NOW);
        row.first_name = "secret\0text".into();
        let error = tx.insert_user(&admin, &row).await.unwrap_err();
        assert!(!format!("{error:?}{error}").contains("secret"));
    }
}

async fn a_team_is_changed_by_its_own_permits_alone(db: Db) {
    let world = World::new(db).await;
    let (store, team, user) = (&world.store, world.team, world.user);
    let other = TeamId::generate(NOW);
    let grant = may(Action::MemberGrant, Resource::Team(team));
    let elsewhere = may(Action::MemberGrant, Resource::Team(other));
    let removal = may(Action::MemberRemove, Resource::Team(team));
    let deletion = may(Action::TeamDelete, Resource::Team(team));
    let mut tx = store.begin().await.unwrap();
    for refused in [
        tx.set_role(&elsewhere, team, user, Role::Viewer)
            .await
            .map(drop),
        tx.set_role(&removal, team, user, Role::Viewer)
            .await
            .map(drop),
        tx.delete_membership(&grant, team, user, NOW)
            .await
            .map(drop),
        tx.rename_team(&grant, team, "x", NOW).await.map(drop),
        tx.delete_team(&grant, team, NOW).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::PermitMismatch(_))));
    }
    assert_eq!(tx.other_admins(team, user).await.unwrap(), 0);
    assert_eq!(
        tx.other_admins(team, UserId::generate(NOW)).await.unwrap(),
        1
    );
    assert!(tx.set_role(&grant, team, user, Role::Viewer).await.unwrap());
    let membership = tx.find_membership(team, user).await.unwrap().unwrap();
    assert_eq!(membership.role, Role::Viewer);
    tx.commit(&event("member.grant"), &world.chain)
        .await
        .unwrap();
    let members = store.members_of(team).await.unwrap();
    assert_eq!((members[0].user_id, members[0].role), (user, Role::Viewer));

    world.add("Mail").await;
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.lock_team(team).await.unwrap().unwrap().name, "Default");
    let gone = tx.delete_team(&deletion, team, NOW).await.unwrap();
    assert_eq!(
        (gone.credentials, gone.values, gone.keys, gone.members),
        (1, 1, 1, 1)
    );
    assert!(tx.lock_team(team).await.unwrap().is_none());
    tx.commit(&event("team.delete"), &world.chain)
        .await
        .unwrap();
    assert!(store.scrub().await.unwrap());
    assert!(store.find_team(team).await.unwrap().is_none());
    assert!(store.list_teams().await.unwrap().is_empty());
    assert!(store.slots_of(world.seal).await.unwrap().is_empty());
    assert!(!store.slots_of(world.index).await.unwrap().is_empty());
}
