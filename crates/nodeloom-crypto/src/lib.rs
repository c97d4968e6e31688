//! Key hierarchy, sealed envelopes, blind index and weak-key check of nodeloom.
//!
//! No I/O, no async, no unsafe. The byte layouts are specified in
//! `docs/formats/envelope.md`.
//!
//! A [`RootKey`], made from the operator's string, wraps random keys and touches no data. A
//! [`DataKey`] seals the values of one team; a [`KeyRing`] holds the data keys of a process and
//! picks one by the id that each envelope carries. Every value is sealed for one place, its
//! [`Binding`], and opens nowhere else.
//!
//! ```
//! use nodeloom_crypto::{Binding, DataKey, KeyBinding, KeyId, KeyMaterial, Purpose, RootKey};
//!
//! let root = RootKey::derive(b"TEST-VECTOR-ONLY/not-a-secret/0123456789abcdef");
//! let team = [1; 16];
//! let slot = KeyBinding { purpose: Purpose::Seal, team, key: KeyId::generate()? };
//! let wrapped = root.wrap_key(&slot, &KeyMaterial::generate()?)?;
//!
//! let key = DataKey::new(slot.key, team, root.unwrap_key(&slot, &wrapped)?);
//! let place = Binding::of_record(team, "credential", [2; 16], "data", 1);
//! let sealed = key.seal(&place, b"hunter2")?;
//! assert_eq!(key.open(&place, &sealed)?.expose(), b"hunter2");
//!
//! let elsewhere = Binding::of_record(team, "credential", [3; 16], "data", 1);
//! assert!(key.open(&elsewhere, &sealed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit_key;
mod binding;
mod blind_index;
pub mod envelope;
mod error;
mod id;
mod key_material;
mod keyring;
mod random;
mod root_key;
mod secret;
mod signing_key;
pub mod strength;
#[cfg(test)]
mod tests;
pub mod totp;
mod xaes;

pub use audit_key::AuditKey;
pub use binding::{Binding, INSTANCE, KeyBinding, Purpose, PurposeError};
pub use blind_index::IndexKey;
pub use error::{OpenError, SealError};
pub use id::{IdError, KeyId, RootId};
pub use key_material::KeyMaterial;
pub use keyring::{DataKey, KeyRing};
pub use random::RandomError;
pub use root_key::RootKey;
pub use secret::Secret;
pub use signing_key::{SigningKey, verify_signature};
