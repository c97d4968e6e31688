//! The use-cases through their public surface, each case on SQLite and on PostgreSQL
//! (`NODELOOM_TEST_POSTGRES`), with a hostile writer at the database.

mod support;

mod credential;
mod key;
mod permission;
mod quarantine;
mod start;
mod transplant;
