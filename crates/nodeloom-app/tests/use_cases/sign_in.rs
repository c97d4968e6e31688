//! Signing in: one answer to every failure, a limit on them, and no password kept.

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nodeloom_app::AppError;
use nodeloom_domain::Role;

use crate::support::{
    ADMIN, Cell, Db, PASSWORD, World, assert_refused, from_address, hex, on_both, origin,
};

on_both!(
    every_failure_answers_alike,
    failures_are_in_the_trail_and_open_nothing,
    eight_failures_close_the_account_to_one_address,
    a_success_forgives_the_account,
    an_account_is_closed_to_every_address_after_fifty,
    an_address_is_closed_after_sixty,
    a_weak_hash_is_made_again,
    no_password_is_in_the_database,
);

const WRONG: &str = "a wrong password of the tests";
const WINDOW: i64 = 15 * 60;

async fn fail(world: &World, email: &str, address: &str, times: usize) {
    for _ in 0..times {
        let refused = world.sign_in(email, WRONG, &from_address(address)).await;
        assert_refused!(refused, AppError::SignInRefused);
    }
}

async fn every_failure_answers_alike(db: Db) {
    let world = World::new(db).await;
    world
        .person("gone@example.com", world.team, Role::Viewer)
        .await;
    let sql = "UPDATE users SET state = 'deactivated' WHERE email = 'gone@example.com'";
    world.db.run(sql).await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("unknown@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("gone@example.com", WRONG),
        (ADMIN, WRONG),
        (ADMIN, ""),
    ] {
        let error = world.sign_in(email, password, &origin()).await.unwrap_err();
        answers.push(format!("{error:?} {error}"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let error = world.sign_in("no address", PASSWORD, &origin()).await;
    assert_refused!(error, AppError::Invalid(_));
    assert!(
        world
            .sign_in("  ADA@Example.com ", PASSWORD, &origin())
            .await
            .is_ok()
    );
}

async fn failures_are_in_the_trail_and_open_nothing(db: Db) {
    let world = World::new(db).await;
    fail(&world, ADMIN, "192.0.2.9", 2).await;
    fail(&world, "unknown@example.com", "192.0.2.9", 1).await;
    assert_eq!(world.last_events(3).await, ["session.create refused"; 3]);
    let sql = "SELECT actor_name, address FROM audit_events ORDER BY sequence DESC LIMIT 2";
    let rows = world.db.rows(sql).await;
    let text = |cell: &Cell| cell.text().to_owned();
    assert_eq!(
        rows[0].iter().map(text).collect::<Vec<_>>(),
        ["unknown@example.com", "192.0.2.9"]
    );
    assert_eq!(
        rows[1].iter().map(text).collect::<Vec<_>>(),
        [ADMIN, "192.0.2.9"]
    );
    assert_eq!(world.db.count("sessions").await, 0);
}

async fn eight_failures_close_the_account_to_one_address(db: Db) {
    let world = World::new(db).await;
    let (here, there) = (from_address("192.0.2.1"), from_address("192.0.2.2"));
    fail(&world, ADMIN, "192.0.2.1", 8).await;
    let before = world.db.dump().await;
    for password in [PASSWORD, WRONG] {
        let answer = world.sign_in(ADMIN, password, &here).await;
        assert_refused!(
            answer,
            AppError::Throttled {
                retry_after_seconds: 900
            }
        );
    }
    assert_eq!(
        world.db.dump().await,
        before,
        "a throttled attempt costs no write"
    );
    assert!(
        world.sign_in(ADMIN, PASSWORD, &there).await.is_ok(),
        "the owner elsewhere"
    );
    world.clock.advance_seconds(WINDOW - 1);
    assert_refused!(
        world.sign_in(ADMIN, PASSWORD, &here).await,
        AppError::Throttled { .. }
    );
    world.clock.advance_seconds(1);
    assert!(
        world.sign_in(ADMIN, PASSWORD, &here).await.is_ok(),
        "the window has passed"
    );
}

async fn a_success_forgives_the_account(db: Db) {
    let world = World::new(db).await;
    for _ in 0..2 {
        fail(&world, ADMIN, "192.0.2.1", 7).await;
        assert!(world.sign_in(ADMIN, PASSWORD, &origin()).await.is_ok());
    }
}

/// As if `times` failures had been counted, without hashing for each: rows of the counter
/// are multiplied. Which rows they are is told by one genuine failure.
async fn as_if_failed(world: &World, email: &str, address: &str, times: usize) {
    fail(world, email, address, 1).await;
    world
        .db
        .run(&format!("UPDATE sign_in_attempts SET failures = {times}"))
        .await;
}

async fn an_account_is_closed_to_every_address_after_fifty(db: Db) {
    let world = World::new(db).await;
    world
        .person("other@example.com", world.team, Role::Viewer)
        .await;
    as_if_failed(&world, ADMIN, "192.0.2.1", 49).await;
    assert!(
        world
            .sign_in(ADMIN, PASSWORD, &from_address("192.0.2.2"))
            .await
            .is_ok()
    );
    as_if_failed(&world, ADMIN, "192.0.2.3", 49).await;
    fail(&world, ADMIN, "192.0.2.4", 1).await;
    let elsewhere = world
        .sign_in(ADMIN, PASSWORD, &from_address("192.0.2.5"))
        .await;
    assert_refused!(elsewhere, AppError::Throttled { .. });
    let other = world
        .sign_in("other@example.com", PASSWORD, &from_address("192.0.2.5"))
        .await;
    assert!(other.is_ok(), "another account is open");
}

async fn an_address_is_closed_after_sixty(db: Db) {
    let world = World::new(db).await;
    let here = from_address("192.0.2.1");
    as_if_failed(&world, "unknown0@example.com", "192.0.2.1", 58).await;
    fail(&world, "unknown1@example.com", "192.0.2.1", 1).await;
    assert!(world.sign_in(ADMIN, PASSWORD, &here).await.is_ok(), "59");
    // That success has not forgiven the address.
    fail(&world, "unknown2@example.com", "192.0.2.1", 1).await;
    assert_refused!(
        world.sign_in(ADMIN, PASSWORD, &here).await,
        AppError::Throttled { .. }
    );
    assert!(
        world
            .sign_in(ADMIN, PASSWORD, &from_address("192.0.2.2"))
            .await
            .is_ok()
    );
}

async fn a_weak_hash_is_made_again(db: Db) {
    let world = World::new(db).await;
    let params = Params::new(8 * 1024, 1, 1, None).unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16])
        .unwrap()
        .to_string();
    world
        .db
        .run(&format!("UPDATE users SET password_hash = '{weak}'"))
        .await;
    let stored = async || {
        world
            .db
            .one("SELECT password_hash FROM users")
            .await
            .text()
            .to_owned()
    };
    fail(&world, ADMIN, "192.0.2.1", 1).await;
    assert_eq!(stored().await, weak, "a wrong password rehashes nothing");
    world.admin().await;
    let strong = stored().await;
    assert!(
        strong.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{strong}"
    );
    world.admin().await;
    assert_eq!(stored().await, strong, "and once is enough");
}

async fn no_password_is_in_the_database(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    fail(&world, ADMIN, "192.0.2.1", 1).await;
    fail(&world, "unknown@example.com", "192.0.2.1", 1).await;
    let wrong = crate::support::secret(WRONG);
    assert!(world.app.reauthenticate(&admin.ctx(), wrong).await.is_err());
    for (table, rows) in world.db.dump().await {
        for cell in rows.iter().flatten() {
            let bytes = match cell {
                Cell::Text(text) => text.as_bytes(),
                Cell::Bytes(bytes) => bytes,
                _ => continue,
            };
            for password in [PASSWORD, WRONG] {
                for form in [
                    password.into(),
                    hex(password.as_bytes()),
                    STANDARD.encode(password),
                ] {
                    let found = bytes
                        .windows(form.len())
                        .any(|part| part == form.as_bytes());
                    assert!(!found, "{table} holds a password");
                }
            }
        }
    }
}
