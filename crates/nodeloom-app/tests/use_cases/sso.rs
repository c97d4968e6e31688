//! Single sign-on: who gets in, as whom, and what a flow leaves behind.

use std::sync::Arc;

use nodeloom_app::{
    AppError, BegunSingleSignOn, Browser, FinishedSingleSignOn, Proof, SessionToken,
    SingleSignOnProblem as Problem, SingleSignOnRules,
};
use nodeloom_domain::{Role, UserId, policy::Denied};
use nodeloom_oauth::oidc::OidcError;
use serde_json::{Value, json};

use crate::support::{
    ADMIN, Cell, Db, PASSWORD, World, assert_refused, ctx, from_address, on_both, origin,
    provider::{ISSUER, Provider},
    reveal, x,
};

on_both!(
    a_stranger_becomes_a_person_once,
    a_flow_works_once_in_one_browser,
    a_flow_ends_after_ten_minutes,
    nothing_readable_is_kept_of_a_flow,
    an_account_is_linked_by_its_verified_address,
    an_address_alone_gives_no_administrator_away,
    a_default_team_that_is_gone_is_a_clear_refusal,
    an_address_that_changed_hands_gives_no_account,
    who_is_refused,
    a_deactivated_person_is_refused,
    nobody_is_first_by_single_sign_on,
    passwords_can_be_for_break_glass_alone,
    a_proof_is_as_fresh_as_it_was_at_the_provider,
    failures_are_limited_and_outages_are_not_held_against_anyone,
    two_first_sign_ins_at_once_make_one_person,
);

/// An instance with an administrator, and a provider whose strangers become viewers.
async fn stage(db: Db, change: impl FnOnce(&mut SingleSignOnRules)) -> (World, Arc<Provider>) {
    let world = World::new(db).await;
    let provider = Provider::new(&world.clock);
    let mut rules = SingleSignOnRules {
        name: "Example".into(),
        default_role: Some(Role::Viewer),
        link_by_email: true,
        ..Default::default()
    };
    change(&mut rules);
    provider.serve(&world.app, rules);
    (world, provider)
}

fn browser() -> Browser {
    Browser {
        origin: origin(),
        session: None,
        user_agent: Some("tests".into()),
    }
}

async fn begin(world: &World) -> BegunSingleSignOn {
    let browser = browser();
    let begun = world
        .app
        .begin_single_sign_on(&browser, Some("/credentials"), Proof::Recent);
    begun.await.unwrap()
}

async fn finish(
    world: &World,
    begun: &BegunSingleSignOn,
    query: &str,
) -> Result<FinishedSingleSignOn, Problem> {
    let cookie = Some(begun.cookie.expose().as_str());
    world
        .app
        .finish_single_sign_on(&browser(), cookie, query)
        .await
}

/// A whole flow of one browser.
async fn sign_in(world: &World, provider: &Provider) -> Result<FinishedSingleSignOn, Problem> {
    let begun = begin(world).await;
    let query = provider.visit(&begun.location);
    finish(world, &begun, &query).await
}

/// The newest event's outcome and details.
async fn last_detail(world: &World) -> (String, Value) {
    let sql = "SELECT outcome, detail FROM audit_events ORDER BY sequence DESC LIMIT 1";
    let row = world.db.rows(sql).await.remove(0);
    (
        row[0].text().to_owned(),
        serde_json::from_str(row[1].text()).unwrap(),
    )
}

async fn a_stranger_becomes_a_person_once(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows(
        "sub-1",
        "Grace@Example.com",
        json!({ "given_name": "Grace", "family_name": "H" }),
    );
    let first = sign_in(&world, &provider).await.unwrap();
    assert_eq!(first.return_to, "/credentials");
    let me = &first.signed_in.me;
    assert_eq!(
        (
            me.email.as_str(),
            me.first_name.as_str(),
            me.last_name.as_str()
        ),
        ("grace@example.com", "Grace", "H")
    );
    assert_eq!(
        me.teams
            .iter()
            .map(|team| (team.team_id, team.role))
            .collect::<Vec<_>>(),
        [(world.team, Role::Viewer)]
    );
    assert_eq!(
        world.last_events(4).await,
        [
            "user.create success",
            "membership.create success",
            "user.link success",
            "session.create success"
        ]
    );
    let (_, detail) = last_detail(&world).await;
    assert_eq!(detail, json!({ "method": "oidc", "issuer": ISSUER }));
    let cookie = ctx(first.signed_in.token.expose());
    assert_eq!(world.app.me(&cookie).await.unwrap().id, me.id);

    // The address may change, and the person stays who they are.
    provider.knows("sub-1", "grace.h@example.com", json!({}));
    let second = sign_in(&world, &provider).await.unwrap();
    assert_eq!(second.signed_in.me.id, me.id);
    assert_eq!(second.signed_in.me.email, "grace@example.com");
    assert_eq!(world.db.count("users").await, 2);
    assert_eq!(world.last_events(1).await, ["session.create success"]);

    // There is no password to guess.
    let guess = world.sign_in("grace@example.com", "", &origin()).await;
    assert_refused!(guess, AppError::SignInRefused);
}

async fn a_flow_works_once_in_one_browser(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    let (one, two) = (begin(&world).await, begin(&world).await);
    let query = provider.visit(&two.location);
    let answer = provider.visit(&one.location);

    // Another browser has another cookie, or none; another answer has another state.
    assert_refused!(finish(&world, &two, &answer).await, Problem::NoSuchFlow);
    assert_refused!(finish(&world, &one, &query).await, Problem::NoSuchFlow);
    let without = world
        .app
        .finish_single_sign_on(&browser(), None, &answer)
        .await;
    assert_refused!(without, Problem::NoSuchFlow);
    let (outcome, detail) = last_detail(&world).await;
    assert_eq!(outcome, "refused");
    assert_eq!(
        detail,
        json!({ "method": "oidc", "issuer": ISSUER, "reason": "no-such-flow" })
    );
    let cookie = one.cookie.expose();
    let mut planted = cookie[..cookie.len() - 43].to_owned();
    planted.push_str(&"A".repeat(43));
    for false_cookie in [
        planted.as_str(),
        "",
        "nlsso_",
        &cookie.replace("nlsso_", "nls_"),
    ] {
        let refused = world
            .app
            .finish_single_sign_on(&browser(), Some(false_cookie), &answer)
            .await;
        assert_refused!(refused, Problem::NoSuchFlow);
    }
    for query in ["", "code=c", "state=s", "code=c&state=s&state=s"] {
        assert_refused!(finish(&world, &one, query).await, Problem::NoSuchFlow);
    }
    assert_eq!(world.db.count("sessions").await, 0);

    // None of that ended the flow of its owner; its end does.
    finish(&world, &one, &answer).await.unwrap();
    assert_refused!(finish(&world, &one, &answer).await, Problem::NoSuchFlow);
    assert_eq!(world.db.count("sessions").await, 1);

    // A refusal at the provider ends it too.
    let state = query.rsplit('&').next().unwrap();
    let denied = format!("error=access_denied&error_description=%3Cb%3E&{state}");
    assert_refused!(finish(&world, &two, &denied).await, Problem::AccessDenied);
    let (_, detail) = last_detail(&world).await;
    assert_eq!(detail["reason"], "access-denied");
    assert_refused!(finish(&world, &two, &query).await, Problem::NoSuchFlow);
}

async fn a_flow_ends_after_ten_minutes(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    let begun = begin(&world).await;
    let query = provider.visit(&begun.location);
    world.clock.advance_seconds(599);
    let late = begin(&world).await;
    let late_query = provider.visit(&late.location);
    world.clock.advance_seconds(1);
    assert_refused!(finish(&world, &begun, &query).await, Problem::NoSuchFlow);
    finish(&world, &late, &late_query).await.unwrap();

    // What expired goes away with its secret.
    assert_eq!(world.db.count("sign_in_flows").await, 1);
    world.clock.advance_seconds(1);
    begin(&world).await;
    let sealed = "sealed_values WHERE kind = 'sign-in-flow'";
    assert_eq!(
        (
            world.db.count("sign_in_flows").await,
            world.db.count(sealed).await
        ),
        (1, 1)
    );
    world.clock.advance_seconds(601);
    world.app.housekeeping().await.unwrap();
    assert_eq!(
        (
            world.db.count("sign_in_flows").await,
            world.db.count(sealed).await
        ),
        (0, 0)
    );
}

async fn nothing_readable_is_kept_of_a_flow(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    let begun = begin(&world).await;
    let query = provider.visit(&begun.location);
    let state = query.rsplit('=').next().unwrap();
    let secret = begun.cookie.expose().rsplit('.').next().unwrap();
    let dump = format!("{:?}", world.db.dump().await);
    assert!(!dump.contains(state) && !dump.contains(secret));
    for row in world.db.dump().await.values().flatten().flatten() {
        if let Cell::Bytes(bytes) = row {
            assert!(!bytes.windows(43).any(|part| part == state.as_bytes()));
        }
    }
    // The value opens in its place alone: another flow's row gives nothing.
    world.clock.advance_seconds(1);
    let other = begin(&world).await;
    let copy = "UPDATE sealed_values SET envelope = (SELECT envelope FROM sealed_values \
         WHERE kind = 'sign-in-flow' ORDER BY id LIMIT 1) WHERE id = (SELECT id \
         FROM sealed_values WHERE kind = 'sign-in-flow' ORDER BY id DESC LIMIT 1)";
    assert_eq!(world.db.run(copy).await, 1);
    assert_refused!(
        finish(&world, &other, &query).await,
        Problem::App(AppError::Quarantined)
    );
}

async fn an_account_is_linked_by_its_verified_address(db: Db) {
    let (world, provider) = stage(db, |rules| rules.default_role = None).await;
    let person = world
        .person("grace@example.com", world.team, Role::Builder)
        .await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    let linked = sign_in(&world, &provider).await.unwrap();
    assert_eq!(linked.signed_in.me.id, person.id);
    assert_eq!(linked.signed_in.me.teams[0].role, Role::Builder);
    assert_eq!(
        world.last_events(2).await,
        ["user.link success", "session.create success"]
    );
    sign_in(&world, &provider).await.unwrap();
    assert_eq!(world.db.count("user_identities").await, 1);
    // The password works as before.
    assert!(
        world
            .sign_in("grace@example.com", PASSWORD, &origin())
            .await
            .is_ok()
    );
}

async fn an_address_alone_gives_no_administrator_away(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    let grace = world
        .person("grace@example.com", world.team, Role::Viewer)
        .await;
    let sessions = world.db.count("sessions").await;
    provider.knows("sub-1", ADMIN, json!({}));
    let refused = sign_in(&world, &provider).await;
    assert_refused!(refused, Problem::AdministratorNotLinked);
    let (outcome, detail) = last_detail(&world).await;
    assert_eq!(
        (outcome.as_str(), &detail["reason"]),
        ("refused", &json!("administrator-not-linked"))
    );
    // Either property alone is enough.
    provider.knows("sub-2", "grace@example.com", json!({}));
    for (admin, emergency) in [("TRUE", "FALSE"), ("FALSE", "TRUE")] {
        let sql = format!(
            "UPDATE users SET instance_admin = {admin}, break_glass = {emergency} WHERE id = {}",
            x(grace.id.as_bytes())
        );
        world.db.run(&sql).await;
        let refused = sign_in(&world, &provider).await;
        assert_refused!(refused, Problem::AdministratorNotLinked);
    }
    assert_eq!(world.db.count("user_identities").await, 0);
    assert_eq!(world.db.count("sessions").await, sessions);

    // With the setting an administrator is linked once, and stays so without it.
    let allowing = world.other_process().await;
    let rules = SingleSignOnRules {
        link_by_email: true,
        link_administrators: true,
        ..Default::default()
    };
    provider.serve(&allowing, rules);
    provider.knows("sub-1", ADMIN, json!({}));
    let begun = begin(&world).await;
    let query = provider.visit(&begun.location);
    let cookie = Some(begun.cookie.expose().as_str());
    allowing
        .finish_single_sign_on(&browser(), cookie, &query)
        .await
        .unwrap();
    let me = sign_in(&world, &provider).await.unwrap().signed_in.me;
    assert_eq!(me.email, ADMIN);
}

async fn a_default_team_that_is_gone_is_a_clear_refusal(db: Db) {
    let (world, provider) = stage(db, |rules| rules.default_team = Some("Platform".into())).await;
    assert!(!world.app.has_default_team().await.unwrap());
    provider.knows("sub-1", "grace@example.com", json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::NoTeam);
    let (outcome, detail) = last_detail(&world).await;
    assert_eq!(
        (outcome.as_str(), &detail["reason"]),
        ("refused", &json!("no-team"))
    );
    assert_eq!(world.db.count("users").await, 1);

    world
        .db
        .run("UPDATE teams SET name = 'Platform' WHERE name = 'Default'")
        .await;
    assert!(world.app.has_default_team().await.unwrap());
    let me = sign_in(&world, &provider).await.unwrap().signed_in.me;
    assert_eq!(me.teams[0].team_id, world.team);
}

async fn an_address_that_changed_hands_gives_no_account(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    sign_in(&world, &provider).await.unwrap();
    provider.knows("sub-2", "grace@example.com", json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::NotLinked);
    let (_, detail) = last_detail(&world).await;
    assert_eq!(detail["reason"], "not-linked");
    let sql = "SELECT actor_name FROM audit_events ORDER BY sequence DESC LIMIT 1";
    assert_eq!(
        world.db.one(sql).await.text(),
        "grace@example.com",
        "the trail says who"
    );
}

async fn who_is_refused(db: Db) {
    let (world, provider) = stage(db, |rules| {
        rules.default_role = None;
        rules.link_by_email = false;
        rules.allowed_domains = vec!["example.com".into()];
    })
    .await;
    provider.knows("sub-1", "stranger@example.com", json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::NoAccount);
    provider.knows("sub-2", ADMIN, json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::NotLinked);
    for email in [
        "a@sub.example.com",
        "a@example.com.evil.test",
        "a@evil.test",
        "example.com@evil.test",
    ] {
        provider.knows("sub-3", email, json!({}));
        assert_refused!(sign_in(&world, &provider).await, Problem::DomainNotAllowed);
    }
    provider.knows("sub-4", "a@example.com", json!({ "email_verified": false }));
    assert_refused!(sign_in(&world, &provider).await, Problem::EmailNotVerified);
    provider.knows("sub-5", "no address", json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::EmailNotVerified);
    provider.knows("", "a@example.com", json!({}));
    assert_refused!(
        sign_in(&world, &provider).await,
        Problem::Provider(OidcError::IdToken(_))
    );
    assert_eq!(
        world.db.count("user_identities").await + world.db.count("sessions").await,
        0
    );
    assert_eq!(world.db.count("users").await, 1);
}

async fn a_deactivated_person_is_refused(db: Db) {
    // Before and after the identity is known.
    let (world, provider) = stage(db, |_| ()).await;
    let person = world
        .person("gone@example.com", world.team, Role::Viewer)
        .await;
    let user = x(person.id.as_bytes());
    let set = async |state: &str| {
        let sql = format!("UPDATE users SET state = '{state}' WHERE id = {user}");
        world.db.run(&sql).await;
    };
    provider.knows("sub-6", "gone@example.com", json!({}));
    set("deactivated").await;
    assert_refused!(sign_in(&world, &provider).await, Problem::Deactivated);
    set("active").await;
    sign_in(&world, &provider).await.unwrap();
    set("deactivated").await;
    assert_refused!(sign_in(&world, &provider).await, Problem::Deactivated);
}

async fn nobody_is_first_by_single_sign_on(db: Db) {
    let world = World::bare(db).await;
    assert_refused!(
        world
            .app
            .begin_single_sign_on(&browser(), None, Proof::Recent)
            .await,
        Problem::Off
    );
    assert_refused!(
        world.app.finish_single_sign_on(&browser(), None, "").await,
        Problem::Off
    );
    let provider = Provider::new(&world.clock);
    let rules = SingleSignOnRules {
        default_role: Some(Role::Viewer),
        ..Default::default()
    };
    provider.serve(&world.app, rules);
    provider.knows("sub-1", "mallory@example.com", json!({}));
    assert_refused!(sign_in(&world, &provider).await, Problem::NotSetUp);
    assert!(world.app.needs_set_up().await.unwrap());
}

async fn passwords_can_be_for_break_glass_alone(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    let person = world
        .person("grace@example.com", world.team, Role::Builder)
        .await;
    let only = world.other_process().await;
    let rules = SingleSignOnRules {
        only: true,
        link_by_email: true,
        ..Default::default()
    };
    provider.serve(&only, rules);
    let attempt = async |email: &str, password: &str| {
        let password = nodeloom_crypto::Secret::new(password.to_owned());
        only.sign_in(email, password, None, &origin(), None).await
    };
    // The same answer to everybody: it does not tell which account may.
    for (email, password) in [
        ("grace@example.com", PASSWORD),
        ("grace@example.com", "a wrong password"),
        ("nobody@example.com", PASSWORD),
        (ADMIN, "a wrong password"),
    ] {
        assert_refused!(attempt(email, password).await, AppError::PasswordOff);
    }
    assert_eq!(world.last_events(1).await, ["session.create refused"]);
    assert!(
        attempt(ADMIN, PASSWORD).await.is_ok(),
        "the first administrator may break the glass"
    );
    let again = nodeloom_crypto::Secret::new(PASSWORD.to_owned());
    assert_refused!(
        only.reauthenticate(&person.ctx(), again).await,
        AppError::PasswordOff
    );
    // Her session goes on, and so does single sign-on.
    assert!(only.me(&person.ctx()).await.is_ok());
    provider.knows("sub-1", "grace@example.com", json!({}));
    assert_eq!(
        sign_in(&world, &provider).await.unwrap().signed_in.me.id,
        person.id
    );
}

async fn a_proof_is_as_fresh_as_it_was_at_the_provider(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    let stored = world.add(world.team, "Mail", "value").await;
    world
        .person("grace@example.com", world.team, Role::Builder)
        .await;
    let now = world.clock.now().as_micros() / 1_000_000;
    provider.knows(
        "sub-1",
        "grace@example.com",
        json!({ "auth_time": now - 600 }),
    );
    let begun = begin(&world).await;
    assert!(begun.location.contains("max_age=43200") && !begun.location.contains("prompt"));
    let first = finish(&world, &begun, &provider.visit(&begun.location))
        .await
        .unwrap();
    let old = first.signed_in.token.expose().clone();
    let refused = reveal(&world.app, &ctx(&old), stored.id).await;
    assert_refused!(refused, AppError::Denied(Denied::ReauthenticationRequired));

    // From within the session: the provider asks again, and the old session ends.
    let here = Browser {
        session: SessionToken::parse(&old),
        ..browser()
    };
    let begun = world
        .app
        .begin_single_sign_on(&here, None, Proof::Fresh)
        .await
        .unwrap();
    assert!(begun.location.contains("max_age=0") && begun.location.contains("prompt=login"));
    let query = provider.visit(&begun.location);
    provider.knows("sub-1", "grace@example.com", json!({ "auth_time": now }));
    let second = finish(&world, &begun, &query).await.unwrap();
    let new = second.signed_in.token.expose();
    assert_eq!(
        reveal(&world.app, &ctx(new), stored.id).await.unwrap(),
        json!({ "token": "value" })
    );
    assert_refused!(world.app.me(&ctx(&old)).await, AppError::Unauthenticated);

    // A provider that remembers and does not ask is not believed.
    let begun = world
        .app
        .begin_single_sign_on(&here, None, Proof::Fresh)
        .await
        .unwrap();
    let query = provider.visit(&begun.location);
    provider.knows(
        "sub-1",
        "grace@example.com",
        json!({ "auth_time": now - 600 }),
    );
    assert_refused!(
        finish(&world, &begun, &query).await,
        Problem::Provider(OidcError::IdToken(_))
    );

    // Somebody else's session does not end, whatever browser it began in.
    provider.knows("sub-9", "other@example.com", json!({}));
    let here = Browser {
        session: SessionToken::parse(new),
        ..browser()
    };
    let begun = world
        .app
        .begin_single_sign_on(&here, None, Proof::Recent)
        .await
        .unwrap();
    let query = provider.visit(&begun.location);
    let other: UserId = finish(&world, &begun, &query)
        .await
        .unwrap()
        .signed_in
        .me
        .id;
    assert_ne!(other, second.signed_in.me.id);
    assert!(world.app.me(&ctx(new)).await.is_ok());
}

async fn failures_are_limited_and_outages_are_not_held_against_anyone(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    *provider.is_down.lock().unwrap() = true;
    for _ in 0..70 {
        let refused = world
            .app
            .begin_single_sign_on(&browser(), None, Proof::Recent)
            .await;
        assert_refused!(refused, Problem::Provider(OidcError::Unreachable(_)));
    }
    *provider.is_down.lock().unwrap() = false;
    world.clock.advance_seconds(6);
    sign_in(&world, &provider).await.unwrap();
    let begun = begin(&world).await;
    for _ in 0..60 {
        assert_refused!(
            finish(&world, &begun, "code=c&state=s").await,
            Problem::NoSuchFlow
        );
    }
    let throttled = finish(&world, &begun, "code=c&state=s").await;
    assert_refused!(throttled, Problem::App(AppError::Throttled { .. }));
    let password = world.sign_in(ADMIN, PASSWORD, &origin()).await;
    assert_refused!(password, AppError::Throttled { .. });
    let elsewhere = Browser {
        origin: from_address("192.0.2.9"),
        ..browser()
    };
    let begun = world
        .app
        .begin_single_sign_on(&elsewhere, None, Proof::Recent)
        .await
        .unwrap();
    let query = provider.visit(&begun.location);
    let cookie = Some(begun.cookie.expose().as_str());
    world
        .app
        .finish_single_sign_on(&elsewhere, cookie, &query)
        .await
        .unwrap();

    for bad in ["//evil.test", "https://evil.test", "/\\evil.test"] {
        let refused = world
            .app
            .begin_single_sign_on(&elsewhere, Some(bad), Proof::Recent)
            .await;
        assert_refused!(refused, Problem::App(AppError::Invalid(_)));
    }
}

async fn two_first_sign_ins_at_once_make_one_person(db: Db) {
    let (world, provider) = stage(db, |_| ()).await;
    provider.knows("sub-1", "grace@example.com", json!({}));
    let (one, two) = tokio::join!(sign_in(&world, &provider), sign_in(&world, &provider));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.signed_in.me.id, two.signed_in.me.id);
    assert_eq!(
        world
            .db
            .count("users WHERE email = 'grace@example.com'")
            .await,
        1
    );
}
