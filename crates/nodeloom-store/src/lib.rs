//! Storage of nodeloom: SQLite and PostgreSQL behind one set of repositories.
//!
//! A [`Store`] reads; a [`Tx`] writes. Each write takes the policy's permit for exactly that
//! record, and a transaction ends in [`Tx::commit`], which appends the audit event to the
//! chain: the change and its event land together or not at all.
//!
//! Every statement is written once, in SQL that both engines read. Rows are plain structs
//! named `…Row`. Nothing here opens or seals a value: the crypto crate is there for ids and
//! for the links of the audit chain.

pub mod audit;
mod credential;
mod engine;
mod error;
mod idempotency;
mod identity;
mod inspect;
mod instance;
mod invitation;
mod key;
mod list;
mod member;
mod migrate;
mod rewrap;
mod sealed;
mod search;
mod second_factor;
mod session;
mod store;
mod survey;
mod target;
mod team;
mod throttle;
mod token;
mod user;

pub use audit::{
    Anchor, AuditFilter, AuditHead, AuditPage, AuditPageQuery, AuditRow, ChainFault, ChainReport,
    ChainWalk, CheckpointRow, FaultKind, Prepared, SeamRow,
};
pub use credential::{
    CredentialActivity, CredentialAttributes, CredentialRow, CredentialTestRow, CredentialUseRow,
    CredentialVersionRow, DeletionRow, Due, FieldChanges, ReminderRow,
};
pub use engine::{EngineKind, UnknownWord};
pub use error::{Cause, ConflictKind, StoreError};
pub use idempotency::IdempotencyRow;
pub use identity::{SIGN_IN_FLOW_KIND, SignInFlowRow, UserIdentityRow};
pub use inspect::CurrentValueRow;
pub use instance::{InstanceRow, ProcessRow, SetupCodeRow};
pub use invitation::InvitationRow;
pub use key::{DataKeyRow, KeySlotRow, KeyState, KeyWithSlots, RootKeyRow, RootState};
pub use member::{MembershipRow, TeamRow, UserRow, UserState};
pub use migrate::{MigrationStatus, SCHEMA_VERSION};
pub use sealed::{CensusRow, SealedRow, SealedState};
pub use search::{
    CredentialOrder, CredentialPage, CredentialPlace, CredentialQuery, CredentialSort, SEARCH_LIMIT,
};
pub use second_factor::{RecoveryCodeRow, TOTP_KIND};
pub use session::{SessionRow, SessionWithUser};
pub use store::{Store, Tx};
pub use survey::{SchemaState, Survey};
pub use target::{Access, DatabaseUrl, Options, Target};
pub use team::{EmptiedTeam, MemberRow};
pub use token::{TokenRow, TokenWithOwner};
pub use user::UserChanges;
