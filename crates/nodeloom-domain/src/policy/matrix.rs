//! The reviewed table: which role may do which action in its team, and what the
//! administrator of the instance may do beyond that.

use super::Action;
use crate::Role;

/// Whether a member with `role` may do `action` in the team. The snapshot in
/// `tests.rs` prints this table whole; change both together.
pub(super) const fn allows(role: Role, action: Action) -> bool {
    match action {
        Action::CredentialRead | Action::TeamRead | Action::TokenCreate => true,
        Action::CredentialTest => {
            matches!(role, Role::Operator | Role::Builder | Role::Admin)
        }
        Action::CredentialCreate
        | Action::CredentialUpdate
        | Action::CredentialReveal
        | Action::CredentialDelete
        | Action::CredentialUndelete => matches!(role, Role::Builder | Role::Admin),
        Action::AuditRead | Action::AuditExport | Action::KeyStatus => {
            matches!(role, Role::Auditor | Role::Admin)
        }
        Action::CredentialPurge
        | Action::KeyRotate
        | Action::TeamUpdate
        | Action::MemberGrant
        | Action::MemberRemove
        | Action::InvitationRead
        | Action::InvitationCreate
        | Action::InvitationRevoke
        | Action::TokenRead
        | Action::TokenRevoke => matches!(role, Role::Admin),
        // About the instance, a person or the program, never about one team.
        Action::TeamCreate
        | Action::TeamDelete
        | Action::AuditPrune
        | Action::KeyRewrap
        | Action::KeyRetire
        | Action::KeyVerify
        | Action::UserRead
        | Action::UserCreate
        | Action::UserUpdate
        | Action::UserDeactivate
        | Action::UserReactivate
        | Action::UserDelete
        | Action::InstanceGrant
        | Action::SessionAdminister
        | Action::SessionEnd
        | Action::AccountRead
        | Action::AccountUpdate
        | Action::PasswordChange
        | Action::TotpManage
        | Action::SessionCreate
        | Action::InstanceSetUp
        | Action::InvitationAccept
        | Action::UserProvision
        | Action::Housekeeping => false,
    }
}

/// Whether an administrator of the instance may do `action` in a team without a role in
/// it. Nothing here opens a secret: for that they must be given a role, which is in the
/// team's trail.
pub(super) const fn allows_instance_admin(action: Action) -> bool {
    matches!(
        action,
        Action::TeamRead
            | Action::TeamUpdate
            | Action::TeamDelete
            | Action::MemberGrant
            | Action::MemberRemove
            | Action::InvitationRead
            | Action::InvitationCreate
            | Action::InvitationRevoke
            | Action::TokenRead
            | Action::TokenRevoke
            | Action::AuditRead
            | Action::AuditExport
            | Action::KeyStatus
            | Action::KeyRotate
    )
}

/// Whether `action` can be about the instance as a whole.
pub(super) const fn concerns_instance(action: Action) -> bool {
    matches!(
        action,
        Action::TeamRead
            | Action::TeamCreate
            | Action::TokenRead
            | Action::TokenRevoke
            | Action::AuditRead
            | Action::AuditExport
            | Action::AuditPrune
            | Action::KeyStatus
            | Action::KeyRewrap
            | Action::KeyRetire
            | Action::KeyRotate
            | Action::KeyVerify
            | Action::UserRead
            | Action::UserCreate
            | Action::UserUpdate
            | Action::UserDeactivate
            | Action::UserReactivate
            | Action::UserDelete
            | Action::InstanceGrant
            | Action::SessionAdminister
    )
}

/// Whether a person may do `action` to their own account.
pub(super) const fn concerns_self(action: Action) -> bool {
    matches!(
        action,
        Action::SessionEnd
            | Action::AccountRead
            | Action::AccountUpdate
            | Action::PasswordChange
            | Action::TotpManage
            | Action::TokenRead
            | Action::TokenRevoke
    )
}
