//! The audit trail as evidence, and doctor, who holds the records against it.

use nodeloom_app::{AppError, AuditAnchor};
use nodeloom_crypto::{KeyId, KeyMaterial, SigningKey};
use nodeloom_domain::{Role, Timestamp};
use nodeloom_store::CheckpointRow;
use serde_json::json;

use crate::support::{
    ADMIN, Cell, Db, PASSWORD, Person, World, assert_refused, from_address, hex, on_both, operator,
    reveal, x,
};

on_both!(
    without_the_end_of_the_trail_nothing_happens,
    when_no_event_can_be_written_nothing_happens,
    an_untouched_trail_is_intact,
    an_edit_of_any_column_is_found,
    a_deletion_a_reordering_and_an_insertion_are_found,
    a_cut_tail_is_found_by_the_end_or_an_anchor,
    a_forged_anchor_is_counted,
    every_act_is_in_the_trail_without_values,
    doctor_is_content_with_a_clean_instance,
    doctor_finds_a_role_that_nobody_gave,
    doctor_finds_a_credential_set_back_planted_or_gone,
    doctor_finds_a_deletion_that_was_undone_quietly,
    doctor_takes_no_word_from_a_broken_trail,
);

/// Every act that must leave an event, and what it answers when it cannot.
async fn nothing_happens(world: &World, breakage: &str) {
    let stored = world.add(world.team, "Mail", "the-value").await;
    let admin = world.admin().await;
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    world.db.run(breakage).await;
    let before = world.db.dump().await;
    let (app, ctx) = (&world.app, admin.ctx());
    let answers = [
        (
            "create",
            world.create(&ctx, world.team, "New", "v").await.map(drop),
        ),
        (
            "update",
            world
                .update(&ctx, stored.id, json!({"token": "v"}))
                .await
                .map(drop),
        ),
        ("delete", app.delete_credential(&ctx, stored.id, None).await),
        ("reveal", reveal(app, &ctx, stored.id).await.map(drop)),
        (
            "refusal",
            reveal(app, &viewer.ctx(), stored.id).await.map(drop),
        ),
        (
            "sign-in",
            world
                .sign_in(ADMIN, PASSWORD, &from_address("192.0.2.3"))
                .await
                .map(drop),
        ),
        (
            "failed sign-in",
            world
                .sign_in(ADMIN, "x", &from_address("192.0.2.3"))
                .await
                .map(drop),
        ),
        ("refresh", app.refresh_session(&ctx).await.map(drop)),
        ("sign-out", app.sign_out(&ctx).await),
    ];
    for (what, answer) in answers {
        match answer {
            Err(AppError::Unavailable(_) | AppError::Internal { .. }) => {}
            other => panic!("{what} without a trail: {other:?}"),
        }
    }
    assert_eq!(world.db.dump().await, before, "something was changed");
    app.authenticate(&ctx).await.unwrap();
}

async fn without_the_end_of_the_trail_nothing_happens(db: Db) {
    let world = World::new(db).await;
    nothing_happens(&world, "DELETE FROM audit_head").await;
}

async fn when_no_event_can_be_written_nothing_happens(db: Db) {
    let world = World::new(db).await;
    let breakage = if world.db.is_sqlite() {
        "CREATE TRIGGER no_events BEFORE INSERT ON audit_events \
         BEGIN SELECT RAISE(ABORT, 'not today'); END"
    } else {
        "CREATE FUNCTION not_today() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'not today'; END $$; \
         CREATE TRIGGER no_events BEFORE INSERT ON audit_events \
         FOR EACH ROW EXECUTE FUNCTION not_today()"
    };
    nothing_happens(&world, breakage).await;
}

/// A world with ten events and more.
async fn told(db: Db) -> World {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "the-value").await;
    world.clock.advance_seconds(1);
    let admin = world.admin().await;
    reveal(&world.app, &admin.ctx(), stored.id).await.unwrap();
    world
        .update(&admin.ctx(), stored.id, json!({"token": "next"}))
        .await
        .unwrap();
    world.add(world.team, "Chat", "other").await;
    assert!(
        world
            .sign_in(ADMIN, "wrong", &from_address("192.0.2.7"))
            .await
            .is_err()
    );
    world
        .db
        .run("CREATE TABLE kept_events AS SELECT * FROM audit_events")
        .await;
    world
        .db
        .run("CREATE TABLE kept_head AS SELECT * FROM audit_head")
        .await;
    world
}

async fn restore(world: &World) {
    world
        .db
        .run("DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM kept_events")
        .await;
    world
        .db
        .run("DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head")
        .await;
}

async fn broken_at(world: &World, anchors: &[AuditAnchor]) -> Option<u64> {
    let report = world.app.verify_audit(&operator(), anchors).await.unwrap();
    assert_eq!(
        report.intact,
        report.broken_at.is_none() && report.false_anchors == 0
    );
    assert_eq!(report.finding.is_some(), report.broken_at.is_some());
    report.broken_at
}

async fn an_untouched_trail_is_intact(db: Db) {
    let world = told(db).await;
    let report = world.app.verify_audit(&operator(), &[]).await.unwrap();
    let count = u64::try_from(world.db.count("audit_events").await).unwrap();
    assert!(report.is_intact() && count >= 8, "{report:?}");
    assert_eq!((report.events, report.head_sequence), (count, count));
    assert_eq!(
        (report.unchecked, report.anchors, report.false_anchors),
        (0, 0, 0)
    );
    let app = world.other_process().await;
    assert!(
        app.verify_audit(&operator(), &[]).await.unwrap().intact,
        "after a restart"
    );
}

async fn an_edit_of_any_column_is_found(db: Db) {
    let world = told(db).await;
    // A reveal by a person: every column has a value.
    let sql = "SELECT sequence FROM audit_events WHERE action = 'credential.reveal'";
    let sequence = world.db.one(sql).await.int();
    let other_key = x(&[9; 8]);
    for (column, to) in [
        ("id", x(&[5; 16])),
        ("at", "at + 1".into()),
        ("segment", "segment + 1".into()),
        ("key_id", other_key),
        ("actor_kind", "'operator'".into()),
        ("actor_id", x(&[5; 16])),
        ("actor_id", "NULL".into()),
        ("actor_name", "'eve@example.com'".into()),
        ("team_id", x(&[5; 16])),
        ("team_id", "NULL".into()),
        ("action", "'credential.read'".into()),
        ("target_kind", "'user'".into()),
        ("target_id", x(&[5; 16])),
        ("target_name", "'Chat'".into()),
        ("target_name", "NULL".into()),
        ("outcome", "'refused'".into()),
        ("request_id", "'r-2'".into()),
        ("address", "'203.0.113.1'".into()),
        ("address", "NULL".into()),
        ("detail", "'{}'".into()),
        ("detail", "detail || ' '".into()),
        ("mac", x(&[0; 32])),
        ("mac", x(&[0; 31])),
    ] {
        let sql = format!("UPDATE audit_events SET {column} = {to} WHERE sequence = {sequence}");
        assert_eq!(world.db.run(&sql).await, 1);
        let at = i64::try_from(broken_at(&world, &[]).await.unwrap()).unwrap();
        assert_eq!(at, sequence, "{column} = {to}");
        restore(&world).await;
    }
    assert_eq!(broken_at(&world, &[]).await, None);
    for (column, to) in [
        ("sequence", "sequence - 1".to_owned()),
        ("sequence", "sequence + 1".to_owned()),
        ("segment", "segment + 1".to_owned()),
        ("mac", x(&[0; 32])),
    ] {
        world
            .db
            .run(&format!("UPDATE audit_head SET {column} = {to}"))
            .await;
        assert!(broken_at(&world, &[]).await.is_some(), "head {column}");
        restore(&world).await;
    }
}

async fn a_deletion_a_reordering_and_an_insertion_are_found(db: Db) {
    let world = told(db).await;
    let last = world.db.count("audit_events").await;
    let copy = |from: i64, to: i64| {
        format!(
            "INSERT INTO audit_events SELECT {to}, id, at, segment, key_id, actor_kind, actor_id, \
             actor_name, team_id, action, target_kind, target_id, target_name, outcome, \
             request_id, address, detail, mac FROM kept_events WHERE sequence = {from}"
        )
    };
    for (what, sql, at) in [
        (
            "the first deleted",
            "DELETE FROM audit_events WHERE sequence = 1".to_owned(),
            1,
        ),
        (
            "one deleted",
            "DELETE FROM audit_events WHERE sequence = 4".to_owned(),
            4,
        ),
        ("all deleted", "DELETE FROM audit_events".to_owned(), 1),
        (
            "one deleted and the rest renumbered",
            format!(
                "DELETE FROM audit_events WHERE sequence > 3; {}; \
                 UPDATE audit_head SET sequence = {}",
                (5..=last)
                    .map(|n| copy(n, n - 1))
                    .collect::<Vec<_>>()
                    .join("; "),
                last - 1
            ),
            4,
        ),
        (
            "two swapped",
            format!(
                "DELETE FROM audit_events WHERE sequence IN (3, 4); {}; {}",
                copy(3, 4),
                copy(4, 3)
            ),
            3,
        ),
        ("one before the first", copy(2, 0), 0),
        ("one behind the end", copy(2, last + 1), last + 1),
        (
            "one behind the end, and the end moved",
            format!(
                "{}; UPDATE audit_head SET sequence = {}",
                copy(2, last + 1),
                last + 1
            ),
            last + 1,
        ),
    ] {
        world.db.run(&sql).await;
        let found = broken_at(&world, &[])
            .await
            .unwrap_or_else(|| panic!("{what}: not found"));
        assert_eq!(i64::try_from(found).unwrap(), at, "{what}");
        restore(&world).await;
    }
}

/// Deletes the newest events from `from` on, and moves the end if `whole`.
fn cut(from: u64, whole: bool) -> String {
    let mut sql = format!("DELETE FROM audit_events WHERE sequence >= {from}");
    if whole {
        let last = from - 1;
        let of = format!("FROM kept_events WHERE sequence = {last}");
        sql += &format!(
            "; UPDATE audit_head SET sequence = {last}, mac = (SELECT mac {of}), \
             segment = (SELECT segment {of})"
        );
    }
    sql
}

async fn a_cut_tail_is_found_by_the_end_or_an_anchor(db: Db) {
    let world = told(db).await;
    let anchor = world.app.checkpoint().await.unwrap().unwrap();
    assert!(
        world.app.checkpoint().await.unwrap().is_none(),
        "nothing has moved since"
    );
    let tail = anchor.sequence - 1;
    assert_eq!(broken_at(&world, std::slice::from_ref(&anchor)).await, None);

    world.db.run(&cut(tail, false)).await;
    assert_eq!(broken_at(&world, &[]).await, Some(tail), "the end knows");
    restore(&world).await;
    world.db.run(&cut(tail, true)).await;
    assert_eq!(
        broken_at(&world, &[]).await,
        Some(anchor.sequence),
        "the checkpoint knows"
    );
    world.db.run("DELETE FROM audit_checkpoints").await;
    assert_eq!(
        broken_at(&world, &[]).await,
        None,
        "nobody inside the database knows"
    );
    let outside = std::slice::from_ref(&anchor);
    assert_eq!(
        broken_at(&world, outside).await,
        Some(anchor.sequence),
        "the anchor knows"
    );

    // Even when the trail has grown past the anchor again.
    for n in 0..3 {
        world.add(world.team, &format!("New {n}"), "value").await;
    }
    assert_eq!(broken_at(&world, &[]).await, None);
    assert_eq!(broken_at(&world, outside).await, Some(anchor.sequence));
    // The line that is kept outside reads back as it was written.
    let line = serde_json::to_string(&anchor).unwrap();
    assert_eq!(serde_json::from_str::<AuditAnchor>(&line).unwrap(), anchor);
}

async fn a_forged_anchor_is_counted(db: Db) {
    let world = told(db).await;
    let genuine = world.app.checkpoint().await.unwrap().unwrap();
    let mut forged = Vec::new();
    for change in [
        |anchor: &mut AuditAnchor| anchor.sequence -= 1,
        |anchor: &mut AuditAnchor| anchor.at_micros += 1,
        |anchor: &mut AuditAnchor| anchor.mac = "00".repeat(32),
        |anchor: &mut AuditAnchor| anchor.signature = "00".repeat(64),
        |anchor: &mut AuditAnchor| anchor.sign_key_id = "00".repeat(8),
        |anchor: &mut AuditAnchor| anchor.signature = "no hexadecimal".into(),
        |anchor: &mut AuditAnchor| anchor.public_key.truncate(10),
    ] {
        let mut anchor = genuine.clone();
        change(&mut anchor);
        forged.push(anchor);
    }
    // Signed well, by a key that is not the instance's.
    let id: KeyId = genuine.sign_key_id.parse().unwrap();
    let eve = SigningKey::new(id, KeyMaterial::generate().unwrap());
    let at = Timestamp::from_micros(genuine.at_micros);
    let mac = [7; 32];
    forged.push(AuditAnchor {
        mac: hex(&mac),
        public_key: hex(&eve.public_key()),
        signature: hex(&eve.sign(&CheckpointRow::message(genuine.sequence, at, &mac, id))),
        ..genuine.clone()
    });
    for anchor in &forged {
        let one = std::slice::from_ref(anchor);
        let report = world.app.verify_audit(&operator(), one).await.unwrap();
        assert_eq!(
            (report.intact, report.false_anchors, report.anchors),
            (false, 1, 1)
        );
        assert_eq!(
            report.broken_at, None,
            "a forgery says nothing of the chain"
        );
    }
    let report = world.app.verify_audit(&operator(), &forged).await.unwrap();
    assert_eq!(report.false_anchors, 8);
    // In the database's own table, too.
    world
        .db
        .run(&format!(
            "UPDATE audit_checkpoints SET mac = {}",
            x(&[0; 32])
        ))
        .await;
    let report = world.app.verify_audit(&operator(), &[]).await.unwrap();
    assert_eq!((report.intact, report.false_anchors), (false, 1));
}

async fn every_act_is_in_the_trail_without_values(db: Db) {
    let world = told(db).await;
    let rows = world
        .db
        .rows("SELECT action, detail FROM audit_events ORDER BY sequence")
        .await;
    let actions: Vec<&str> = rows.iter().map(|row| row[0].text()).collect();
    assert_eq!(
        actions,
        [
            "instance.create",
            "team.create",
            "user.create",
            "membership.create",
            "credential.create",
            "session.create",
            "credential.reveal",
            "credential.update",
            "credential.create",
            "session.create",
        ]
    );
    for row in &rows {
        for value in ["the-value", "next", PASSWORD] {
            assert!(!row[1].text().contains(value), "{row:?}");
        }
    }
}

async fn doctor_is_content_with_a_clean_instance(db: Db) {
    let world = told(db).await;
    let other = world.add_team("Other").await;
    world
        .person("viewer@example.com", other, Role::Viewer)
        .await;
    let gone = world.add(other, "Gone", "value").await;
    world
        .app
        .delete_credential(&operator(), gone.id, None)
        .await
        .unwrap();
    let mut heard = Vec::new();
    let report = world
        .app
        .doctor(&operator(), &[], |done, of| heard.push((done, of)))
        .await;
    let report = report.unwrap();
    assert!(!report.needs_attention(), "{report:?}");
    assert_eq!((report.values_good, report.values_unopened), (4, 0));
    assert_eq!(heard.last(), Some(&(4, 4)));
}

async fn found(world: &World, all: &[&str], what: &str) {
    let report = world.doctor().await;
    assert!(
        report.audit.intact && report.needs_attention(),
        "{what}: {report:?}"
    );
    let finding = report.findings.join("\n");
    for part in all {
        assert!(
            finding.contains(part),
            "{what}: {part} is not in: {finding}"
        );
    }
}

async fn doctor_finds_a_role_that_nobody_gave(db: Db) {
    let world = World::new(db).await;
    let viewer: Person = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let (user, id) = (x(viewer.id.as_bytes()), viewer.id.to_string());
    let set = |role: &str| format!("UPDATE memberships SET role = '{role}' WHERE user_id = {user}");
    world.db.run(&set("ADMIN")).await;
    found(&world, &[&id, "ADMIN", "VIEWER"], "a raised role").await;
    world.db.run(&set("VIEWER")).await;
    assert!(!world.doctor().await.needs_attention());
    let other = world.add_team("Other").await;
    let row = format!("VALUES ({user}, {}, 'ADMIN', 1)", x(other.as_bytes()));
    let sql = format!("INSERT INTO memberships (user_id, team_id, role, created_at) {row}");
    world.db.run(&sql).await;
    found(
        &world,
        &[&id, &other.to_string(), "no such membership"],
        "a planted membership",
    )
    .await;
}

async fn doctor_finds_a_credential_set_back_planted_or_gone(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "former").await;
    world
        .update(&operator(), stored.id, json!({"token": "newest"}))
        .await
        .unwrap();
    let (id, at) = (stored.id.to_string(), x(stored.id.as_bytes()));
    world
        .db
        .run("CREATE TABLE kept AS SELECT * FROM credentials")
        .await;
    let restore = "DELETE FROM credentials; INSERT INTO credentials SELECT * FROM kept";

    world.db.run("UPDATE credentials SET generation = 1").await;
    // Nothing in a single row can tell that it is old: the trail can.
    assert_eq!(world.token_of(stored.id).await.unwrap(), "former");
    found(&world, &[&id, "generation 1", "says 2"], "set back").await;
    world.db.run(restore).await;

    let planted = x(&[7; 16]);
    let sql = format!(
        "INSERT INTO credentials (id, team_id, name, sort_key, type, generation, revision, \
         fields, created_at, created_by, created_by_name, updated_at, updated_by, \
         updated_by_name) SELECT {planted}, team_id, 'Planted', 'planted', type, \
         generation, revision, fields, created_at, created_by, created_by_name, updated_at, \
         updated_by, updated_by_name FROM kept"
    );
    world.db.run(&sql).await;
    let planted = nodeloom_domain::CredentialId::from_bytes([7; 16]).to_string();
    found(
        &world,
        &[&planted, "never stored", "has no value"],
        "planted",
    )
    .await;
    world.db.run(restore).await;

    world
        .db
        .run(&format!("DELETE FROM credentials WHERE id = {at}"))
        .await;
    found(&world, &[&id, "is gone"], "gone").await;
    world.db.run(restore).await;

    let set = format!("UPDATE credentials SET deleted_at = 1 WHERE id = {at}");
    world.db.run(&set).await;
    found(&world, &[&id, "is deleted, and"], "deleted quietly").await;
    world.db.run(restore).await;
    assert!(!world.doctor().await.needs_attention());

    let sql = format!("DELETE FROM sealed_values WHERE owner_id = {at} AND generation = 2");
    world.db.run(&sql).await;
    found(
        &world,
        &[&id, "no value of generation 2"],
        "without its value",
    )
    .await;
}

async fn doctor_finds_a_deletion_that_was_undone_quietly(db: Db) {
    let world = World::new(db).await;
    let id = world.add(world.team, "Mail", "value").await.id;
    let deleted = world.app.delete_credential(&operator(), id, None).await;
    deleted.unwrap();
    assert!(!world.doctor().await.needs_attention());
    world
        .db
        .run("UPDATE credentials SET deleted_at = NULL")
        .await;
    let id = id.to_string();
    found(&world, &[&id, "is in use", "is deleted"], "undone").await;
}

async fn doctor_takes_no_word_from_a_broken_trail(db: Db) {
    let world = told(db).await;
    world
        .db
        .run("UPDATE audit_events SET detail = '{}' WHERE sequence = 4")
        .await;
    let report = world.doctor().await;
    assert!(!report.audit.intact && report.needs_attention());
    assert_eq!(
        (report.audit.broken_at, report.findings.len()),
        (Some(4), 0)
    );
    let cell = world
        .db
        .one("SELECT detail FROM audit_events WHERE sequence = 4")
        .await;
    assert_eq!(cell, Cell::Text("{}".into()), "doctor repairs nothing");
    // The vault goes on: the trail is evidence, not a lock.
    let made = world.create(&operator(), world.team, "New", "value").await;
    assert!(made.is_ok());
    assert_refused!(
        world.create(&operator(), world.team, "New", "v").await,
        AppError::NameTaken { .. }
    );
}
