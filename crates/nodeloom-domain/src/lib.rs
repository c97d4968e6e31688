//! Ids, names, roles, credential types and the policy of nodeloom: pure values
//! and rules. Nothing here does I/O, knows HTTP, SQL or a cipher.

pub mod attributes;
pub mod audit;
pub mod credential_type;
mod field_error;
mod id;
mod name;
pub mod policy;
mod role;
mod time;

pub use field_error::{FieldError, FieldErrors};
pub use id::{
    ApiToken, ApiTokenId, AuditEventId, Credential, CredentialId, Id, InstanceId, Invitation,
    InvitationId, ParseIdError, RecoveryCode, RecoveryCodeId, SealedValueId, Session, SessionId,
    SetupId, SignInFlow, SignInFlowId, Team, TeamId, User, UserId,
};
pub use name::{Email, Name, NameError, name_words, search_terms, sort_key};
pub use role::{ParseRoleError, Role};
pub use time::{Clock, ParseTimestampError, Timestamp};
