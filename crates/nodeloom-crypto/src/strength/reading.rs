//! The ways in which a key may be read, and how much shorter than its alphabet the best one makes it.
//!
//! Every alternative carries a share; the shares at each choice sum to at most 1,
//! so that taking the cheapest one is still one prefix-free code.

use super::{
    alphabet, digest,
    grammar::{self, bits},
};

/// The key as it stands.
pub(super) const RAW: f32 = 0.5;
/// Each of the other readings of a text: 13 of them.
pub(super) const OTHER: f32 = 0.5 / 13.0;
/// As text: by the grammar, or as draws from a few symbols.
pub(super) const GRAMMAR: f32 = 0.75;
pub(super) const FEW: f32 = 0.25;
/// As bytes: printable text, bytes, 16-bit text, XOR with one byte, digest of a common password.
pub(super) const BYTES: [f32; 5] = [0.5, 0.3, 0.06, 0.07, 0.07];
/// Most distinct symbols of the "few symbols" reading: below the 16 of hexadecimal, so that
/// a good key in hexadecimal with a prefix is not held against its wider alphabet.
const MAX_FEW: usize = 12;
/// Decodings inside one another.
const MAX_DEPTH: usize = 3;
/// Characters from which an encoded text counts as a key of its own.
const INNER_KEY_CHARACTERS: usize = 32;
/// Bits from which an encoded text counts as a key of its own.
const INNER_KEY_BITS: f32 = 128.0;

/// Nominal bits of a text, and how many of them the cheapest description saves (may be negative).
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) alphabet: &'static str,
    pub(super) entropy: f32,
    pub(super) saving: f32,
}

/// Weighs `text`, a sequence of code points.
pub(super) fn weigh(text: &[u32], depth: usize) -> Finding {
    if text.is_empty() {
        return Finding {
            alphabet: "empty",
            entropy: 0.0,
            saving: 0.0,
        };
    }
    if let Some(finding) = uuids(text) {
        return finding;
    }
    let alphabet = alphabet::smallest(text);
    let padding = if alphabet.name == "printable ASCII" {
        base64_padding(text)
    } else {
        0
    };
    let (alphabet, counted) = if padding > 0 {
        (
            alphabet::smallest(&text[..text.len() - padding]),
            text.len() - padding,
        )
    } else {
        (alphabet, text.len())
    };
    let body = &text[..counted];
    let entropy = counted as f32 * alphabet.bits;
    let raw = alphabet::HEADER_BITS + bits(RAW);
    let mut saving = entropy - raw - bits(GRAMMAR) - grammar::describe(body, alphabet.bits, false);
    saving = saving.max(entropy - raw - bits(FEW) - few_symbols(body, alphabet.bits));
    if depth < MAX_DEPTH {
        let other = bits(OTHER);
        decodings(body, |bytes| {
            saving = saving.max(weigh_bytes(&bytes, entropy, depth + 1) - other);
        });
        rewritings(body, depth, |rewritten, extra| {
            let inner = weigh(&rewritten, depth + 1);
            // The rewritten text may have a smaller alphabet: its description counts, not its saving.
            saving = saving.max(entropy - (inner.entropy - inner.saving) - other - extra);
        });
    }
    Finding {
        alphabet: alphabet.name,
        entropy,
        saving,
    }
}

/// Bits saved when `bytes` stand for a text of `outer` nominal bits.
fn weigh_bytes(bytes: &[u8], outer: f32, depth: usize) -> f32 {
    let nominal = outer.min(8.0 * bytes.len() as f32);
    let symbols: Vec<u32> = bytes.iter().map(|&b| u32::from(b)).collect();
    let mut saving =
        nominal - bits(BYTES[1]) - grammar::describe(&symbols, alphabet::BYTES.bits, true);
    if let Some(description) = digest::description_bits(bytes) {
        saving = saving.max(nominal - bits(BYTES[4]) - description);
    }
    if let Some(text) = printable(bytes) {
        saving = saving.max(weigh_inner_text(&text, nominal, depth) - bits(BYTES[0]));
    }
    if let Some(text) = wide_text(bytes) {
        let inner = weigh(&text, MAX_DEPTH);
        saving = saving.max(nominal - (inner.entropy - inner.saving) - bits(BYTES[2]) - 1.0);
    }
    if let Some(text) = unmasked(bytes) {
        let inner = weigh(&text, MAX_DEPTH);
        saving = saving.max(nominal - (inner.entropy - inner.saving) - bits(BYTES[3]) - 8.0);
    }
    saving
}

/// Bits saved by a text inside an encoding.
///
/// `openssl rand -hex 32 | base64` is a common and good way to make a key: a text that
/// generators write, with enough length and entropy of its own, is weighed against its own
/// alphabet. Any other text is weighed against the bytes it fills.
fn weigh_inner_text(text: &[u32], nominal: f32, depth: usize) -> f32 {
    let inner = weigh(text, depth);
    let is_key = text.len() >= INNER_KEY_CHARACTERS
        && inner.entropy >= INNER_KEY_BITS
        && alphabet::is_machine(text);
    if is_key {
        inner.saving
    } else {
        nominal - (inner.entropy - inner.saving)
    }
}

fn printable(bytes: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.chars().any(char::is_control) || text.is_empty() {
        return None;
    }
    Some(text.chars().map(|c| c as u32).collect())
}

/// Text of 16-bit units below 256, of either byte order.
fn wide_text(bytes: &[u8]) -> Option<Vec<u32>> {
    if bytes.len() < 8 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    (0..2).find_map(|zero| {
        bytes
            .chunks_exact(2)
            .map(|pair| {
                (pair[zero] == 0 && matches!(pair[1 - zero], b' '..=b'~'))
                    .then(|| u32::from(pair[1 - zero]))
            })
            .collect()
    })
}

/// `bytes` XORed with the one byte that makes printable text of them, with the most lower-case letters and spaces.
fn unmasked(bytes: &[u8]) -> Option<Vec<u32>> {
    let is_text = |mask: u8| bytes.iter().all(|&b| matches!(b ^ mask, b' '..=b'~'));
    let letters = |mask: u8| {
        bytes
            .iter()
            .filter(|&&b| matches!(b ^ mask, b'a'..=b'z' | b' '))
            .count()
    };
    let mask = (1..=255u8)
        .filter(|&mask| is_text(mask))
        .max_by_key(|&mask| letters(mask))?;
    Some(bytes.iter().map(|&b| u32::from(b ^ mask)).collect())
}

/// Draws from a few symbols of the alphabet: which ones, then one of them at each place.
fn few_symbols(text: &[u32], literal: f32) -> f32 {
    let mut seen: Vec<u32> = Vec::with_capacity(MAX_FEW);
    for &c in text {
        if !seen.contains(&c) {
            if seen.len() == MAX_FEW {
                return f32::INFINITY;
            }
            seen.push(c);
        }
    }
    let k = seen.len();
    // Which symbols: fewer than `size^k / k!` ways.
    let factorial: f32 = (1..=k).map(|n| (n as f32).log2()).sum();
    (MAX_FEW as f32).log2()
        + (k as f32 * literal - factorial).max(0.0)
        + text.len() as f32 * (k.max(1) as f32).log2()
}

fn base64_padding(text: &[u32]) -> usize {
    let padding = text
        .iter()
        .rev()
        .take_while(|&&c| c == u32::from(b'='))
        .count();
    if padding <= 2 && text.len().is_multiple_of(4) {
        padding
    } else {
        0
    }
}

/// UUIDs, one or more, with nothing or one mark between them: 122 bits each if of version 4.
fn uuids(text: &[u32]) -> Option<Finding> {
    if text.len() < 36 || !text.is_ascii_hex_or_marks() {
        return None;
    }
    let mut digits = Vec::new();
    let (mut at, mut count, mut random) = (0, 0, 0.0);
    while at < text.len() {
        if count > 0
            && matches!(
                u8::try_from(text[at]),
                Ok(b'-' | b' ' | b'_' | b':' | b',' | b'.' | b'/' | b'+')
            )
        {
            at += 1;
        }
        let group = text.get(at..at + 36)?;
        for (place, &c) in group.iter().enumerate() {
            let is_hyphen = matches!(place, 8 | 13 | 18 | 23);
            if is_hyphen != (c == u32::from(b'-')) {
                return None;
            }
        }
        let version = group[14];
        random += match u8::try_from(version) {
            Ok(b'4') => 122.0,
            Ok(b'7') => 74.0,
            Ok(b'3' | b'5' | b'8') => 64.0,
            Ok(b'1' | b'6') => 32.0,
            _ => 0.0,
        };
        digits.extend(
            group
                .iter()
                .enumerate()
                .filter(|(place, _)| !matches!(place, 8 | 13 | 14 | 18 | 19 | 23))
                .map(|(_, &c)| c),
        );
        at += 36;
        count += 1;
    }
    // The grammar reads the digits without version and variant, which are worth two bits more.
    let described = alphabet::HEADER_BITS
        + bits(RAW)
        + 2.0 * count as f32
        + grammar::describe(&digits, alphabet::HEX.bits, false);
    Some(Finding {
        alphabet: "UUID",
        entropy: random,
        saving: random - described,
    })
}

trait HexOrMarks {
    fn is_ascii_hex_or_marks(&self) -> bool;
}

impl HexOrMarks for [u32] {
    fn is_ascii_hex_or_marks(&self) -> bool {
        self.iter().all(|&c| {
            char::from_u32(c).is_some_and(|c| c.is_ascii_hexdigit() || "- _:,./+".contains(c))
        })
    }
}

/// Calls `found` with the bytes of each encoding that `text` is written in.
fn decodings(text: &[u32], mut found: impl FnMut(Vec<u8>)) {
    let Some(ascii) = text
        .iter()
        .map(|&c| u8::try_from(c).ok().filter(u8::is_ascii))
        .collect::<Option<Vec<u8>>>()
    else {
        return;
    };
    let prefixed = ascii.strip_prefix(b"0x").unwrap_or(&ascii);
    let is_hex = prefixed.iter().all(u8::is_ascii_hexdigit);
    if is_hex && prefixed.len().is_multiple_of(2) {
        let digit = |c: u8| (c as char).to_digit(16).unwrap_or_default() as u8;
        found(
            prefixed
                .chunks_exact(2)
                .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
                .collect(),
        );
    }
    if prefixed.iter().all(|c| matches!(c, b'0' | b'1' | b' ')) {
        let digits: Vec<u8> = prefixed
            .iter()
            .filter(|&&c| c != b' ')
            .map(|c| c - b'0')
            .collect();
        if digits.len().is_multiple_of(8) {
            found(
                digits
                    .chunks_exact(8)
                    .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit))
                    .collect(),
            );
        }
    }
    if !is_hex && let Some(bytes) = groups(&ascii, 6, base64_value) {
        found(bytes);
    }
    if let Some(bytes) = groups(&ascii, 5, base32_value) {
        found(bytes);
    }
    if ascii.iter().filter(|&&c| c == b'%').count() >= 2
        && let Some(bytes) = percent(&ascii)
    {
        found(bytes);
    }
}

/// Decodes characters of `width` bits; left-over bits are dropped.
fn groups(ascii: &[u8], width: u32, value: fn(u8) -> Option<u8>) -> Option<Vec<u8>> {
    let (mut held, mut count) = (0u32, 0);
    let mut bytes = Vec::with_capacity(ascii.len());
    for &c in ascii {
        held = held << width | u32::from(value(c)?);
        count += width;
        if count >= 8 {
            count -= 8;
            bytes.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
    // Bits beyond the last byte are zero in a canonical encoding; others have no such reading.
    (held == 0).then_some(bytes)
}

fn base64_value(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn base32_value(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'2'..=b'7' => Some(c - b'2' + 26),
        _ => None,
    }
}

fn percent(ascii: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ascii.len());
    let mut at = 0;
    while at < ascii.len() {
        if ascii[at] == b'%' {
            let digits = std::str::from_utf8(ascii.get(at + 1..at + 3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            bytes.push(ascii[at]);
            at += 1;
        }
    }
    Some(bytes)
}

/// Calls `found` with each rewriting of `text` and the bits that say how to undo it.
fn rewritings(text: &[u32], depth: usize, mut found: impl FnMut(Vec<u32>, f32)) {
    let n = text.len();
    // Every symbol twice.
    if n.is_multiple_of(2) && n > 0 && text.chunks_exact(2).all(|pair| pair[0] == pair[1]) {
        found(text.iter().copied().step_by(2).collect(), 0.0);
    }
    // One mark after every few characters.
    for period in 2..=9 {
        let Some(&mark) = text.get(period - 1) else {
            break;
        };
        let is_mark = mark < 0x7f && !(mark as u8).is_ascii_alphanumeric();
        if is_mark && n > 2 * period && (period - 1..n).step_by(period).all(|at| text[at] == mark) {
            let rest = text
                .iter()
                .enumerate()
                .filter(|(at, _)| (at + 1) % period != 0)
                .map(|(_, &c)| c)
                .collect();
            found(rest, 3.0 + 5.05);
            break;
        }
    }
    // Kana as the Latin letters that type them.
    if let Some(latin) = romanised(text) {
        found(latin, 1.0);
    }
    // Letters moved by 13 places; only where most of the text is letters.
    if depth == 0 && 5 * text.iter().filter(|&&c| is_letter(c)).count() >= 4 * n {
        let moved: Vec<u32> = text.iter().map(|&c| rot13(c)).collect();
        let alphabet = alphabet::smallest(&moved);
        let inner = alphabet::HEADER_BITS
            + bits(RAW)
            + bits(GRAMMAR)
            + grammar::describe(&moved, alphabet.bits, false);
        // Passed on as bits alone: an empty text weighs nothing.
        found(Vec::new(), inner);
    }
    // Reversed; the tokens know reversed words, so this is for encodings written backwards.
    if depth == 0 && text.first() == Some(&u32::from(b'=')) {
        found(text.iter().rev().copied().collect(), 0.0);
    }
}

fn is_letter(c: u32) -> bool {
    c < 0x7f && (c as u8).is_ascii_alphabetic()
}

fn rot13(c: u32) -> u32 {
    match c {
        0x41..=0x5a => (c - 0x41 + 13) % 26 + 0x41,
        0x61..=0x7a => (c - 0x61 + 13) % 26 + 0x61,
        _ => c,
    }
}

/// The bytes that `text` stands for in each encoding it is written in.
pub(super) fn decoded(text: &[u32]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let body = &text[..text.len() - base64_padding(text)];
    decodings(body, |bytes| all.push(bytes));
    all
}

/// Hiragana (or katakana) in Latin letters; other characters stand for themselves.
fn romanised(text: &[u32]) -> Option<Vec<u32>> {
    const SYLLABLES: &str = "a a i i u u e e o o ka ga ki gi ku gu ke ge ko go sa za shi ji su zu se ze so zo ta da chi di tsu tsu \
        du te de to do na ni nu ne no ha ba pa hi bi pi fu bu pu he be pe ho bo po ma mi mu me mo ya ya yu yu yo yo ra ri ru re \
        ro wa wa wi we o n vu ka ke";
    if !text.iter().any(|c| (0x3041..=0x30f6).contains(c)) {
        return None;
    }
    let syllables: Vec<&str> = SYLLABLES.split_whitespace().collect();
    let mut latin = Vec::with_capacity(2 * text.len());
    for &c in text {
        let place = match c {
            0x3041..=0x3096 => c - 0x3041,
            0x30a1..=0x30f6 => c - 0x30a1,
            _ => {
                latin.push(c);
                continue;
            }
        };
        latin.extend(syllables.get(place as usize)?.chars().map(|c| c as u32));
    }
    Some(latin)
}
