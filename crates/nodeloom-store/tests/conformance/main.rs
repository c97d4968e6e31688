//! One suite, run on SQLite always and on PostgreSQL through `NODELOOM_TEST_POSTGRES`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod audit_query;
mod audit_seam;
mod concurrent;
mod credentials;
mod damage;
mod harness;
mod keys;
mod people;
mod schema;
