//! Random keys of the formats that generators write are accepted. The run over ten million is in `bench`.

use nodeloom_crypto::strength::check;
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Of each format: unoptimised, a check takes a millisecond.
const KEYS: u32 = 1_000;
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The same keys in every run: a test does not fail by chance.
fn runner() -> TestRunner {
    let config = Config {
        cases: KEYS,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

fn accepts(keys: impl Strategy<Value = String>) {
    runner()
        .run(&keys, |key| {
            check(key.as_bytes()).map_err(|weakness| {
                proptest::test_runner::TestCaseError::fail(format!("{weakness:?}"))
            })?;
            Ok(())
        })
        .expect("a random key is accepted");
}

fn drawn(alphabet: &'static [u8], length: usize) -> impl Strategy<Value = String> {
    vec(0..alphabet.len(), length).prop_map(|places| {
        places
            .into_iter()
            .map(|at| char::from(alphabet[at]))
            .collect()
    })
}

fn uuid() -> impl Strategy<Value = String> {
    any::<[u8; 16]>().prop_map(|mut bytes| {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    })
}

#[test]
fn hexadecimal() {
    accepts(drawn(b"0123456789abcdef", 32));
    accepts(drawn(b"0123456789abcdef", 64));
    accepts(drawn(b"0123456789ABCDEF", 32));
}

#[test]
fn base64_of_24_32_and_48_bytes() {
    accepts(drawn(BASE64, 32));
    accepts(drawn(BASE64, 64));
    // 32 bytes: 43 characters, the last of which has two zero bits, and the padding.
    let last = (0..16usize).prop_map(|value| char::from(BASE64[4 * value]));
    accepts((drawn(BASE64, 42), last).prop_map(|(head, last)| format!("{head}{last}=")));
}

#[test]
fn base64url_of_32_bytes() {
    let last = (0..16usize).prop_map(|value| char::from(BASE64[4 * value]));
    accepts(
        (drawn(BASE64, 42), last)
            .prop_map(|(head, last)| format!("{head}{last}").replace('+', "-").replace('/', "_")),
    );
}

#[test]
fn alphanumeric_32() {
    accepts(drawn(ALPHANUMERIC, 32));
}

#[test]
fn two_uuids() {
    for separator in ["", "-", " "] {
        accepts(
            (uuid(), uuid()).prop_map(move |(first, second)| format!("{first}{separator}{second}")),
        );
    }
}

#[test]
fn one_uuid_is_too_little() {
    runner()
        .run(&uuid(), |key| {
            assert!(check(key.as_bytes()).is_err());
            Ok(())
        })
        .unwrap();
}
