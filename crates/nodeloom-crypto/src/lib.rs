//! Key hierarchy, sealed envelopes, blind index and weak-key check of nodeloom.
//!
//! No I/O, no async, no unsafe. The byte layouts are specified in
//! `docs/formats/envelope.md`.

pub mod strength;
