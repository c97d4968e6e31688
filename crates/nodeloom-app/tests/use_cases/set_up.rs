//! The first administrator, once.

use nodeloom_app::{AppError, NewAdmin, SignedIn};
use nodeloom_domain::{Role, SetupId, policy::Denied};

use crate::support::{
    Db, SEVENS, SHA_256_OF_SEVENS, World, assert_refused, ctx, fields_of, from_address, new_admin,
    on_both, origin, secret, x,
};

on_both!(
    a_code_makes_the_first_administrator_once,
    a_code_works_for_one_hour,
    a_newer_code_ends_the_older,
    a_code_is_worth_nothing_once_there_is_a_user,
    two_redemptions_at_once_make_one_administrator,
    a_planted_code_makes_nobody,
    wrong_codes_are_counted_and_told,
    every_wrong_field_is_named_and_the_code_stays_good,
    the_settings_make_one_administrator,
    two_processes_with_settings_make_one_administrator,
);

async fn issue(world: &World) -> String {
    world
        .app
        .issue_set_up_code(&origin())
        .await
        .unwrap()
        .expose()
        .clone()
}

async fn redeem(world: &World, code: &str) -> Result<SignedIn, AppError> {
    world
        .app
        .redeem_set_up_code(code, new_admin(), &origin(), None)
        .await
}

/// Refused as wrong, used or expired, without saying which.
async fn is_no_code(world: &World, code: &str) {
    let refused = fields_of(redeem(world, code).await.unwrap_err());
    assert_eq!(refused, ["code expired".to_owned()].into());
}

async fn a_code_makes_the_first_administrator_once(db: Db) {
    let world = World::bare(db).await;
    assert!(world.app.needs_set_up().await.unwrap());
    let code = issue(&world).await;
    let signed_in = redeem(&world, &code).await.unwrap();
    assert!(!world.app.needs_set_up().await.unwrap());
    let ctx = ctx(signed_in.token.expose());
    let me = world.app.me(&ctx).await.unwrap();
    assert_eq!(
        (me.teams[0].team_id, me.teams[0].role),
        (world.team, Role::Admin)
    );
    world.app.key_status(&ctx).await.unwrap();
    assert_refused!(
        redeem(&world, &code).await,
        AppError::Denied(Denied::AlreadySetUp)
    );
    assert_eq!(world.db.count("users").await, 1);
    assert!(!world.doctor().await.needs_attention());
}

async fn a_code_works_for_one_hour(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    world.clock.advance_seconds(3_600);
    is_no_code(&world, &code).await;
    let code = issue(&world).await;
    world.clock.advance_seconds(3_599);
    redeem(&world, &code).await.unwrap();
}

async fn a_newer_code_ends_the_older(db: Db) {
    let world = World::bare(db).await;
    let (older, newer) = (issue(&world).await, issue(&world).await);
    is_no_code(&world, &older).await;
    redeem(&world, &newer).await.unwrap();
}

async fn a_code_is_worth_nothing_once_there_is_a_user(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    world
        .app
        .create_first_admin(new_admin(), &origin())
        .await
        .unwrap();
    let before = world.db.dump_records().await;
    assert_refused!(
        redeem(&world, &code).await,
        AppError::Denied(Denied::AlreadySetUp)
    );
    let again = world.app.issue_set_up_code(&origin()).await;
    assert_refused!(again, AppError::Denied(Denied::AlreadySetUp));
    assert_eq!(world.db.dump_records().await, before);
}

async fn two_redemptions_at_once_make_one_administrator(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    let attempt = |email: &str| {
        let (app, code) = (world.app.clone(), code.clone());
        let admin = NewAdmin {
            email: email.into(),
            ..new_admin()
        };
        tokio::spawn(async move {
            app.redeem_set_up_code(&code, admin, &origin(), None)
                .await
                .map(drop)
        })
    };
    let (one, two) = (attempt("one@example.com"), attempt("two@example.com"));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    assert_eq!(
        (
            world.db.count("users").await,
            world.db.count("sessions").await
        ),
        (1, 1)
    );
}

async fn a_planted_code_makes_nobody(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    let (_, half) = code.split_once('.').unwrap();
    let planted = SetupId::generate(world.clock.now());
    let genuine = "(SELECT tag FROM setup_codes LIMIT 1)".to_owned();
    for (tag, half) in [
        (genuine.clone(), half),
        (genuine, SEVENS),
        (format!("X'{SHA_256_OF_SEVENS}'"), SEVENS),
        (format!("X'{}'", "07".repeat(32)), SEVENS),
    ] {
        let id = x(planted.as_bytes());
        let sql = format!(
            "DELETE FROM setup_codes WHERE id = {id}; INSERT INTO setup_codes \
             SELECT {id}, {tag}, index_key_id, created_at, expires_at, used_at FROM setup_codes"
        );
        world.db.run(&sql).await;
        is_no_code(&world, &format!("nlsetup_{planted}.{half}")).await;
    }
    assert!(world.app.needs_set_up().await.unwrap());
    redeem(&world, &code).await.unwrap();
}

async fn wrong_codes_are_counted_and_told(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    for wrong in [
        "",
        "x",
        &code[1..],
        &code[..code.len() - 1],
        &code.replace("nlsetup_", "nls_"),
    ] {
        is_no_code(&world, wrong).await;
        assert_eq!(world.last_events(1).await, ["set-up-link.use refused"]);
    }
    for _ in 0..3 {
        is_no_code(&world, "guess").await;
    }
    assert_refused!(redeem(&world, &code).await, AppError::Throttled { .. });
    let elsewhere = from_address("192.0.2.2");
    world
        .app
        .redeem_set_up_code(&code, new_admin(), &elsewhere, None)
        .await
        .unwrap();
}

fn wrong_everywhere() -> NewAdmin {
    NewAdmin {
        email: "nobody".into(),
        password: secret("short"),
        first_name: "A\u{7}da".into(),
        last_name: "L".repeat(5_000),
    }
}

async fn every_wrong_field_is_named_and_the_code_stays_good(db: Db) {
    let world = World::bare(db).await;
    let code = issue(&world).await;
    let before = world.db.dump().await;
    let by_code = world
        .app
        .redeem_set_up_code(&code, wrong_everywhere(), &origin(), None)
        .await;
    let by_settings = world
        .app
        .create_first_admin(wrong_everywhere(), &origin())
        .await;
    for refused in [by_code.map(drop), by_settings] {
        let refused = fields_of(refused.unwrap_err());
        let fields: Vec<&str> = refused
            .iter()
            .map(|field| field.split(' ').next().unwrap())
            .collect();
        assert_eq!(fields, ["email", "firstName", "lastName", "password"]);
    }
    // Without a code nothing is said of the rest.
    let answer = world
        .app
        .redeem_set_up_code("guess", wrong_everywhere(), &origin(), None)
        .await;
    assert_eq!(
        fields_of(answer.unwrap_err()),
        ["code expired".to_owned()].into()
    );
    assert_eq!(world.db.dump().await.get("users"), before.get("users"));
    redeem(&world, &code).await.unwrap();
}

async fn the_settings_make_one_administrator(db: Db) {
    let world = World::bare(db).await;
    world
        .app
        .create_first_admin(new_admin(), &origin())
        .await
        .unwrap();
    let before = world.db.dump().await;
    let second = NewAdmin {
        email: "second@example.com".into(),
        ..new_admin()
    };
    let again = world.app.create_first_admin(second, &origin()).await;
    assert_refused!(again, AppError::Denied(Denied::AlreadySetUp));
    assert_eq!(world.db.dump().await, before);
}

async fn two_processes_with_settings_make_one_administrator(db: Db) {
    let world = World::bare(db).await;
    let attempt = |email: &str| {
        let (app, admin) = (
            world.app.clone(),
            NewAdmin {
                email: email.into(),
                ..new_admin()
            },
        );
        tokio::spawn(async move { app.create_first_admin(admin, &origin()).await })
    };
    // Both have counted nobody before either can commit.
    let held = world.db.hold("SELECT 1 FROM audit_head FOR UPDATE").await;
    let (one, two) = (attempt("one@example.com"), attempt("two@example.com"));
    world.db.release(held, 2).await;
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    assert_refused!(one.and(two), AppError::Denied(Denied::AlreadySetUp));
    assert_eq!(world.db.count("users").await, 1);
}
