//! The ring picks one key by id, and no key ever shows its bytes.

use std::sync::Arc;

use super::{TEAM, data_key, place, to_hex};
use crate::{
    AuditKey, Binding, DataKey, INSTANCE, IndexKey, KeyId, KeyMaterial, KeyRing, OpenError,
    Purpose, RootKey, SealError, Secret, SigningKey,
};

#[test]
fn the_ring_picks_the_key_that_the_envelope_names() {
    let mut ring = KeyRing::new();
    assert!(ring.is_empty());
    for id in 1..=3 {
        assert!(ring.insert(data_key(id)).is_none());
    }
    assert_eq!(ring.len(), 3);
    let second = KeyId::from_bytes([2; 8]);
    let sealed = ring.seal(second, &place(), b"hunter2").unwrap();
    assert_eq!(&sealed[2..10], second.as_bytes());
    assert_eq!(ring.open(&place(), &sealed).unwrap().expose(), b"hunter2");

    let before = ring.clone();
    let removed = ring.remove(second).unwrap();
    assert!(!ring.contains(second) && ring.get(second).is_none());
    assert_eq!(
        ring.open(&place(), &sealed).unwrap_err(),
        OpenError::UnknownKey(second)
    );
    assert_eq!(
        ring.seal(second, &place(), b"").unwrap_err(),
        SealError::UnknownKey(second)
    );
    // A clone made before shares the key and still opens.
    assert!(before.open(&place(), &sealed).is_ok());
    assert!(Arc::ptr_eq(&removed, &before.get(second).unwrap()));
}

/// No trial decryption: the right key under another id is not found.
#[test]
fn the_ring_tries_no_other_key() {
    let sealed = data_key(1).seal(&place(), b"hunter2").unwrap();
    let mut ring = KeyRing::new();
    let same_bytes = KeyMaterial::from_bytes(&[1 ^ 0x5a; 32]);
    ring.insert(DataKey::new(KeyId::from_bytes([2; 8]), TEAM, same_bytes));
    let named = OpenError::UnknownKey(KeyId::from_bytes([1; 8]));
    assert_eq!(ring.open(&place(), &sealed).unwrap_err(), named);
    // And another key under the right id is the one that is used, and fails.
    let other_bytes = KeyMaterial::from_bytes(&[0; 32]);
    ring.insert(DataKey::new(KeyId::from_bytes([1; 8]), TEAM, other_bytes));
    assert_eq!(
        ring.open(&place(), &sealed).unwrap_err(),
        OpenError::NotAuthentic
    );
}

#[test]
fn a_data_key_serves_one_team() {
    let mut ring = KeyRing::new();
    ring.insert(data_key(1));
    let id = KeyId::from_bytes([1; 8]);
    let sealed = ring.seal(id, &place(), b"hunter2").unwrap();
    for team in [INSTANCE, [9; 16]] {
        let other = Binding::of_record(team, "credential", [2; 16], "data", 3);
        assert_eq!(
            ring.seal(id, &other, b"x").unwrap_err(),
            SealError::WrongTeam
        );
        assert_eq!(
            ring.open(&other, &sealed).unwrap_err(),
            OpenError::WrongTeam
        );
    }
}

#[test]
fn purposes_have_names() {
    for purpose in [Purpose::Seal, Purpose::Index, Purpose::Audit, Purpose::Sign] {
        assert_eq!(purpose.as_str().parse(), Ok(purpose));
        assert_eq!(purpose.to_string(), purpose.as_str());
    }
    assert!("Seal".parse::<Purpose>().is_err());
    assert!("".parse::<Purpose>().is_err());
}

#[test]
fn generated_keys_differ() {
    let (a, b) = (
        KeyMaterial::generate().unwrap(),
        KeyMaterial::generate().unwrap(),
    );
    assert_ne!(a.expose(), b.expose());
}

#[test]
fn debug_output_shows_no_key() {
    let bytes = *b"\xc3key bytes that must not be seen";
    let material = || KeyMaterial::from_bytes(&bytes);
    let id = KeyId::from_bytes([1; 8]);
    let mut ring = KeyRing::new();
    ring.insert(DataKey::new(id, TEAM, material()));
    let shown = [
        format!("{:?} {0:#?}", material()),
        format!("{:?} {0:#?}", Secret::new(bytes.to_vec())),
        format!("{:?} {0:#?}", DataKey::new(id, TEAM, material())),
        format!("{ring:?} {ring:#?}"),
        format!("{:?} {0:#?}", IndexKey::new(id, material())),
        format!("{:?} {0:#?}", AuditKey::new(id, material())),
        format!("{:?} {0:#?}", SigningKey::new(id, material())),
        format!("{:?} {0:#?}", RootKey::derive(&bytes)),
    ]
    .concat();
    let (kek, _) = crate::root_key::derive_bytes(&bytes);
    for key in [&bytes, &*kek] {
        // In hexadecimal, as text, and as the decimal numbers of a derived `Debug`.
        let decimal = format!("{key:?}");
        let text = String::from_utf8_lossy(key);
        for window in 0..key.len() - 4 {
            assert!(
                !shown.contains(&to_hex(&key[window..window + 4])),
                "{shown}"
            );
        }
        assert!(
            !shown.contains("must not be seen") && !shown.contains(&*text),
            "{shown}"
        );
        assert!(!shown.contains(&decimal[1..20]), "{shown}");
    }
    assert!(shown.contains("DataKey(0101010101010101, ..)"), "{shown}");
}
