//! The actions that the policy knows.

use super::TokenScope;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Something that an actor may want to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $name,)+
            /// Open a session; given by [`super::signed_in`] alone.
            SessionCreate,
            /// Make the first administrator; given by [`super::first_admin`] alone.
            InstanceSetUp,
            /// Join a team by an invitation; given by [`super::invited`] alone.
            InvitationAccept,
            /// Make a person who comes from single sign-on; given by [`super::provisioned`] alone.
            UserProvision,
            /// What the program does on its own; given by [`super::housekeeping`] alone.
            Housekeeping,
        }

        impl Action {
            /// Every action that somebody can ask for, in the order of the reviewed table.
            pub const ASKED: &[Self] = &[$(Self::$name),+];

            /// The name as `noun.verb`, which refusals and the audit trail use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::SessionCreate => "session.create",
                    Self::InstanceSetUp => "instance.set-up",
                    Self::InvitationAccept => "invitation.accept",
                    Self::UserProvision => "user.provision",
                    Self::Housekeeping => "housekeeping",
                }
            }
        }
    };
}

actions! {
    /// See the credentials of a team: names and metadata.
    CredentialRead = "credential.read",
    /// Check whether a credential still works; its secret leaves for its own service alone.
    CredentialTest = "credential.test",
    /// Store a new credential.
    CredentialCreate = "credential.create",
    /// Change a credential's name, metadata or values; restore a version.
    CredentialUpdate = "credential.update",
    /// See the values of a credential.
    CredentialReveal = "credential.reveal",
    /// Delete a credential; it can be undeleted for a while.
    CredentialDelete = "credential.delete",
    /// Take a deletion back.
    CredentialUndelete = "credential.undelete",
    /// Destroy a deleted credential with all its versions, for good.
    CredentialPurge = "credential.purge",
    /// See a team, its members and their roles.
    TeamRead = "team.read",
    /// Make a team.
    TeamCreate = "team.create",
    /// Rename a team.
    TeamUpdate = "team.update",
    /// Delete a team with everything in it; its data keys are destroyed.
    TeamDelete = "team.delete",
    /// Give somebody a role in a team, or another one.
    MemberGrant = "member.grant",
    /// Take somebody out of a team.
    MemberRemove = "member.remove",
    /// See the invitations of a team.
    InvitationRead = "invitation.read",
    /// Invite somebody into a team.
    InvitationCreate = "invitation.create",
    /// Take an invitation back.
    InvitationRevoke = "invitation.revoke",
    /// Make an API token for oneself, in a team.
    TokenCreate = "token.create",
    /// See API tokens: one's own, or those of a team one administers.
    TokenRead = "token.read",
    /// Revoke an API token: one's own, or one of a team one administers.
    TokenRevoke = "token.revoke",
    /// Check the audit chain and read it.
    AuditRead = "audit.read",
    /// Take a copy of the audit trail away.
    AuditExport = "audit.export",
    /// Remove the oldest part of the audit trail, leaving a signed seam.
    AuditPrune = "audit.prune",
    /// See which keys there are and how many values each holds.
    KeyStatus = "key.status",
    /// Give every key a slot under the new root key.
    KeyRewrap = "key.rewrap",
    /// Give a root key up: its slots are dropped.
    KeyRetire = "key.retire",
    /// Re-encrypt every value under new data keys; of a team, or of all.
    KeyRotate = "key.rotate",
    /// Open every value now and count.
    KeyVerify = "key.verify",
    /// See every person of the instance.
    UserRead = "user.read",
    /// Make a person without an invitation.
    UserCreate = "user.create",
    /// Change another person's name or address, or mark a break-glass account.
    UserUpdate = "user.update",
    /// Deactivate a person: sessions and tokens end at once.
    UserDeactivate = "user.deactivate",
    /// Let a deactivated person in again.
    UserReactivate = "user.reactivate",
    /// Delete a person; what they own goes to somebody else.
    UserDelete = "user.delete",
    /// Make somebody an administrator of the instance, or no longer one.
    InstanceGrant = "instance.grant",
    /// See and end the sessions of others, or reset their second factor.
    SessionAdminister = "session.administer",
    /// End one's own sessions.
    SessionEnd = "session.end",
    /// See and prove one's own account.
    AccountRead = "account.read",
    /// Change one's own name.
    AccountUpdate = "account.update",
    /// Change one's own password.
    PasswordChange = "password.change",
    /// Turn one's own second factor on or off, or make new recovery codes.
    TotpManage = "totp.manage",
}

impl Action {
    /// Whether a person must have proved who they are within the last five minutes.
    #[must_use]
    pub const fn needs_fresh_proof(self) -> bool {
        matches!(
            self,
            Self::CredentialReveal
                | Self::CredentialPurge
                | Self::TeamDelete
                | Self::MemberGrant
                | Self::InvitationCreate
                | Self::TokenCreate
                | Self::AuditPrune
                | Self::KeyRewrap
                | Self::KeyRetire
                | Self::KeyRotate
                | Self::UserCreate
                | Self::UserUpdate
                | Self::UserReactivate
                | Self::UserDelete
                | Self::InstanceGrant
                | Self::PasswordChange
                | Self::TotpManage
        )
    }

    /// What lets an API token do a sensitive action; nothing where no token may do it.
    #[must_use]
    pub const fn token_scope(self) -> Option<TokenScope> {
        match self {
            Self::CredentialReveal => Some(TokenScope::Reveal),
            Self::MemberGrant | Self::InvitationCreate => Some(TokenScope::Grants),
            _ => None,
        }
    }
}
