//! API tokens: narrower than their owner, and dead when they must be.

use nodeloom_app::{ApiToken, AppError, Ctx, ListCredentials, NewToken, Who};
use nodeloom_domain::{Role, TeamId, audit::Origin, policy::Denied};

use crate::support::{
    Db, Person, World, assert_refused, fields_of, from_address, on_both, operator, reveal, x,
};

on_both!(
    a_token_reads_what_its_role_allows_and_no_more,
    a_token_reveals_only_with_the_scope,
    a_token_ends_by_time_and_by_revocation,
    a_foreign_or_planted_token_authenticates_nobody,
    a_widened_token_authenticates_nobody,
    a_token_comes_from_its_networks_alone,
    a_token_falls_with_its_owner,
    what_a_token_may_not_do_at_all,
    who_may_make_see_and_revoke_a_token,
    a_wrong_wish_is_named_by_field,
);

pub(super) fn wish(team: TeamId, role: Role) -> NewToken {
    NewToken {
        team,
        name: "ci".into(),
        role: role.as_str().into(),
        scopes: Vec::new(),
        addresses: Vec::new(),
        expires_in_days: Some(30),
        owner: None,
    }
}

fn with(text: &str, origin: Origin) -> Ctx {
    Ctx::new(
        origin,
        Who::Token(ApiToken::parse(text).expect("the text of an API token")),
    )
}

fn here(text: &str) -> Ctx {
    with(text, from_address("192.0.2.1"))
}

pub(super) async fn made(world: &World, person: &Person, wish: NewToken) -> String {
    let made = world.app.create_token(&person.ctx(), wish).await.unwrap();
    made.token.expose().clone()
}

async fn list(world: &World, ctx: &Ctx, team: TeamId) -> Result<usize, AppError> {
    let ask = ListCredentials {
        team,
        kind: None,
        search: None,
        page: 0,
        size: 10,
        ..ListCredentials::of(team)
    };
    let list = world.app.list_credentials(ctx, ask).await?;
    Ok(list.items.len())
}

async fn a_token_reads_what_its_role_allows_and_no_more(db: Db) {
    let world = World::new(db).await;
    world.add(world.team, "Mail", "value").await;
    let other = world.add_team("Other").await;
    let admin = world.admin().await;
    let text = made(&world, &admin, wish(world.team, Role::Viewer)).await;
    let ctx = here(&text);
    world.app.authenticate(&ctx).await.unwrap();
    assert_eq!(list(&world, &ctx, world.team).await.unwrap(), 1);
    assert_eq!(
        world.app.team_of_token(&ctx).await.unwrap(),
        Some(world.team)
    );
    let created = world.create(&ctx, world.team, "New", "v").await;
    assert_refused!(created, AppError::Denied(Denied::RoleTooLow { .. }));
    assert_refused!(list(&world, &ctx, other).await, AppError::NotFound);
    let who = "audit_events WHERE actor_kind = 'token' AND outcome = 'refused'";
    assert_eq!(
        world.db.count(who).await,
        2,
        "the token's refusals are in the trail"
    );
    let half = text.split_once('.').unwrap().1;
    assert!(!format!("{:?}", world.db.dump().await).contains(half));
}

async fn a_token_reveals_only_with_the_scope(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let admin = world.admin().await;
    let plain = made(&world, &admin, wish(world.team, Role::Admin)).await;
    let scoped = NewToken {
        scopes: vec!["reveal".into()],
        ..wish(world.team, Role::Builder)
    };
    let scoped = made(&world, &admin, scoped).await;
    // Long after any proof of identity: a token has its scope instead.
    world.clock.advance_seconds(86_400);
    assert_refused!(
        reveal(&world.app, &here(&plain), stored.id).await,
        AppError::Denied(Denied::TokenScopeMissing { .. })
    );
    let data = reveal(&world.app, &here(&scoped), stored.id).await.unwrap();
    assert_eq!(data["token"], "value");
}

async fn a_token_ends_by_time_and_by_revocation(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let text = made(&world, &admin, wish(world.team, Role::Viewer)).await;
    let forever = NewToken {
        expires_in_days: None,
        ..wish(world.team, Role::Viewer)
    };
    let forever = made(&world, &admin, forever).await;
    world.clock.advance_seconds(30 * 86_400 - 1);
    world.app.authenticate(&here(&text)).await.unwrap();
    world.clock.advance_seconds(1);
    assert_refused!(
        world.app.authenticate(&here(&text)).await,
        AppError::Unauthenticated
    );
    world.app.authenticate(&here(&forever)).await.unwrap();
    let id = ApiToken::parse(&forever).unwrap().id();
    world.app.revoke_token(&operator(), id).await.unwrap();
    world.app.revoke_token(&operator(), id).await.unwrap();
    for _ in 0..2 {
        assert_refused!(
            list(&world, &here(&forever), world.team).await,
            AppError::Unauthenticated
        );
    }
    let events = "audit_events WHERE action = 'token.revoke'";
    assert_eq!(world.db.count(events).await, 1);
}

async fn a_foreign_or_planted_token_authenticates_nobody(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let text = made(&world, &admin, wish(world.team, Role::Viewer)).await;
    let second = made(&world, &admin, wish(world.team, Role::Viewer)).await;
    let (id, _) = text.split_once('.').unwrap();
    let (_, secret) = second.split_once('.').unwrap();
    let mixed = format!("{id}.{secret}");
    assert_refused!(
        world.app.authenticate(&here(&mixed)).await,
        AppError::Unauthenticated
    );
    // The tag of one row in another: it belongs to its row.
    let (one, two) = (
        ApiToken::parse(&text).unwrap(),
        ApiToken::parse(&second).unwrap(),
    );
    let (one, two) = (x(one.id().as_bytes()), x(two.id().as_bytes()));
    let copy = format!(
        "UPDATE api_tokens SET tag = (SELECT tag FROM api_tokens WHERE id = {two}) WHERE id = {one}"
    );
    world.db.run(&copy).await;
    for text in [&text, &mixed] {
        assert_refused!(
            world.app.authenticate(&here(text)).await,
            AppError::Unauthenticated
        );
    }
}

async fn a_widened_token_authenticates_nobody(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let admin = world.admin().await;
    let owner = world
        .person("owner@example.com", world.team, Role::Admin)
        .await;
    let changes = [
        "role = 'ADMIN'".to_owned(),
        "scopes = '[\"reveal\"]'".to_owned(),
        "addresses = '[]'".to_owned(),
        "expires_at = NULL".to_owned(),
        format!("team_id = {}", x(other.as_bytes())),
        format!("user_id = {}", x(owner.id.as_bytes())),
    ];
    for change in changes {
        let narrow = NewToken {
            addresses: vec!["192.0.2.0/24".into()],
            ..wish(world.team, Role::Viewer)
        };
        let text = made(&world, &admin, narrow).await;
        world.app.authenticate(&here(&text)).await.unwrap();
        let id = x(ApiToken::parse(&text).unwrap().id().as_bytes());
        world
            .db
            .run(&format!("UPDATE api_tokens SET {change} WHERE id = {id}"))
            .await;
        assert_refused!(
            world.app.authenticate(&here(&text)).await,
            AppError::Unauthenticated
        );
    }
}

async fn a_token_comes_from_its_networks_alone(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let narrow = NewToken {
        addresses: vec!["192.0.2.0/24".into(), "2001:db8::1".into()],
        ..wish(world.team, Role::Viewer)
    };
    let text = made(&world, &admin, narrow).await;
    for good in ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"] {
        let ctx = with(&text, from_address(good));
        world.app.authenticate(&ctx).await.unwrap();
    }
    for bad in ["192.0.3.1", "2001:db8::2", "nonsense"] {
        let ctx = with(&text, from_address(bad));
        assert_refused!(
            world.app.authenticate(&ctx).await,
            AppError::Unauthenticated
        );
    }
    let nowhere = with(&text, Origin::default());
    assert_refused!(
        world.app.authenticate(&nowhere).await,
        AppError::Unauthenticated
    );
    let seen = "api_tokens WHERE last_used_address = '2001:db8::1'";
    assert_eq!(world.db.count(seen).await, 1);
}

async fn a_token_falls_with_its_owner(db: Db) {
    let world = World::new(db).await;
    let person = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    let text = made(&world, &person, wish(world.team, Role::Admin)).await;
    let ctx = here(&text);
    world.create(&ctx, world.team, "One", "v").await.unwrap();
    let user = x(person.id.as_bytes());
    let set = |sql: &str| format!("{sql} WHERE user_id = {user}");
    world
        .db
        .run(&set("UPDATE memberships SET role = 'VIEWER'"))
        .await;
    let created = world.create(&ctx, world.team, "Two", "v").await;
    assert_refused!(created, AppError::Denied(Denied::RoleTooLow { .. }));
    let state = format!("UPDATE users SET state = 'deactivated' WHERE id = {user}");
    world.db.run(&state).await;
    assert_refused!(
        list(&world, &ctx, world.team).await,
        AppError::Unauthenticated
    );
    let state = format!("UPDATE users SET state = 'active' WHERE id = {user}");
    world.db.run(&state).await;
    assert_eq!(list(&world, &ctx, world.team).await.unwrap(), 1);
    world.db.run(&set("DELETE FROM memberships")).await;
    assert_refused!(
        list(&world, &ctx, world.team).await,
        AppError::Unauthenticated
    );
}

async fn what_a_token_may_not_do_at_all(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let all = NewToken {
        scopes: ["reveal", "export", "keys", "grants"]
            .map(Into::into)
            .into(),
        ..wish(world.team, Role::Admin)
    };
    let ctx = here(&made(&world, &admin, all).await);
    let another = world
        .app
        .create_token(&ctx, wish(world.team, Role::Viewer))
        .await;
    assert_refused!(another.map(drop), AppError::Denied(Denied::NotForTokens));
    let keys = world.app.key_status(&ctx).await;
    assert_refused!(keys.map(drop), AppError::Denied(Denied::NotForTokens));
    assert_refused!(world.app.me(&ctx).await, AppError::Unauthenticated);
    assert_refused!(
        world.app.refresh_session(&ctx).await,
        AppError::Unauthenticated
    );
}

async fn who_may_make_see_and_revoke_a_token(db: Db) {
    let world = World::new(db).await;
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let builder = world
        .person("builder@example.com", world.team, Role::Builder)
        .await;
    let (other, admin) = (world.add_team("Other").await, world.admin().await);
    let text = made(&world, &viewer, wish(world.team, Role::Viewer)).await;
    let id = ApiToken::parse(&text).unwrap().id();
    let app = &world.app;
    assert_refused!(
        app.create_token(&viewer.ctx(), wish(other, Role::Viewer))
            .await
            .map(drop),
        AppError::NotFound
    );
    assert_refused!(
        app.list_tokens(&builder.ctx(), Some(world.team)).await,
        AppError::Denied(Denied::RoleTooLow { .. })
    );
    assert!(
        app.list_tokens(&builder.ctx(), None)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(app.list_tokens(&viewer.ctx(), None).await.unwrap().len(), 1);
    let listed = app
        .list_tokens(&admin.ctx(), Some(world.team))
        .await
        .unwrap();
    assert_eq!(listed[0].owner, "viewer@example.com");
    assert_refused!(
        app.revoke_token(&builder.ctx(), id).await,
        AppError::NotFound
    );
    app.authenticate(&here(&text)).await.unwrap();
    app.revoke_token(&viewer.ctx(), id).await.unwrap();
    assert_refused!(
        app.authenticate(&here(&text)).await,
        AppError::Unauthenticated
    );
    // An operator makes one for somebody; a proof that is too old makes none.
    let named = NewToken {
        owner: Some("viewer@example.com".into()),
        ..wish(world.team, Role::Viewer)
    };
    let made = app.create_token(&operator(), named).await.unwrap();
    app.authenticate(&here(made.token.expose())).await.unwrap();
    world.clock.advance_seconds(301);
    assert_refused!(
        app.create_token(&viewer.ctx(), wish(world.team, Role::Viewer))
            .await
            .map(drop),
        AppError::Denied(Denied::ReauthenticationRequired)
    );
}

async fn a_wrong_wish_is_named_by_field(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let wrong = NewToken {
        team: world.team,
        name: " ".into(),
        role: "KING".into(),
        scopes: vec!["everything".into()],
        addresses: vec!["10.0.0.0/40".into()],
        expires_in_days: Some(0),
        owner: None,
    };
    let error = world.app.create_token(&admin.ctx(), wrong).await.map(drop);
    let named: Vec<String> = fields_of(error.unwrap_err()).into_iter().collect();
    let wanted = [
        "addresses network",
        "expiresInDays range",
        "name required",
        "role unknown",
        "scopes unknown",
    ];
    assert_eq!(named, wanted);
    for (scopes, days) in [
        (vec!["reveal".to_owned()], None),
        (vec!["reveal".into()], Some(91)),
    ] {
        let long = NewToken {
            scopes,
            expires_in_days: days,
            ..wish(world.team, Role::Admin)
        };
        let error = world.app.create_token(&admin.ctx(), long).await.map(drop);
        assert!(fields_of(error.unwrap_err()).contains("expiresInDays range"));
    }
}
