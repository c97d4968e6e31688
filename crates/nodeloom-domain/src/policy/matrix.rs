//! The reviewed table: which role may do which action in its team.

use super::Action;
use crate::Role;

/// Whether a member with `role` may do `action` in the team. The snapshot in
/// `tests.rs` prints this table whole; change both together.
pub(super) const fn allows(role: Role, action: Action) -> bool {
    match action {
        Action::CredentialRead => true,
        Action::CredentialCreate
        | Action::CredentialUpdate
        | Action::CredentialReveal
        | Action::CredentialDelete => matches!(role, Role::Builder | Role::Admin),
        Action::AuditRead | Action::KeyStatus => matches!(role, Role::Auditor | Role::Admin),
        // About a person or the program, never about a team.
        Action::SessionEnd
        | Action::AccountRead
        | Action::SessionCreate
        | Action::InstanceSetUp
        | Action::Housekeeping => false,
    }
}
