//! The chain: what lands, and what tampering it finds.

use nodeloom_crypto::{AuditKey, KeyId, KeyMaterial, Purpose, SigningKey};
use nodeloom_domain::policy;
use nodeloom_store::{Anchor, ChainReport, CheckpointRow, FaultKind, KeyState, Store, StoreError};

use crate::harness::{Db, NOW, World, chain_key, data_key, event, on_both};

on_both!(
    change_and_event_land_together,
    the_chain_verifies_and_pages,
    every_edit_is_found,
    moves_and_deletions_are_found,
    a_cut_tail_is_found_by_an_anchor,
    segments_follow_each_other,
    strange_texts_do_not_stop_the_audit,
);

async fn change_and_event_land_together(db: Db) {
    let world = World::new(db).await;
    let row = world.credential("one");
    // The place of the next event is taken: the event cannot be written.
    world
        .db
        .tamper(&format!(
            "INSERT INTO audit_events SELECT sequence + 1, id, at, segment, key_id, actor_kind, \
         actor_id, actor_name, team_id, action, target_kind, target_id, target_name, outcome, \
         request_id, address, detail, mac FROM audit_events WHERE sequence = {}",
            world.store.audit_head().await.unwrap().sequence
        ))
        .await;
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &row, &[])
        .await
        .unwrap();
    let error = tx
        .commit(&event("credential.create"), &world.chain)
        .await
        .unwrap_err();
    assert!(error.is_duplicate_in("audit_events"), "{error:?}");
    assert!(world.store.find_credential(row.id).await.unwrap().is_none());
    assert_eq!(
        report(&world, &[]).await.first_bad.unwrap().kind,
        FaultKind::BeyondHead
    );
    world
        .db
        .tamper("DELETE FROM audit_events WHERE sequence = 2")
        .await;

    // A dropped or rolled-back transaction leaves nothing.
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &row, &[])
        .await
        .unwrap();
    drop(tx);
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &row, &[])
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert!(world.store.find_credential(row.id).await.unwrap().is_none());
    let tx = world.store.begin().await.unwrap();
    assert!(tx.commit_all(&[], &world.chain).await.is_err());
    // And the head row must be there.
    world.db.tamper("DELETE FROM audit_head").await;
    let mut tx = world.store.begin().await.unwrap();
    tx.insert_credential(&world.may_create(), &row, &[])
        .await
        .unwrap();
    let error = tx
        .commit(&event("credential.create"), &world.chain)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }));
    assert!(world.store.find_credential(row.id).await.unwrap().is_none());
}

async fn the_chain_verifies_and_pages(db: Db) {
    let world = World::new(db).await;
    let empty = report(&world, &[]).await;
    assert_eq!((empty.events, empty.is_whole()), (1, true));
    fill(&world, 1203).await;
    let whole = report(&world, &[]).await;
    assert_eq!((whole.events, whole.first_bad), (1204, None));
    assert_eq!(whole.head, world.store.audit_head().await.unwrap());
    let page = world.store.audit_page(500, 10).await.unwrap();
    let sequences: Vec<u64> = page.iter().map(|row| row.sequence).collect();
    assert_eq!(sequences, (501..=510).collect::<Vec<_>>());
    assert_eq!(page[0].detail, r#"{"count":1}"#);

    // A key that is not held: order and number are checked, and it says what was not.
    let report = world.store.verify_chain(|_| None, &[]).await.unwrap();
    assert_eq!(
        (report.first_bad, report.unchecked),
        (None, Some((1, 1204, 1204)))
    );
    assert!(!report.is_whole());
    // Another key under the same id.
    let other = AuditKey::new(world.audit, KeyMaterial::from_bytes(&[1; 32]));
    let report = world
        .store
        .verify_chain(|_| Some(&other), &[])
        .await
        .unwrap();
    assert_eq!(report.first_bad.unwrap().kind, FaultKind::Altered);
}

async fn every_edit_is_found(db: Db) {
    let world = World::new(db).await;
    fill(&world, 5).await;
    for (column, value) in [
        ("id", "x'00000000000000000000000000000001'"),
        ("at", "at + 1"),
        ("actor_kind", "'user'"),
        ("actor_id", "x'0000000000000000000000000000000a'"),
        ("actor_name", "'someone'"),
        ("team_id", "x'0000000000000000000000000000000a'"),
        ("action", "'credential.read'"),
        ("target_kind", "''"),
        ("target_id", "x'01'"),
        ("target_name", "''"),
        ("outcome", "'refused'"),
        ("request_id", "''"),
        ("address", "NULL"),
        ("detail", "'{}'"),
        ("segment", "2"),
        ("key_id", "x'0000000000000001'"),
        (
            "mac",
            "x'0000000000000000000000000000000000000000000000000000000000000000'",
        ),
        ("mac", "x'00'"),
    ] {
        world
            .db
            .tamper("CREATE TABLE kept AS SELECT * FROM audit_events")
            .await;
        let sql = format!("UPDATE audit_events SET {column} = {value} WHERE sequence = 3");
        assert_eq!(world.db.tamper(&sql).await, 1);
        let fault = report(&world, &[]).await.first_bad;
        assert_eq!(
            fault.map(|fault| fault.sequence),
            Some(3),
            "{column}: {fault:?}"
        );
        world.db.tamper("DELETE FROM audit_events").await;
        world
            .db
            .tamper("INSERT INTO audit_events SELECT * FROM kept")
            .await;
        world.db.tamper("DROP TABLE kept").await;
        assert!(report(&world, &[]).await.is_whole());
    }
}

async fn moves_and_deletions_are_found(db: Db) {
    let world = World::new(db).await;
    fill(&world, 5).await;
    for (what, sql, sequence, kind) in [
        (
            "deleted",
            "DELETE FROM audit_events WHERE sequence = 3",
            3,
            FaultKind::Missing,
        ),
        (
            "first deleted",
            "DELETE FROM audit_events WHERE sequence = 1",
            1,
            FaultKind::Missing,
        ),
        (
            "deleted and closed up",
            "DELETE FROM audit_events WHERE sequence = 6; \
             UPDATE audit_head SET sequence = 5, mac = (SELECT mac FROM audit_events \
             WHERE sequence = 4); \
             UPDATE audit_events SET mac = (SELECT mac FROM audit_head) WHERE sequence = 5",
            5,
            FaultKind::Altered,
        ),
        (
            "swapped",
            "UPDATE audit_events SET sequence = -3 WHERE sequence = 3; \
             UPDATE audit_events SET sequence = 3 WHERE sequence = 4; \
             UPDATE audit_events SET sequence = 4 WHERE sequence = -3",
            3,
            FaultKind::Altered,
        ),
        (
            "put in",
            "UPDATE audit_events SET sequence = 8 WHERE sequence = 6; \
             UPDATE audit_events SET sequence = 7 WHERE sequence = 5; \
             UPDATE audit_head SET sequence = 8; \
             UPDATE audit_events SET sequence = 6 WHERE sequence = 4; \
             INSERT INTO audit_events SELECT 4, id, at, segment, key_id, actor_kind, actor_id, \
             actor_name, team_id, action, target_kind, target_id, target_name, outcome, \
             request_id, address, detail, mac FROM audit_events WHERE sequence = 2; \
             INSERT INTO audit_events SELECT 5, id, at, segment, key_id, actor_kind, actor_id, \
             actor_name, team_id, action, target_kind, target_id, target_name, outcome, \
             request_id, address, detail, mac FROM audit_events WHERE sequence = 2",
            4,
            FaultKind::Altered,
        ),
        (
            "tail cut",
            "DELETE FROM audit_events WHERE sequence > 4",
            5,
            FaultKind::CutTail,
        ),
        ("all cut", "DELETE FROM audit_events", 1, FaultKind::CutTail),
        (
            "head moved back",
            "UPDATE audit_head SET sequence = 5",
            6,
            FaultKind::BeyondHead,
        ),
        (
            "head changed",
            "UPDATE audit_head SET mac = (SELECT mac FROM audit_events WHERE sequence = 2)",
            6,
            FaultKind::HeadMismatch,
        ),
        (
            "before the first",
            "UPDATE audit_events SET sequence = 0 WHERE sequence = 1",
            0,
            FaultKind::Malformed,
        ),
    ] {
        world
            .db
            .tamper(
                "CREATE TABLE kept AS SELECT * FROM audit_events; \
             CREATE TABLE kept_head AS SELECT * FROM audit_head",
            )
            .await;
        world.db.tamper(sql).await;
        let fault = report(&world, &[])
            .await
            .first_bad
            .unwrap_or_else(|| panic!("{what}"));
        assert_eq!((fault.sequence, fault.kind), (sequence, kind), "{what}");
        world
            .db
            .tamper(
                "DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM kept; \
             DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head; \
             DROP TABLE kept; DROP TABLE kept_head",
            )
            .await;
        assert!(report(&world, &[]).await.is_whole());
    }
}

async fn a_cut_tail_is_found_by_an_anchor(db: Db) {
    let world = World::new(db).await;
    fill(&world, 5).await;
    let sign = SigningKey::new(KeyId::from_bytes([2; 8]), KeyMaterial::from_bytes(&[3; 32]));
    let head = world.store.audit_head().await.unwrap();
    let message = CheckpointRow::message(head.sequence, NOW, &head.mac, sign.id());
    let mut checkpoint = CheckpointRow {
        sequence: head.sequence,
        at: NOW,
        mac: head.mac,
        sign_key_id: sign.id(),
        public_key: sign.public_key(),
        signature: sign.sign(&message),
    };
    let mut tx = world.store.begin().await.unwrap();
    tx.add_checkpoint(&policy::housekeeping(), &checkpoint)
        .await
        .unwrap();
    tx.commit(&event("audit.checkpoint"), &world.chain)
        .await
        .unwrap();
    assert_eq!(
        world.store.checkpoints().await.unwrap(),
        [checkpoint.clone()]
    );
    assert!(checkpoint.signature_is_good());
    checkpoint.sequence += 1;
    assert!(!checkpoint.signature_is_good());

    let anchor = Anchor {
        sequence: head.sequence,
        mac: head.mac,
    };
    assert!(report(&world, &[anchor]).await.is_whole());
    let wrong = Anchor {
        sequence: 2,
        mac: [0; 32],
    };
    let fault = report(&world, &[anchor, wrong]).await.first_bad.unwrap();
    assert_eq!((fault.sequence, fault.kind), (2, FaultKind::AnchorMismatch));

    // The tail cut and the head moved back with it: the chain alone is whole again.
    world
        .db
        .tamper(
            "DELETE FROM audit_events WHERE sequence > 4; UPDATE audit_head SET sequence = 4, \
         mac = (SELECT mac FROM audit_events WHERE sequence = 4)",
        )
        .await;
    assert!(report(&world, &[]).await.is_whole());
    let fault = report(&world, &[anchor]).await.first_bad.unwrap();
    assert_eq!((fault.sequence, fault.kind), (6, FaultKind::AnchorMismatch));
    // Growing over the cut does not hide it.
    fill(&world, 10).await;
    let fault = report(&world, &[anchor]).await.first_bad.unwrap();
    assert_eq!((fault.sequence, fault.kind), (6, FaultKind::AnchorMismatch));
}

async fn segments_follow_each_other(db: Db) {
    let world = World::new(db).await;
    fill(&world, 2).await;
    let keeper = policy::housekeeping();
    let stranger = chain_key(KeyId::from_bytes([1; 8]));
    let tx = world.store.begin().await.unwrap();
    let error = tx.commit(&event("x.y"), &stranger).await.unwrap_err();
    assert!(matches!(error, StoreError::AuditKeyNotActive));

    let mut tx = world.store.begin().await.unwrap();
    tx.set_key_state(&keeper, world.audit, KeyState::Active, KeyState::Draining)
        .await
        .unwrap();
    let key = data_key(None, Purpose::Audit);
    tx.insert_data_key(&keeper, &key).await.unwrap();
    let new = chain_key(key.id);
    tx.commit(&event("key.rotate"), &new).await.unwrap();
    let head = world.store.audit_head().await.unwrap();
    assert_eq!((head.segment, head.key_id), (2, Some(key.id)));
    // A process that still has the old key.
    let tx = world.store.begin().await.unwrap();
    let error = tx.commit(&event("x.y"), &world.chain).await.unwrap_err();
    assert!(matches!(error, StoreError::AuditKeyNotActive));

    let old = &world.chain;
    let both = |id: KeyId| [old, &new].into_iter().find(|key| key.id() == id);
    assert!(
        world
            .store
            .verify_chain(both, &[])
            .await
            .unwrap()
            .is_whole()
    );
    let only_new = |id: KeyId| (new.id() == id).then_some(&new);
    let report = world.store.verify_chain(only_new, &[]).await.unwrap();
    assert_eq!(
        (report.first_bad, report.unchecked),
        (None, Some((1, 3, 3)))
    );
    // Even without the old key, its segment cannot lose its end.
    world
        .db
        .tamper(
            "DELETE FROM audit_events WHERE sequence = 3; \
        UPDATE audit_events SET sequence = 3 WHERE sequence = 4; \
        UPDATE audit_head SET sequence = 3",
        )
        .await;
    let report = world.store.verify_chain(only_new, &[]).await.unwrap();
    assert_eq!(report.first_bad.unwrap().kind, FaultKind::Altered);
}

async fn strange_texts_do_not_stop_the_audit(db: Db) {
    let world = World::new(db).await;
    let mut strange = event("session.refused");
    strange.actor.name = "nul \0 and \u{202e} and '; DROP TABLE users".into();
    strange.origin.request_id = "\0".into();
    strange.origin.address = None;
    let strange = strange.on("user", &[1; 16], "\0").with("why", "nul \0");
    let tx = world.store.begin().await.unwrap();
    tx.commit(&strange, &world.chain).await.unwrap();
    assert!(report(&world, &[]).await.is_whole());
}

async fn fill(world: &World, events: usize) {
    let events = vec![event("credential.reveal"); events];
    let tx = world.store.begin().await.unwrap();
    tx.commit_all(&events, &world.chain).await.unwrap();
}

async fn report(world: &World, anchors: &[Anchor]) -> ChainReport {
    verify(&world.store, &world.chain, anchors).await
}

async fn verify(store: &Store, chain: &AuditKey, anchors: &[Anchor]) -> ChainReport {
    store
        .verify_chain(|id| (chain.id() == id).then_some(chain), anchors)
        .await
        .unwrap()
}
