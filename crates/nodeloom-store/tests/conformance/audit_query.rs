//! Finding events: what a filter finds, in which order, at what cost.

use nodeloom_domain::{
    TeamId, UserId,
    audit::{ActorKind, AuditEvent, Outcome},
};
use nodeloom_store::{AuditFilter, AuditPageQuery, audit::COUNT_LIMIT};

use crate::harness::{Db, NOW, World, event, on_both};

on_both!(
    each_condition_finds_its_events,
    pages_go_back_in_time_without_repeats,
    totals_are_exact_up_to_their_limit,
    every_condition_is_looked_up_in_an_index,
);

/// By Ada in the team, by Bob in another, by the program in none.
fn three(world: &World, number: i64) -> Vec<AuditEvent> {
    let by = |name: &str, id: UserId, team: TeamId, action: &'static str| {
        let mut event = event(action);
        event.actor.kind = ActorKind::User;
        event.actor.id = Some(*id.as_bytes());
        event.actor.name = name.into();
        event.at = NOW.plus_seconds(number);
        event.in_team(team)
    };
    let other = TeamId::from_bytes([2; 16]);
    let record = [number as u8; 16];
    let mut system = event("key.create").on("key", &[5; 8], "");
    system.at = NOW.plus_seconds(number);
    vec![
        by(
            "ada@example.com",
            world.user,
            world.team,
            "credential.reveal",
        )
        .on("credential", &record, "Mail"),
        by(
            "bob@example.com",
            UserId::from_bytes([3; 16]),
            other,
            "credential.create",
        )
        .ended(Outcome::Refused),
        system,
    ]
}

async fn filled(db: Db, rounds: i64) -> World {
    let world = World::new(db).await;
    let events: Vec<AuditEvent> = (1..=rounds).flat_map(|n| three(&world, n)).collect();
    for part in events.chunks(3_000) {
        let tx = world.store.begin().await.unwrap();
        tx.commit_all(part, &world.chain).await.unwrap();
    }
    world
}

async fn found(world: &World, filter: AuditFilter) -> (Vec<u64>, u64) {
    let query = AuditPageQuery {
        filter,
        limit: 100,
        ..Default::default()
    };
    let page = world.store.list_audit_events(&query).await.unwrap();
    assert!(page.total_is_exact);
    (
        page.rows.iter().map(|row| row.sequence).collect(),
        page.total,
    )
}

async fn each_condition_finds_its_events(db: Db) {
    // One event of the set-up, then three rounds of three: 2 to 10.
    let world = filled(db, 3).await;
    let all = AuditFilter::default;
    let (of_ada, of_bob, of_program) = (vec![8, 5, 2], vec![9, 6, 3], vec![10, 7, 4]);
    let cases = [
        (all(), (1..=10).rev().collect()),
        (
            AuditFilter {
                team: Some(world.team),
                ..all()
            },
            of_ada.clone(),
        ),
        (
            AuditFilter {
                actor_id: Some([3; 16]),
                ..all()
            },
            of_bob.clone(),
        ),
        (
            AuditFilter {
                actor_name: Some("bob@example.com".into()),
                ..all()
            },
            of_bob.clone(),
        ),
        (
            AuditFilter {
                action: Some("key.create".into()),
                ..all()
            },
            of_program.clone(),
        ),
        (
            AuditFilter {
                target: Some(vec![2; 16]),
                ..all()
            },
            vec![5],
        ),
        (
            AuditFilter {
                target: Some(vec![5; 8]),
                ..all()
            },
            of_program,
        ),
        (
            AuditFilter {
                outcome: Some("refused".into()),
                ..all()
            },
            of_bob.clone(),
        ),
        (
            AuditFilter {
                outcome: Some("success".into()),
                ..all()
            },
            vec![10, 8, 7, 5, 4, 2, 1],
        ),
        (
            AuditFilter {
                from: Some(NOW.plus_seconds(3)),
                ..all()
            },
            vec![10, 9, 8],
        ),
        (
            AuditFilter {
                to: Some(NOW.plus_seconds(1)),
                ..all()
            },
            vec![1],
        ),
        (
            AuditFilter {
                from: Some(NOW.plus_seconds(1)),
                to: Some(NOW.plus_seconds(2)),
                ..all()
            },
            vec![4, 3, 2],
        ),
        (
            AuditFilter {
                from: Some(NOW.plus_seconds(100_000)),
                ..all()
            },
            vec![],
        ),
        (
            AuditFilter {
                to: Some(NOW.plus_seconds(-100_000)),
                ..all()
            },
            vec![],
        ),
        (
            AuditFilter {
                team: Some(world.team),
                action: Some("credential.reveal".into()),
                actor_name: Some("ada@example.com".into()),
                target: Some(vec![3; 16]),
                outcome: Some("success".into()),
                ..all()
            },
            vec![8],
        ),
        (
            AuditFilter {
                team: Some(world.team),
                actor_name: Some("bob@example.com".into()),
                ..all()
            },
            vec![],
        ),
        (
            AuditFilter {
                actor_name: Some("'; --".into()),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, wanted) in cases {
        let (sequences, total) = found(&world, filter.clone()).await;
        assert_eq!(sequences, wanted, "{filter:?}");
        assert_eq!(total, wanted.len() as u64, "{filter:?}");
        let mut oldest_first = wanted.clone();
        oldest_first.reverse();
        let rows = world.store.audit_events_after(&filter, 0, 10, 100).await;
        let rows: Vec<u64> = rows.unwrap().iter().map(|row| row.sequence).collect();
        assert_eq!(rows, oldest_first, "{filter:?}");
        let counted = world.store.count_audit_events(&filter, 9).await.unwrap();
        let up_to_9 = wanted.iter().filter(|sequence| **sequence <= 9).count();
        assert_eq!(counted, up_to_9 as u64, "{filter:?}");
    }
    assert_eq!(of_ada.len() + of_bob.len(), 6);
    let one = world.store.find_audit_event(5).await.unwrap().unwrap();
    assert_eq!(
        (one.sequence, one.action.as_str()),
        (5, "credential.reveal")
    );
    for none in [0, 11, u64::MAX] {
        assert!(world.store.find_audit_event(none).await.unwrap().is_none());
    }
}

async fn pages_go_back_in_time_without_repeats(db: Db) {
    let world = filled(db, 10).await;
    let filter = AuditFilter {
        team: Some(world.team),
        ..Default::default()
    };
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let query = AuditPageQuery {
            filter: filter.clone(),
            before,
            offset: 0,
            limit: 3,
        };
        let page = world.store.list_audit_events(&query).await.unwrap();
        assert_eq!(
            page.total, 10,
            "the total is of the filter, not of what is left"
        );
        let Some(last) = page.rows.last() else { break };
        before = Some(last.sequence);
        seen.extend(page.rows.iter().map(|row| row.sequence));
    }
    let query = AuditPageQuery {
        filter,
        before: None,
        offset: 0,
        limit: 100,
    };
    let at_once = world.store.list_audit_events(&query).await.unwrap();
    let at_once: Vec<u64> = at_once.rows.iter().map(|row| row.sequence).collect();
    assert_eq!(seen, at_once);
    let skipped = AuditPageQuery {
        offset: 4,
        limit: 2,
        ..query
    };
    let page = world.store.list_audit_events(&skipped).await.unwrap();
    let page: Vec<u64> = page.rows.iter().map(|row| row.sequence).collect();
    assert_eq!(page, at_once[4..6]);
}

async fn totals_are_exact_up_to_their_limit(db: Db) {
    let world = World::new(db).await;
    let add = |count: u64| {
        let events = vec![event("credential.reveal"); usize::try_from(count).unwrap()];
        let world = &world;
        async move {
            let tx = world.store.begin().await.unwrap();
            tx.commit_all(&events, &world.chain).await.unwrap();
        }
    };
    let query = AuditPageQuery {
        filter: AuditFilter {
            action: Some("credential.reveal".into()),
            ..Default::default()
        },
        limit: 1,
        ..Default::default()
    };
    add(COUNT_LIMIT).await;
    let page = world.store.list_audit_events(&query).await.unwrap();
    assert_eq!((page.total, page.total_is_exact), (COUNT_LIMIT, true));
    add(1).await;
    let page = world.store.list_audit_events(&query).await.unwrap();
    assert_eq!((page.total, page.total_is_exact), (COUNT_LIMIT, false));
    // Without a filter the end of the chain says it.
    let all = AuditPageQuery {
        limit: 1,
        ..Default::default()
    };
    let page = world.store.list_audit_events(&all).await.unwrap();
    assert_eq!((page.total, page.total_is_exact), (COUNT_LIMIT + 2, true));
}

async fn every_condition_is_looked_up_in_an_index(db: Db) {
    let world = filled(db, 3_000).await;
    world.db.tamper("ANALYZE").await;
    let all = AuditFilter::default;
    let rare = "'\\x0202020202020202'";
    let cases = [
        (
            AuditFilter {
                team: Some(world.team),
                ..all()
            },
            "$3",
            "audit_events_team",
        ),
        (
            AuditFilter {
                actor_id: Some([3; 16]),
                ..all()
            },
            "$4",
            "audit_events_actor",
        ),
        (
            AuditFilter {
                actor_name: Some("a".into()),
                ..all()
            },
            "$5",
            "audit_events_actor_name",
        ),
        (
            AuditFilter {
                action: Some("a".into()),
                ..all()
            },
            "$6",
            "audit_events_action",
        ),
        (
            AuditFilter {
                target: Some(vec![2; 8]),
                ..all()
            },
            "$7",
            "audit_events_target",
        ),
        (
            AuditFilter {
                outcome: Some("failed".into()),
                ..all()
            },
            "$8",
            "audit_events_outcome",
        ),
    ];
    for (filter, parameter, index) in cases {
        let value = match parameter {
            "$3" | "$4" | "$7" => rare,
            _ => "'failed'",
        };
        let mut sql = filter.page_sql().to_owned();
        for (name, value) in [
            ("$12", "0"),
            ("$11", "50"),
            ("$10", "NULL"),
            ("$9", "NULL"),
            ("$1", "0"),
            ("$2", "9000000"),
            (parameter, value),
        ] {
            sql = sql.replace(name, value);
        }
        for other in ["$3", "$4", "$5", "$6", "$7", "$8"] {
            sql = sql.replace(other, "NULL");
        }
        let plan = world.db.plan(&sql).await;
        assert!(plan.contains(&format!("{index} ")), "{index}: {plan}");
        for slow in ["SCAN", "TEMP B-TREE", "Seq Scan"] {
            assert!(!plan.contains(slow), "{index}: {plan}");
        }
    }
}
