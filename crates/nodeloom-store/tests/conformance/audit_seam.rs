//! Removing the beginning of the trail, and how far a second sink is.

use nodeloom_crypto::{KeyId, KeyMaterial, SigningKey};
use nodeloom_domain::policy::{self, Action, Resource};
use nodeloom_store::{AuditFilter, AuditHead, AuditPageQuery, FaultKind, SeamRow, StoreError};

use crate::harness::{Db, NOW, World, event, may, on_both};

on_both!(
    behind_a_seam_the_chain_goes_on,
    pruning_needs_its_permit,
    one_process_at_a_time_delivers,
);

async fn seam_at(world: &World, last: u64) -> SeamRow {
    let sign = SigningKey::new(KeyId::from_bytes([2; 8]), KeyMaterial::from_bytes(&[3; 32]));
    let event = world.store.find_audit_event(last).await.unwrap().unwrap();
    let mut seam = SeamRow {
        first: world.store.audit_start().await.unwrap() + 1,
        last,
        mac: event.mac,
        segment: event.segment,
        key_id: event.key_id,
        at: NOW,
        actor_kind: "operator".into(),
        actor_name: "root@host".into(),
        sign_key_id: sign.id(),
        public_key: sign.public_key(),
        signature: [0; 64],
    };
    seam.signature = sign.sign(&seam.message());
    seam
}

async fn behind_a_seam_the_chain_goes_on(db: Db) {
    let world = World::new(db).await;
    let tx = world.store.begin().await.unwrap();
    tx.commit_all(&vec![event("x.y"); 9], &world.chain)
        .await
        .unwrap();
    let permit = may(Action::AuditPrune, Resource::Instance);
    let seam = seam_at(&world, 6).await;
    assert!(seam.signature_is_good());
    assert_eq!(seam.count(), 6);
    let mut tx = world.store.begin().await.unwrap();
    assert!(tx.audit_seams_locked().await.unwrap().is_empty());
    tx.add_seam(&permit, &seam).await.unwrap();
    tx.commit(&event("audit.prune"), &world.chain)
        .await
        .unwrap();
    assert_eq!(
        world.store.audit_seams().await.unwrap(),
        std::slice::from_ref(&seam)
    );

    let key = |id: KeyId| (id == world.chain.id()).then_some(&world.chain);
    // As soon as the seam is there, and while the rows go, nobody sees what stands before it.
    for left in [10, 7, 5] {
        let report = world
            .store
            .verify_chain_from(seam.head(), key, &[])
            .await
            .unwrap();
        assert_eq!((report.events, report.is_whole()), (5, true));
        assert!(world.store.find_audit_event(6).await.unwrap().is_none());
        assert!(world.store.find_audit_event(7).await.unwrap().is_some());
        let all = AuditPageQuery {
            limit: 100,
            ..Default::default()
        };
        let page = world.store.list_audit_events(&all).await.unwrap();
        assert_eq!((page.rows.len(), page.total), (5, 5));
        let filter = AuditFilter::default();
        assert_eq!(
            world.store.count_audit_events(&filter, 99).await.unwrap(),
            5
        );
        let mut tx = world.store.begin().await.unwrap();
        let gone = tx.delete_pruned(&permit, 4).await.unwrap();
        assert!(gone <= 4 && left >= 5);
        tx.commit_unaudited("rows before a seam").await.unwrap();
    }
    let mut tx = world.store.begin().await.unwrap();
    assert_eq!(
        tx.delete_pruned(&permit, 4).await.unwrap(),
        0,
        "nothing behind the seam goes"
    );
    tx.rollback().await.unwrap();
    // Without the seam the beginning is missing.
    let report = world.store.verify_chain(key, &[]).await.unwrap();
    assert_eq!(report.first_bad.unwrap().kind, FaultKind::Missing);
    let off_by_one = AuditHead {
        sequence: 7,
        ..seam.head()
    };
    let report = world
        .store
        .verify_chain_from(off_by_one, key, &[])
        .await
        .unwrap();
    assert_eq!(report.first_bad.unwrap().kind, FaultKind::Altered);
}

async fn pruning_needs_its_permit(db: Db) {
    let world = World::new(db).await;
    let seam = seam_at(&world, 1).await;
    let wrong = may(Action::AuditRead, Resource::Instance);
    let mut tx = world.store.begin().await.unwrap();
    let refused = [
        tx.add_seam(&wrong, &seam).await.map(|()| 0),
        tx.delete_pruned(&wrong, 1).await,
    ];
    for result in refused {
        assert!(matches!(result.unwrap_err(), StoreError::PermitMismatch(_)));
    }
    tx.add_seam(&policy::housekeeping(), &seam).await.unwrap();
    assert!(matches!(
        tx.add_seam(&policy::housekeeping(), &seam)
            .await
            .unwrap_err(),
        StoreError::Conflict { .. }
    ));
}

async fn one_process_at_a_time_delivers(db: Db) {
    let world = World::new(db).await;
    let (one, two) = ([1; 16], [2; 16]);
    let keeper = policy::housekeeping();
    let claim = async |owner: [u8; 16], now: i64| {
        let mut tx = world.store.begin().await.unwrap();
        let (from, to) = (NOW.plus_seconds(now), NOW.plus_seconds(now + 60));
        let found = tx
            .claim_sink(&keeper, "file:/x", &owner, from, to)
            .await
            .unwrap();
        tx.commit_unaudited("a lease").await.unwrap();
        found
    };
    let advance = async |owner: [u8; 16], to: u64| {
        let mut tx = world.store.begin().await.unwrap();
        let until = NOW.plus_seconds(60);
        let done = tx
            .advance_sink(&keeper, "file:/x", &owner, to, until)
            .await
            .unwrap();
        tx.commit_unaudited("a lease").await.unwrap();
        done
    };
    assert_eq!(world.store.sink_cursor("file:/x").await.unwrap(), None);
    assert_eq!(claim(one, 0).await, Some(0));
    assert_eq!(claim(two, 1).await, None);
    assert!(advance(one, 5).await);
    assert!(!advance(two, 6).await, "who has no lease moves nothing");
    assert!(!advance(one, 4).await, "never back");
    assert_eq!(claim(one, 2).await, Some(5));
    assert_eq!(claim(two, 100).await, Some(5), "the lease has run out");
    assert!(!advance(one, 7).await);
    assert_eq!(world.store.sink_cursor("file:/x").await.unwrap(), Some(5));
    assert_eq!(world.store.sink_cursor("file:/y").await.unwrap(), None);
}
