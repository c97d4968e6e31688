//! Sessions end when they must, and no row makes one.

use nodeloom_app::{AppError, Ctx, SessionToken};
use nodeloom_crypto::Purpose;
use nodeloom_domain::{Role, SessionId, Timestamp, policy::Denied};

use crate::support::{
    ADMIN, Db, PASSWORD, Person, SEVENS, SHA_256_OF_SEVENS, World, assert_refused, ctx, on_both,
    origin, reveal, secret, x,
};

on_both!(
    a_session_ends_after_thirty_idle_minutes,
    a_session_ends_after_twelve_hours_of_use,
    polling_keeps_a_session_and_writes_once_a_minute,
    a_sign_in_ends_the_former_session_of_the_browser,
    a_sign_in_ends_no_foreign_session,
    a_refresh_changes_the_id_and_no_limit,
    a_reveal_needs_a_fresh_proof,
    signing_out_ends_the_session_at_once,
    one_ends_only_ones_own_sessions,
    expired_sessions_are_neither_listed_nor_kept,
    a_planted_session_authenticates_nobody,
    a_set_up_code_is_no_session,
);

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

async fn alive(world: &World, token: &str) -> bool {
    match world.app.me(&ctx(token)).await {
        Ok(_) => true,
        Err(AppError::Unauthenticated) => false,
        Err(other) => panic!("{other:?}"),
    }
}

async fn last_seen(world: &World, person: &Person) -> i64 {
    let at = x(person.session().as_bytes());
    world
        .db
        .one(&format!(
            "SELECT last_seen_at FROM sessions WHERE id = {at}"
        ))
        .await
        .int()
}

async fn a_session_ends_after_thirty_idle_minutes(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    world.clock.advance_seconds(30 * MINUTE - 1);
    assert!(alive(&world, &admin.token).await);
    world.clock.advance_seconds(1);
    assert!(!alive(&world, &admin.token).await);
    assert_refused!(
        world.app.authenticate(&admin.ctx()).await,
        AppError::Unauthenticated
    );
    assert_refused!(
        world.app.refresh_session(&admin.ctx()).await,
        AppError::Unauthenticated
    );
    let proof = world
        .app
        .reauthenticate(&admin.ctx(), secret(PASSWORD))
        .await;
    assert_refused!(proof, AppError::Unauthenticated);
}

async fn a_session_ends_after_twelve_hours_of_use(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    for _ in 0..(12 * HOUR / (20 * MINUTE) - 1) {
        world.clock.advance_seconds(20 * MINUTE);
        world.app.authenticate(&admin.ctx()).await.unwrap();
    }
    world.clock.advance_seconds(20 * MINUTE - 1);
    world.app.authenticate(&admin.ctx()).await.unwrap();
    world.clock.advance_seconds(1);
    assert_refused!(
        world.app.authenticate(&admin.ctx()).await,
        AppError::Unauthenticated
    );
    assert!(!alive(&world, &admin.token).await);
}

async fn polling_keeps_a_session_and_writes_once_a_minute(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let start = last_seen(&world, &admin).await;
    world.clock.advance_seconds(59);
    world.app.authenticate(&admin.ctx()).await.unwrap();
    assert_eq!(
        last_seen(&world, &admin).await,
        start,
        "not a write for each request"
    );
    world.clock.advance_seconds(1);
    world.app.authenticate(&admin.ctx()).await.unwrap();
    assert_eq!(last_seen(&world, &admin).await, start + MINUTE * 1_000_000);
    let events = world.db.count("audit_events").await;
    for _ in 0..130 {
        world.clock.advance_seconds(17);
        world.app.authenticate(&admin.ctx()).await.unwrap();
    }
    assert!(alive(&world, &admin.token).await, "37 minutes of polling");
    assert_eq!(
        world.db.count("audit_events").await,
        events,
        "polling fills no trail"
    );
}

async fn again(world: &World, email: &str, previous: &Person) -> String {
    let previous = SessionToken::parse(&previous.token).unwrap();
    let password = secret(PASSWORD);
    let signed_in = world
        .app
        .sign_in(email, password, Some(&previous), &origin(), None)
        .await;
    signed_in.unwrap().token.expose().clone()
}

async fn a_sign_in_ends_the_former_session_of_the_browser(db: Db) {
    let world = World::new(db).await;
    let (first, elsewhere) = (world.admin().await, world.admin().await);
    let second = again(&world, ADMIN, &first).await;
    assert_ne!(first.token, second);
    assert!(!alive(&world, &first.token).await);
    assert!(alive(&world, &second).await && alive(&world, &elsewhere.token).await);
}

async fn a_sign_in_ends_no_foreign_session(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let second = again(&world, &viewer.email, &admin).await;
    assert!(alive(&world, &admin.token).await && alive(&world, &second).await);
}

async fn a_refresh_changes_the_id_and_no_limit(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let admin = world.admin().await;
    let expires = async |ctx: &Ctx| {
        world
            .app
            .list_sessions(ctx)
            .await
            .unwrap()
            .into_iter()
            .find(|view| view.current)
            .unwrap()
    };
    let before = expires(&admin.ctx()).await;
    let mut token = admin.token.clone();
    for _ in 0..(12 * HOUR / (25 * MINUTE)) {
        world.clock.advance_seconds(25 * MINUTE);
        let refreshed = world.app.refresh_session(&ctx(&token)).await.unwrap();
        assert!(!alive(&world, &token).await, "the former id has ended");
        token = refreshed.token.expose().clone();
        assert!(alive(&world, &token).await);
    }
    let after = expires(&ctx(&token)).await;
    assert_ne!(after.id, before.id);
    assert_eq!(
        (after.created_at, after.expires_at),
        (before.created_at, before.expires_at)
    );
    let shown = reveal(&world.app, &ctx(&token), stored.id).await;
    assert_refused!(shown, AppError::Denied(Denied::ReauthenticationRequired));
    let left = after.expires_at.seconds_since(world.clock.now());
    world.clock.advance_seconds(left - 1);
    assert!(alive(&world, &token).await);
    world.clock.advance_seconds(1);
    assert!(!alive(&world, &token).await);
}

async fn a_reveal_needs_a_fresh_proof(db: Db) {
    let world = World::new(db).await;
    let stored = world.add(world.team, "Mail", "value").await;
    let admin = world.admin().await;
    let shown = async |ctx: &Ctx| reveal(&world.app, ctx, stored.id).await.map(drop);
    world.clock.advance_seconds(5 * MINUTE - 1);
    shown(&admin.ctx()).await.unwrap();
    world.clock.advance_seconds(1);
    assert_refused!(
        shown(&admin.ctx()).await,
        AppError::Denied(Denied::ReauthenticationRequired)
    );
    assert_eq!(world.last_events(1).await, ["credential.reveal refused"]);
    let proof = world
        .app
        .reauthenticate(&admin.ctx(), secret("not the password"))
        .await;
    assert_refused!(proof, AppError::SignInRefused);
    assert!(
        alive(&world, &admin.token).await,
        "a wrong password ends nothing"
    );
    let proof = world
        .app
        .reauthenticate(&admin.ctx(), secret(PASSWORD))
        .await
        .unwrap();
    let token = proof.token.expose();
    assert!(
        !alive(&world, &admin.token).await,
        "the proof gives a new id"
    );
    shown(&ctx(token)).await.unwrap();
    let views = world.app.list_sessions(&ctx(token)).await.unwrap();
    let limit = views[0].expires_at.seconds_since(world.clock.now());
    assert_eq!(limit, 12 * HOUR - 5 * MINUTE, "the absolute limit stays");
}

async fn signing_out_ends_the_session_at_once(db: Db) {
    let world = World::new(db).await;
    let (admin, elsewhere) = (world.admin().await, world.admin().await);
    world.app.sign_out(&admin.ctx()).await.unwrap();
    assert!(!alive(&world, &admin.token).await && alive(&world, &elsewhere.token).await);
    assert_refused!(
        world.app.sign_out(&admin.ctx()).await,
        AppError::Unauthenticated
    );
    let at = x(admin.session().as_bytes());
    assert_eq!(
        world.db.count(&format!("sessions WHERE id = {at}")).await,
        0
    );
}

async fn one_ends_only_ones_own_sessions(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let unknown = SessionId::generate(Timestamp::from_micros(1));
    let before = world.db.dump().await;
    let foreign = world
        .app
        .end_session(&viewer.ctx(), admin.session())
        .await
        .unwrap_err();
    let unknown = world
        .app
        .end_session(&viewer.ctx(), unknown)
        .await
        .unwrap_err();
    assert!(matches!(foreign, AppError::NotFound), "{foreign:?}");
    assert_eq!(format!("{foreign:?}"), format!("{unknown:?}"));
    assert_refused!(
        world.app.end_session(&admin.ctx(), viewer.session()).await,
        AppError::NotFound
    );
    assert_eq!(world.db.dump().await, before);
    let other = world.signed_in(&viewer.email).await;
    world
        .app
        .end_session(&viewer.ctx(), other.session())
        .await
        .unwrap();
    assert!(!alive(&world, &other.token).await && alive(&world, &viewer.token).await);
    let listed = world.app.list_sessions(&viewer.ctx()).await.unwrap();
    assert_eq!(
        listed.iter().map(|view| view.id).collect::<Vec<_>>(),
        [viewer.session()]
    );
}

async fn expired_sessions_are_neither_listed_nor_kept(db: Db) {
    let world = World::new(db).await;
    let old = world.admin().await;
    world.clock.advance_seconds(31 * MINUTE);
    let new = world.admin().await;
    let listed = world.app.list_sessions(&new.ctx()).await.unwrap();
    assert_eq!(
        listed.iter().map(|view| view.id).collect::<Vec<_>>(),
        [new.session()]
    );
    assert_eq!(world.db.count("sessions").await, 2);
    world.app.housekeeping().await.unwrap();
    assert_eq!(world.db.count("sessions").await, 1);
    assert!(!alive(&world, &old.token).await && alive(&world, &new.token).await);
}

async fn a_planted_session_authenticates_nobody(db: Db) {
    let world = World::new(db).await;
    let admin = world.admin().await;
    let viewer = world
        .person("viewer@example.com", world.team, Role::Viewer)
        .await;
    let planted = SessionId::generate(world.clock.now());
    let (_, own) = viewer.token.split_once('.').unwrap();
    let plant = async |user: &Person, tag: &str| {
        let (id, user) = (x(planted.as_bytes()), x(user.id.as_bytes()));
        let from = x(viewer.session().as_bytes());
        let admin = x(admin.session().as_bytes());
        let tag = tag.replace("VIEWER", &from).replace("ADMIN", &admin);
        let sql = format!(
            "DELETE FROM sessions WHERE id = {id}; INSERT INTO sessions \
             SELECT {id}, {user}, {tag}, index_key_id, created_at, last_seen_at, \
             authenticated_at, address, user_agent FROM sessions WHERE id = {from}"
        );
        world.db.run(&sql).await;
    };
    let of = |id: &str| format!("(SELECT tag FROM sessions WHERE id = {id})");
    let bytes = |hex: &str| format!("X'{hex}'");
    for (what, user, tag, half) in [
        ("one's own tag under another id", &viewer, of("VIEWER"), own),
        (
            "one's own tag for the administrator",
            &admin,
            of("VIEWER"),
            own,
        ),
        (
            "the administrator's tag under another id",
            &admin,
            of("ADMIN"),
            SEVENS,
        ),
        ("an unkeyed hash", &admin, bytes(SHA_256_OF_SEVENS), SEVENS),
        ("zeros", &admin, bytes(&"00".repeat(32)), SEVENS),
        ("the secret itself", &admin, bytes(&"07".repeat(32)), SEVENS),
    ] {
        plant(user, &tag).await;
        let token = format!("nls_{planted}.{half}");
        assert!(!alive(&world, &token).await, "{what}");
        assert_refused!(
            world.app.authenticate(&ctx(&token)).await,
            AppError::Unauthenticated
        );
        assert_refused!(
            world.app.sign_out(&ctx(&token)).await,
            AppError::Unauthenticated
        );
    }
    // One's own living session, given to the administrator.
    let (session, to) = (x(viewer.session().as_bytes()), x(admin.id.as_bytes()));
    let set = |column: &str, to: &str| {
        format!("UPDATE sessions SET {column} = {to} WHERE id = {session}")
    };
    assert!(alive(&world, &viewer.token).await);
    world.db.run(&set("user_id", &to)).await;
    assert!(!alive(&world, &viewer.token).await);
    world
        .db
        .run(&set("user_id", &x(viewer.id.as_bytes())))
        .await;
    assert!(alive(&world, &viewer.token).await);
    // Another key's name beside the tag.
    let audit = world.active(None, Purpose::Audit).await.id;
    for key in [*audit.as_bytes(), [0; 8]] {
        world.db.run(&set("index_key_id", &x(&key))).await;
        assert!(!alive(&world, &viewer.token).await);
    }
    assert!(alive(&world, &admin.token).await);
}

async fn a_set_up_code_is_no_session(db: Db) {
    let world = World::bare(db).await;
    let code = world
        .app
        .issue_set_up_code(&origin())
        .await
        .unwrap()
        .expose()
        .clone();
    world
        .app
        .create_first_admin(crate::support::new_admin(), &origin())
        .await
        .unwrap();
    let admin = world.admin().await;
    let token = code.replace("nlsetup_", "nls_");
    for user in [x(admin.id.as_bytes()), x(&[0; 16])] {
        let sql = format!(
            "DELETE FROM sessions WHERE id IN (SELECT id FROM setup_codes); \
             INSERT INTO sessions SELECT c.id, {user}, c.tag, c.index_key_id, s.created_at, \
             s.last_seen_at, s.authenticated_at, s.address, s.user_agent \
             FROM setup_codes c, sessions s"
        );
        assert!(world.db.run(&sql).await > 0);
        assert!(!alive(&world, &token).await);
    }
}
