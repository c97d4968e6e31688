//! Second factors, and the sessions of others.

use data_encoding::BASE32_NOPAD;
use nodeloom_app::{AppError, SignedIn};
use nodeloom_crypto::totp;
use nodeloom_domain::{Role, policy::Denied};

use crate::support::{
    ADMIN, Db, NOW, PASSWORD, Person, World, assert_refused, ctx, fields_of, from_address, on_both,
    operator, origin, secret,
};

on_both!(
    a_code_is_asked_for_once_it_is_on,
    no_code_works_twice_not_even_at_once,
    recovery_codes_work_once_each,
    wrong_codes_count_like_wrong_passwords,
    a_proof_takes_a_code_too,
    a_new_secret_takes_over_when_it_is_confirmed,
    an_administrator_helps_who_lost_it,
    a_secret_that_does_not_open_lets_nobody_in,
    administrators_see_and_end_sessions_of_others,
);

fn code_at(key: &str, seconds: i64) -> String {
    let key = BASE32_NOPAD.decode(key.as_bytes()).unwrap();
    String::from_utf8(totp::code(&key, totp::step_at(seconds)).to_vec()).unwrap()
}

/// The code of this moment by the world's clock.
fn code_now(world: &World, key: &str) -> String {
    code_at(key, world.clock.now().as_micros() / 1_000_000)
}

async fn sign_in(world: &World, code: Option<&str>) -> Result<SignedIn, AppError> {
    let code = code.map(secret);
    world
        .app
        .sign_in_with_code(
            ADMIN,
            secret(PASSWORD),
            code.as_ref(),
            None,
            &origin(),
            None,
        )
        .await
}

/// Turns it on; gives the secret and the recovery codes.
pub(super) async fn enable(world: &World, person: &Person) -> (String, Vec<String>) {
    let offered = world.app.offer_second_factor(&person.ctx()).await.unwrap();
    let key = offered.secret.expose().clone();
    assert!(offered.uri.expose().contains(&key));
    let code = secret(&code_now(world, &key));
    let codes = world
        .app
        .confirm_second_factor(&person.ctx(), &code)
        .await
        .unwrap();
    let codes = codes.iter().map(|code| code.expose().clone()).collect();
    (key, codes)
}

async fn a_code_is_asked_for_once_it_is_on(db: Db) {
    let world = World::new(db).await;
    let (one, two) = (world.admin().await, world.admin().await);
    let offered = world.app.offer_second_factor(&one.ctx()).await.unwrap();
    sign_in(&world, None).await.unwrap();
    let wrong = world
        .app
        .confirm_second_factor(&one.ctx(), &secret("000000"))
        .await;
    assert_eq!(
        fields_of(wrong.unwrap_err()),
        ["code wrong".to_owned()].into()
    );
    assert!(!world.app.second_factor(&one.ctx()).await.unwrap().is_on);

    let key = offered.secret.expose().clone();
    let code = code_now(&world, &key);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let codes = world
        .app
        .confirm_second_factor(&one.ctx(), &secret(&spaced))
        .await
        .unwrap();
    assert_eq!(codes.len(), 10);
    let status = world.app.second_factor(&one.ctx()).await.unwrap();
    assert_eq!((status.is_on, status.recovery_codes_left), (true, 10));
    assert_refused!(world.app.me(&two.ctx()).await, AppError::Unauthenticated);

    assert_refused!(sign_in(&world, None).await, AppError::SecondFactorRequired);
    // The code that confirmed it is used up; the next one works.
    assert_refused!(sign_in(&world, Some(&code)).await, AppError::SignInRefused);
    world.clock.advance_seconds(30);
    sign_in(&world, Some(&code_now(&world, &key)))
        .await
        .unwrap();
    // A wrong password is refused before any code is looked at.
    let code = secret(&code_now(&world, &key));
    let wrong = world
        .app
        .sign_in_with_code(ADMIN, secret("wrong"), Some(&code), None, &origin(), None)
        .await;
    assert_refused!(wrong, AppError::SignInRefused);
    world.app.remove_second_factor(&one.ctx()).await.unwrap();
    sign_in(&world, None).await.unwrap();
    assert!(!world.doctor().await.needs_attention());
}

async fn no_code_works_twice_not_even_at_once(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (key, _) = enable(&world, &admin).await;
    world.clock.advance_seconds(60);
    let code = code_now(&world, &key);
    let (one, two) = tokio::join!(sign_in(&world, Some(&code)), sign_in(&world, Some(&code)));
    assert_ne!(one.is_ok(), two.is_ok(), "exactly one");
    // Nor does an older one that was in time.
    let older = code_at(&key, world.clock.now().as_micros() / 1_000_000 - 30);
    assert_refused!(sign_in(&world, Some(&older)).await, AppError::SignInRefused);
    world.clock.advance_seconds(30);
    sign_in(&world, Some(&code_now(&world, &key)))
        .await
        .unwrap();
}

async fn recovery_codes_work_once_each(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (_, codes) = enable(&world, &admin).await;
    sign_in(&world, Some(&codes[3])).await.unwrap();
    assert_refused!(
        sign_in(&world, Some(&codes[3])).await,
        AppError::SignInRefused
    );
    sign_in(&world, Some(&codes[4].to_lowercase().replace('-', " ")))
        .await
        .unwrap();
    let status = world.app.second_factor(&admin.ctx()).await.unwrap();
    assert_eq!(status.recovery_codes_left, 8);
    let renewed = world.app.renew_recovery_codes(&admin.ctx()).await.unwrap();
    assert_eq!(renewed.len(), 10);
    assert_refused!(
        sign_in(&world, Some(&codes[5])).await,
        AppError::SignInRefused
    );
    sign_in(&world, Some(renewed[0].expose())).await.unwrap();
}

async fn wrong_codes_count_like_wrong_passwords(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (key, _) = enable(&world, &admin).await;
    world.clock.advance_seconds(60);
    for _ in 0..8 {
        assert_refused!(
            sign_in(&world, Some("000000")).await,
            AppError::SignInRefused
        );
    }
    let code = code_now(&world, &key);
    assert_refused!(
        sign_in(&world, Some(&code)).await,
        AppError::Throttled { .. }
    );
    let refused = "SELECT sequence FROM audit_events WHERE action = 'session.create' \
         AND outcome = 'refused'";
    assert_eq!(world.db.rows(refused).await.len(), 8);
}

async fn a_proof_takes_a_code_too(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (key, _) = enable(&world, &admin).await;
    world.clock.advance_seconds(301);
    assert_refused!(
        world.app.remove_second_factor(&admin.ctx()).await,
        AppError::Denied(Denied::ReauthenticationRequired)
    );
    let prove = async |code: Option<&str>| {
        let code = code.map(secret);
        world
            .app
            .reauthenticate_with_code(&admin.ctx(), secret(PASSWORD), code.as_ref())
            .await
    };
    assert_refused!(prove(None).await, AppError::SecondFactorRequired);
    assert_refused!(prove(Some("000000")).await, AppError::SignInRefused);
    let proved = prove(Some(&code_now(&world, &key))).await.unwrap();
    let proved = ctx(proved.token.expose());
    world.app.remove_second_factor(&proved).await.unwrap();
    assert_refused!(
        world.app.remove_second_factor(&proved).await,
        AppError::NotFound
    );
}

async fn a_new_secret_takes_over_when_it_is_confirmed(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (old, _) = enable(&world, &admin).await;
    world.clock.advance_seconds(60);
    let offered = world.app.offer_second_factor(&admin.ctx()).await.unwrap();
    sign_in(&world, Some(&code_now(&world, &old)))
        .await
        .unwrap();
    let new = offered.secret.expose().clone();
    let code = secret(&code_now(&world, &new));
    world
        .app
        .confirm_second_factor(&admin.ctx(), &code)
        .await
        .unwrap();
    world.clock.advance_seconds(30);
    assert_refused!(
        sign_in(&world, Some(&code_now(&world, &old))).await,
        AppError::SignInRefused
    );
    sign_in(&world, Some(&code_now(&world, &new)))
        .await
        .unwrap();
    let kept = "SELECT id FROM sealed_values WHERE kind = 'totp'";
    assert_eq!(world.db.rows(kept).await.len(), 1);
}

async fn an_administrator_helps_who_lost_it(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    enable(&world, &admin).await;
    let other = world.person("o@example.com", world.team, Role::Admin).await;
    assert_refused!(
        world.app.reset_second_factor(&other.ctx(), admin.id).await,
        AppError::Denied(_) | AppError::NotFound
    );
    world
        .app
        .reset_second_factor(&operator(), admin.id)
        .await
        .unwrap();
    assert_refused!(world.app.me(&admin.ctx()).await, AppError::Unauthenticated);
    sign_in(&world, None).await.unwrap();
    assert_refused!(
        world.app.reset_second_factor(&operator(), admin.id).await,
        AppError::NotFound
    );
}

async fn a_secret_that_does_not_open_lets_nobody_in(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let (key, codes) = enable(&world, &admin).await;
    world.clock.advance_seconds(60);
    world
        .db
        .run("DELETE FROM sealed_values WHERE kind = 'totp'")
        .await;
    let code = code_now(&world, &key);
    assert_refused!(sign_in(&world, Some(&code)).await, AppError::SignInRefused);
    assert_refused!(sign_in(&world, None).await, AppError::SecondFactorRequired);
    sign_in(&world, Some(&codes[0])).await.unwrap();
}

async fn administrators_see_and_end_sessions_of_others(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let one = world.person("o@example.com", world.team, Role::Admin).await;
    let again = world
        .sign_in("o@example.com", PASSWORD, &from_address("203.0.113.9"))
        .await
        .unwrap();
    let again = ctx(again.token.expose());
    for stranger in [one.ctx()] {
        assert_refused!(
            world.app.sessions_of_user(&stranger, admin.id).await,
            AppError::Denied(_) | AppError::NotFound
        );
        assert_refused!(
            world
                .app
                .end_sessions_of_user(&stranger, admin.id, None)
                .await,
            AppError::Denied(_) | AppError::NotFound
        );
    }
    let seen = world
        .app
        .sessions_of_user(&admin.ctx(), one.id)
        .await
        .unwrap();
    assert_eq!(seen.len(), 2);
    assert_refused!(
        world
            .app
            .end_sessions_of_user(&admin.ctx(), one.id, Some(admin.session()))
            .await,
        AppError::NotFound
    );
    let ended = world
        .app
        .end_sessions_of_user(&admin.ctx(), one.id, Some(one.session()))
        .await;
    assert_eq!(ended.unwrap(), 1);
    assert_refused!(world.app.me(&one.ctx()).await, AppError::Unauthenticated);
    world.app.me(&again).await.unwrap();
    world
        .app
        .end_sessions_of_user(&operator(), one.id, None)
        .await
        .unwrap();
    assert_refused!(world.app.me(&again).await, AppError::Unauthenticated);
    world.app.me(&admin.ctx()).await.unwrap();
    assert_eq!(world.clock.now(), NOW);
}
