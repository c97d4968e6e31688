//! A process with an old view of the keys.

use nodeloom_app::{CredentialChange, NewCredential};
use nodeloom_domain::CredentialId;
use serde_json::json;

use crate::support::{Db, World, hex, object, on_both, operator, token_of, x};

on_both!(
    a_process_with_an_old_ring_writes_under_the_new_key,
    the_census_counts_values_by_key,
    key_status_shows_ids_and_no_key,
);

async fn key_of(world: &World, id: CredentialId, generation: u64) -> (String, String) {
    let at = x(id.as_bytes());
    let sql = format!(
        "SELECT key_id, envelope FROM sealed_values \
         WHERE owner_id = {at} AND generation = {generation}"
    );
    let row = world.db.rows(&sql).await.remove(0);
    (hex(row[0].bytes()), hex(&row[1].bytes()[2..10]))
}

async fn a_process_with_an_old_ring_writes_under_the_new_key(db: Db) {
    let world = World::new(db).await;
    let (one, two) = (&world.app, world.other_process().await);
    let first = world.add(world.team, "First", "before").await;
    assert_eq!(
        token_of(&two, first.id).await.unwrap(),
        "before",
        "its ring holds the key"
    );
    let old = world.seal_key(world.team).await.id();
    let at = x(old.as_bytes());
    world
        .db
        .run(&format!(
            "UPDATE data_keys SET state = 'draining' WHERE id = {at}"
        ))
        .await;
    let new = world.add_seal_key(world.team).await.to_string();
    assert_ne!(new, old.to_string());

    for (name, app) in [("Second", &two), ("Third", one)] {
        let data = object(json!({"token": name}));
        let (name_, kind) = (name.to_owned(), "BEARER_TOKEN".into());
        let made = NewCredential {
            team: world.team,
            name: name_,
            kind,
            data,
        };
        let made = app.create_credential(&operator(), made).await.unwrap();
        assert_eq!(key_of(&world, made.id, 1).await, (new.clone(), new.clone()));
        assert_eq!(token_of(one, made.id).await.unwrap(), name);
        assert_eq!(token_of(&two, made.id).await.unwrap(), name);
    }
    let data = Some(object(json!({"token": "after"})));
    let change = CredentialChange {
        data,
        ..Default::default()
    };
    two.update_credential(&operator(), first.id, change)
        .await
        .unwrap();
    assert_eq!(key_of(&world, first.id, 2).await, (new.clone(), new));
    assert_eq!(
        key_of(&world, first.id, 1).await.0,
        old.to_string(),
        "the former stays"
    );
    assert_eq!(token_of(one, first.id).await.unwrap(), "after");
    assert!(!world.doctor().await.needs_attention());
}

async fn the_census_counts_values_by_key(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    for n in 0..3 {
        world.add(world.team, &format!("Mine {n}"), "value").await;
    }
    world.add(other, "Theirs", "value").await;
    let status = world.app.key_status(&operator()).await.unwrap();
    let counted = async |team| {
        let key = world.seal_key(team).await.id().to_string();
        let lines = status.census.iter().filter(|line| line.key_id == key);
        lines
            .map(|line| (line.kind.as_str(), line.state, line.count))
            .collect::<Vec<_>>()
    };
    assert_eq!(counted(world.team).await, [("credential", "ok", 3)]);
    assert_eq!(counted(other).await, [("credential", "ok", 1)]);
}

async fn key_status_shows_ids_and_no_key(db: Db) {
    let world = World::new(db).await;
    let status = world.app.key_status(&operator()).await.unwrap();
    assert_eq!(status.root_id, world.root.id().to_string());
    assert_eq!(status.roots[0].state, "active");
    assert_eq!(status.data_keys.len(), 5);
    assert!(
        status
            .data_keys
            .iter()
            .all(|key| key.has_slot && key.state == "active")
    );
    let text = serde_json::to_string(&status).unwrap();
    for (_, material) in world.all_keys().await {
        assert!(!text.contains(&hex(material.expose())));
    }
}
