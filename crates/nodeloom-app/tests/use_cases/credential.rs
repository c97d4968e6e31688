//! Storing, merging, deleting: what is written, and that a refusal writes nothing.

use nodeloom_app::{AppError, CredentialChange, CredentialView, ListCredentials, NewCredential};
use nodeloom_domain::{CredentialId, TeamId, Timestamp};
use serde_json::{Value, json};

use crate::support::{Db, World, assert_refused, fields_of, object, on_both, operator, reveal, x};

on_both!(
    a_change_replaces_removes_and_keeps,
    a_new_generation_keeps_the_former_value,
    a_new_name_makes_no_generation,
    a_refused_change_writes_nothing,
    an_unknown_field_is_refused_without_opening,
    a_stale_change_or_deletion_writes_nothing,
    a_name_belongs_to_one_credential_of_a_team,
    a_refused_creation_writes_nothing,
    eight_writers_lose_no_update,
    eight_compare_and_swaps_count_to_eight,
    eight_creations_of_one_name_make_one,
    an_unreadable_value_is_replaced_only_as_a_whole,
    a_deleted_credential_opens_for_nobody_and_frees_its_name,
    one_mebibyte_is_stored_and_one_byte_more_is_not,
    masks_and_lists_hold_no_value,
);

const LIMIT: usize = 1 << 20;

async fn add_postgresql(world: &World) -> CredentialView {
    let data = json!({
        "host": "db.example.com", "port": 5432, "database": "app",
        "username": "app", "password": "first-password"
    });
    let (name, kind) = ("Database".into(), "POSTGRESQL".into());
    let new = NewCredential {
        team: world.team,
        name,
        kind,
        data: object(data),
    };
    world.app.create_credential(&operator(), new).await.unwrap()
}

async fn sealed(world: &World, id: CredentialId) -> Vec<(i64, Vec<u8>)> {
    let at = x(id.as_bytes());
    let sql = format!(
        "SELECT generation, envelope FROM sealed_values WHERE owner_id = {at} ORDER BY generation"
    );
    let rows = world.db.rows(&sql).await;
    rows.iter()
        .map(|row| (row[0].int(), row[1].bytes().to_vec()))
        .collect()
}

fn rename(name: &str) -> CredentialChange {
    CredentialChange {
        name: Some(name.into()),
        ..Default::default()
    }
}

async fn a_change_replaces_removes_and_keeps(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    let change = json!({"password": "second-password", "port": null, "sslMode": "require"});
    let view = world.update(&operator(), id, change).await.unwrap();
    let fields: Vec<&String> = view.fields.keys().collect();
    assert_eq!(
        fields,
        ["database", "host", "password", "sslMode", "username"]
    );
    assert_eq!(
        world.reveal(id).await.unwrap(),
        json!({
            "host": "db.example.com", "database": "app", "username": "app",
            "password": "second-password", "sslMode": "require"
        })
    );
}

async fn a_new_generation_keeps_the_former_value(db: Db) {
    let world = World::new(db).await;
    let first = add_postgresql(&world).await;
    let before = sealed(&world, first.id).await;
    world.clock.advance_seconds(5);
    let second = world
        .update(&operator(), first.id, json!({"password": "next"}))
        .await
        .unwrap();
    assert_eq!((first.generation, first.revision), (1, 1));
    assert_eq!((second.generation, second.revision), (2, 2));
    assert_eq!(second.updated_at, world.clock.now());
    let after = sealed(&world, first.id).await;
    assert_eq!(after.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(after[0], before[0], "the former envelope is untouched");
    let versions = world.store.credential_versions(first.id).await.unwrap();
    assert_eq!(
        versions.iter().map(|v| v.generation).collect::<Vec<_>>(),
        [2, 1]
    );
}

async fn a_new_name_makes_no_generation(db: Db) {
    let world = World::new(db).await;
    let first = add_postgresql(&world).await;
    let before = sealed(&world, first.id).await;
    let change = rename("  Production   database ");
    let view = world
        .app
        .update_credential(&operator(), first.id, change)
        .await
        .unwrap();
    assert_eq!((view.generation, view.revision), (1, 2));
    assert_eq!(sealed(&world, first.id).await, before);
    assert_eq!(world.names(world.team).await, ["Production   database"]);
    let search = async |search: &str| {
        let list = ListCredentials {
            team: world.team,
            kind: None,
            search: Some(search.into()),
            page: 0,
            size: 10,
            ..ListCredentials::of(world.team)
        };
        world
            .app
            .list_credentials(&operator(), list)
            .await
            .unwrap()
            .total
    };
    assert_eq!(
        (
            search("prod").await,
            search("data").await,
            search("zzz").await
        ),
        (1, 1, 0)
    );
    let sql = "SELECT detail FROM audit_events ORDER BY sequence DESC LIMIT 1";
    let detail: Value = serde_json::from_str(world.db.one(sql).await.text()).unwrap();
    assert_eq!(detail["formerName"], "Database");
}

async fn a_refused_change_writes_nothing(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    let before = world.db.dump().await;
    for (change, field) in [
        (json!({"passwort": "x"}), "data.passwort unknown"),
        (json!({"password": null}), "data.password required"),
        (json!({"port": 70_000}), "data.port range"),
        (json!({"username": 7}), "data.username type"),
        (json!({"password": ""}), "data.password empty"),
        (json!({"sslMode": "perhaps"}), "data.sslMode one-of"),
    ] {
        let error = world.update(&operator(), id, change).await.unwrap_err();
        assert_eq!(fields_of(error), [field.to_owned()].into());
    }
    let error = world
        .app
        .update_credential(&operator(), id, rename(""))
        .await
        .unwrap_err();
    assert!(
        fields_of(error)
            .iter()
            .all(|field| field.starts_with("name "))
    );
    assert_eq!(world.db.dump().await, before);
}

async fn an_unknown_field_is_refused_without_opening(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    let broken = format!("UPDATE sealed_values SET envelope = {}", x(&[1, 1, 0]));
    world.db.run(&broken).await;
    let before = world.db.dump().await;
    let error = world
        .update(&operator(), id, json!({"passwort": "x"}))
        .await
        .unwrap_err();
    assert_eq!(
        fields_of(error),
        ["data.passwort unknown".to_owned()].into()
    );
    assert_eq!(world.db.dump().await, before);
}

async fn a_stale_change_or_deletion_writes_nothing(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    world
        .update(&operator(), id, json!({"password": "second"}))
        .await
        .unwrap();
    let before = world.db.dump().await;
    for expected in [vec![], vec![1], vec![3, 9]] {
        let expected = Some(expected);
        let change = CredentialChange {
            name: Some("Other".into()),
            data: Some(object(json!({"password": "third"}))),
            expected_revision: expected.clone(),
            ..Default::default()
        };
        let changed = world.app.update_credential(&operator(), id, change).await;
        assert_refused!(changed, AppError::Stale { current: 2 });
        let deleted = world.app.delete_credential(&operator(), id, expected).await;
        assert_refused!(deleted, AppError::Stale { current: 2 });
    }
    assert_eq!(world.db.dump().await, before);
    let mut change = rename("Other");
    change.expected_revision = Some(vec![1, 2]);
    let view = world
        .app
        .update_credential(&operator(), id, change)
        .await
        .unwrap();
    assert_eq!(view.revision, 3);
    world
        .app
        .delete_credential(&operator(), id, Some(vec![3]))
        .await
        .unwrap();
}

async fn a_name_belongs_to_one_credential_of_a_team(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    world.add(world.team, "Mail", "one").await;
    let second = world.add(world.team, "Chat", "two").await;
    world.add(other, "Mail", "another team may").await;
    let before = world.db.dump().await;
    let taken = |name: &str| name == "Mail";
    for name in ["Mail", "  Mail "] {
        let again = world.create(&operator(), world.team, name, "three").await;
        assert_refused!(again, AppError::NameTaken { name } if taken(&name));
    }
    let mut change = rename("Mail");
    change.data = Some(object(json!({"token": "four"})));
    let renamed = world
        .app
        .update_credential(&operator(), second.id, change)
        .await;
    assert_refused!(renamed, AppError::NameTaken { name } if taken(&name));
    assert_eq!(world.db.dump().await, before, "something was half written");
    assert_eq!(world.token_of(second.id).await.unwrap(), "two");
}

async fn a_refused_creation_writes_nothing(db: Db) {
    let world = World::new(db).await;
    let before = world.db.dump().await;
    let create = async |name: &str, kind: &str, data: Value| {
        let (name, kind) = (name.into(), kind.into());
        let new = NewCredential {
            team: world.team,
            name,
            kind,
            data: object(data),
        };
        fields_of(
            world
                .app
                .create_credential(&operator(), new)
                .await
                .unwrap_err(),
        )
    };
    let refused = create("", "NO_SUCH_TYPE", json!({})).await;
    assert_eq!(
        refused.len(),
        2,
        "name and type are named together: {refused:?}"
    );
    assert!(refused.contains("type unknown"), "{refused:?}");
    let refused = create("Mail", "HTTP_BASIC", json!({"user": "x", "password": 5})).await;
    let all = [
        "data.password type",
        "data.user unknown",
        "data.username required",
    ];
    assert_eq!(refused.iter().collect::<Vec<_>>(), all);
    assert_eq!(world.db.dump().await, before);
}

/// Runs eight calls at once.
async fn eight<T: Send + 'static, F>(call: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..8).map(|n| tokio::spawn(call(n))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

async fn eight_writers_lose_no_update(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    let changes = [
        json!({"host": "h.example.com"}),
        json!({"port": 6543}),
        json!({"database": "d"}),
        json!({"username": "u"}),
        json!({"password": "p"}),
        json!({"sslMode": "require"}),
        json!({"host": "h.example.com"}),
        json!({"password": "p"}),
    ];
    let app = &world.app;
    let done = eight(|n| {
        let (app, data) = (app.clone(), Some(object(changes[n].clone())));
        async move {
            let change = CredentialChange {
                data,
                ..Default::default()
            };
            app.update_credential(&operator(), id, change)
                .await
                .map(|view| view.revision)
        }
    })
    .await;
    let mut revisions: Vec<u64> = done.into_iter().map(Result::unwrap).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=9).collect::<Vec<_>>(), "gaps or doubles");
    assert_eq!(
        world.reveal(id).await.unwrap(),
        json!({
            "host": "h.example.com", "port": 6543, "database": "d", "username": "u",
            "password": "p", "sslMode": "require"
        })
    );
    let generations: Vec<i64> = sealed(&world, id).await.iter().map(|(n, _)| *n).collect();
    assert_eq!(generations, (1..=9).collect::<Vec<_>>());
    assert!(!world.doctor().await.needs_attention());
}

async fn eight_compare_and_swaps_count_to_eight(db: Db) {
    let world = World::new(db).await;
    let (name, kind) = ("Counter".into(), "CUSTOM_JSON".into());
    let data = object(json!({"json": 0}));
    let new = NewCredential {
        team: world.team,
        name,
        kind,
        data,
    };
    let id = world
        .app
        .create_credential(&operator(), new)
        .await
        .unwrap()
        .id;
    let app = &world.app;
    let stale: usize = eight(|_| {
        let app = app.clone();
        async move {
            let mut stale = 0;
            loop {
                let revision = app.credential(&operator(), id).await.unwrap().revision;
                let n = reveal(&app, &operator(), id).await.unwrap()["json"]
                    .as_u64()
                    .unwrap();
                let change = CredentialChange {
                    data: Some(object(json!({"json": n + 1}))),
                    expected_revision: Some(vec![revision]),
                    ..Default::default()
                };
                match app.update_credential(&operator(), id, change).await {
                    Ok(view) => {
                        assert_eq!(view.revision, revision + 1);
                        return stale;
                    }
                    Err(AppError::Stale { current }) => {
                        assert!(current > revision);
                        stale += 1;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    })
    .await
    .into_iter()
    .sum();
    assert_eq!(
        world.reveal(id).await.unwrap(),
        json!({"json": 8}),
        "{stale} were stale"
    );
    assert_eq!(
        world
            .app
            .credential(&operator(), id)
            .await
            .unwrap()
            .revision,
        9
    );
}

async fn eight_creations_of_one_name_make_one(db: Db) {
    let world = World::new(db).await;
    let (app, team) = (&world.app, world.team);
    let done = eight(|n| {
        let app = app.clone();
        async move {
            let (name, kind) = ("Mail".into(), "BEARER_TOKEN".into());
            let data = object(json!({"token": format!("value-{n}")}));
            let new = NewCredential {
                team,
                name,
                kind,
                data,
            };
            app.create_credential(&operator(), new)
                .await
                .map(|view| (n, view.id))
        }
    })
    .await;
    let made: Vec<_> = done
        .iter()
        .filter_map(|result| result.as_ref().ok())
        .collect();
    let [(n, id)] = made.as_slice() else {
        panic!("{done:?}")
    };
    assert_eq!(world.token_of(*id).await.unwrap(), format!("value-{n}"));
    for other in done {
        assert!(
            matches!(other, Ok(_) | Err(AppError::NameTaken { .. })),
            "{other:?}"
        );
    }
    for table in [
        "credentials",
        "sealed_values",
        "credential_versions",
        "credential_words",
    ] {
        assert_eq!(world.db.count(table).await, 1, "{table}");
    }
}

async fn an_unreadable_value_is_replaced_only_as_a_whole(db: Db) {
    let world = World::new(db).await;
    let id = add_postgresql(&world).await.id;
    let mut bad = sealed(&world, id).await.remove(0).1;
    bad[60] ^= 1;
    world
        .db
        .run(&format!("UPDATE sealed_values SET envelope = {}", x(&bad)))
        .await;
    let before = world.db.dump().await;
    let partial = world
        .update(&operator(), id, json!({"password": "next"}))
        .await;
    assert_refused!(partial, AppError::Quarantined);
    assert_eq!(
        world.db.dump_records().await.get("credentials"),
        before.get("credentials")
    );
    assert_eq!(sealed(&world, id).await, [(1, bad.clone())]);
    let whole = json!({"host": "db", "database": "app", "username": "u", "password": "next"});
    let view = world.update(&operator(), id, whole.clone()).await.unwrap();
    assert_eq!((view.generation, view.revision), (2, 2));
    assert_eq!(world.reveal(id).await.unwrap(), whole);
    assert_eq!(
        sealed(&world, id).await[0],
        (1, bad),
        "the unreadable one is kept as it is"
    );
    let states = world
        .db
        .rows("SELECT state FROM sealed_values ORDER BY generation")
        .await;
    let states: Vec<&str> = states.iter().map(|row| row[0].text()).collect();
    assert_eq!(states, ["quarantined", "ok"]);
    let sql = "SELECT detail FROM audit_events WHERE action = 'credential.update' \
        AND outcome = 'success'";
    let detail: Value = serde_json::from_str(world.db.one(sql).await.text()).unwrap();
    assert_eq!(detail["replacesUnreadable"], true);
    // Without any stored value, too.
    world
        .db
        .run("DELETE FROM sealed_values WHERE generation = 2")
        .await;
    let partial = world
        .update(&operator(), id, json!({"password": "later"}))
        .await;
    assert_refused!(partial, AppError::Quarantined);
    assert_eq!(
        world
            .update(&operator(), id, whole)
            .await
            .unwrap()
            .generation,
        3
    );
}

async fn a_deleted_credential_opens_for_nobody_and_frees_its_name(db: Db) {
    let world = World::new(db).await;
    let first = world.add(world.team, "Mail", "one").await;
    let kept = world.add(world.team, "Chat", "kept").await;
    world
        .update(&operator(), first.id, json!({"token": "two"}))
        .await
        .unwrap();
    world
        .app
        .delete_credential(&operator(), first.id, None)
        .await
        .unwrap();
    assert_eq!(
        sealed(&world, first.id).await.len(),
        2,
        "until it is purged"
    );
    assert_refused!(world.reveal(first.id).await, AppError::NotFound);
    assert_refused!(
        world
            .app
            .delete_credential(&operator(), first.id, None)
            .await,
        AppError::NotFound
    );
    assert_eq!(world.names(world.team).await, ["Chat"]);
    let again = world.add(world.team, "Mail", "three").await;
    assert_ne!(again.id, first.id);
    assert_eq!(world.token_of(again.id).await.unwrap(), "three");
    assert_eq!(world.token_of(kept.id).await.unwrap(), "kept");
    assert!(!world.doctor().await.needs_attention());
}

async fn one_mebibyte_is_stored_and_one_byte_more_is_not(db: Db) {
    let world = World::new(db).await;
    let frame = json!({"token": ""}).to_string().len();
    let largest = "a".repeat(LIMIT - frame);
    let view = world.add(world.team, "Largest", &largest).await;
    assert_eq!(world.token_of(view.id).await.unwrap(), largest);
    assert_eq!(sealed(&world, view.id).await[0].1.len(), LIMIT + 50);
    let before = world.db.dump().await;
    let larger = format!("{largest}a");
    let created = world
        .create(&operator(), world.team, "Larger", &larger)
        .await;
    assert_refused!(created, AppError::TooLarge { max_bytes: LIMIT });
    let updated = world
        .update(&operator(), view.id, json!({"token": larger}))
        .await;
    assert_refused!(updated, AppError::TooLarge { max_bytes: LIMIT });
    assert_eq!(world.db.dump().await, before);
    // What counts is the text that is sealed, escapes included.
    let escaped = "\"".repeat((LIMIT - frame) / 2 + 1);
    let created = world
        .create(&operator(), world.team, "Escaped", &escaped)
        .await;
    assert_refused!(created, AppError::TooLarge { max_bytes: LIMIT });
}

async fn masks_and_lists_hold_no_value(db: Db) {
    let world = World::new(db).await;
    let short = world.add(world.team, "Short", "s").await;
    let long = world
        .add(world.team, "Long", &"very-long-value".repeat(100))
        .await;
    assert_eq!(
        short.fields, long.fields,
        "a mask tells nothing of the length"
    );
    let list = ListCredentials {
        team: world.team,
        kind: None,
        search: None,
        page: 0,
        size: 10,
        ..ListCredentials::of(world.team)
    };
    let listed = world.app.list_credentials(&operator(), list).await.unwrap();
    let text = serde_json::to_string(&listed.items).unwrap() + &format!("{listed:?}");
    assert!(!text.contains("very-long-value"));
    let nowhere = CredentialId::generate(Timestamp::from_micros(1));
    assert_refused!(
        world.app.credential(&operator(), nowhere).await,
        AppError::NotFound
    );
    let found = async |team: TeamId, name: &str| {
        world
            .app
            .find_credential_by_name(&operator(), team, name)
            .await
            .map(|view| view.id)
    };
    assert_eq!(found(world.team, "Long").await.unwrap(), long.id);
    assert_refused!(found(world.team, "long").await, AppError::NotFound);
}
