//! The smallest standard alphabet that holds a text, and its size.

/// An alphabet that a key is nominally drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alphabet {
    /// Name for messages.
    pub(super) name: &'static str,
    /// Bits of one uniformly drawn symbol.
    pub(super) bits: f32,
}

/// Number of alphabets a description has to name: four bits pay for them.
pub(super) const HEADER_BITS: f32 = 4.0;

/// All bytes.
pub(super) const BYTES: Alphabet = Alphabet {
    name: "bytes",
    bits: 8.0,
};
/// Hexadecimal digits of one case.
pub(super) const HEX: Alphabet = Alphabet {
    name: "hexadecimal",
    bits: 4.0,
};

/// Name, size and membership of an alphabet within ASCII.
type Class = (&'static str, f32, fn(u8) -> bool);

/// Smallest first, so that the first one that holds every character is the answer.
const STANDARD: [Class; 14] = [
    ("decimal digits", 10.0, |c| c.is_ascii_digit()),
    (
        "hexadecimal",
        16.0,
        |c| matches!(c, b'0'..=b'9' | b'a'..=b'f'),
    ),
    (
        "hexadecimal",
        16.0,
        |c| matches!(c, b'0'..=b'9' | b'A'..=b'F'),
    ),
    ("hexadecimal of both cases", 22.0, |c| c.is_ascii_hexdigit()),
    ("lower-case letters", 26.0, |c| c.is_ascii_lowercase()),
    ("upper-case letters", 26.0, |c| c.is_ascii_uppercase()),
    ("base32", 32.0, |c| matches!(c, b'A'..=b'Z' | b'2'..=b'7')),
    ("lower-case letters and digits", 36.0, |c| {
        c.is_ascii_lowercase() || c.is_ascii_digit()
    }),
    ("upper-case letters and digits", 36.0, |c| {
        c.is_ascii_uppercase() || c.is_ascii_digit()
    }),
    ("letters", 52.0, |c| c.is_ascii_alphabetic()),
    ("letters and digits", 62.0, |c| c.is_ascii_alphanumeric()),
    ("base64", 64.0, |c| {
        c.is_ascii_alphanumeric() || c == b'+' || c == b'/'
    }),
    ("base64url", 64.0, |c| {
        c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
    }),
    ("printable ASCII", 95.0, |c| matches!(c, b' '..=b'~')),
];

/// Classes outside printable ASCII, with the number of characters that people draw from.
const BLOCKS: [(std::ops::RangeInclusive<u32>, f32); 15] = [
    (0..=0x1f, 33.0),
    (0x7f..=0x24f, 250.0),
    (0x370..=0x3ff, 100.0),
    (0x400..=0x40f, 33.0),
    (0x410..=0x42f, 33.0),
    (0x430..=0x45f, 33.0),
    (0x590..=0x5ff, 50.0),
    (0x600..=0x6ff, 100.0),
    (0x900..=0x97f, 110.0),
    (0x3041..=0x3096, 86.0),
    (0x30a1..=0x30fa, 90.0),
    (0x4e00..=0x9fff, 20_992.0),
    (0xac00..=0xd7a3, 11_172.0),
    (0x1f000..=0x1faff, 1_500.0),
    (0x2000..=0x206f, 100.0),
];
const REST: f32 = 100_000.0;

/// The smallest standard alphabet that holds every symbol of `text` (code points).
pub(super) fn smallest(text: &[u32]) -> Alphabet {
    if text.iter().all(|&c| (0x20..0x7f).contains(&c)) {
        for (name, size, holds) in STANDARD {
            if text.iter().all(|&c| holds(c as u8)) {
                return Alphabet {
                    name,
                    bits: size.log2(),
                };
            }
        }
    }
    let mut size = 0.0;
    for (_, count, holds) in [
        ("", 10.0, (|c| c.is_ascii_digit()) as fn(u8) -> bool),
        ("", 26.0, |c| c.is_ascii_lowercase()),
        ("", 26.0, |c| c.is_ascii_uppercase()),
        ("", 33.0, |c| {
            matches!(c, b' '..=b'~') && !c.is_ascii_alphanumeric()
        }),
    ] {
        if text.iter().any(|&c| c < 0x7f && holds(c as u8)) {
            size += count;
        }
    }
    for (range, count) in &BLOCKS {
        if text.iter().any(|c| range.contains(c)) {
            size += count;
        }
    }
    if text
        .iter()
        .any(|c| !(0x20..0x7f).contains(c) && !BLOCKS.iter().any(|(r, _)| r.contains(c)))
    {
        size += REST;
    }
    Alphabet {
        name: "Unicode",
        bits: size.max(2.0).log2(),
    }
}

/// Whether generators of random keys write in this alphabet (hex, base32, base64 and the like).
pub(super) fn is_machine(text: &[u32]) -> bool {
    text.iter()
        .all(|&c| c < 0x7f && ((c as u8).is_ascii_alphanumeric() || b"+/-_=".contains(&(c as u8))))
}
