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
    }
}

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

#[test]
fn the_matrix_is_what_was_reviewed() {
    let team = TeamId::from_bytes([1; 16]);
    let record = Resource::Record { team, id: [9; 16] };
    let mut table = format!("{:<20}", "action");
    for role in Role::ALL {
        table += &format!("{role:<10}");
    }
    table += "stale     stranger";
    for action in Action::ASKED {
        table += &format!("\n{:<20}", action.as_str());
        let word = |result: Result<Permit, Denied>| match result {
            Ok(_) => "yes",
            Err(Denied::NotVisible) => "404",
            Err(Denied::ReauthenticationRequired) => "prove",
            Err(_) => "no",
        };
        for role in Role::ALL {
            table += &format!(
                "{:<10}",
                word(authorise(&member(role, NOW, team), action, record, NOW))
            );
        }
        let stale = member(Role::Admin, NOW.plus_seconds(-301), team);
        table += &format!("{:<10}", word(authorise(&stale, action, record, NOW)));
        let stranger = member(Role::Admin, NOW, TeamId::from_bytes([2; 16]));
        table += word(authorise(&stranger, action, record, NOW));
    }
    insta::assert_snapshot!(table, @r"
    action              VIEWER    AUDITOR   OPERATOR  BUILDER   ADMIN     stale     stranger
    credential.read     yes       yes       yes       yes       yes       yes       404
    credential.create   no        no        no        yes       yes       yes       404
    credential.update   no        no        no        yes       yes       yes       404
    credential.reveal   no        no        no        yes       yes       prove     404
    credential.delete   no        no        no        yes       yes       yes       404
    audit.read          no        yes       no        no        yes       yes       404
    key.status          no        yes       no        no        yes       yes       404
    session.end         no        no        no        no        no        no        404
    account.read        no        no        no        no        no        no        404
    ");
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
