//! Invitations: a link that works once, for one address, into one team.

use nodeloom_app::{
    AppError, InvitedStep, Joined, MadeInvitation, NewInvitation, NewPerson, SessionToken,
};
use nodeloom_domain::{Role, policy::Denied};

use crate::support::{
    ADMIN, Db, PASSWORD, World, assert_refused, fields_of, on_both, operator, origin, secret, x,
};

on_both!(
    somebody_new_makes_an_account_and_is_in,
    somebody_with_an_account_signs_in_and_joins,
    every_other_code_is_answered_alike,
    of_two_who_accept_at_once_one_is_in,
    a_database_writer_cannot_widen_an_invitation,
    only_admins_of_the_team_invite,
    an_inviter_who_goes_takes_the_invitations_along,
);

fn new(email: &str, role: Role) -> NewInvitation {
    NewInvitation {
        email: email.into(),
        role,
        expires_in_days: None,
    }
}

fn person() -> NewPerson {
    NewPerson {
        password: Some(secret(PASSWORD)),
        first_name: "Bob".into(),
        last_name: String::new(),
    }
}

pub(super) async fn invite(world: &World, email: &str) -> MadeInvitation {
    let made = world
        .app
        .create_invitation(&operator(), world.team, new(email, Role::Builder))
        .await;
    made.unwrap()
}

async fn accept(
    world: &World,
    made: &MadeInvitation,
    session: Option<&str>,
) -> Result<Joined, AppError> {
    let session = session.map(|text| SessionToken::parse(text).unwrap());
    world
        .app
        .accept_invitation(
            made.code.expose(),
            person(),
            session.as_ref(),
            &origin(),
            None,
        )
        .await
}

async fn somebody_new_makes_an_account_and_is_in(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let made = invite(&world, "Bob@Example.com").await;
    assert_eq!(made.view.state, "open");
    assert_eq!(
        made.view.expires_at.seconds_since(made.view.created_at),
        7 * 24 * 60 * 60
    );
    // Nothing that is stored holds the secret half of the code.
    let half = made.code.expose().split_once('.').unwrap().1.to_owned();
    assert!(!format!("{:?}", world.db.dump().await).contains(&half));
    let seen = app
        .read_invitation(made.code.expose(), None, &origin())
        .await;
    let seen = seen.unwrap();
    assert_eq!(
        (
            seen.team_name.as_str(),
            seen.role,
            seen.email.as_str(),
            seen.next
        ),
        (
            "Default",
            Role::Builder,
            "bob@example.com",
            InvitedStep::NewAccount
        )
    );
    let weak = NewPerson {
        password: Some(secret("short")),
        ..person()
    };
    let weak = app
        .accept_invitation(made.code.expose(), weak, None, &origin(), None)
        .await;
    let refused = fields_of(weak.unwrap_err());
    assert_eq!(refused, ["password too-short".to_owned()].into());
    let joined = accept(&world, &made, None).await.unwrap();
    assert_eq!(joined.me.teams[0].role, Role::Builder);
    assert_eq!(
        world.last_events(4).await,
        [
            "user.create success",
            "invitation.accept success",
            "membership.create success",
            "session.create success"
        ]
    );
    let token = joined.token.unwrap();
    let me = app.me(&crate::support::ctx(token.expose())).await.unwrap();
    assert_eq!(me.email, "bob@example.com");
    world.signed_in("bob@example.com").await;
    let again = accept(&world, &made, None).await;
    assert_eq!(
        fields_of(again.unwrap_err()),
        ["code expired".to_owned()].into()
    );
    let list = app.list_invitations(&operator(), world.team).await.unwrap();
    assert_eq!(list[0].state, "accepted");
    let member = app
        .create_invitation(&operator(), world.team, new(ADMIN, Role::Viewer))
        .await;
    let refused = fields_of(member.unwrap_err());
    assert_eq!(refused, ["email member".to_owned()].into());
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
}

async fn somebody_with_an_account_signs_in_and_joins(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let bob = world.person("bob@example.com", other, Role::Viewer).await;
    let eve = world.person("eve@example.com", other, Role::Viewer).await;
    let made = invite(&world, &bob.email).await;
    for (session, next, rule) in [
        (None, InvitedStep::SignIn, "code sign-in"),
        (Some(&eve), InvitedStep::OtherAccount, "code other-account"),
    ] {
        let token = session.map(|person| SessionToken::parse(&person.token).unwrap());
        let seen = world
            .app
            .read_invitation(made.code.expose(), token.as_ref(), &origin())
            .await;
        assert_eq!(seen.unwrap().next, next);
        let refused = accept(&world, &made, session.map(|p| p.token.as_str())).await;
        let refused = fields_of(refused.unwrap_err());
        assert_eq!(refused, [rule.to_owned()].into());
    }
    // A refusal uses nothing up.
    let joined = accept(&world, &made, Some(&bob.token)).await.unwrap();
    assert!(joined.token.is_none());
    assert_eq!(joined.me.teams.len(), 2);
    let doctor = world.doctor().await;
    assert!(!doctor.needs_attention(), "{doctor:?}");
}

async fn every_other_code_is_answered_alike(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let revoked = invite(&world, "a@example.com").await;
    app.revoke_invitation(&operator(), revoked.view.id)
        .await
        .unwrap();
    let again = app.revoke_invitation(&operator(), revoked.view.id).await;
    assert_refused!(again, AppError::NotFound);
    let replaced = invite(&world, "b@example.com").await;
    let over = invite(&world, "b@example.com").await;
    let used = invite(&world, "c@example.com").await;
    accept(&world, &used, None).await.unwrap();
    world.clock.advance_seconds(7 * 24 * 60 * 60);
    let secret_of = |made: &MadeInvitation| made.code.expose().clone();
    let crossed = format!(
        "{}.{}",
        secret_of(&over).split_once('.').unwrap().0,
        secret_of(&used).split_once('.').unwrap().1
    );
    let mut answers = std::collections::BTreeSet::new();
    for code in [
        secret_of(&revoked),
        secret_of(&replaced),
        secret_of(&over),
        secret_of(&used),
        crossed,
        "nlinv_nothing".to_owned(),
        String::new(),
    ] {
        let read = app.read_invitation(&code, None, &origin()).await;
        answers.insert(read.unwrap_err().to_string());
        let accepted = app
            .accept_invitation(&code, person(), None, &origin(), None)
            .await;
        answers.insert(accepted.unwrap_err().to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(world.last_events(1).await, ["invitation.accept refused"]);
    let states: Vec<_> = app
        .list_invitations(&operator(), world.team)
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.state)
        .collect();
    let count = |word| states.iter().filter(|state| **state == word).count();
    assert_eq!(
        (count("revoked"), count("expired"), count("accepted")),
        (2, 1, 1)
    );
    // Whoever tries on and on is not heard any more.
    let mut last = None;
    for _ in 0..60 {
        last = app.read_invitation("no", None, &origin()).await.err();
    }
    assert!(matches!(last, Some(AppError::Throttled { .. })), "{last:?}");
}

async fn of_two_who_accept_at_once_one_is_in(db: Db) {
    let world = World::new(db).await;
    let made = invite(&world, "bob@example.com").await;
    let held = world.db.hold("SELECT id FROM teams FOR UPDATE").await;
    let attempt = || {
        let (app, code) = (world.app.clone(), made.code.expose().clone());
        tokio::spawn(async move {
            app.accept_invitation(&code, person(), None, &origin(), None)
                .await
        })
    };
    let (one, two) = (attempt(), attempt());
    world.db.release(held, 2).await;
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    let bobs = "users WHERE email = 'bob@example.com'";
    assert_eq!(world.db.count(bobs).await, 1);
    assert_eq!(
        world.db.count("memberships WHERE role = 'BUILDER'").await,
        1
    );
}

async fn a_database_writer_cannot_widen_an_invitation(db: Db) {
    let world = World::new(db).await;
    let other = world.add_team("Other").await;
    let team = x(other.as_bytes());
    for change in [
        "role = 'ADMIN'".to_owned(),
        "email = 'eve@example.com'".to_owned(),
        "expires_at = expires_at + 1".to_owned(),
        format!("team_id = {team}"),
    ] {
        let made = invite(&world, "bob@example.com").await;
        let id = x(made.view.id.as_bytes());
        let sql = format!("UPDATE invitations SET {change} WHERE id = {id}");
        assert_eq!(world.db.run(&sql).await, 1);
        let refused = accept(&world, &made, None).await.unwrap_err();
        assert_eq!(fields_of(refused), ["code expired".to_owned()].into());
    }
}

async fn only_admins_of_the_team_invite(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    let other = world.add_team("Other").await;
    let stranger = world.person("s@example.com", other, Role::Admin).await;
    let builder = world
        .person("b@example.com", world.team, Role::Builder)
        .await;
    let lead = world.person("l@example.com", world.team, Role::Admin).await;
    let made = invite(&world, "bob@example.com").await;
    let ask = || new("x@example.com", Role::Viewer);
    for (ctx, stranger) in [(stranger.ctx(), true), (builder.ctx(), false)] {
        let errors = [
            app.create_invitation(&ctx, world.team, ask())
                .await
                .unwrap_err(),
            app.list_invitations(&ctx, world.team).await.unwrap_err(),
            app.revoke_invitation(&ctx, made.view.id).await.unwrap_err(),
        ];
        for error in errors {
            match error {
                AppError::NotFound => assert!(stranger),
                AppError::Denied(Denied::RoleTooLow { needs: Role::Admin }) => assert!(!stranger),
                other => panic!("{other:?}"),
            }
        }
    }
    let long = NewInvitation {
        expires_in_days: Some(31),
        ..ask()
    };
    let long = app.create_invitation(&lead.ctx(), world.team, long).await;
    let refused = fields_of(long.unwrap_err());
    assert_eq!(refused, ["expiresInDays range".to_owned()].into());
    app.revoke_invitation(&lead.ctx(), made.view.id)
        .await
        .unwrap();
    app.create_invitation(&lead.ctx(), world.team, ask())
        .await
        .unwrap();
    world.clock.advance_seconds(5 * 60);
    let stale = app.create_invitation(&lead.ctx(), world.team, ask()).await;
    assert_refused!(stale, AppError::Denied(Denied::ReauthenticationRequired));
}

async fn an_inviter_who_goes_takes_the_invitations_along(db: Db) {
    let world = World::new(db).await;
    let app = &world.app;
    for step in 0..3 {
        let lead = format!("lead{step}@example.com");
        let lead = world.person(&lead, world.team, Role::Admin).await;
        let email = format!("bob{step}@example.com");
        let made = app
            .create_invitation(&lead.ctx(), world.team, new(&email, Role::Admin))
            .await
            .unwrap();
        match step {
            0 => drop(app.deactivate_user(&operator(), lead.id).await.unwrap()),
            1 => app.delete_user(&operator(), lead.id).await.unwrap(),
            _ => app
                .remove_member(&operator(), world.team, lead.id)
                .await
                .unwrap(),
        }
        let refused = accept(&world, &made, None).await.unwrap_err();
        assert_eq!(fields_of(refused), ["code expired".to_owned()].into());
    }
}
