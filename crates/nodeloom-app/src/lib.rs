//! The use-cases of nodeloom: load, authorise, seal or open, write, audit, commit.
//! Knows no HTTP and no SQL.

mod app;
mod audit;
mod credential;
mod ctx;
mod doctor;
mod error;
mod invitation;
mod keys;
mod member;
mod once;
pub mod password;
mod session;
mod set_up;
mod sso;
mod start;
mod team;
mod token;
mod user;

pub use app::App;
pub use audit::{
    AuditAnchor, AuditExport, AuditList, AuditRecord, AuditReport, AuditSeam, AuditSearch,
    AuditSink, CopyError, ExportFormat, ListAudit, MOST_SKIPPED, ParseSinkError, RecordActor,
    RecordTarget, SinkSettings, SinkState, SinkTarget,
};
pub use credential::{
    AttributeChange, ConnectionTester, CredentialChange, CredentialList, CredentialUse,
    CredentialVersion, CredentialView, DeletedCredential, DueCredential, DueDate, ListCredentials,
    Mail, MailError, Mailer, Mailing, NewCredential, RemindersSent, Revealed, TagCount,
    TestFinding, TestReport, TestRequest, Testing,
};
pub use ctx::{Ctx, Who};
pub use doctor::{DoctorReport, UnopenedValue};
pub use error::{AppError, KeyVerbRefusal};
pub use invitation::{
    InvitationView, Invited, InvitedStep, Joined, MadeInvitation, NewInvitation, NewPerson,
};
pub use keys::{
    CensusLine, DataKeyStatus, HeldRoots, KeyStatus, LiveProcess, Retired, Rewrapped, RootStatus,
};
pub use member::MemberView;
pub use nodeloom_store::{CredentialOrder, CredentialSort};
pub use once::Once;
pub use session::{Me, MyTeam, OfferedSecret, SecondFactor, SessionToken, SessionView, SignedIn};
pub use set_up::NewAdmin;
pub use sso::{
    BegunSingleSignOn, Browser, FinishedSingleSignOn, Proof, SingleSignOn, SingleSignOnProblem,
    SingleSignOnRules,
};
pub use start::{KeyRefusal, KnownRoot, OpenError, Verdict, judge, judge_held};
pub use team::{TeamDeletion, TeamView};
pub use token::{ApiToken, MadeToken, NewToken, TokenView};
pub use user::{ListUsers, NewUser, UserChange, UserDetails, UserList, UserView};
