//! Creates under an idempotency key.

use nodeloom_app::{AppError, CredentialView, Ctx, NewCredential, NewToken, Once};
use nodeloom_crypto::Secret;
use nodeloom_domain::Role;
use serde_json::json;

use crate::support::{Db, World, assert_refused, object, on_both, operator};

on_both!(
    the_same_request_is_done_once,
    another_request_under_the_key_is_refused,
    keys_are_personal_and_end_after_a_day,
    two_at_once_make_one,
    what_is_gone_or_shown_once_is_not_made_again,
);

fn keyed(mut ctx: Ctx, key: &str, request: &str) -> Ctx {
    let request = Secret::new(request.as_bytes().to_vec());
    ctx.once = Some(Once::new(key, request).unwrap());
    ctx
}

async fn create(world: &World, ctx: &Ctx, name: &str) -> Result<CredentialView, AppError> {
    let new = NewCredential {
        team: world.team,
        name: name.into(),
        kind: "BEARER_TOKEN".into(),
        data: object(json!({"token": "value"})),
    };
    world.app.create_credential(ctx, new).await
}

async fn the_same_request_is_done_once(db: Db) {
    let world = World::new(db).await;
    let first = create(&world, &keyed(operator(), "k-1", "one"), "Mail")
        .await
        .unwrap();
    let before = world.db.dump().await;
    let again = create(&world, &keyed(operator(), "k-1", "one"), "Mail")
        .await
        .unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(world.db.dump().await, before);
    let team = |key: &'static str| keyed(operator(), key, "team");
    let made = world.app.create_team(&team("k-2"), "Made").await.unwrap();
    let again = world.app.create_team(&team("k-2"), "Made").await.unwrap();
    assert_eq!(made.id, again.id);
    assert_eq!(world.store.list_teams().await.unwrap().len(), 2);
    // A refused create leaves the key free.
    assert_refused!(
        create(&world, &keyed(operator(), "k-3", "two"), "Mail").await,
        AppError::NameTaken { .. }
    );
    create(&world, &keyed(operator(), "k-3", "two"), "Post")
        .await
        .unwrap();
}

async fn another_request_under_the_key_is_refused(db: Db) {
    let world = World::new(db).await;
    create(&world, &keyed(operator(), "k", "one"), "Mail")
        .await
        .unwrap();
    let before = world.db.dump().await;
    assert_refused!(
        create(&world, &keyed(operator(), "k", "another"), "Other").await,
        AppError::IdempotencyMismatch
    );
    assert_refused!(
        world
            .app
            .create_team(&keyed(operator(), "k", "one"), "Made")
            .await,
        AppError::IdempotencyMismatch
    );
    assert_eq!(world.db.dump().await, before);
    for bad in ["", "a b", "caf\u{e9}", &"x".repeat(256), "a\nb"] {
        assert!(Once::new(bad, Secret::new(Vec::new())).is_err(), "{bad:?}");
    }
}

async fn keys_are_personal_and_end_after_a_day(db: Db) {
    let world = World::new(db).await;
    let one = world
        .person("one@example.com", world.team, Role::Builder)
        .await;
    let two = world
        .person("two@example.com", world.team, Role::Builder)
        .await;
    let first = create(&world, &keyed(one.ctx(), "k", "r"), "One")
        .await
        .unwrap();
    let second = create(&world, &keyed(two.ctx(), "k", "r"), "Two")
        .await
        .unwrap();
    assert_ne!(first.id, second.id);
    // A stranger's right is asked before any key.
    let other = world.add_team("Other").await;
    let stranger = world.person("s@example.com", other, Role::Admin).await;
    assert_refused!(
        create(&world, &keyed(stranger.ctx(), "k", "r"), "One").await,
        AppError::NotFound
    );
    create(&world, &keyed(operator(), "day", "r"), "Today")
        .await
        .unwrap();
    world.clock.advance_seconds(24 * 60 * 60);
    assert_refused!(
        create(&world, &keyed(operator(), "day", "r"), "Today").await,
        AppError::NameTaken { .. }
    );
    create(&world, &keyed(operator(), "day", "r2"), "Tomorrow")
        .await
        .unwrap();
    world.clock.advance_seconds(24 * 60 * 60 + 1);
    world.app.housekeeping().await.unwrap();
    assert_eq!(world.db.count("idempotency_keys").await, 0);
}

async fn two_at_once_make_one(db: Db) {
    let world = World::new(db).await;
    let other = world.other_process().await;
    for round in 0..5 {
        let (name, key) = (format!("Name {round}"), format!("k-{round}"));
        let new = || NewCredential {
            team: world.team,
            name: name.clone(),
            kind: "BEARER_TOKEN".into(),
            data: object(json!({"token": "value"})),
        };
        let (one, two) = (keyed(operator(), &key, "r"), keyed(operator(), &key, "r"));
        let (one, two) = tokio::join!(
            world.app.create_credential(&one, new()),
            other.create_credential(&two, new())
        );
        assert_eq!(one.unwrap().id, two.unwrap().id);
    }
    assert_eq!(world.db.count("credentials").await, 5);
    assert_eq!(world.db.count("sealed_values").await, 5);
}

async fn what_is_gone_or_shown_once_is_not_made_again(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let ctx = || keyed(admin.ctx(), "k", "r");
    let made = create(&world, &ctx(), "Mail").await.unwrap();
    world
        .app
        .delete_credential(&operator(), made.id, None)
        .await
        .unwrap();
    assert_refused!(
        create(&world, &ctx(), "Mail").await,
        AppError::DoneBefore { id, .. } if id == made.id.to_string()
    );
    let token = || NewToken {
        team: world.team,
        name: "ci".into(),
        role: "VIEWER".into(),
        scopes: Vec::new(),
        addresses: Vec::new(),
        expires_in_days: None,
        owner: None,
    };
    let ctx = || keyed(admin.ctx(), "t", "r");
    let first = world.app.create_token(&ctx(), token()).await.unwrap();
    assert_refused!(
        world.app.create_token(&ctx(), token()).await,
        AppError::DoneBefore { id, .. } if id == first.view.id.to_string()
    );
    assert_eq!(world.db.count("api_tokens").await, 1);
}
