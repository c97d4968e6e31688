//! Choosing another password.

use nodeloom_app::AppError;
use nodeloom_domain::Role;

use crate::support::{
    ADMIN, Db, PASSWORD, World, assert_refused, ctx, fields_of, from_address, on_both, origin,
    secret,
};

on_both!(
    a_change_ends_every_other_session_and_the_old_password,
    a_change_needs_the_current_password_and_counts_failures,
    a_new_password_keeps_the_rules,
    a_change_moves_no_limit_of_the_session,
    a_session_that_ended_changes_nothing,
    a_sign_in_is_noted,
);

const NEW: &str = "another quite long passphrase";

async fn a_change_ends_every_other_session_and_the_old_password(db: Db) {
    let world = World::new(db).await;
    let (here, elsewhere) = (world.admin().await, world.admin().await);
    let other = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    // An old proof is enough: the current password is the fresh one.
    world.clock.advance_seconds(20 * 60);
    let changed = world
        .app
        .change_password(&here.ctx(), secret(PASSWORD), secret(NEW))
        .await
        .unwrap();
    assert_eq!(world.last_events(1).await, ["password.change success"]);
    for ended in [&here, &elsewhere] {
        assert_refused!(world.app.me(&ended.ctx()).await, AppError::Unauthenticated);
    }
    world.app.me(&other.ctx()).await.unwrap();
    let now = ctx(changed.token.expose());
    assert_eq!(world.app.list_sessions(&now).await.unwrap().len(), 1);
    let old = world.sign_in(ADMIN, PASSWORD, &origin()).await;
    assert_refused!(old, AppError::SignInRefused);
    world.sign_in(ADMIN, NEW, &origin()).await.unwrap();
    let sql = "SELECT password_changed_at FROM users WHERE email = 'ada@example.com'";
    assert_eq!(world.db.one(sql).await.int(), world.clock.now().as_micros());
}

async fn a_change_needs_the_current_password_and_counts_failures(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    for _ in 0..8 {
        let refused = world
            .app
            .change_password(&admin.ctx(), secret("not the password"), secret(NEW))
            .await;
        assert_refused!(refused, AppError::SignInRefused);
    }
    let refused = world
        .app
        .change_password(&admin.ctx(), secret(PASSWORD), secret(NEW))
        .await;
    assert_refused!(refused, AppError::Throttled { .. });
    world.app.me(&admin.ctx()).await.unwrap();
    world
        .sign_in(ADMIN, PASSWORD, &from_address("198.51.100.9"))
        .await
        .unwrap();
}

async fn a_new_password_keeps_the_rules(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    for bad in ["short", "passwordpassword", PASSWORD] {
        let refused = world
            .app
            .change_password(&admin.ctx(), secret(PASSWORD), secret(bad))
            .await;
        let fields = fields_of(refused.unwrap_err());
        assert!(
            fields.iter().all(|f| f.starts_with("newPassword ")),
            "{fields:?}"
        );
    }
    world.app.me(&admin.ctx()).await.unwrap();
    world.sign_in(ADMIN, PASSWORD, &origin()).await.unwrap();
}

async fn a_change_moves_no_limit_of_the_session(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let before = world.app.list_sessions(&admin.ctx()).await.unwrap()[0].clone();
    world.clock.advance_seconds(20 * 60);
    let changed = world
        .app
        .change_password(&admin.ctx(), secret(PASSWORD), secret(NEW))
        .await
        .unwrap();
    let now = ctx(changed.token.expose());
    let after = world.app.list_sessions(&now).await.unwrap()[0].clone();
    assert_ne!(after.id, before.id);
    assert_eq!(after.expires_at, before.expires_at);
}

async fn a_session_that_ended_changes_nothing(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    world.app.sign_out(&admin.ctx()).await.unwrap();
    let before = world.db.dump().await;
    let refused = world
        .app
        .change_password(&admin.ctx(), secret(PASSWORD), secret(NEW))
        .await;
    assert_refused!(refused, AppError::Unauthenticated);
    assert_eq!(world.db.dump().await, before);
}

async fn a_sign_in_is_noted(db: Db) {
    let world = World::new(db).await;
    world.clock.advance_seconds(77);
    world.admin().await;
    let sql = "SELECT last_sign_in_at FROM users WHERE email = 'ada@example.com'";
    assert_eq!(world.db.one(sql).await.int(), world.clock.now().as_micros());
}
