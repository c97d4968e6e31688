//! Looking into the trail: who may, what is found, and who saw this secret.

use nodeloom_app::{AppError, AuditSearch, ListAudit};
use nodeloom_domain::{Role, policy::Denied};

use crate::support::{Db, World, assert_refused, fields_of, on_both, operator, reveal};

on_both!(
    who_saw_this_secret,
    a_team_sees_its_own_events_alone,
    a_search_is_checked,
    pages_go_on_where_they_ended,
);

fn of(search: AuditSearch) -> ListAudit {
    ListAudit {
        search,
        size: 100,
        ..Default::default()
    }
}

async fn who_saw_this_secret(db: Db) {
    let world = World::new(db).await;
    let mail = world.add(world.team, "Mail", "value").await;
    let chat = world.add(world.team, "Chat", "value").await;
    let builder = world
        .person("b@example.com", world.team, Role::Builder)
        .await;
    reveal(&world.app, &builder.ctx(), mail.id).await.unwrap();
    reveal(&world.app, &operator(), chat.id).await.unwrap();
    let auditor = world
        .person("a@example.com", world.team, Role::Auditor)
        .await;
    let ask = of(AuditSearch {
        team: Some(world.team),
        action: Some("credential.reveal".into()),
        target: Some(mail.id.to_string()),
        ..Default::default()
    });
    let list = world.app.list_audit(&auditor.ctx(), ask).await.unwrap();
    assert_eq!(
        (list.items.len(), list.total, list.total_is_exact),
        (1, 1, true)
    );
    let event = &list.items[0];
    assert_eq!(event.actor.name, "b@example.com");
    assert_eq!(
        event.actor.id.as_deref(),
        Some(builder.id.to_string().as_str())
    );
    assert_eq!(event.target.as_ref().unwrap().name.as_deref(), Some("Mail"));
    let shown = serde_json::to_value(event).unwrap();
    assert_eq!(shown["detail"]["generation"], 1);
    assert_eq!(shown["at"].as_str().unwrap(), world.clock.now().to_string());
    // The same by the person, by name or id, and alone.
    for actor in ["b@example.com".to_owned(), builder.id.to_string()] {
        let ask = of(AuditSearch {
            actor: Some(actor),
            action: Some("credential.reveal".into()),
            ..Default::default()
        });
        let list = world.app.list_audit(&operator(), ask).await.unwrap();
        assert_eq!(list.items[0].sequence, event.sequence);
    }
    let one = world
        .app
        .audit_event(&auditor.ctx(), event.sequence)
        .await
        .unwrap();
    assert_eq!(one.mac, event.mac);
}

async fn a_team_sees_its_own_events_alone(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let foreign = world.add(other, "Foreign", "value").await;
    world.add(world.team, "Mail", "value").await;
    let admin = world.admin().await;
    let auditor = world
        .person("a@example.com", world.team, Role::Auditor)
        .await;
    let viewer = world
        .person("v@example.com", world.team, Role::Viewer)
        .await;
    let team = |team| {
        of(AuditSearch {
            team: Some(team),
            ..Default::default()
        })
    };
    let list = world
        .app
        .list_audit(&auditor.ctx(), team(world.team))
        .await
        .unwrap();
    assert!(
        list.items
            .iter()
            .all(|event| event.team_id == Some(world.team))
    );
    assert!(!list.items.is_empty());
    for (who, ask, wanted) in [
        (&auditor, team(other), Denied::NotVisible),
        (
            &auditor,
            of(AuditSearch::default()),
            Denied::InstanceAdminOnly,
        ),
        (
            &viewer,
            team(world.team),
            Denied::RoleTooLow {
                needs: Role::Auditor,
            },
        ),
    ] {
        match world.app.list_audit(&who.ctx(), ask).await.unwrap_err() {
            AppError::NotFound => assert_eq!(wanted, Denied::NotVisible),
            AppError::Denied(denied) => assert_eq!(denied, wanted),
            other => panic!("{other:?}"),
        }
    }
    // The administrator of the instance sees every team, and what is of none.
    let all = world
        .app
        .list_audit(&admin.ctx(), of(AuditSearch::default()))
        .await
        .unwrap();
    let head = world.store.audit_head().await.unwrap().sequence;
    assert_eq!((all.total, all.total_is_exact), (head, true));
    let theirs = world
        .app
        .list_audit(&admin.ctx(), team(other))
        .await
        .unwrap();
    let sequence = theirs.items.iter().find(|event| {
        let target = event.target.as_ref();
        target.is_some_and(|target| target.id.as_deref() == Some(&foreign.id.to_string()))
    });
    let sequence = sequence.unwrap().sequence;
    assert!(world.app.audit_event(&admin.ctx(), sequence).await.is_ok());
    assert_refused!(
        world.app.audit_event(&auditor.ctx(), sequence).await,
        AppError::NotFound
    );
    assert_refused!(
        world.app.audit_event(&auditor.ctx(), 1).await,
        AppError::Denied(Denied::InstanceAdminOnly)
    );
    for none in [0, 100_000, u64::MAX] {
        let found = world.app.audit_event(&admin.ctx(), none).await;
        assert_refused!(found, AppError::NotFound);
    }
}

async fn a_search_is_checked(db: Db) {
    let world = World::new(db).await;
    let search = AuditSearch {
        actor: Some("x".repeat(321)),
        action: Some("\0".into()),
        target: Some("Mail".into()),
        outcome: Some("good".into()),
        ..Default::default()
    };
    let error = world
        .app
        .list_audit(&operator(), of(search))
        .await
        .unwrap_err();
    let fields: Vec<String> = fields_of(error).into_iter().collect();
    assert_eq!(
        fields,
        ["action form", "actor form", "outcome one-of", "target id"]
    );
    let far = ListAudit {
        page: 101,
        size: 100,
        ..Default::default()
    };
    let error = world.app.list_audit(&operator(), far).await.unwrap_err();
    assert!(fields_of(error).contains("page range"));
}

async fn pages_go_on_where_they_ended(db: Db) {
    let world = World::new(db).await;
    for number in 0..7 {
        world.add(world.team, &format!("C {number}"), "value").await;
    }
    let mut seen = Vec::new();
    let mut ask = ListAudit {
        size: 4,
        ..Default::default()
    };
    loop {
        let list = world
            .app
            .list_audit(&operator(), ask.clone())
            .await
            .unwrap();
        let Some(last) = list.items.last() else { break };
        ask.before = Some(last.sequence);
        seen.extend(list.items.iter().map(|event| event.sequence));
    }
    let head = world.store.audit_head().await.unwrap().sequence;
    assert_eq!(seen, (1..=head).rev().collect::<Vec<_>>());
}
