//! Who may do what. The matrix is one table, in `matrix.rs`; a [`Permit`] is made
//! here alone, and every write asks for one.

mod action;
mod actor;
mod matrix;
mod permit;

pub use action::Action;
pub use actor::{Actor, Membership};
pub use permit::{Denied, Permit, Resource};

use crate::{Role, Timestamp, UserId};

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
    match actor {
        // The operator holds the key and the database: the policy could not keep
        // anything from them, the audit trail says what they did.
        Actor::Operator { .. } => Ok(Permit::new(action, resource)),
        Actor::User {
            instance_admin,
            memberships,
            authenticated_at,
            ..
        } => {
            match resource {
                Resource::Instance => {
                    if !instance_admin {
                        return Err(Denied::InstanceAdminOnly);
                    }
                }
                Resource::Team(team) | Resource::Record { team, .. } => {
                    let role = memberships
                        .iter()
                        .find(|membership| membership.team == team)
                        .map(|membership| membership.role)
                        .ok_or(Denied::NotVisible)?;
                    if !matrix::allows(role, action) {
                        return Err(Denied::RoleTooLow {
                            needs: needed_role(action),
                        });
                    }
                }
                Resource::User(user) => {
                    if actor.user_id() != Some(user) {
                        return Err(Denied::NotVisible);
                    }
                }
            }
            let fresh = now.seconds_since(*authenticated_at) < REAUTHENTICATION_WINDOW_SECONDS;
            if action.needs_fresh_proof() && !fresh {
                return Err(Denied::ReauthenticationRequired);
            }
            Ok(Permit::new(action, resource))
        }
    }
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

/// The permit for what the program does on its own: making keys at the birth of a
/// team or instance, marking a value that does not open, counting failed sign-ins,
/// dropping what has expired.
pub fn housekeeping() -> Permit {
    Permit::new(Action::Housekeeping, Resource::Instance)
}

/// The weakest role that may do `action` in a team, for the words of a refusal.
fn needed_role(action: Action) -> Role {
    Role::ALL
        .into_iter()
        .find(|role| matrix::allows(*role, action))
        .unwrap_or(Role::Admin)
}

#[cfg(test)]
mod tests;
