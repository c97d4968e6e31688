//! Published and frozen vectors of the envelope, the root key, the blind index, the audit chain
//! and the signature.

use serde_json::Value;

use super::{count, hex, to_hex};
use crate::envelope::{self, Header};
use crate::root_key::derive_bytes;
use crate::{
    AuditKey, Binding, DataKey, IndexKey, KeyBinding, KeyId, KeyMaterial, KeyRing, OpenError,
    RootId, RootKey, SigningKey, verify_signature,
};

const ROOT_STRING: &[u8] = b"TEST-VECTOR-ONLY/not-a-secret/0123456789abcdef";

#[test]
fn root_key_of_the_specification() {
    let (kek, id) = derive_bytes(ROOT_STRING);
    assert_eq!(
        to_hex(&*kek),
        "f056e7e006f1f212a85759811b2c37a9765199d8f74db59d8bf2ab2e697a4d29"
    );
    assert_eq!(to_hex(&id), "18c48ae28540fda7");
    assert_eq!(
        RootKey::derive(ROOT_STRING).id().to_string(),
        "18c48ae28540fda7"
    );
}

#[test]
fn wrapped_key_of_the_specification() {
    let root = RootKey::derive(ROOT_STRING);
    let binding = KeyBinding {
        purpose: crate::Purpose::Seal,
        team: count(0x10),
        key: KeyId::from_bytes(count(0xa0)),
    };
    let material = KeyMaterial::from_bytes(&count(0x40));
    let wrapped = root
        .wrap_key_with_nonce(&binding, &count(0), &material)
        .unwrap();
    assert_eq!(
        to_hex(&wrapped),
        "010118c48ae28540fda7000102030405060708090a0b0c0d0e0f1011121314151617908b71b4e71cd4f492ba\
         6cb15273dcd35486d6b9e16f6ea1e2d52be0bdb8e993c76866ed4a8a09aa7f9c8a4e51843276"
    );
    assert_eq!(
        root.unwrap_key(&binding, &wrapped).unwrap().expose(),
        &count::<32>(0x40)
    );
}

#[test]
fn sealed_value_of_the_specification() {
    let key = DataKey::new(
        KeyId::from_bytes(count(0xa0)),
        count(0x10),
        KeyMaterial::from_bytes(&count(0x40)),
    );
    let place = Binding::of_record(count(0x10), "credential", count(0x20), "data", 7);
    let sealed = key
        .seal_with_nonce(&place, &count(0x64), b"hunter2")
        .unwrap();
    assert_eq!(
        to_hex(&sealed),
        "0101a0a1a2a3a4a5a6a76465666768696a6b6c6d6e6f707172737475767778797a7b201a4f9948f484944e34\
         fe1af75a9e52939f4ec2670553"
    );
    assert_eq!(key.open(&place, &sealed).unwrap().expose(), b"hunter2");
}

/// The frozen vectors of one envelope format. The file only ever grows.
fn frozen() -> Value {
    let text = include_str!("../../tests/vectors/envelope-1.json");
    serde_json::from_str(text).unwrap()
}

fn entries<'v>(vectors: &'v Value, group: &str) -> &'v [Value] {
    let entries = vectors[group].as_array().unwrap();
    assert!(!entries.is_empty());
    entries
}

fn text<'v>(entry: &'v Value, name: &str) -> &'v str {
    entry[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {entry}"))
}

fn bytes(entry: &Value, name: &str) -> Vec<u8> {
    hex(text(entry, name))
}

fn array<const N: usize>(entry: &Value, name: &str) -> [u8; N] {
    bytes(entry, name).try_into().unwrap()
}

fn material(entry: &Value, name: &str) -> KeyMaterial {
    KeyMaterial::from_bytes(&array(entry, name))
}

fn binding(entry: &Value) -> Binding {
    Binding::from_columns(
        array(entry, "team"),
        text(entry, "kind"),
        array(entry, "owner"),
        text(entry, "field"),
        text(entry, "generation").parse().unwrap(),
    )
}

fn data_key(entry: &Value) -> DataKey {
    let id = KeyId::from_bytes(array(entry, "key_id"));
    DataKey::new(id, array(entry, "team"), material(entry, "key"))
}

#[test]
fn frozen_root_keys() {
    for entry in entries(&frozen(), "root") {
        let (kek, id) = derive_bytes(&bytes(entry, "string"));
        assert_eq!(to_hex(&*kek), text(entry, "kek"));
        assert_eq!(to_hex(&id), text(entry, "root_id"));
    }
}

#[test]
fn frozen_wrapped_keys() {
    let root = RootKey::derive(ROOT_STRING);
    for entry in entries(&frozen(), "wrapped") {
        let binding = KeyBinding {
            purpose: text(entry, "purpose").parse().unwrap(),
            team: array(entry, "team"),
            key: KeyId::from_bytes(array(entry, "key_id")),
        };
        let header = envelope::header_bytes(root.id().as_bytes());
        let associated = binding.associated_data(&header);
        assert_eq!(
            to_hex(associated.as_bytes()),
            text(entry, "associated_data")
        );
        let key = material(entry, "material");
        let wrapped = root
            .wrap_key_with_nonce(&binding, &array(entry, "nonce"), &key)
            .unwrap();
        assert_eq!(to_hex(&wrapped), text(entry, "envelope"));
        assert_eq!(
            root.unwrap_key(&binding, &wrapped).unwrap().expose(),
            key.expose()
        );
    }
}

#[test]
fn frozen_sealed_values() {
    for entry in entries(&frozen(), "sealed") {
        let (key, place) = (data_key(entry), binding(entry));
        let associated = place.associated_data(&envelope::header_bytes(key.id().as_bytes()));
        assert_eq!(
            to_hex(associated.as_bytes()),
            text(entry, "associated_data")
        );
        let plaintext = bytes(entry, "plaintext");
        let sealed = key
            .seal_with_nonce(&place, &array(entry, "nonce"), &plaintext)
            .unwrap();
        assert_eq!(
            to_hex(&sealed),
            text(entry, "envelope"),
            "{}",
            text(entry, "name")
        );
        let mut ring = KeyRing::new();
        ring.insert(key);
        assert_eq!(ring.open(&place, &sealed).unwrap().expose(), &plaintext);
    }
}

#[test]
fn frozen_refusals() {
    let vectors = frozen();
    let first = &vectors["sealed"][0];
    let (key, place) = (data_key(first), binding(first));
    for entry in entries(&vectors, "refused") {
        let error = match key.open(&place, &bytes(entry, "envelope")).unwrap_err() {
            OpenError::Malformed { .. } => "malformed",
            OpenError::Unsupported { .. } => "unsupported",
            OpenError::UnknownKey(_) => "unknown key",
            OpenError::NotAuthentic => "not authentic",
            OpenError::WrongTeam => "wrong team",
        };
        assert_eq!(error, text(entry, "error"), "{}", text(entry, "why"));
    }
}

#[test]
fn frozen_index_tags() {
    for entry in entries(&frozen(), "index") {
        let key = IndexKey::new(KeyId::from_bytes([1; 8]), material(entry, "key"));
        let (kind, row, owner) = (
            text(entry, "kind"),
            array(entry, "row"),
            array(entry, "owner"),
        );
        let (secret, tag) = (bytes(entry, "secret"), bytes(entry, "tag"));
        assert_eq!(key.tag(kind, &row, &owner, &secret).as_slice(), tag);
        assert!(key.verify(kind, &row, &owner, &secret, &tag));
        assert!(!key.verify(kind, &row, &owner, &secret, &tag[..31]));
    }
}

#[test]
fn frozen_audit_links() {
    for entry in entries(&frozen(), "audit") {
        let key = AuditKey::new(KeyId::from_bytes([1; 8]), material(entry, "key"));
        let (previous, event) = (array(entry, "previous"), bytes(entry, "event"));
        let link = bytes(entry, "link");
        assert_eq!(key.link(&previous, &event).as_slice(), link);
        assert!(key.verify(&previous, &event, &link));
        assert!(!key.verify(&[0xff; 32], &event, &link));
    }
}

#[test]
fn frozen_signatures() {
    for entry in entries(&frozen(), "sign") {
        let key = SigningKey::new(KeyId::from_bytes([1; 8]), material(entry, "seed"));
        let message = bytes(entry, "message");
        assert_eq!(to_hex(&key.public_key()), text(entry, "public"));
        assert_eq!(to_hex(&key.sign(&message)), text(entry, "signature"));
        assert!(verify_signature(
            &key.public_key(),
            &message,
            &bytes(entry, "signature")
        ));
    }
}

#[test]
fn header_reads_without_a_key() {
    let vectors = frozen();
    let sealed = bytes(&vectors["sealed"][0], "envelope");
    let expected = Header {
        format: 1,
        suite: 1,
        key_id: count(0xa0),
    };
    assert_eq!(envelope::header(&sealed), Ok(expected));
    let wrapped = bytes(&vectors["wrapped"][0], "envelope");
    let root = RootId::from_bytes(envelope::header(&wrapped).unwrap().key_id);
    assert_eq!(root.to_string(), "18c48ae28540fda7");
}
