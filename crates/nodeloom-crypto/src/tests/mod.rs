//! Tests that need fixed nonces, grouped by what they would catch.

mod keys;
mod primitives;
mod shake;
mod tampering;
mod vectors;
mod xaes;

use crate::{Binding, DataKey, KeyId, KeyMaterial};

/// Bytes counting up from `first`.
pub(crate) fn count<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

/// Bytes of a hexadecimal text.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A data key of the team `[1; 16]`.
pub(crate) fn data_key(id: u8) -> DataKey {
    let material = KeyMaterial::from_bytes(&[id ^ 0x5a; 32]);
    DataKey::new(KeyId::from_bytes([id; 8]), TEAM, material)
}

pub(crate) const TEAM: [u8; 16] = [1; 16];

/// A place in the team `[1; 16]`.
pub(crate) fn place() -> Binding {
    Binding::of_record(TEAM, "credential", [2; 16], "data", 3)
}
