//! The people of the instance: who keeps them, what ends when they go, and that somebody
//! always stays who administers.

use nodeloom_app::{AppError, Ctx, ListUsers, NewToken, NewUser, UserChange, Who};
use nodeloom_domain::{Role, UserId, policy::Denied};

use crate::support::{
    ADMIN, Db, PASSWORD, Person, World, assert_refused, fields_of, on_both, operator, origin,
    secret, x,
};

on_both!(
    people_are_made_found_and_changed,
    only_administrators_of_the_instance_keep_people,
    deactivation_ends_sessions_and_stops_tokens_at_once,
    deletion_takes_everything_that_lets_in,
    the_last_administrator_of_the_instance_stays,
    the_last_admin_of_a_team_stays,
    two_administrators_cannot_remove_each_other_at_once,
    an_admin_cannot_go_while_the_other_leaves_the_team,
    somebody_without_a_password_is_refused_like_any_other,
);

fn new_user(email: &str) -> NewUser {
    NewUser {
        email: email.into(),
        first_name: "Bob".into(),
        last_name: "Müller".into(),
        ..NewUser::default()
    }
}

fn admin(value: bool) -> UserChange {
    UserChange {
        instance_admin: Some(value),
        ..UserChange::default()
    }
}

async fn found(world: &World, search: &str) -> Vec<String> {
    let ask = ListUsers {
        search: Some(search.into()),
        page: 0,
        size: 10,
    };
    let list = world.app.list_users(&operator(), ask).await.unwrap();
    assert_eq!(list.total, u64::try_from(list.items.len()).unwrap());
    list.items.into_iter().map(|user| user.email).collect()
}

/// A context of a new API token of that person.
async fn token_of(world: &World, person: &Person) -> Ctx {
    let new = NewToken {
        team: world.team,
        name: "ci".into(),
        role: "VIEWER".into(),
        scopes: vec![],
        addresses: vec![],
        expires_in_days: None,
        owner: None,
    };
    let made = world.app.create_token(&person.ctx(), new).await.unwrap();
    Ctx::new(
        origin(),
        Who::Token(nodeloom_app::ApiToken::parse(made.token.expose()).unwrap()),
    )
}

async fn people_are_made_found_and_changed(db: Db) {
    let world = World::new(db).await;
    let (app, ada) = (&world.app, world.admin().await);
    let new = NewUser {
        password: Some(secret(PASSWORD)),
        ..new_user(" Bob_X@Example.com ")
    };
    let bob = app.create_user(&ada.ctx(), new).await.unwrap();
    assert_eq!(
        (bob.email.as_str(), bob.active),
        ("bob_x@example.com", true)
    );
    assert!(bob.has_password && !bob.instance_admin && !bob.break_glass);
    assert_eq!(world.last_events(1).await, ["user.create success"]);
    let eve = NewUser {
        instance_admin: true,
        ..new_user("eve@example.com")
    };
    let eve = app.create_user(&operator(), eve).await.unwrap();
    assert!(eve.instance_admin && !eve.has_password);
    assert_eq!(
        world.last_events(2).await,
        ["user.create success", "instance.grant success"]
    );
    let again = app
        .create_user(&operator(), new_user("BOB_X@example.com"))
        .await;
    assert_refused!(again, AppError::EmailTaken);
    let bad = NewUser {
        email: "nobody".into(),
        password: Some(secret("short")),
        first_name: "\u{202e}".into(),
        ..NewUser::default()
    };
    assert_eq!(
        fields_of(app.create_user(&operator(), bad).await.unwrap_err()),
        [
            "email email".to_owned(),
            "firstName control-character".to_owned(),
            "password too-short".to_owned()
        ]
        .into()
    );

    // By address or name; what has a meaning in a pattern has none here.
    assert_eq!(found(&world, "").await.len(), 3);
    assert_eq!(found(&world, "BOB_").await, ["bob_x@example.com"]);
    assert_eq!(found(&world, "ada l").await, [ADMIN]);
    assert_eq!(found(&world, "Müller").await.len(), 2);
    assert!(found(&world, "a%l").await.is_empty());
    let page = |page| ListUsers {
        search: None,
        page,
        size: 2,
    };
    let second = app.list_users(&operator(), page(1)).await.unwrap();
    assert_eq!((second.items.len(), second.total), (1, 3));

    let change = UserChange {
        email: Some("Robert@example.com".into()),
        last_name: Some(String::new()),
        break_glass: Some(true),
        ..UserChange::default()
    };
    let bob = app.update_user(&ada.ctx(), bob.id, change).await.unwrap();
    assert_eq!(
        (
            bob.email.as_str(),
            bob.first_name.as_str(),
            bob.last_name.as_str(),
            bob.break_glass
        ),
        ("robert@example.com", "Bob", "", true)
    );
    let detail = world
        .db
        .one("SELECT detail FROM audit_events WHERE action = 'user.update'")
        .await;
    assert!(detail.text().contains("bob_x@example.com"), "{detail:?}");
    world
        .sign_in("robert@example.com", PASSWORD, &origin())
        .await
        .unwrap();
    let taken = UserChange {
        email: Some(ADMIN.into()),
        instance_admin: Some(true),
        ..UserChange::default()
    };
    // All of a change or nothing.
    let refused = app.update_user(&ada.ctx(), bob.id, taken).await;
    assert_refused!(refused, AppError::EmailTaken);
    let details = app.user(&ada.ctx(), bob.id).await.unwrap();
    assert!(!details.user.instance_admin && details.teams.is_empty());
    let nobody = UserId::from_bytes([1; 16]);
    assert_refused!(app.user(&ada.ctx(), nobody).await, AppError::NotFound);
    let nobody = app.update_user(&ada.ctx(), nobody, admin(true)).await;
    assert_refused!(nobody, AppError::NotFound);
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
}

async fn only_administrators_of_the_instance_keep_people(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let lead = world
        .person("lead@example.com", world.team, Role::Admin)
        .await;
    let ada = world.admin().await;
    let before = world.db.dump_records().await;
    let only = Denied::InstanceAdminOnly.to_string();
    let ctx = lead.ctx();
    let list = ListUsers {
        search: None,
        page: 0,
        size: 1,
    };
    let mut refusals = vec![
        app.list_users(&ctx, list).await.unwrap_err(),
        app.user(&ctx, ada.id).await.unwrap_err(),
        app.create_user(&ctx, new_user("x@example.com"))
            .await
            .unwrap_err(),
        app.update_user(&ctx, lead.id, admin(true))
            .await
            .unwrap_err(),
        app.deactivate_user(&ctx, ada.id).await.unwrap_err(),
        app.reactivate_user(&ctx, ada.id).await.unwrap_err(),
    ];
    refusals.push(app.delete_user(&ctx, ada.id).await.unwrap_err());
    for refused in refusals {
        assert_eq!(refused.to_string(), only);
    }
    assert_eq!(
        world.last_events(3).await,
        [
            "user.deactivate refused",
            "user.reactivate refused",
            "user.delete refused"
        ]
    );
    // Not through a token either, whoever owns it.
    let token = token_of(&world, &ada).await;
    let through = app.deactivate_user(&token, lead.id).await;
    assert_refused!(through, AppError::Denied(Denied::NotForTokens));
    // What makes somebody mighty needs a fresh proof; to keep somebody out does not.
    world.clock.advance_seconds(5 * 60);
    let stale = app.update_user(&ada.ctx(), lead.id, admin(true)).await;
    assert_refused!(stale, AppError::Denied(Denied::ReauthenticationRequired));
    let mut after = world.db.dump_records().await;
    let mut before = before;
    for dump in [&mut before, &mut after] {
        dump.retain(|table, _| !matches!(table.as_str(), "api_tokens" | "sessions"));
    }
    assert_eq!(after, before);
    app.deactivate_user(&ada.ctx(), lead.id).await.unwrap();
}

async fn deactivation_ends_sessions_and_stops_tokens_at_once(db: Db) {
    let world = World::new(db).await;
    let (app, ada) = (&world.app, world.admin().await);
    let bob = world
        .person("bob@example.com", world.team, Role::Builder)
        .await;
    let token = token_of(&world, &bob).await;
    assert!(app.list_teams(&token).await.is_ok());
    let view = app.deactivate_user(&ada.ctx(), bob.id).await.unwrap();
    assert!(!view.active);
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    assert_refused!(app.list_teams(&token).await, AppError::Unauthenticated);
    let again = world.sign_in(&bob.email, PASSWORD, &origin()).await;
    assert!(matches!(again, Err(AppError::SignInRefused)));
    // Twice is once.
    let events = world.db.count("audit_events").await;
    app.deactivate_user(&ada.ctx(), bob.id).await.unwrap();
    assert_eq!(world.db.count("audit_events").await, events);

    let view = app.reactivate_user(&ada.ctx(), bob.id).await.unwrap();
    assert!(view.active);
    // What has ended stays ended, and the token, which was not revoked, works again.
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    assert!(app.list_teams(&token).await.is_ok());
    world.signed_in(&bob.email).await;
}

async fn deletion_takes_everything_that_lets_in(db: Db) {
    let world = World::new(db).await;
    let (app, ada) = (&world.app, world.admin().await);
    let bob = world
        .person("bob@example.com", world.team, Role::Builder)
        .await;
    let token = token_of(&world, &bob).await;
    let made = world
        .create(&bob.ctx(), world.team, "Mail", "canary")
        .await
        .unwrap();
    let id = x(bob.id.as_bytes());
    world
        .db
        .run(&format!("UPDATE credentials SET owner_id = {id}"))
        .await;
    world
        .db
        .run(&format!(
            "INSERT INTO user_identities (issuer, subject, user_id, created_at) \
             VALUES ('https://id.example', 's', {id}, 1)"
        ))
        .await;
    app.delete_user(&ada.ctx(), bob.id).await.unwrap();
    assert_eq!(world.last_events(1).await, ["user.delete success"]);
    assert_refused!(app.me(&bob.ctx()).await, AppError::Unauthenticated);
    assert_refused!(app.list_teams(&token).await, AppError::Unauthenticated);
    for table in ["sessions", "api_tokens", "memberships", "user_identities"] {
        let left = format!("{table} WHERE user_id = {id}");
        assert_eq!(world.db.count(&left).await, 0, "{table}");
    }
    assert_eq!(
        world.db.count("credentials WHERE owner_id IS NULL").await,
        1
    );
    // What they made stays, under their address, and opens.
    assert_eq!(world.token_of(made.id).await.unwrap(), "canary");
    let view = app.credential(&ada.ctx(), made.id).await.unwrap();
    assert_eq!(view.created_by, bob.email);
    assert_refused!(
        app.delete_user(&ada.ctx(), bob.id).await,
        AppError::NotFound
    );
    // The address is free again, and gives nothing of what was.
    app.create_user(&ada.ctx(), new_user(&bob.email))
        .await
        .unwrap();
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
}

async fn the_last_administrator_of_the_instance_stays(db: Db) {
    let world = World::new(db).await;
    let (app, ada) = (&world.app, world.admin().await);
    let bob = world
        .person("bob@example.com", world.team, Role::Admin)
        .await;
    app.update_user(&ada.ctx(), bob.id, admin(true))
        .await
        .unwrap();
    app.deactivate_user(&ada.ctx(), bob.id).await.unwrap();
    let before = world.db.dump_records().await;
    // One who may not sign in does not count, and an operator loses nobody either.
    for ctx in [ada.ctx(), operator()] {
        let of = "the instance";
        let lowered = app.update_user(&ctx, ada.id, admin(false)).await;
        assert_refused!(lowered, AppError::LastAdmin { of: it } if it == of);
        let out = app.deactivate_user(&ctx, ada.id).await;
        assert_refused!(out, AppError::LastAdmin { of: it } if it == of);
        let gone = app.delete_user(&ctx, ada.id).await;
        assert_refused!(gone, AppError::LastAdmin { of: it } if it == of);
    }
    assert_eq!(world.db.dump_records().await, before);
    app.reactivate_user(&ada.ctx(), bob.id).await.unwrap();
    // Whoever stops to administer is signed out.
    app.update_user(&ada.ctx(), ada.id, admin(false))
        .await
        .unwrap();
    assert_refused!(app.me(&ada.ctx()).await, AppError::Unauthenticated);
    let bob = world.signed_in(&bob.email).await;
    app.delete_user(&bob.ctx(), ada.id).await.unwrap();
}

async fn the_last_admin_of_a_team_stays(db: Db) {
    let world = World::new(db).await;
    let (app, ada) = (&world.app, world.admin().await);
    let (one, two) = (world.add_team("One").await, world.add_team("Two").await);
    let lead = world.person("lead@example.com", one, Role::Admin).await;
    app.grant_member(&operator(), two, lead.id, Role::Admin)
        .await
        .unwrap();
    let before = world.db.dump_records().await;
    let out = app.deactivate_user(&ada.ctx(), lead.id).await;
    let teams = "the teams \"One\", \"Two\"";
    assert_refused!(out, AppError::LastAdmin { of } if of == teams);
    let gone = app.delete_user(&ada.ctx(), lead.id).await;
    assert_refused!(gone, AppError::LastAdmin { of } if of == teams);
    assert_eq!(world.db.dump_records().await, before);
    let other = world.person("other@example.com", one, Role::Admin).await;
    let gone = app.delete_user(&ada.ctx(), lead.id).await;
    assert_refused!(gone, AppError::LastAdmin { of } if of == "the team \"Two\"");
    app.grant_member(&operator(), two, other.id, Role::Admin)
        .await
        .unwrap();
    app.delete_user(&ada.ctx(), lead.id).await.unwrap();
}

async fn two_administrators_cannot_remove_each_other_at_once(db: Db) {
    for lower in [false, true] {
        let world = World::new(if db.is_sqlite() {
            Db::sqlite()
        } else {
            Db::postgres().await
        })
        .await;
        let ada = world.admin().await;
        let bob = world
            .person("bob@example.com", world.team, Role::Admin)
            .await;
        let app = &world.app;
        app.update_user(&ada.ctx(), bob.id, admin(true))
            .await
            .unwrap();
        // Both have been allowed before either writes.
        let held = world.db.hold("SELECT id FROM instance FOR UPDATE").await;
        let attempt = |ctx: Ctx, victim| {
            let app = world.app.clone();
            tokio::spawn(async move {
                if lower {
                    let change = admin(false);
                    app.update_user(&ctx, victim, change).await.map(drop)
                } else {
                    app.delete_user(&ctx, victim).await
                }
            })
        };
        let (one, two) = (attempt(ada.ctx(), bob.id), attempt(bob.ctx(), ada.id));
        world.db.release(held, 2).await;
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
        let admins = "users WHERE instance_admin AND state = 'active'";
        assert_eq!(world.db.count(admins).await, 1);
        let World { db, app, .. } = world;
        app.close().await;
        db.drop_it().await;
    }
}

async fn an_admin_cannot_go_while_the_other_leaves_the_team(db: Db) {
    let world = World::new(db).await;
    let one = world.add_team("One").await;
    let cy = world.person("cy@example.com", one, Role::Admin).await;
    let dee = world.person("dee@example.com", one, Role::Admin).await;
    let held = world
        .db
        .hold("SELECT id FROM teams ORDER BY id FOR UPDATE")
        .await;
    let (app, id) = (world.app.clone(), cy.id);
    let out = tokio::spawn(async move { app.deactivate_user(&operator(), id).await });
    let (app, ctx, id) = (world.app.clone(), dee.ctx(), dee.id);
    let left = tokio::spawn(async move { app.remove_member(&ctx, one, id).await });
    world.db.release(held, 2).await;
    let (out, left) = (out.await.unwrap(), left.await.unwrap());
    assert_ne!(out.is_ok(), left.is_ok(), "{out:?} {left:?}");
    let active = "memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.role = 'ADMIN' AND u.state = 'active' AND u.email <> 'ada@example.com'";
    assert_eq!(world.db.count(active).await, 1);
}

async fn somebody_without_a_password_is_refused_like_any_other(db: Db) {
    let world = World::new(db).await;
    let bob = new_user("bob@example.com");
    world.app.create_user(&operator(), bob).await.unwrap();
    for password in ["", PASSWORD] {
        let refused = world.sign_in("bob@example.com", password, &origin()).await;
        assert!(matches!(refused, Err(AppError::SignInRefused)));
    }
}
