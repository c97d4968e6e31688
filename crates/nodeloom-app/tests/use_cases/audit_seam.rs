//! Pruning: only a whole beginning goes, and the seam proves that it went on purpose.

use nodeloom_app::{AppError, AuditSeam, AuditSearch, ExportFormat};
use nodeloom_crypto::{KeyId, KeyMaterial, SigningKey};
use nodeloom_domain::{Role, policy::Denied};
use nodeloom_store::SeamRow;

use crate::support::{Cell, Db, World, assert_refused, on_both, operator, reveal, x};

on_both!(
    a_pruned_trail_verifies_and_goes_on,
    a_seam_that_was_touched_is_found,
    what_is_broken_is_not_pruned,
    pruning_is_for_administrators_of_the_instance,
    age_prunes_on_its_own,
);

/// A trail of three days, with an event of each person's act on each.
async fn days(db: Db) -> World {
    let world = World::new(db).await;
    let mail = world.add(world.team, "Mail", "value").await;
    for _ in 0..3 {
        world.clock.advance_seconds(24 * 60 * 60);
        for _ in 0..4 {
            reveal(&world.app, &operator(), mail.id).await.unwrap();
        }
    }
    world
}

async fn prune(world: &World, days_ago: i64) -> Option<AuditSeam> {
    let before = world.clock.now().plus_seconds(-days_ago * 24 * 60 * 60);
    world.app.prune_audit(&operator(), before).await.unwrap()
}

async fn a_pruned_trail_verifies_and_goes_on(db: Db) {
    let world = days(db).await;
    let first_anchor = world.app.checkpoint().await.unwrap().unwrap();
    let head = world.store.audit_head().await.unwrap().sequence;
    assert!(prune(&world, 10).await.is_none(), "nothing is that old");
    let seam = prune(&world, 2).await.unwrap();
    // The set-up and the stored credential went; three days of four events stay, and the event
    // of the pruning.
    assert_eq!((seam.first, seam.last), (1, head - 12));
    assert_eq!(
        (seam.count(), seam.actor_name.as_str()),
        (head - 12, "root@vault")
    );
    assert_eq!(world.db.count("audit_events").await, 13);
    assert_eq!(world.last_events(1).await, ["audit.prune success"]);
    let report = world
        .app
        .verify_audit(&operator(), &[first_anchor])
        .await
        .unwrap();
    assert!(report.intact, "{report:?}");
    assert_eq!((report.events, report.seam.as_ref()), (13, Some(&seam)));
    assert!(!world.doctor().await.needs_attention());

    let second = prune(&world, 1).await.unwrap();
    assert_eq!((second.first, second.last), (seam.last + 1, seam.last + 4));
    let report = world.app.verify_audit(&operator(), &[]).await.unwrap();
    assert_eq!((report.intact, report.seam.as_ref()), (true, Some(&second)));
    // Never the newest checkpoint: even when everything is old enough, its event stays.
    world.clock.advance_seconds(100 * 24 * 60 * 60);
    let all = prune(&world, 1).await.unwrap();
    let checkpoint = world.store.newest_checkpoint().await.unwrap().unwrap();
    assert_eq!(all.last, checkpoint - 1);
    assert!(
        world
            .app
            .verify_audit(&operator(), &[])
            .await
            .unwrap()
            .intact
    );

    // A copy begins with the seams and is checked with them.
    let search = AuditSearch::default();
    let mut export = world
        .app
        .export_audit(&operator(), search, ExportFormat::Jsonl)
        .await
        .unwrap();
    let mut text = String::new();
    while let Some(part) = export.next_part().await.unwrap() {
        text.push_str(&part);
    }
    assert_eq!(text.matches("{\"seam\":").count(), 3);
    let check = async |text: String| {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let lines = lines.into_iter().map(Ok);
        world
            .app
            .verify_audit_copy(&operator(), lines, &[])
            .await
            .unwrap()
    };
    assert!(check(text.clone()).await.intact);
    let (_, without_first) = text.split_once('\n').unwrap();
    assert!(!check(without_first.to_owned()).await.intact);
    let forged = text.replacen("\"root@vault\"", "\"eve@vault\"", 1);
    assert!(!check(forged).await.intact);
}

async fn a_seam_that_was_touched_is_found(db: Db) {
    let world = days(db).await;
    prune(&world, 2).await.unwrap();
    prune(&world, 1).await.unwrap();
    for table in ["audit_seams", "audit_events"] {
        world
            .db
            .run(&format!(
                "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
            ))
            .await;
    }
    let seams = world.store.audit_seams().await.unwrap();
    let [one, two] = &seams[..] else {
        panic!("{seams:?}")
    };
    // Signed well, by a key that is not the instance's.
    let eve = SigningKey::new(KeyId::from_bytes([1; 8]), KeyMaterial::generate().unwrap());
    let mut forged = SeamRow {
        public_key: eve.public_key(),
        ..two.clone()
    };
    forged.signature = eve.sign(&forged.message());
    let touched = [
        ("all gone", "DELETE FROM audit_seams".to_owned()),
        (
            "the newest gone",
            format!("DELETE FROM audit_seams WHERE last_sequence = {}", two.last),
        ),
        (
            "the oldest gone",
            format!("DELETE FROM audit_seams WHERE last_sequence = {}", one.last),
        ),
        (
            "moved on",
            format!(
                "UPDATE audit_seams SET last_sequence = {} WHERE last_sequence = {}",
                two.last + 1,
                two.last
            ),
        ),
        (
            "another time",
            "UPDATE audit_seams SET at = at + 1".to_owned(),
        ),
        (
            "another person",
            "UPDATE audit_seams SET actor_name = 'ada@vault'".to_owned(),
        ),
        (
            "another link",
            format!("UPDATE audit_seams SET mac = {}", x(&[0; 32])),
        ),
        (
            "no link",
            format!("UPDATE audit_seams SET mac = {}", x(&[0; 3])),
        ),
        (
            "another's signature",
            format!(
                "UPDATE audit_seams SET public_key = {}, signature = {} WHERE last_sequence = {}",
                x(&forged.public_key),
                x(&forged.signature),
                two.last
            ),
        ),
        // Events removed behind the seam, without one.
        (
            "more gone",
            format!("DELETE FROM audit_events WHERE sequence = {}", two.last + 1),
        ),
    ];
    for (what, sql) in touched {
        world.db.run(&sql).await;
        let report = world.app.verify_audit(&operator(), &[]).await.unwrap();
        assert!(!report.intact, "{what}");
        for table in ["audit_seams", "audit_events"] {
            world.db.run(&format!("DELETE FROM {table}")).await;
            world
                .db
                .run(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))
                .await;
        }
        assert!(
            world
                .app
                .verify_audit(&operator(), &[])
                .await
                .unwrap()
                .intact,
            "{what}"
        );
    }
}

async fn what_is_broken_is_not_pruned(db: Db) {
    let world = days(db).await;
    world
        .db
        .run("UPDATE audit_events SET detail = '{}' WHERE sequence = 4")
        .await;
    let before = world.clock.now();
    assert_refused!(
        world.app.prune_audit(&operator(), before).await,
        AppError::AuditBroken { sequence: 4 }
    );
    assert_refused!(
        world.app.prune_audit_by_age(1).await,
        AppError::AuditBroken { .. }
    );
    let cell = world
        .db
        .one("SELECT detail FROM audit_events WHERE sequence = 4")
        .await;
    assert_eq!(cell, Cell::Text("{}".into()), "the evidence is still there");
    assert_eq!(world.db.count("audit_seams").await, 0);
}

async fn pruning_is_for_administrators_of_the_instance(db: Db) {
    let world = days(db).await;
    let admin = world.person("t@example.com", world.team, Role::Admin).await;
    let now = world.clock.now();
    assert_refused!(
        world.app.prune_audit(&admin.ctx(), now).await,
        AppError::Denied(Denied::InstanceAdminOnly)
    );
    let ada = world.admin().await;
    world.clock.advance_seconds(301);
    assert_refused!(
        world.app.prune_audit(&ada.ctx(), now).await,
        AppError::Denied(Denied::ReauthenticationRequired)
    );
    assert_eq!(world.last_events(1).await, ["audit.prune refused"]);
    assert_eq!(world.db.count("audit_seams").await, 0);
    let ada = world.admin().await;
    assert!(
        world
            .app
            .prune_audit(&ada.ctx(), now)
            .await
            .unwrap()
            .is_some()
    );
}

async fn age_prunes_on_its_own(db: Db) {
    let world = days(db).await;
    let seam = world.app.prune_audit_by_age(2).await.unwrap().unwrap();
    assert_eq!(
        (seam.actor_kind.as_str(), seam.actor_name.as_str()),
        ("system", "nodeloom")
    );
    assert!(world.app.prune_audit_by_age(2).await.unwrap().is_none());
    assert!(
        world
            .app
            .verify_audit(&operator(), &[])
            .await
            .unwrap()
            .intact
    );
    // Another process sees the same trail.
    let other = world.other_process().await;
    assert!(other.verify_audit(&operator(), &[]).await.unwrap().intact);
}
