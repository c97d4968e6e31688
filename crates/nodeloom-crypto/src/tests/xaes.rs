//! XAES-256-GCM against its specification and against another implementation.

use proptest::prelude::*;
use xaes_256_gcm::Xaes256Gcm;
use xaes_256_gcm::aead::{AeadInOut, KeyInit};

use super::shake::Shake128;
use super::{count, hex, to_hex};
use crate::xaes::{CipherError, TAG, XaesKey};

fn seal(key: &XaesKey, nonce: &[u8; 24], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; plaintext.len() + TAG];
    key.seal(nonce, associated, plaintext, &mut sealed).unwrap();
    sealed
}

fn open(
    key: &XaesKey,
    nonce: &[u8; 24],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, CipherError> {
    let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
    let mut plaintext = vec![0; ciphertext.len()];
    key.open(nonce, associated, ciphertext, tag, &mut plaintext)
        .map(|()| plaintext)
}

/// Both vectors of the specification: K1 without and with reduction.
#[test]
fn vectors_of_the_specification() {
    let cases: [(u8, &str, &[u8], &str); 2] = [
        (
            0x01,
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
            b"",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (
            0x03,
            "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
            b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ];
    let nonce = count(b'A');
    for (byte, subkey, associated, expected) in cases {
        let key = XaesKey::new(&[byte; 32]);
        assert_eq!(to_hex(&*key.subkey(&count(b'A'))), subkey);
        let sealed = seal(&key, &nonce, associated, b"XAES-256-GCM");
        assert_eq!(to_hex(&sealed), expected);
        assert_eq!(
            open(&key, &nonce, associated, &hex(expected)).unwrap(),
            b"XAES-256-GCM"
        );
    }
}

/// The accumulated test of the specification. 10,000 rounds, or 1,000,000 with `NODELOOM_FULL=1`.
#[test]
fn accumulated_test_of_the_specification() {
    let full = std::env::var_os("NODELOOM_FULL").is_some_and(|value| value == "1");
    let (rounds, expected) = if full {
        (
            1_000_000,
            "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15",
        )
    } else {
        (
            10_000,
            "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939",
        )
    };
    // The specification gives the first bytes of the source.
    let start = Shake128::default().squeeze(16);
    assert_eq!(to_hex(&start), "7f9c2ba4e88f827d616045507605853e");
    let mut source = Shake128::default();
    let mut digest = Shake128::default();
    for _ in 0..rounds {
        let key = XaesKey::new(&source.squeeze(32).try_into().unwrap());
        let nonce = source.squeeze(24).try_into().unwrap();
        let length = source.squeeze(1)[0];
        let plaintext = source.squeeze(length.into());
        let length = source.squeeze(1)[0];
        let associated = source.squeeze(length.into());
        let sealed = seal(&key, &nonce, &associated, &plaintext);
        assert_eq!(open(&key, &nonce, &associated, &sealed).unwrap(), plaintext);
        digest.absorb(&sealed);
    }
    assert_eq!(to_hex(&digest.squeeze(32)), expected);
    println!("XAES-256-GCM accumulated test: {rounds} rounds ran");
}

proptest! {
    #[test]
    fn agrees_with_another_implementation(
        key: [u8; 32],
        nonce: [u8; 24],
        associated in proptest::collection::vec(any::<u8>(), 0..300),
        plaintext in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let ours = XaesKey::new(&key);
        let theirs = Xaes256Gcm::new(&key.into());

        let sealed = seal(&ours, &nonce, &associated, &plaintext);
        let mut opened = sealed.clone();
        theirs.decrypt_in_place(&nonce.into(), &associated, &mut opened).unwrap();
        prop_assert_eq!(&opened, &plaintext);

        let mut sealed = plaintext.clone();
        theirs.encrypt_in_place(&nonce.into(), &associated, &mut sealed).unwrap();
        prop_assert_eq!(open(&ours, &nonce, &associated, &sealed).unwrap(), plaintext);
    }
}
