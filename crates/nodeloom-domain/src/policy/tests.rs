//! The whole table, as a reviewer reads it.

use super::*;
use crate::TeamId;

fn member(role: Role, authenticated_at: Timestamp, team: TeamId) -> Actor {
    Actor::User {
        id: UserId::from_bytes([7; 16]),
        email: "m@example.com".into(),
        instance_admin: false,
        memberships: vec![Membership {
            team,
            team_name: "T".into(),
            role,
        }],
        authenticated_at,
        token: None,
    }
}

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn word(result: Result<Permit, Denied>) -> &'static str {
    match result {
        Ok(_) => "yes",
        Err(Denied::NotVisible) => "404",
        Err(Denied::ReauthenticationRequired) => "prove",
        Err(Denied::NotForTokens) => "never",
        Err(Denied::TokenScopeMissing { .. }) => "scope",
        Err(_) => "no",
    }
}

fn with(actor: &Actor, change: impl FnOnce(&mut bool, &mut Option<TokenLimit>)) -> Actor {
    let mut actor = actor.clone();
    if let Actor::User {
        instance_admin,
        token,
        ..
    } = &mut actor
    {
        change(instance_admin, token);
    }
    actor
}

fn limit(team: TeamId, role: Role, scopes: &[TokenScope]) -> TokenLimit {
    TokenLimit {
        id: crate::ApiTokenId::from_bytes([5; 16]),
        name: "ci".into(),
        team,
        role,
        scopes: scopes.to_vec(),
    }
}

/// One line an action, one column an actor.
fn table(columns: &[(&str, Actor)], resource: impl Fn(&Actor) -> Resource) -> String {
    let mut table = format!("{:<20}", "action");
    for (title, _) in columns {
        table += &format!("{title:<10}");
    }
    for &action in Action::ASKED {
        table += &format!("\n{:<20}", action.as_str());
        for (_, actor) in columns {
            table += &format!(
                "{:<10}",
                word(authorise(actor, action, resource(actor), NOW))
            );
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// In a team: each role after a fresh proof; an administrator whose proof is old; one of
/// another team; the instance's administrator without a role here; an administrator's
/// tokens, with the role VIEWER, with ADMIN, and with ADMIN and every scope.
#[test]
fn the_team_matrix_is_what_was_reviewed() {
    let team = TeamId::from_bytes([1; 16]);
    let admin = member(Role::Admin, NOW, team);
    let stranger = member(Role::Admin, NOW, TeamId::from_bytes([2; 16]));
    let through = |role, scopes: &[TokenScope]| {
        with(&admin, |_, token| *token = Some(limit(team, role, scopes)))
    };
    let columns = [
        ("VIEWER", member(Role::Viewer, NOW, team)),
        ("AUDITOR", member(Role::Auditor, NOW, team)),
        ("OPERATOR", member(Role::Operator, NOW, team)),
        ("BUILDER", member(Role::Builder, NOW, team)),
        ("ADMIN", admin.clone()),
        ("stale", member(Role::Admin, NOW.plus_seconds(-301), team)),
        ("stranger", stranger.clone()),
        ("instance", with(&stranger, |flag, _| *flag = true)),
        ("t:VIEWER", through(Role::Viewer, &TokenScope::ALL)),
        ("t:ADMIN", through(Role::Admin, &[])),
        ("t:scopes", through(Role::Admin, &TokenScope::ALL)),
    ];
    let in_team = table(&columns, |_| Resource::Record { team, id: [9; 16] });
    insta::assert_snapshot!("team", in_team);
}

/// About the instance, and about accounts: a plain member, the instance's administrator
/// with a fresh and an old proof, and that administrator's token.
#[test]
fn the_instance_and_account_matrix_is_what_was_reviewed() {
    let team = TeamId::from_bytes([1; 16]);
    let plain = member(Role::Admin, NOW, team);
    let admin = with(&plain, |flag, _| *flag = true);
    let stale = with(
        &member(Role::Admin, NOW.plus_seconds(-301), team),
        |flag, _| *flag = true,
    );
    let token = with(&admin, |_, token| {
        *token = Some(limit(team, Role::Admin, &TokenScope::ALL));
    });
    let columns = [
        ("member", plain),
        ("instance", admin),
        ("stale", stale),
        ("token", token),
    ];
    let instance = table(&columns, |_| Resource::Instance);
    let own = table(&columns, |_| Resource::User(UserId::from_bytes([7; 16])));
    let other = table(&columns, |_| Resource::User(UserId::from_bytes([8; 16])));
    insta::assert_snapshot!("instance", instance);
    insta::assert_snapshot!("own_account", own);
    assert!(
        other.lines().skip(1).all(|line| line
            .split_whitespace()
            .skip(1)
            .all(|word| matches!(word, "404" | "never"))),
        "an account of somebody else: {other}"
    );
}

#[test]
fn a_token_takes_the_lesser_of_two_roles() {
    let team = TeamId::from_bytes([1; 16]);
    let record = Resource::Record { team, id: [9; 16] };
    for owner in Role::ALL {
        for role in Role::ALL {
            let owner = member(owner, NOW, team);
            let through = with(&owner, |_, token| {
                *token = Some(limit(team, role, &TokenScope::ALL));
            });
            let plain = member(role, NOW, team);
            for &action in Action::ASKED {
                let may = authorise(&through, action, record, NOW).is_ok();
                let both = authorise(&owner, action, record, NOW).is_ok()
                    && authorise(&plain, action, record, NOW).is_ok();
                assert!(!may || both, "{role} {action:?}");
                assert!(
                    may || !both || action.needs_fresh_proof(),
                    "{role} {action:?}"
                );
            }
        }
    }
}

#[test]
fn a_token_works_in_its_team_alone_and_needs_no_fresh_proof_for_its_scope() {
    let team = TeamId::from_bytes([1; 16]);
    let old = member(Role::Admin, NOW.plus_seconds(-86_400), team);
    let through = |team, scopes: &[TokenScope]| {
        with(&old, |_, token| {
            *token = Some(limit(team, Role::Admin, scopes))
        })
    };
    let record = Resource::Record { team, id: [9; 16] };
    let reveal = |actor: &Actor| authorise(actor, Action::CredentialReveal, record, NOW).map(drop);
    assert_eq!(reveal(&through(team, &[TokenScope::Reveal])), Ok(()));
    assert_eq!(
        reveal(&through(team, &[TokenScope::Grants])),
        Err(Denied::TokenScopeMissing {
            scope: TokenScope::Reveal
        })
    );
    assert_eq!(
        reveal(&through(TeamId::from_bytes([2; 16]), &TokenScope::ALL)),
        Err(Denied::NotVisible)
    );
}

#[test]
fn the_instance_is_for_its_administrators_and_operators() {
    let actor = member(Role::Admin, NOW, TeamId::from_bytes([1; 16]));
    assert_eq!(
        authorise(&actor, Action::KeyStatus, Resource::Instance, NOW).unwrap_err(),
        Denied::InstanceAdminOnly
    );
    let operator = Actor::Operator {
        user: "root".into(),
        host: "h".into(),
    };
    assert!(authorise(&operator, Action::KeyStatus, Resource::Instance, NOW).is_ok());
}

#[test]
fn an_account_is_its_owners() {
    let actor = member(Role::Viewer, NOW, TeamId::from_bytes([1; 16]));
    let own = Resource::User(UserId::from_bytes([7; 16]));
    let other = Resource::User(UserId::from_bytes([8; 16]));
    assert!(authorise(&actor, Action::SessionEnd, own, NOW).is_ok());
    assert_eq!(
        authorise(&actor, Action::SessionEnd, other, NOW).unwrap_err(),
        Denied::NotVisible
    );
}

#[test]
fn a_permit_covers_its_own_record_alone() {
    let team = TeamId::from_bytes([1; 16]);
    let actor = member(Role::Admin, NOW, team);
    let permit = authorise(
        &actor,
        Action::CredentialUpdate,
        Resource::Record { team, id: [9; 16] },
        NOW,
    )
    .unwrap();
    assert!(permit.covers_record(Action::CredentialUpdate, team, &[9; 16]));
    assert!(!permit.covers_record(Action::CredentialDelete, team, &[9; 16]));
    assert!(!permit.covers_record(Action::CredentialUpdate, team, &[8; 16]));
    assert!(!permit.covers_record(
        Action::CredentialUpdate,
        TeamId::from_bytes([2; 16]),
        &[9; 16]
    ));
    assert!(!permit.covers_team(Action::CredentialUpdate, team));
}

#[test]
fn set_up_happens_once() {
    assert!(first_admin(0).is_ok());
    assert_eq!(first_admin(1).unwrap_err(), Denied::AlreadySetUp);
}
