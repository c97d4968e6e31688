//! Who may do what, by the database as it stands at that moment.

use nodeloom_app::{App, AppError, CredentialChange, Ctx, ListCredentials};
use nodeloom_domain::{CredentialId, Role, TeamId, Timestamp, policy::Denied};
use serde_json::json;

use crate::support::{Db, World, assert_refused, object, on_both, reveal, x};

on_both!(
    a_weak_role_reads_and_changes_nothing,
    a_builder_does_all_four,
    a_stranger_and_an_unknown_id_answer_alike,
    a_role_that_is_lowered_is_lowered_at_once,
    a_membership_that_is_taken_away_is_gone_at_once,
    a_deactivated_person_is_out_at_once,
    the_instance_belongs_to_its_administrators,
);

/// The four ways to touch a credential, and to make one.
async fn attempts(
    app: &App,
    ctx: &Ctx,
    team: TeamId,
    id: CredentialId,
) -> Vec<(&'static str, Result<(), AppError>)> {
    let data = || object(json!({"token": "planted"}));
    let new = nodeloom_app::NewCredential {
        team,
        name: "Planted".into(),
        kind: "BEARER_TOKEN".into(),
        data: data(),
    };
    let change = CredentialChange {
        data: Some(data()),
        ..Default::default()
    };
    vec![
        (
            "credential.create",
            app.create_credential(ctx, new).await.map(drop),
        ),
        (
            "credential.update",
            app.update_credential(ctx, id, change).await.map(drop),
        ),
        ("credential.reveal", reveal(app, ctx, id).await.map(drop)),
        (
            "credential.delete",
            app.delete_credential(ctx, id, None).await,
        ),
    ]
}

async fn a_weak_role_reads_and_changes_nothing(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    for role in [Role::Viewer, Role::Operator, Role::Auditor] {
        let email = format!("{}@example.com", role.as_str().to_lowercase());
        let person = world.person(&email, world.team, role).await;
        let before = world.db.dump_records().await;
        for (action, result) in attempts(&world.app, &person.ctx(), world.team, stored.id).await {
            assert_refused!(
                result,
                AppError::Denied(Denied::RoleTooLow {
                    needs: Role::Builder
                })
            );
            let sql = format!(
                "SELECT outcome, team_id FROM audit_events \
                 WHERE action = '{action}' AND actor_name = '{email}'"
            );
            let row = world.db.rows(&sql).await.remove(0);
            assert_eq!(row[0].text(), "refused");
            assert_eq!(row[1].bytes(), world.team.as_bytes());
        }
        assert_eq!(
            world.db.dump_records().await,
            before,
            "{role} changed something"
        );
        let view = world
            .app
            .credential(&person.ctx(), stored.id)
            .await
            .unwrap();
        assert_eq!(view.name, "Mail");
    }
}

async fn a_builder_does_all_four(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let person = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    for (action, result) in attempts(&world.app, &person.ctx(), world.team, stored.id).await {
        assert!(result.is_ok(), "{action}: {result:?}");
        let sql = format!(
            "audit_events WHERE action = '{action}' AND outcome = 'success' \
             AND actor_name = '{}'",
            person.email
        );
        assert_eq!(world.db.count(&sql).await, 1, "{action}");
    }
    assert_eq!(world.names(world.team).await, ["Planted"]);
}

async fn a_stranger_and_an_unknown_id_answer_alike(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let other = world.add_team("Other").await;
    let stranger = world
        .person("stranger@example.com", other, Role::Admin)
        .await;
    let nowhere = CredentialId::generate(Timestamp::from_micros(1));
    let no_team = TeamId::generate(Timestamp::from_micros(1));
    let before = world.db.dump_records().await;
    let foreign = attempts(&world.app, &stranger.ctx(), world.team, stored.id).await;
    let unknown = attempts(&world.app, &stranger.ctx(), no_team, nowhere).await;
    for ((action, foreign), (_, unknown)) in foreign.into_iter().zip(unknown) {
        let (foreign, unknown) = (foreign.unwrap_err(), unknown.unwrap_err());
        assert!(
            matches!(foreign, AppError::NotFound),
            "{action}: {foreign:?}"
        );
        assert_eq!(
            format!("{foreign:?} {foreign}"),
            format!("{unknown:?} {unknown}")
        );
    }
    for id in [stored.id, nowhere] {
        assert_refused!(
            world.app.credential(&stranger.ctx(), id).await,
            AppError::NotFound
        );
    }
    for team in [world.team, no_team] {
        let list = ListCredentials {
            team,
            kind: None,
            search: None,
            page: 0,
            size: 10,
            ..ListCredentials::of(team)
        };
        let listed = world.app.list_credentials(&stranger.ctx(), list).await;
        assert_refused!(listed, AppError::NotFound);
        let found = world
            .app
            .find_credential_by_name(&stranger.ctx(), team, "Mail")
            .await;
        assert_refused!(found, AppError::NotFound);
    }
    assert_eq!(world.db.dump_records().await, before);
    let refused = "audit_events WHERE outcome = 'refused' AND actor_name = 'stranger@example.com'";
    assert!(
        world.db.count(refused).await >= 4,
        "a stranger's attempts are in the trail"
    );
    let teams = world.app.list_teams(&stranger.ctx()).await.unwrap();
    assert_eq!(
        teams.iter().map(|team| team.id).collect::<Vec<_>>(),
        [other]
    );
}

async fn a_role_that_is_lowered_is_lowered_at_once(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let person = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    assert!(reveal(&world.app, &person.ctx(), stored.id).await.is_ok());
    let user = x(person.id.as_bytes());
    world
        .db
        .run(&format!(
            "UPDATE memberships SET role = 'VIEWER' WHERE user_id = {user}"
        ))
        .await;
    let before = world.db.dump_records().await;
    for (_, result) in attempts(&world.app, &person.ctx(), world.team, stored.id).await {
        assert_refused!(result, AppError::Denied(Denied::RoleTooLow { .. }));
    }
    assert_eq!(world.db.dump_records().await, before);
    assert!(world.app.credential(&person.ctx(), stored.id).await.is_ok());
}

async fn a_membership_that_is_taken_away_is_gone_at_once(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let person = world
        .person("admin2@example.com", world.team, Role::Admin)
        .await;
    let user = x(person.id.as_bytes());
    world
        .db
        .run(&format!("DELETE FROM memberships WHERE user_id = {user}"))
        .await;
    for (_, result) in attempts(&world.app, &person.ctx(), world.team, stored.id).await {
        assert_refused!(result, AppError::NotFound);
    }
    assert!(world.app.me(&person.ctx()).await.unwrap().teams.is_empty());
    assert!(
        world
            .app
            .list_teams(&person.ctx())
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_deactivated_person_is_out_at_once(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let person = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    let (app, ctx, user) = (&world.app, person.ctx(), x(person.id.as_bytes()));
    app.authenticate(&ctx).await.unwrap();
    world
        .db
        .run(&format!(
            "UPDATE users SET state = 'deactivated' WHERE id = {user}"
        ))
        .await;
    let before = world.db.dump().await;
    assert_refused!(app.authenticate(&ctx).await, AppError::Unauthenticated);
    assert_refused!(app.me(&ctx).await, AppError::Unauthenticated);
    assert_refused!(app.list_sessions(&ctx).await, AppError::Unauthenticated);
    assert_refused!(app.list_teams(&ctx).await, AppError::Unauthenticated);
    assert_refused!(app.refresh_session(&ctx).await, AppError::Unauthenticated);
    assert_refused!(
        app.credential(&ctx, stored.id).await,
        AppError::Unauthenticated
    );
    for (_, result) in attempts(app, &ctx, world.team, stored.id).await {
        assert_refused!(result, AppError::Unauthenticated);
    }
    assert_eq!(world.db.dump().await, before);
}

async fn the_instance_belongs_to_its_administrators(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    for (email, role) in [
        ("lead@example.com", Role::Admin),
        ("check@example.com", Role::Auditor),
    ] {
        let ctx = world.person(email, world.team, role).await.ctx();
        let refused = AppError::Denied(Denied::InstanceAdminOnly).to_string();
        let answers = [
            app.verify_audit(&ctx, &[]).await.map(drop),
            app.key_status(&ctx).await.map(drop),
            app.doctor(&ctx, &[], |_, _| {}).await.map(drop),
        ];
        for answer in answers {
            assert_eq!(answer.unwrap_err().to_string(), refused);
        }
        let sql = format!("audit_events WHERE outcome = 'refused' AND actor_name = '{email}'");
        assert_eq!(world.db.count(&sql).await, 3);
    }
    let admin = world.admin().await;
    app.verify_audit(&admin.ctx(), &[]).await.unwrap();
    app.doctor(&admin.ctx(), &[], |_, _| {}).await.unwrap();
    let flag = if world.db.is_sqlite() { "0" } else { "false" };
    world
        .db
        .run(&format!("UPDATE users SET instance_admin = {flag}"))
        .await;
    let answer = app.key_status(&admin.ctx()).await;
    assert_refused!(answer, AppError::Denied(Denied::InstanceAdminOnly));
}
