//! What happens to a credential after it was stored: attributes, versions, deletion, use, tests.

use std::time::Duration;

use nodeloom_app::{
    AppError, AttributeChange, ConnectionTester, CredentialChange, NewCredential, TestFinding,
    TestRequest, Testing,
};
use nodeloom_domain::{CredentialId, Role, policy::Denied};
use serde_json::{Value, json};

use crate::support::{Db, NOW, World, assert_refused, object, on_both, operator, reveal, token_of};

on_both!(
    attributes_are_checked_and_kept,
    an_owner_is_an_active_member,
    a_restricted_credential_is_never_shown_again,
    whoever_moves_a_destination_names_the_secret,
    versions_say_what_differs_and_can_be_restored,
    a_deleted_credential_comes_back_or_is_destroyed,
    who_may_undelete_and_purge,
    old_deletions_are_purged_by_age,
    uses_are_counted_by_who,
    a_test_is_recorded_before_and_after,
    a_test_of_replaced_values_is_not_stored,
    what_does_not_open_is_not_tested,
    an_expired_credential_says_so_when_it_is_used,
);

fn said(change: AttributeChange) -> CredentialChange {
    CredentialChange {
        attributes: change,
        ..Default::default()
    }
}

fn rules(error: AppError) -> Vec<String> {
    match error {
        AppError::Invalid(errors) => errors
            .0
            .iter()
            .map(|error| format!("{} {}", error.field, error.rule))
            .collect(),
        other => panic!("{other:?}"),
    }
}

async fn events(world: &World, action: &str) -> Vec<(String, Value)> {
    let sql = format!(
        "SELECT outcome, detail FROM audit_events WHERE action = '{action}' ORDER BY sequence"
    );
    world
        .db
        .rows(&sql)
        .await
        .iter()
        .map(|row| {
            let detail = serde_json::from_str(row[1].text()).unwrap();
            (row[0].text().to_owned(), detail)
        })
        .collect()
}

async fn attributes_are_checked_and_kept(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let hostile = "Robert'); DROP TABLE credentials;-- <script>alert(1)</script>";
    let new = NewCredential {
        team: world.team,
        name: "Mail".into(),
        kind: "BEARER_TOKEN".into(),
        data: object(json!({"token": "one"})),
    };
    let attributes = AttributeChange {
        owner: Some(Some(admin.id)),
        notes: Some(format!("{hostile}\nline two")),
        tags: Some(vec![hostile[..40].into(), "Prod".into(), "prod".into()]),
        hosts: Some(vec!["API.Example.com".into(), "*.example.org".into()]),
        restricted: None,
        expires_at: Some(Some(NOW.plus_seconds(60))),
        rotate_by: Some(Some(NOW)),
    };
    let view = world
        .app
        .create_credential_with(&operator(), new, attributes)
        .await
        .unwrap();
    assert_eq!(view.owner_name.as_deref(), Some("Ada L"));
    assert_eq!(view.notes, format!("{hostile}\nline two"));
    assert_eq!(view.tags, [&hostile[..40], "Prod"]);
    assert_eq!(view.hosts, ["api.example.com", "*.example.org"]);
    let read = world.app.credential(&operator(), view.id).await.unwrap();
    assert_eq!(read.rotate_by, Some(NOW));

    let before = world.db.dump().await;
    let bad = AttributeChange {
        notes: Some("\u{1}".into()),
        tags: Some(vec!["a\u{202e}".into()]),
        hosts: Some(vec!["http://evil".into()]),
        ..Default::default()
    };
    let refused = world
        .app
        .update_credential(&operator(), view.id, said(bad))
        .await;
    assert_eq!(
        rules(refused.unwrap_err()),
        [
            "notes control-character",
            "tags control-character",
            "hosts host"
        ]
    );
    let megabyte = "x".repeat(1 << 20);
    for bad in [
        AttributeChange {
            notes: Some(megabyte.clone()),
            ..Default::default()
        },
        AttributeChange {
            tags: Some(vec![megabyte]),
            ..Default::default()
        },
    ] {
        let refused = world
            .app
            .update_credential(&operator(), view.id, said(bad))
            .await;
        assert!(rules(refused.unwrap_err())[0].ends_with("too-long"));
    }
    assert_eq!(world.db.dump().await, before);

    let clear = AttributeChange {
        owner: Some(None),
        notes: Some(String::new()),
        tags: Some(vec![]),
        expires_at: Some(None),
        ..Default::default()
    };
    let view = world
        .app
        .update_credential(&operator(), view.id, said(clear))
        .await
        .unwrap();
    assert_eq!(
        (view.owner_id, view.notes.as_str(), view.tags.len()),
        (None, "", 0)
    );
    assert_eq!((view.revision, view.generation), (2, 1));
    let told = &events(&world, "credential.update").await[0].1;
    assert_eq!(
        told["attributes"],
        json!(["ownerId", "notes", "tags", "expiresAt"])
    );
    assert!(!told.to_string().contains("Prod"), "names alone: {told}");
}

async fn an_owner_is_an_active_member(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let stranger = world.person("s@example.com", other, Role::Admin).await;
    let id = world.add(world.team, "Mail", "one").await.id;
    let give = AttributeChange {
        owner: Some(Some(stranger.id)),
        ..Default::default()
    };
    let refused = world
        .app
        .update_credential(&operator(), id, said(give))
        .await;
    assert_eq!(rules(refused.unwrap_err()), ["ownerId member"]);
}

async fn a_restricted_credential_is_never_shown_again(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let id = world.add(world.team, "Mail", "one").await.id;
    let restrict = |restricted| {
        said(AttributeChange {
            restricted: Some(restricted),
            ..Default::default()
        })
    };
    world
        .app
        .update_credential(&operator(), id, restrict(true))
        .await
        .unwrap();
    for ctx in [operator(), admin.ctx()] {
        assert_refused!(
            reveal(&world.app, &ctx, id).await,
            AppError::Denied(Denied::Restricted)
        );
        let freed = world.app.update_credential(&ctx, id, restrict(false)).await;
        assert_eq!(rules(freed.unwrap_err()), ["restricted final"]);
    }
    assert_eq!(
        events(&world, "credential.reveal").await.len(),
        2,
        "refusals are told"
    );
    // It can be replaced, restored, deleted and brought back, and stays restricted.
    world
        .update(&operator(), id, json!({"token": "two"}))
        .await
        .unwrap();
    world
        .app
        .restore_credential(&operator(), id, 1, None)
        .await
        .unwrap();
    world
        .app
        .delete_credential(&operator(), id, None)
        .await
        .unwrap();
    world
        .app
        .undelete_credential(&operator(), id, None, None)
        .await
        .unwrap();
    assert_refused!(
        reveal(&world.app, &operator(), id).await,
        AppError::Denied(Denied::Restricted)
    );
}

async fn whoever_moves_a_destination_names_the_secret(db: Db) {
    let world = World::new(db).await;
    let builder = world
        .person("b@example.com", world.team, Role::Builder)
        .await;
    let new = NewCredential {
        team: world.team,
        name: "Database".into(),
        kind: "POSTGRESQL".into(),
        data: object(json!({
            "host": "db.internal", "database": "d", "username": "u", "password": "secret",
        })),
    };
    let id = world
        .app
        .create_credential(&operator(), new)
        .await
        .unwrap()
        .id;
    // Who may see the secret now may say where it goes.
    world
        .update(&builder.ctx(), id, json!({"host": "db2.internal"}))
        .await
        .unwrap();
    world
        .update(&operator(), id, json!({"host": "db.internal"}))
        .await
        .unwrap();

    // A session whose proof is old may not see it, and a restricted one nobody sees.
    let unwilling = async |ctx: &nodeloom_app::Ctx| {
        let before = world.db.dump().await;
        for data in [
            json!({"host": "evil.example"}),
            json!({"port": 1}),
            json!({"host": "evil.example", "username": "u"}),
        ] {
            let refused = world.update(ctx, id, data.clone()).await;
            assert_eq!(rules(refused.unwrap_err()), ["data.password destination"]);
        }
        let bind = said(AttributeChange {
            hosts: Some(vec!["evil.example".into()]),
            ..Default::default()
        });
        let refused = world.app.update_credential(ctx, id, bind).await;
        assert_eq!(rules(refused.unwrap_err()), ["data.password destination"]);
        assert_eq!(world.db.dump().await, before);
    };
    world.clock.advance_seconds(301);
    unwilling(&builder.ctx()).await;
    let restrict = said(AttributeChange {
        restricted: Some(true),
        ..Default::default()
    });
    world
        .app
        .update_credential(&operator(), id, restrict)
        .await
        .unwrap();
    unwilling(&operator()).await;

    // The same place again is no move; another field is none either.
    world
        .update(&operator(), id, json!({"host": "db.internal"}))
        .await
        .unwrap();
    world
        .update(&operator(), id, json!({"database": "e", "port": 5432}))
        .await
        .unwrap();
    let moved = json!({"host": "new.internal", "password": "secret"});
    world.update(&builder.ctx(), id, moved).await.unwrap();
    let bind = CredentialChange {
        data: Some(object(json!({"password": "secret"}))),
        attributes: AttributeChange {
            hosts: Some(vec!["new.internal:5432".into()]),
            ..Default::default()
        },
        ..Default::default()
    };
    world
        .app
        .update_credential(&builder.ctx(), id, bind)
        .await
        .unwrap();
}

async fn versions_say_what_differs_and_can_be_restored(db: Db) {
    let world = World::new(db).await;
    let new = NewCredential {
        team: world.team,
        name: "Basic".into(),
        kind: "OPENAI".into(),
        data: object(json!({"apiKey": "one", "organization": "org"})),
    };
    let id = world
        .app
        .create_credential(&operator(), new)
        .await
        .unwrap()
        .id;
    let change = json!({"apiKey": "two", "organization": null});
    world.update(&operator(), id, change).await.unwrap();
    let view = world
        .app
        .restore_credential(&operator(), id, 1, Some(vec![2]))
        .await
        .unwrap();
    assert_eq!((view.generation, view.revision), (3, 3));
    let shown = reveal(&world.app, &operator(), id).await.unwrap();
    assert_eq!(shown, json!({"apiKey": "one", "organization": "org"}));

    let versions = world
        .app
        .credential_versions(&operator(), id)
        .await
        .unwrap();
    let told = serde_json::to_value(&versions).unwrap();
    assert_eq!(
        told[0]["changes"],
        json!({"apiKey": "changed", "organization": "added"})
    );
    assert_eq!(
        (&told[0]["restoredFrom"], &told[0]["isCurrent"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        told[1]["changes"],
        json!({"apiKey": "changed", "organization": "removed"})
    );
    assert_eq!(
        (&told[2]["changes"], &told[2]["isCurrent"]),
        (&Value::Null, &json!(false))
    );
    for value in ["one", "two", "org\""] {
        assert!(!told.to_string().contains(&format!("\"{value}")), "{told}");
    }

    assert_refused!(
        world.app.restore_credential(&operator(), id, 9, None).await,
        AppError::NotFound
    );
    assert_refused!(
        world
            .app
            .restore_credential(&operator(), id, 1, Some(vec![2]))
            .await,
        AppError::Stale { current: 3 }
    );
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    assert_refused!(
        world
            .app
            .restore_credential(&viewer.ctx(), id, 1, None)
            .await,
        AppError::Denied(_)
    );
    assert_eq!(
        world
            .app
            .credential_versions(&viewer.ctx(), id)
            .await
            .unwrap()
            .len(),
        3
    );
    // A former version that somebody damaged is told apart, and harms nothing.
    let at = crate::support::x(id.as_bytes());
    world
        .db
        .run(&format!(
            "UPDATE sealed_values SET envelope = (SELECT e.envelope FROM sealed_values e \
             WHERE e.owner_id = {at} AND e.generation = 1) WHERE owner_id = {at} \
             AND generation = 2"
        ))
        .await;
    assert_refused!(
        world.app.restore_credential(&operator(), id, 2, None).await,
        AppError::Quarantined
    );
    assert_eq!(
        reveal(&world.app, &operator(), id).await.unwrap()["apiKey"],
        "one"
    );
}

async fn a_deleted_credential_comes_back_or_is_destroyed(db: Db) {
    let world = World::new(db).await;
    let id = world.add(world.team, "Mail", "one").await.id;
    world
        .update(&operator(), id, json!({"token": "two"}))
        .await
        .unwrap();
    assert_refused!(
        world
            .app
            .undelete_credential(&operator(), id, None, None)
            .await,
        AppError::NotDeleted
    );
    assert_refused!(
        world.app.purge_credential(&operator(), id, None).await,
        AppError::NotDeleted
    );
    world
        .app
        .delete_credential(&operator(), id, None)
        .await
        .unwrap();
    let (listed, total) = world
        .app
        .deleted_credentials(&operator(), world.team, 0, 10)
        .await
        .unwrap();
    assert_eq!((listed.len(), total), (1, 1));
    assert_eq!(
        (listed[0].view.id, listed[0].deleted_by.as_str()),
        (id, "root@vault")
    );
    for refused in [
        world.app.credential(&operator(), id).await.map(drop),
        world
            .update(&operator(), id, json!({"token": "x"}))
            .await
            .map(drop),
        world
            .app
            .restore_credential(&operator(), id, 1, None)
            .await
            .map(drop),
        world.app.credential_usage(&operator(), id).await.map(drop),
        world.app.test_credential(&operator(), id).await.map(drop),
    ] {
        assert_refused!(refused, AppError::NotFound);
    }

    // Its name went to another; it comes back under a new one, and opens.
    world.add(world.team, "Mail", "another").await;
    assert_refused!(
        world
            .app
            .undelete_credential(&operator(), id, None, None)
            .await,
        AppError::NameTaken { .. }
    );
    let view = world
        .app
        .undelete_credential(&operator(), id, Some("Old mail".into()), Some(vec![3]))
        .await
        .unwrap();
    assert_eq!((view.name.as_str(), view.revision), ("Old mail", 4));
    assert_eq!(token_of(&world.app, id).await.unwrap(), "two");
    assert_eq!(world.names(world.team).await, ["Mail", "Old mail"]);
    assert!(!world.doctor().await.needs_attention());

    world
        .app
        .delete_credential(&operator(), id, None)
        .await
        .unwrap();
    world
        .app
        .purge_credential(&operator(), id, None)
        .await
        .unwrap();
    assert_refused!(
        world
            .app
            .undelete_credential(&operator(), id, None, None)
            .await,
        AppError::NotFound
    );
    let at = crate::support::x(id.as_bytes());
    let sql = format!("SELECT id FROM sealed_values WHERE owner_id = {at}");
    assert!(world.db.rows(&sql).await.is_empty());
    assert!(!world.doctor().await.needs_attention());
}

async fn who_may_undelete_and_purge(db: Db) {
    let world = World::new(db).await;
    let id = world.add(world.team, "Mail", "one").await.id;
    world
        .app
        .delete_credential(&operator(), id, None)
        .await
        .unwrap();
    let builder = world
        .person("b@example.com", world.team, Role::Builder)
        .await;
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    let other = world.add_team("Other").await;
    let stranger = world.person("s@example.com", other, Role::Admin).await;
    assert_refused!(
        world
            .app
            .undelete_credential(&viewer.ctx(), id, None, None)
            .await,
        AppError::Denied(_)
    );
    assert_refused!(
        world
            .app
            .undelete_credential(&stranger.ctx(), id, None, None)
            .await,
        AppError::NotFound
    );
    assert_refused!(
        world.app.purge_credential(&builder.ctx(), id, None).await,
        AppError::Denied(_)
    );
    assert_refused!(
        world.app.purge_credential(&stranger.ctx(), id, None).await,
        AppError::NotFound
    );
    assert_refused!(
        world
            .app
            .deleted_credentials(&stranger.ctx(), world.team, 0, 10)
            .await,
        AppError::NotFound
    );
    world
        .app
        .undelete_credential(&builder.ctx(), id, None, None)
        .await
        .unwrap();
}

async fn old_deletions_are_purged_by_age(db: Db) {
    let world = World::new(db).await;
    let ids: Vec<CredentialId> = {
        let mut ids = Vec::new();
        for name in ["Old", "New", "Alive"] {
            ids.push(world.add(world.team, name, "value").await.id);
        }
        ids
    };
    world
        .app
        .delete_credential(&operator(), ids[0], None)
        .await
        .unwrap();
    world.clock.advance_seconds(20 * 24 * 60 * 60);
    world
        .app
        .delete_credential(&operator(), ids[1], None)
        .await
        .unwrap();
    world.clock.advance_seconds(11 * 24 * 60 * 60);
    assert_eq!(world.app.purge_deleted(30).await.unwrap(), 1);
    assert_eq!(world.app.purge_deleted(30).await.unwrap(), 0);
    assert_refused!(
        world
            .app
            .undelete_credential(&operator(), ids[0], None, None)
            .await,
        AppError::NotFound
    );
    world
        .app
        .undelete_credential(&operator(), ids[1], None, None)
        .await
        .unwrap();
    assert_eq!(world.names(world.team).await, ["Alive", "New"]);
    let told = events(&world, "credential.purge").await;
    assert_eq!((told.len(), &told[0].1["days"]), (1, &json!(30)));
    assert!(!world.doctor().await.needs_attention());
}

async fn uses_are_counted_by_who(db: Db) {
    let world = World::new(db).await;
    let builder = world
        .person("b@example.com", world.team, Role::Builder)
        .await;
    let id = world.add(world.team, "Mail", "one").await.id;
    let view = world.app.credential(&operator(), id).await.unwrap();
    assert_eq!(view.last_used_at, None);
    reveal(&world.app, &operator(), id).await.unwrap();
    world.clock.advance_seconds(5);
    reveal(&world.app, &builder.ctx(), id).await.unwrap();
    reveal(&world.app, &builder.ctx(), id).await.unwrap();
    let uses = world
        .app
        .credential_usage(&builder.ctx(), id)
        .await
        .unwrap();
    let told: Vec<_> = uses
        .iter()
        .map(|one| (one.kind.as_str(), one.name.as_str(), one.uses))
        .collect();
    assert_eq!(
        told,
        [("user", "b@example.com", 2), ("operator", "root@vault", 1)]
    );
    assert_eq!(uses[0].id.as_deref(), Some(builder.id.to_string().as_str()));
    let view = world.app.credential(&operator(), id).await.unwrap();
    assert_eq!(view.last_used_at, Some(NOW.plus_seconds(5)));
    assert_eq!((view.revision, view.updated_at), (1, NOW));
}

/// Answers as told, after a look at the trail.
struct Scripted {
    status: &'static str,
    asked: std::sync::Arc<std::sync::Mutex<Vec<Value>>>,
    meanwhile: Option<(nodeloom_app::App, CredentialId)>,
}

impl Scripted {
    fn new(status: &'static str) -> Self {
        Self {
            status,
            asked: std::sync::Arc::default(),
            meanwhile: None,
        }
    }
}

impl ConnectionTester for Scripted {
    fn test<'a>(&'a self, request: TestRequest<'a>) -> Testing<'a> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(json!({
                "type": request.kind.id, "data": request.data, "hosts": request.hosts,
            }));
            if let Some((app, id)) = &self.meanwhile {
                let change = CredentialChange {
                    data: Some(object(json!({"token": "newer"}))),
                    ..Default::default()
                };
                app.update_credential(&operator(), *id, change)
                    .await
                    .unwrap();
            }
            TestFinding {
                status: self.status,
                code: "rejected",
                message: "the server said no".into(),
                duration: Duration::from_millis(7),
            }
        })
    }
}

async fn a_test_is_recorded_before_and_after(db: Db) {
    let world = World::new(db).await;
    let tester = Scripted::new("failed");
    let asked = tester.asked.clone();
    world.app.use_connection_tester(tester);
    let worker = world
        .person("o@example.com", world.team, Role::Operator)
        .await;
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    let id = world.add(world.team, "Mail", "one").await.id;
    assert_refused!(
        world.app.test_credential(&viewer.ctx(), id).await,
        AppError::Denied(_)
    );
    assert!(asked.lock().unwrap().is_empty());
    let report = world.app.test_credential(&worker.ctx(), id).await.unwrap();
    assert_eq!(
        (report.status, report.is_stored, report.duration_ms),
        ("failed", true, 7)
    );
    assert_eq!(
        asked.lock().unwrap()[0],
        json!({"type": "BEARER_TOKEN", "data": {"token": "one"}, "hosts": []})
    );
    let view = world.app.credential(&viewer.ctx(), id).await.unwrap();
    assert_eq!(view.test_status.as_deref(), Some("failed"));
    assert_eq!(view.test_message.as_deref(), Some("the server said no"));
    assert_eq!((view.last_tested_at, view.revision), (Some(NOW), 1));
    let opened: Vec<String> = events(&world, "credential.test")
        .await
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    assert_eq!(opened, ["refused", "success"]);
    let (outcome, detail) = &events(&world, "credential.tested").await[0];
    assert_eq!(
        (outcome.as_str(), &detail["code"]),
        ("failed", &json!("rejected"))
    );
}

async fn a_test_of_replaced_values_is_not_stored(db: Db) {
    let world = World::new(db).await;
    let id = world.add(world.team, "Mail", "one").await.id;
    let mut tester = Scripted::new("ok");
    tester.meanwhile = Some((world.other_process().await, id));
    world.app.use_connection_tester(tester);
    let report = world.app.test_credential(&operator(), id).await.unwrap();
    assert!(!report.is_stored);
    let view = world.app.credential(&operator(), id).await.unwrap();
    assert_eq!((view.test_status, view.generation), (None, 2));
}

async fn what_does_not_open_is_not_tested(db: Db) {
    let world = World::new(db).await;
    let tester = Scripted::new("ok");
    let asked = tester.asked.clone();
    world.app.use_connection_tester(tester);
    let id = world.add(world.team, "Mail", "one").await.id;
    let other = world.add(world.team, "Other", "two").await.id;
    let (at, from) = (
        crate::support::x(id.as_bytes()),
        crate::support::x(other.as_bytes()),
    );
    world
        .db
        .run(&format!(
            "UPDATE sealed_values SET envelope = (SELECT e.envelope FROM sealed_values e \
             WHERE e.owner_id = {from}) WHERE owner_id = {at}"
        ))
        .await;
    assert_refused!(
        world.app.test_credential(&operator(), id).await,
        AppError::Quarantined
    );
    assert!(asked.lock().unwrap().is_empty());
}

async fn an_expired_credential_says_so_when_it_is_used(db: Db) {
    let world = World::new(db).await;
    let id = world.add(world.team, "Mail", "one").await.id;
    let expire = said(AttributeChange {
        expires_at: Some(Some(NOW.plus_seconds(10))),
        ..Default::default()
    });
    world
        .app
        .update_credential(&operator(), id, expire)
        .await
        .unwrap();
    reveal(&world.app, &operator(), id).await.unwrap();
    world.clock.advance_seconds(10);
    reveal(&world.app, &operator(), id).await.unwrap();
    let told = events(&world, "credential.reveal").await;
    assert_eq!(told[0].1.get("expired"), None);
    assert_eq!(told[1].1["expired"], json!(true));
}
