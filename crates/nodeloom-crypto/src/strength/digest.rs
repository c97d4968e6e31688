//! Digests of common passwords, which look random and are not.

use std::sync::LazyLock;

use aws_lc_rs::digest;

use super::md5::md5;

/// What follows the most common passwords before they are hashed; the others are hashed as they are.
const VARIANTS: [&str; 4] = ["", "\n", "1", "123"];
/// Passwords with all variants.
const MOST_COMMON: usize = 3_000;
/// Which password (below 2^14), which variant, which function.
const DESCRIPTION_BITS: f32 = 14.0 + 2.0 + 2.0;

type Table = LazyLock<Vec<u64>>;

fn table(hash: impl Fn(&[u8]) -> u64) -> Vec<u64> {
    let mut heads: Vec<u64> = include_str!("data/passwords.txt")
        .lines()
        .enumerate()
        .flat_map(|(rank, word)| {
            let variants = if rank < MOST_COMMON {
                &VARIANTS[..]
            } else {
                &VARIANTS[..1]
            };
            variants.iter().map(move |suffix| [word, suffix].concat())
        })
        .chain([String::new()])
        .map(|text| hash(text.as_bytes()))
        .collect();
    heads.sort_unstable();
    heads
}

fn head(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |head, &b| head << 8 | u64::from(b))
}

fn with(algorithm: &'static digest::Algorithm) -> impl Fn(&[u8]) -> u64 {
    move |text| head(digest::digest(algorithm, text).as_ref())
}

static MD5: Table = LazyLock::new(|| table(|text| head(&md5(text))));
static SHA1: Table = LazyLock::new(|| table(with(&digest::SHA1_FOR_LEGACY_USE_ONLY)));
static SHA224: Table = LazyLock::new(|| table(with(&digest::SHA224)));
static SHA256: Table = LazyLock::new(|| table(with(&digest::SHA256)));
static SHA384: Table = LazyLock::new(|| table(with(&digest::SHA384)));
static SHA512: Table = LazyLock::new(|| table(with(&digest::SHA512)));

/// Bits that describe `bytes` as the digest of a common password, where they are one.
///
/// Compares 64 bits of the digest: a random key is taken for one of the 19,000 digests of its
/// length with a chance below 2^-48. A table is made at its first use, in about five milliseconds.
pub(super) fn description_bits(bytes: &[u8]) -> Option<f32> {
    let tables: &[&Table] = match bytes.len() {
        16 => &[&MD5, &SHA256],
        20 => &[&SHA1],
        24 => &[&SHA256],
        28 => &[&SHA224],
        32 => &[&SHA256],
        48 => &[&SHA384],
        64 => &[&SHA512],
        _ => return None,
    };
    let head = head(bytes);
    tables
        .iter()
        .any(|table| table.binary_search(&head).is_ok())
        .then_some(DESCRIPTION_BITS)
}
