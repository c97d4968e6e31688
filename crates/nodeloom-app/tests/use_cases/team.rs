//! Teams and their members, through their whole life.

use nodeloom_app::AppError;
use nodeloom_domain::{Role, TeamId, UserId, policy::Denied};

use crate::support::{Db, World, assert_refused, fields_of, on_both, operator, x};

on_both!(
    a_team_is_made_with_a_key_and_renamed,
    only_who_may_makes_renames_and_deletes,
    a_role_is_given_changed_and_taken_with_its_sessions,
    the_last_admin_stays,
    two_admins_cannot_remove_each_other_at_once,
    a_deleted_team_leaves_nothing_that_opens,
    the_last_team_stays,
);

async fn a_team_is_made_with_a_key_and_renamed(db: Db) {
    let world = World::new(db).await;
    let (app, admin) = (&world.app, world.admin().await);
    let team = app.create_team(&admin.ctx(), " Payments ").await.unwrap();
    assert_eq!(team.name, "Payments");
    assert_eq!(
        world.last_events(2).await,
        ["team.create success", "member.grant success"]
    );
    let members = app.list_members(&admin.ctx(), team.id).await.unwrap();
    assert_eq!((members.len(), members[0].role), (1, Role::Admin));
    // Its key seals at once.
    let stored = world.add(team.id, "Mail", "canary").await;
    assert_eq!(world.token_of(stored.id).await.unwrap(), "canary");

    let again = app.create_team(&operator(), "Payments").await;
    assert_refused!(again, AppError::TeamNameTaken { .. });
    let taken = app.rename_team(&operator(), team.id, "Default").await;
    assert_refused!(taken, AppError::TeamNameTaken { .. });
    let like_an_id = world.team.to_string();
    let refused = app.create_team(&operator(), &like_an_id).await.unwrap_err();
    assert_eq!(fields_of(refused), ["name not-an-id".to_owned()].into());
    let renamed = app.rename_team(&admin.ctx(), team.id, "Billing").await;
    assert_eq!(renamed.unwrap().name, "Billing");
    assert_eq!(
        app.team(&operator(), team.id).await.unwrap().name,
        "Billing"
    );
    let former = world
        .db
        .one("SELECT detail FROM audit_events WHERE action = 'team.update'")
        .await;
    assert!(former.text().contains("Payments"), "{}", former.text());
    // Nobody administers what a command makes, until somebody is named.
    let bare = app.create_team(&operator(), "Bare").await.unwrap();
    assert!(
        app.list_members(&operator(), bare.id)
            .await
            .unwrap()
            .is_empty()
    );
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
}

async fn only_who_may_makes_renames_and_deletes(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let other = world.add_team("Other").await;
    let lead = world.person("lead@example.com", other, Role::Admin).await;
    let builder = world.person("b@example.com", other, Role::Builder).await;
    let before = world.db.dump_records().await;
    let made = app.create_team(&lead.ctx(), "Mine").await;
    assert_refused!(made, AppError::Denied(Denied::InstanceAdminOnly));
    let deleted = app.delete_team(&lead.ctx(), other, "Other").await;
    assert_refused!(deleted, AppError::Denied(Denied::InstanceAdminOnly));
    let renamed = app.rename_team(&builder.ctx(), other, "Mine").await;
    let admins = AppError::Denied(Denied::RoleTooLow { needs: Role::Admin }).to_string();
    assert_eq!(renamed.unwrap_err().to_string(), admins);
    let granted = app
        .grant_member(&builder.ctx(), other, builder.id, Role::Admin)
        .await;
    assert_eq!(granted.unwrap_err().to_string(), admins);
    let removed = app.remove_member(&builder.ctx(), other, lead.id).await;
    assert_eq!(removed.unwrap_err().to_string(), admins);
    // A team that is not theirs is not there.
    for id in [world.team, TeamId::generate(world.clock.now())] {
        assert_refused!(app.team(&lead.ctx(), id).await, AppError::NotFound);
        let members = app.list_members(&lead.ctx(), id).await;
        assert_refused!(members, AppError::NotFound);
        let granted = app
            .grant_member(&lead.ctx(), id, lead.id, Role::Admin)
            .await;
        assert_refused!(granted, AppError::NotFound);
        let removed = app.remove_member(&lead.ctx(), id, lead.id).await;
        assert_refused!(removed, AppError::NotFound);
    }
    assert_eq!(world.db.dump_records().await, before);
    let refused = "audit_events WHERE outcome = 'refused'";
    assert_eq!(world.db.count(refused).await, 13);
    // The administrator of the instance sees all teams; a lead their own.
    let all = app.list_teams(&world.admin().await.ctx()).await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(app.list_teams(&lead.ctx()).await.unwrap().len(), 1);
    // An old proof of identity gives no role.
    world.clock.advance_seconds(301);
    let stale = app
        .grant_member(&lead.ctx(), other, builder.id, Role::Admin)
        .await;
    assert_refused!(stale, AppError::Denied(Denied::ReauthenticationRequired));
}

async fn a_role_is_given_changed_and_taken_with_its_sessions(db: Db) {
    let world = World::new(db).await;
    let (app, admin) = (&world.app, world.admin().await);
    let other = world.add_team("Other").await;
    let bob = world.person("bob@example.com", other, Role::Viewer).await;
    let id = app.find_person(&operator(), "Bob@example.com").await;
    assert_eq!(id.unwrap(), bob.id);
    let grant = async |role| {
        app.grant_member(&admin.ctx(), world.team, bob.id, role)
            .await
            .unwrap()
    };
    assert_eq!(grant(Role::Operator).await.role, Role::Operator);
    assert_eq!(grant(Role::Builder).await.role, Role::Builder);
    // Nothing was taken away so far: the session lives and has the new right.
    let stored = world.create(&bob.ctx(), world.team, "Mail", "value").await;
    assert!(stored.is_ok());
    grant(Role::Operator).await;
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    let details = world
        .db
        .rows("SELECT detail FROM audit_events WHERE action = 'member.grant' ORDER BY sequence")
        .await;
    let last = details[2][0].text();
    for part in [
        "\"formerRole\":\"BUILDER\"",
        "\"role\":\"OPERATOR\"",
        "\"endedSessions\":1",
    ] {
        assert!(last.contains(part), "{last}");
    }
    let bob = world.signed_in("bob@example.com").await;
    app.remove_member(&admin.ctx(), world.team, bob.id)
        .await
        .unwrap();
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    assert_eq!(world.last_events(1).await, ["member.remove success"]);
    let again = app.remove_member(&admin.ctx(), world.team, bob.id).await;
    assert_refused!(again, AppError::NotFound);
    let nobody = UserId::generate(world.clock.now());
    let refused = app
        .grant_member(&admin.ctx(), world.team, nobody, Role::Viewer)
        .await;
    assert_eq!(
        fields_of(refused.unwrap_err()),
        ["userId unknown".to_owned()].into()
    );
}

async fn the_last_admin_stays(db: Db) {
    let world = World::new(db).await;
    let (app, admin) = (&world.app, world.admin().await);
    let before = world.db.dump_records().await;
    let lowered = app
        .grant_member(&admin.ctx(), world.team, admin.id, Role::Builder)
        .await;
    assert_refused!(lowered, AppError::LastAdmin { of } if of.contains("Default"));
    let removed = app.remove_member(&operator(), world.team, admin.id).await;
    assert_refused!(removed, AppError::LastAdmin { .. });
    assert_eq!(world.db.dump_records().await, before);
    // One who may not sign in does not count.
    let bob = world
        .person("bob@example.com", world.team, Role::Admin)
        .await;
    let user = x(bob.id.as_bytes());
    let state = |word: &str| format!("UPDATE users SET state = '{word}' WHERE id = {user}");
    world.db.run(&state("deactivated")).await;
    let removed = app.remove_member(&operator(), world.team, admin.id).await;
    assert_refused!(removed, AppError::LastAdmin { .. });
    world.db.run(&state("active")).await;
    app.remove_member(&operator(), world.team, admin.id)
        .await
        .unwrap();
}

async fn two_admins_cannot_remove_each_other_at_once(db: Db) {
    let world = World::new(db).await;
    let ada = world.admin().await;
    let bob = world
        .person("bob@example.com", world.team, Role::Admin)
        .await;
    let attempt = |ctx, victim| {
        let (app, team) = (world.app.clone(), world.team);
        tokio::spawn(async move { app.remove_member(&ctx, team, victim).await })
    };
    let (one, two) = (attempt(ada.ctx(), bob.id), attempt(bob.ctx(), ada.id));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    let admins = "memberships WHERE role = 'ADMIN'";
    assert_eq!(world.db.count(admins).await, 1);
}

async fn a_deleted_team_leaves_nothing_that_opens(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let other = world.add_team("Other").await;
    let bob = world.person("bob@example.com", other, Role::Admin).await;
    let gone = world.add(other, "Mail", "value").await;
    world.add(world.team, "Kept", "kept").await;
    let refused = app.delete_team(&operator(), other, "other").await;
    assert_eq!(
        fields_of(refused.unwrap_err()),
        ["confirm match".to_owned()].into()
    );
    assert!(app.team(&operator(), other).await.is_ok());

    let deletion = app.delete_team(&operator(), other, "Other").await.unwrap();
    assert_eq!(
        (
            deletion.credentials,
            deletion.values,
            deletion.keys,
            deletion.members
        ),
        (1, 1, 1, 1)
    );
    assert!(deletion.scrubbed);
    assert!(deletion.notice.contains("Backups"));
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    assert_refused!(world.reveal(gone.id).await, AppError::NotFound);
    assert_refused!(app.team(&operator(), other).await, AppError::NotFound);
    let again = app.delete_team(&operator(), other, "Other").await;
    assert_refused!(again, AppError::NotFound);
    let team = x(other.as_bytes());
    for table in [
        "credentials",
        "credential_words",
        "sealed_values",
        "memberships",
    ] {
        let left = format!("{table} WHERE team_id = {team}");
        assert_eq!(world.db.count(&left).await, 0, "{table}");
    }
    let slots =
        format!("key_slots WHERE data_key_id IN (SELECT id FROM data_keys WHERE team_id = {team})");
    assert_eq!(world.db.count(&slots).await, 0);
    let sql = format!("SELECT state FROM data_keys WHERE team_id = {team}");
    assert_eq!(world.db.one(&sql).await.text(), "destroyed");
    let sql = format!("SELECT name FROM teams WHERE id = {team} AND deleted_at IS NOT NULL");
    assert_eq!(world.db.one(&sql).await.text(), other.to_string());
    // The name is free, nothing can be stored in what is gone, the rest is whole.
    app.create_team(&operator(), "Other").await.unwrap();
    let stored = world.create(&operator(), other, "Late", "value").await;
    assert!(stored.is_err());
    assert_eq!(world.names(world.team).await, ["Kept"]);
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
    world.other_process().await;
}

async fn the_last_team_stays(db: Db) {
    let world = World::new(db).await;
    let refused = world
        .app
        .delete_team(&operator(), world.team, "Default")
        .await;
    assert_refused!(refused, AppError::LastTeam);
    let other = world.add_team("Other").await;
    let attempt = |team, name: &'static str| {
        let app = world.app.clone();
        tokio::spawn(async move { app.delete_team(&operator(), team, name).await })
    };
    let (one, two) = (attempt(world.team, "Default"), attempt(other, "Other"));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    assert_eq!(world.db.count("teams WHERE deleted_at IS NULL").await, 1);
}
