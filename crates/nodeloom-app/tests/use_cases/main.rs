//! The use-cases through their public surface, each case on SQLite and on PostgreSQL
//! (`NODELOOM_TEST_POSTGRES`), with a hostile writer at the database.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod audit_copy;
mod audit_read;
mod audit_seam;
mod audit_sink;
mod credential;
mod credential_life;
mod due;
mod evidence;
mod invitation;
mod key;
mod once;
mod password;
mod permission;
mod quarantine;
mod rewrap;
mod schema;
mod second_factor;
mod session;
mod set_up;
mod sign_in;
mod sso;
mod start;
mod team;
mod token;
mod transplant;
mod user;
