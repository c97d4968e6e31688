//! An envelope that was changed, cut, extended or moved does not open.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{TEAM, data_key, place};
use crate::envelope::{MAX_PLAINTEXT, OVERHEAD, header, header_bytes};
use crate::{
    Binding, DataKey, KeyBinding, KeyId, KeyMaterial, KeyRing, OpenError, Purpose, RootKey,
    SealError,
};

/// What opening an envelope with one wrong byte at `at` has to answer.
fn assert_refused(error: &OpenError, at: usize) {
    let expected = match at {
        0..2 => matches!(error, OpenError::Unsupported { .. }),
        2..10 => matches!(error, OpenError::UnknownKey(_)),
        _ => *error == OpenError::NotAuthentic,
    };
    assert!(expected, "byte {at}: {error:?}");
}

#[test]
fn every_flipped_bit_is_refused() {
    let mut ring = KeyRing::new();
    ring.insert(data_key(1));
    let sealed = ring
        .seal(KeyId::from_bytes([1; 8]), &place(), b"hunter2 and more")
        .unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_refused(&ring.open(&place(), &changed).unwrap_err(), bit / 8);
    }
    assert!(ring.open(&place(), &sealed).is_ok());
}

#[test]
fn every_flipped_bit_of_a_wrapped_key_is_refused() {
    let root = RootKey::derive(b"a root");
    let slot = KeyBinding {
        purpose: Purpose::Seal,
        team: TEAM,
        key: KeyId::from_bytes([1; 8]),
    };
    let wrapped = root
        .wrap_key(&slot, &KeyMaterial::from_bytes(&[3; 32]))
        .unwrap();
    assert_eq!(wrapped.len(), 82);
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_refused(&root.unwrap_key(&slot, &changed).unwrap_err(), bit / 8);
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let key = data_key(1);
    for plaintext in [&b""[..], b"x", b"hunter2"] {
        let sealed = key.seal(&place(), plaintext).unwrap();
        assert_eq!(sealed.len(), plaintext.len() + OVERHEAD);
        for length in 0..sealed.len() {
            let expected = if length < OVERHEAD {
                OpenError::Malformed { length }
            } else {
                OpenError::NotAuthentic
            };
            assert_eq!(key.open(&place(), &sealed[..length]).unwrap_err(), expected);
            // Cut at the front: whatever the error, no plaintext.
            assert!(
                key.open(&place(), &sealed[sealed.len() - length..])
                    .is_err()
            );
        }
        for extra in [&[0][..], &[0; 16], &sealed] {
            let longer = [&sealed[..], extra].concat();
            assert_eq!(
                key.open(&place(), &longer).unwrap_err(),
                OpenError::NotAuthentic
            );
        }
    }
}

#[test]
fn each_part_of_the_binding_counts() {
    let key = data_key(1);
    let sealed = key.seal(&place(), b"hunter2").unwrap();
    let elsewhere = [
        Binding::of_record(TEAM, "oauth-app", [2; 16], "data", 3),
        Binding::of_record(TEAM, "credential", [9; 16], "data", 3),
        Binding::of_record(TEAM, "credential", [2; 16], "name", 3),
        Binding::of_record(TEAM, "credential", [2; 16], "data", 4),
        Binding::of_record(TEAM, "credential", [2; 16], "data", 3 << 32),
        Binding::of_record(TEAM, "credentia", [2; 16], "ldata", 3),
        Binding::of_record(TEAM, "Credential", [2; 16], "data", 3),
        // Never sealed, since sealing refuses these names.
        Binding::of_record(TEAM, "", [2; 16], "data", 3),
        Binding::from_columns(TEAM, "credential", [2; 16], &"d".repeat(65), 3),
    ];
    for place in elsewhere {
        assert_eq!(
            key.open(&place, &sealed).unwrap_err(),
            OpenError::NotAuthentic,
            "{place:?}"
        );
    }
    let team = Binding::of_record([9; 16], "credential", [2; 16], "data", 3);
    assert_eq!(key.open(&team, &sealed).unwrap_err(), OpenError::WrongTeam);
    // Even a key with the same bytes and id, held for another team, does not open it: the team is
    // in the associated data too.
    let moved = DataKey::new(key.id(), [9; 16], KeyMaterial::from_bytes(&[1 ^ 0x5a; 32]));
    assert_eq!(
        moved.open(&team, &sealed).unwrap_err(),
        OpenError::NotAuthentic
    );
    let columns = Binding::from_columns(TEAM, "credential", [2; 16], "data", 3);
    assert_eq!(columns, place());
    assert!(key.open(&columns, &sealed).is_ok());
}

#[test]
fn each_part_of_a_key_binding_counts() {
    let root = RootKey::derive(b"a root");
    let slot = KeyBinding {
        purpose: Purpose::Seal,
        team: TEAM,
        key: KeyId::from_bytes([1; 8]),
    };
    let wrapped = root
        .wrap_key(&slot, &KeyMaterial::from_bytes(&[3; 32]))
        .unwrap();
    for other in [
        KeyBinding {
            purpose: Purpose::Index,
            ..slot
        },
        KeyBinding {
            purpose: Purpose::Audit,
            ..slot
        },
        KeyBinding {
            purpose: Purpose::Sign,
            ..slot
        },
        KeyBinding {
            team: [9; 16],
            ..slot
        },
        KeyBinding {
            key: KeyId::from_bytes([2; 8]),
            ..slot
        },
    ] {
        assert_eq!(
            root.unwrap_key(&other, &wrapped).unwrap_err(),
            OpenError::NotAuthentic
        );
    }
    let another = RootKey::derive(b"another root");
    let named = KeyId::from_bytes(*root.id().as_bytes());
    assert_eq!(
        another.unwrap_key(&slot, &wrapped).unwrap_err(),
        OpenError::UnknownKey(named)
    );
}

/// A wrapped key and a sealed value are told apart by their first field, even under the same key
/// and id.
#[test]
fn a_sealed_value_is_no_wrapped_key() {
    let string = b"a root";
    let root = RootKey::derive(string);
    let (kek, id) = crate::root_key::derive_bytes(string);
    let id = KeyId::from_bytes(id);
    let forged = DataKey::new(id, TEAM, KeyMaterial::from_bytes(&kek));
    let sealed = forged.seal(&place(), &[3; 32]).unwrap();
    let slot = KeyBinding {
        purpose: Purpose::Seal,
        team: TEAM,
        key: id,
    };
    assert_eq!(
        root.unwrap_key(&slot, &sealed).unwrap_err(),
        OpenError::NotAuthentic
    );
}

/// An authentic slot that holds something other than 32 bytes is malformed, not a panic.
#[test]
fn a_wrapped_key_has_32_bytes() {
    let root = RootKey::derive(b"a root");
    let (kek, _) = crate::root_key::derive_bytes(b"a root");
    let slot = KeyBinding {
        purpose: Purpose::Seal,
        team: TEAM,
        key: KeyId::from_bytes([1; 8]),
    };
    let header = header_bytes(root.id().as_bytes());
    let envelope = crate::envelope::seal_with_nonce(
        &crate::xaes::XaesKey::new(&kek),
        &header,
        &[0; 24],
        slot.associated_data(&header).as_bytes(),
        &[3; 31],
    );
    let error = root.unwrap_key(&slot, &envelope.unwrap()).unwrap_err();
    assert_eq!(error, OpenError::Malformed { length: 81 });
}

#[test]
fn sizes_up_to_one_mebibyte() {
    let key = data_key(1);
    let largest = vec![0xa5; MAX_PLAINTEXT];
    let sealed = key.seal(&place(), &largest).unwrap();
    assert_eq!(key.open(&place(), &sealed).unwrap().expose(), &largest);
    let error = key
        .seal(&place(), &[&largest[..], &[0]].concat())
        .unwrap_err();
    let (length, limit) = (MAX_PLAINTEXT + 1, MAX_PLAINTEXT);
    assert_eq!(error, SealError::TooLarge { length, limit });
    let longer = [&sealed[..], &[0]].concat();
    let length = longer.len();
    assert_eq!(
        key.open(&place(), &longer).unwrap_err(),
        OpenError::Malformed { length }
    );
}

#[test]
fn names_are_ascii() {
    let key = data_key(1);
    for name in [
        "",
        "two words",
        "schlüssel",
        "tab\t",
        "nul\0",
        &"k".repeat(65),
    ] {
        for place in [
            Binding::from_columns(TEAM, name, [2; 16], "data", 3),
            Binding::from_columns(TEAM, "credential", [2; 16], name, 3),
        ] {
            assert_eq!(
                key.seal(&place, b"x").unwrap_err(),
                SealError::InvalidName,
                "{name:?}"
            );
        }
    }
}

#[test]
fn errors_come_in_the_order_of_the_format() {
    let mut ring = KeyRing::new();
    ring.insert(data_key(1));
    let elsewhere = Binding::of_record([9; 16], "", [2; 16], "", 0);
    let unsupported = |format, suite| OpenError::Unsupported { format, suite };
    // Each step is wrong in everything that comes after it.
    let short = ring.open(&elsewhere, &[9; OVERHEAD - 1]).unwrap_err();
    assert_eq!(
        short,
        OpenError::Malformed {
            length: OVERHEAD - 1
        }
    );
    assert_eq!(
        ring.open(&elsewhere, &[9; OVERHEAD]).unwrap_err(),
        unsupported(9, 9)
    );
    let mut envelope = [9; OVERHEAD];
    envelope[0] = 1;
    assert_eq!(header(&envelope).unwrap_err(), unsupported(1, 9));
    envelope[1] = 1;
    let unknown = OpenError::UnknownKey(KeyId::from_bytes([9; 8]));
    assert_eq!(ring.open(&elsewhere, &envelope).unwrap_err(), unknown);
    envelope[2..10].fill(1);
    assert_eq!(
        ring.open(&elsewhere, &envelope).unwrap_err(),
        OpenError::WrongTeam
    );
    assert_eq!(
        ring.open(&place(), &envelope).unwrap_err(),
        OpenError::NotAuthentic
    );
}

#[test]
fn no_nonce_comes_twice() {
    let key = data_key(1);
    let mut nonces = HashSet::new();
    for _ in 0..20_000 {
        let sealed = key.seal(&place(), b"").unwrap();
        assert!(nonces.insert(<[u8; 24]>::try_from(&sealed[10..34]).unwrap()));
    }
    // Random in every byte: none of the 24 has the same value throughout.
    for at in 0..24 {
        let values: HashSet<u8> = nonces.iter().map(|nonce| nonce[at]).collect();
        assert_eq!(values.len(), 256, "byte {at}");
    }
}

fn any_name() -> impl Strategy<Value = String> {
    // Few letters and lengths, so that pairs of bindings that nearly run together do come up.
    prop_oneof!["[ab]{1,4}", "[!-~]{1,64}"]
}

fn any_binding() -> impl Strategy<Value = Binding> {
    let id = || prop_oneof![Just([0; 16]), Just([b'a'; 16]), any::<[u8; 16]>()];
    let generation = prop_oneof![0..3u64, any::<u64>()];
    (id(), any_name(), id(), any_name(), generation).prop_map(
        |(team, kind, owner, field, generation)| {
            Binding::from_columns(team, &kind, owner, &field, generation)
        },
    )
}

/// Reads the fields of associated data back, which is possible since the encoding is injective.
fn decode(associated: &[u8]) -> Vec<Vec<u8>> {
    let (&count, mut rest) = associated[10..].split_first().unwrap();
    let mut fields = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (field, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field.to_vec());
        rest = tail;
    }
    assert!(rest.is_empty());
    assert_eq!(fields.len(), usize::from(count));
    fields
}

proptest! {
    #[test]
    fn associated_data_is_injective(a in any_binding(), b in any_binding(), key: [u8; 8]) {
        let header = header_bytes(&key);
        let (x, y) = (a.associated_data(&header), b.associated_data(&header));
        prop_assert_eq!(a == b, x.as_bytes() == y.as_bytes());
        prop_assert_eq!(&x.as_bytes()[..10], &header);
        let fields = decode(x.as_bytes());
        prop_assert_eq!(&fields[0], b"sealed");
        let generation = u64::from_be_bytes(fields[5][..].try_into().unwrap());
        let back = Binding::from_columns(
            fields[1][..].try_into().unwrap(),
            std::str::from_utf8(&fields[2]).unwrap(),
            fields[3][..].try_into().unwrap(),
            std::str::from_utf8(&fields[4]).unwrap(),
            generation,
        );
        prop_assert_eq!(back, a);
    }

    #[test]
    fn what_is_sealed_opens_there_and_only_there(
        a in any_binding(),
        b in any_binding(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        let key = DataKey::new(
            KeyId::from_bytes([1; 8]),
            *a.team(),
            KeyMaterial::from_bytes(&[7; 32]),
        );
        let sealed = key.seal(&a, &plaintext).unwrap();
        let opened = key.open(&a, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plaintext);
        prop_assert_eq!(key.open(&b, &sealed).is_ok(), a == b);
    }

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut envelope = header_bytes(&[1; 8]).to_vec();
        envelope.extend_from_slice(&bytes);
        prop_assert!(data_key(1).open(&place(), &envelope).is_err());
        prop_assert!(data_key(1).open(&place(), &bytes).is_err());
    }
}
