//! Who may do what. The matrix is one table, in `matrix.rs`; a [`Permit`] is made
//! here alone, and every write asks for one.

mod action;
mod actor;
mod matrix;
mod permit;
mod token;

pub use action::Action;
pub use actor::{Actor, Membership};
pub use permit::{Denied, Permit, Resource};
pub use token::{ParseTokenScopeError, TokenLimit, TokenScope};

use crate::{Role, TeamId, Timestamp, UserId};

/// How long after a proof of identity the sensitive actions stay open, in seconds.
pub const REAUTHENTICATION_WINDOW_SECONDS: i64 = 5 * 60;

/// Decides whether `actor` may do `action` on `resource` at `now`.
///
/// # Errors
/// [`Denied::NotVisible`] when the actor must not even learn that the resource
/// exists; the other variants when it may know and may not act.
pub fn authorise(
    actor: &Actor,
    action: Action,
    resource: Resource,
    now: Timestamp,
) -> Result<Permit, Denied> {
    let Actor::User {
        id,
        instance_admin,
        memberships,
        authenticated_at,
        token,
        ..
    } = actor
    else {
        // The operator holds the key and the database: the policy could not keep
        // anything from them, the audit trail says what they did.
        return Ok(Permit::new(action, resource));
    };
    if let Some(token) = token {
        narrow(token, action, resource)?;
    }
    match resource {
        Resource::Instance if !matrix::concerns_instance(action) => {
            return Err(Denied::NotVisible);
        }
        Resource::Instance if !instance_admin => return Err(Denied::InstanceAdminOnly),
        Resource::Instance => {}
        Resource::Team(team) | Resource::Record { team, .. } => {
            let role = memberships
                .iter()
                .find(|membership| membership.team == team)
                .map(|membership| membership.role);
            // A token never carries its owner's flag.
            let by_flag =
                *instance_admin && token.is_none() && matrix::allows_instance_admin(action);
            if !by_flag {
                let role = role.ok_or(Denied::NotVisible)?;
                if !matrix::allows(role, action) {
                    return Err(too_low(action));
                }
            }
        }
        Resource::User(user) => {
            if *id != user || !matrix::concerns_self(action) {
                return Err(Denied::NotVisible);
            }
        }
    }
    let fresh = now.seconds_since(*authenticated_at) < REAUTHENTICATION_WINDOW_SECONDS;
    // A token that passed `narrow` has the scope instead of a fresh proof.
    if action.needs_fresh_proof() && token.is_none() && !fresh {
        return Err(Denied::ReauthenticationRequired);
    }
    Ok(Permit::new(action, resource))
}

/// What a token takes away from its owner's rights.
fn narrow(token: &TokenLimit, action: Action, resource: Resource) -> Result<(), Denied> {
    match resource {
        Resource::Instance => return Err(Denied::NotForTokens),
        Resource::User(_) if matches!(action, Action::AccountRead) => return Ok(()),
        Resource::User(_) => return Err(Denied::NotForTokens),
        Resource::Team(team) | Resource::Record { team, .. } if team != token.team => {
            return Err(Denied::NotVisible);
        }
        Resource::Team(_) | Resource::Record { .. } => {}
    }
    if !matrix::allows(token.role, action) {
        return Err(too_low(action));
    }
    if action.needs_fresh_proof() {
        let scope = action.token_scope().ok_or(Denied::NotForTokens)?;
        if !token.scopes.contains(&scope) {
            return Err(Denied::TokenScopeMissing { scope });
        }
    }
    Ok(())
}

/// The permit to make the first administrator: only while there is no user.
///
/// # Errors
/// [`Denied::AlreadySetUp`] once there is one.
pub fn first_admin(users: u64) -> Result<Permit, Denied> {
    if users == 0 {
        Ok(Permit::new(Action::InstanceSetUp, Resource::Instance))
    } else {
        Err(Denied::AlreadySetUp)
    }
}

/// The permit to open a session for a person whose proof has just been verified.
pub fn signed_in(user: UserId) -> Permit {
    Permit::new(Action::SessionCreate, Resource::User(user))
}

/// The permit to join a team by an invitation whose link has just been verified.
pub fn invited(team: TeamId) -> Permit {
    Permit::new(Action::InvitationAccept, Resource::Team(team))
}

/// The permit to make a person, or note who they are, after a verified single sign-on.
pub fn provisioned(user: UserId) -> Permit {
    Permit::new(Action::UserProvision, Resource::User(user))
}

/// The permit for what the program does on its own: making keys at the birth of a
/// team or instance, marking a value that does not open, counting failed sign-ins,
/// dropping what has expired.
pub fn housekeeping() -> Permit {
    Permit::new(Action::Housekeeping, Resource::Instance)
}

/// A refusal in the words of the weakest role that may do `action` in a team.
fn too_low(action: Action) -> Denied {
    Role::ALL
        .into_iter()
        .find(|role| matrix::allows(*role, action))
        .map_or(Denied::InstanceAdminOnly, |needs| Denied::RoleTooLow {
            needs,
        })
}

#[cfg(test)]
mod tests;
