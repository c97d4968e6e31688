//! Tokens of regular shape: copies, arithmetic runs, counters, constants, dates, digits.

use std::sync::LazyLock;

use super::grammar::{Edges, Text, bits, length_bits, share};

/// Shortest copy of earlier text.
pub(super) const MIN_COPY: usize = 3;
/// Longest interval after which an arithmetic run continues.
const MAX_STRIDE: usize = 4;
/// Largest step between code points of a run in text.
const MAX_STEP: i64 = 8;
/// Steps 0, +1 and -1, and all the other ones together.
pub(super) const STEP: [f32; 3] = [0.4, 0.18, 0.24];
/// A year alone, a date of eight digits, a date with separators.
pub(super) const DATE: [f32; 3] = [0.5, 0.3, 0.2];
/// In a row of digits: another one, or the end.
pub(super) const DIGIT_GOES_ON: f32 = 0.75;
pub(super) const DIGIT_ENDS: f32 = 0.25;
/// Steps of a counter: +1, or one of 20 others.
pub(super) const COUNT: [f32; 2] = [0.5, 0.5];
/// Widths of a counter: natural, or padded to 1, 2, 3, 4 digits; base 10 or 16; no separator or the text's.
const COUNTER_FORM_BITS: f32 = 2.33 + 1.0 + 1.0;

/// Digits that people think of as random, or that ciphers publish.
static CONSTANTS: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let join =
        |terms: &mut dyn Iterator<Item = u64>| terms.map(|n| n.to_string()).collect::<String>();
    let mut fibonacci = (1u64, 1u64);
    let is_prime = |n: &u64| {
        (2..*n)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    [
        "31415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679".into(),
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706".into(),
        "27182818284590452353602874713526624977572470936999595749669676277240766303535475945713821785251664274".into(),
        "2.71828182845904523536028747135266249775724709369995957496696762772407663035354759457138217852516642".into(),
        "14142135623730950488016887242096980785696718753769480731766797379907324784621070388503875343276415727".into(),
        "1.41421356237309504880168872420969807856967187537694807317667973799073247846210703885038753432764157".into(),
        "16180339887498948482045868343656381177203091798057628621354486227052604628189024497072072041893911374".into(),
        "1.61803398874989484820458683436563811772030917980576286213544862270526046281890244970720720418939113".into(),
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6c".into(),
        "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19".into(),
        "0123456789abcdeffedcba9876543210".into(),
        "67452301efcdab8998badcfe10325476c3d2e1f0".into(),
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQC".into(),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9".into(),
        join(&mut (2..200).filter(is_prime)),
        join(&mut (0..60).map(|_| {
            let term = fibonacci.0;
            fibonacci = (fibonacci.1, fibonacci.0 + fibonacci.1);
            term
        })),
        join(&mut (0..40).map(|n| 1u64 << n)),
        join(&mut (1..40).map(|n| n * n)),
    ]
    .iter()
    .map(|text: &String| text.chars().map(|c| c as u32).collect())
    .collect()
});

/// A place in one of the constants.
pub(super) const CONSTANT_PLACE_BITS: f32 = 11.17;
/// Shortest stretch of a constant.
const CONSTANT_MIN: usize = 6;

/// Every place in a constant by the six symbols that stand there, sorted.
static CONSTANT_STARTS: LazyLock<Vec<(u64, usize, usize)>> = LazyLock::new(|| {
    let mut starts = Vec::new();
    for (index, constant) in CONSTANTS.iter().enumerate() {
        for (from, window) in constant.windows(CONSTANT_MIN).enumerate() {
            starts.extend(pack(window).map(|packed| (packed, index, from)));
        }
    }
    starts.sort_unstable();
    starts
});

/// Adds every regular token except copies, which the parser reads from [`longest_copies`].
pub(super) fn find(text: &Text<'_>, is_bytes: bool, edges: &mut Edges) {
    for at in 0..text.symbols.len() {
        for stride in 1..=MAX_STRIDE {
            run(text, is_bytes, edges, at, stride);
        }
        if is_digit(text.symbols[at]) {
            digits(text, edges, at);
            dates(text, edges, at);
        }
        if char::from_u32(text.symbols[at]).is_some_and(|c| c.is_ascii_hexdigit()) {
            counters(text, edges, at);
            constants(text, edges, at);
        }
    }
}

fn is_digit(c: u32) -> bool {
    (0x30..=0x39).contains(&c)
}

/// `stride` interleaved arithmetic sequences, at least two terms and one symbol of a third.
fn run(text: &Text<'_>, is_bytes: bool, edges: &mut Edges, at: usize, stride: usize) {
    let s = &text.symbols[at..];
    if s.len() < 2 * stride + 1 {
        return;
    }
    let step = |p: usize| {
        let step = i64::from(s[p]) - i64::from(s[p - stride]);
        if is_bytes { step.rem_euclid(256) } else { step }
    };
    let Some(steps_bits) = (stride..2 * stride)
        .map(|p| step_bits(step(p), is_bytes))
        .sum::<Option<f32>>()
    else {
        return;
    };
    let mut length = 2 * stride;
    while length < s.len() && step(length) == step(length - stride) {
        length += 1;
    }
    let first = bits(share::RUN) + 2.0 + stride as f32 * text.literal + steps_bits;
    let shortest = 2 * stride + 1;
    // In a long run the ends that matter are the last ones: the rest is left to the copies.
    for end in shortest.max(length.saturating_sub(24))..=length {
        edges.push(
            at,
            at + end,
            first + length_bits(end - 2 * stride, end == s.len()),
        );
    }
}

/// Bits of the step of a run; `None` where the grammar has no such step.
pub(super) fn step_bits(step: i64, is_bytes: bool) -> Option<f32> {
    match step {
        0 => Some(bits(STEP[0])),
        1 | -1 => Some(bits(STEP[1])),
        255 if is_bytes => Some(bits(STEP[1])),
        _ if is_bytes => Some(bits(STEP[2]) + 8.0),
        _ if step.abs() <= MAX_STEP => Some(bits(STEP[2]) + 3.81),
        _ => None,
    }
}

fn digits(text: &Text<'_>, edges: &mut Edges, at: usize) {
    let mut cost = bits(share::DIGITS) + bits(DIGIT_ENDS) + 3.322;
    for (offset, &c) in text.symbols[at..].iter().enumerate().take(40) {
        if !is_digit(c) {
            break;
        }
        edges.push(at, at + offset + 1, cost);
        cost += bits(DIGIT_GOES_ON) + 3.322;
    }
}

fn number(symbols: &[u32]) -> Option<u32> {
    symbols
        .iter()
        .try_fold(0, |value, &c| is_digit(c).then(|| value * 10 + (c - 0x30)))
}

fn dates(text: &Text<'_>, edges: &mut Edges, at: usize) {
    let s = &text.symbols[at..];
    let part = |range: std::ops::Range<usize>| s.get(range).and_then(number);
    let is_year = |n: Option<u32>| n.is_some_and(|n| (1900..2100).contains(&n));
    let is_month = |n: Option<u32>| n.is_some_and(|n| (1..=12).contains(&n));
    let is_day = |n: Option<u32>| n.is_some_and(|n| (1..=31).contains(&n));
    let share = bits(share::DATE);
    if is_year(part(0..4)) {
        edges.push(at, at + 4, share + bits(DATE[0]) + 200f32.log2());
    }
    // Year first, month first, day first.
    let day_bits = (3.0f32 * 200.0 * 12.0 * 31.0).log2();
    let is_date = |gap: usize| {
        let (a, b, c) = (
            part(0..4),
            part(4 + gap..6 + gap),
            part(6 + 2 * gap..8 + 2 * gap),
        );
        let (d, e, f) = (
            part(0..2),
            part(2 + gap..4 + gap),
            part(4 + 2 * gap..8 + 2 * gap),
        );
        let gaps = |first: usize, second: usize| gap == 0 || s.get(first) == s.get(second);
        (is_year(a) && is_month(b) && is_day(c) && gaps(4, 7))
            || (is_year(f)
                && gaps(2, 5)
                && ((is_month(d) && is_day(e)) || (is_day(d) && is_month(e))))
    };
    if is_date(0) {
        edges.push(at, at + 8, share + bits(DATE[1]) + day_bits);
    }
    if s.len() >= 10 {
        let marks = [
            u32::from(b'-'),
            u32::from(b'/'),
            u32::from(b'.'),
            u32::from(b' '),
            u32::from(b'_'),
            u32::from(b':'),
        ];
        if (marks.contains(&s[4]) || marks.contains(&s[2])) && is_date(1) {
            edges.push(at, at + 10, share + bits(DATE[2]) + day_bits + 2.585);
        }
    }
}

fn counters(text: &Text<'_>, edges: &mut Edges, at: usize) {
    let s = &text.symbols[at..];
    for (base, width, separator) in [10u32, 16]
        .into_iter()
        .flat_map(|base| (0..=4).flat_map(move |width| [(base, width, false), (base, width, true)]))
    {
        if separator && text.separator.is_none() {
            continue;
        }
        let gap = usize::from(separator);
        for first in if width == 0 { 1..=3 } else { width..=width } {
            let Some(start) = value(s, 0, first, base) else {
                continue;
            };
            for second in if width == 0 {
                first.saturating_sub(1).max(1)..=first + 1
            } else {
                width..=width
            } {
                if separator && s.get(first).copied() != text.separator {
                    continue;
                }
                let Some(next) = value(s, first + gap, second, base) else {
                    continue;
                };
                let step = next - start;
                if step == 0 || step.abs() > 10 && step != 16 && step != 17 {
                    continue;
                }
                let (mut end, mut terms, mut term) = (first, 1, start);
                loop {
                    term += step;
                    let Some(length) = matches(
                        s,
                        end,
                        term,
                        width,
                        base,
                        if separator { text.separator } else { None },
                    ) else {
                        break;
                    };
                    end += length;
                    terms += 1;
                    if terms >= 3 {
                        let step_bits = if step == 1 {
                            bits(COUNT[0])
                        } else {
                            bits(COUNT[1]) + 4.53
                        };
                        let start_bits = first as f32 * (base as f32).log2()
                            + if width == 0 { 1.59 } else { 0.0 };
                        let cost =
                            bits(share::COUNTER) + COUNTER_FORM_BITS + start_bits + step_bits;
                        edges.push(at, at + end, cost + length_bits(terms - 2, end == s.len()));
                    }
                }
            }
        }
    }
}

fn value(s: &[u32], from: usize, width: usize, base: u32) -> Option<i64> {
    let digits = s.get(from..from + width)?;
    digits.iter().try_fold(0i64, |value, &c| {
        let digit = char::from_u32(c)?.to_digit(base)?;
        Some(value * i64::from(base) + i64::from(digit))
    })
}

/// Symbols that `term` takes at `from`, after the separator, if it stands there.
fn matches(
    s: &[u32],
    from: usize,
    term: i64,
    width: usize,
    base: u32,
    separator: Option<u32>,
) -> Option<usize> {
    if term < 0 {
        return None;
    }
    let mut at = from;
    if let Some(mark) = separator {
        if s.get(at) != Some(&mark) {
            return None;
        }
        at += 1;
    }
    let width = if width == 0 {
        term.checked_ilog(i64::from(base))
            .map_or(1, |log| log as usize + 1)
    } else {
        width
    };
    (value(s, at, width, base) == Some(term)).then_some(at + width - from)
}

fn constants(text: &Text<'_>, edges: &mut Edges, at: usize) {
    let s = &text.symbols[at..];
    let Some(packed) = s.get(..CONSTANT_MIN).and_then(pack) else {
        return;
    };
    let cost = bits(share::CONSTANT) + CONSTANT_PLACE_BITS;
    let first = CONSTANT_STARTS.partition_point(|entry| entry.0 < packed);
    for &(_, constant, from) in CONSTANT_STARTS[first..]
        .iter()
        .take_while(|entry| entry.0 == packed)
    {
        let length = CONSTANTS[constant][from..]
            .iter()
            .zip(s)
            .take_while(|(a, b)| a == b)
            .count();
        edges.push(
            at,
            at + length,
            cost + length_bits(length - CONSTANT_MIN + 1, length == s.len()),
        );
    }
}

/// Six ASCII symbols as one number.
fn pack(symbols: &[u32]) -> Option<u64> {
    symbols.iter().try_fold(0, |packed, &c| {
        (c < 0x80).then(|| packed << 8 | u64::from(c))
    })
}

/// For each position the longest text that stands earlier, and the longest that stands earlier reversed.
///
/// A copy may overlap itself. Quadratic in the length, which the parser bounds.
pub(super) fn longest_copies(s: &[u32]) -> (Vec<usize>, Vec<usize>) {
    let n = s.len();
    let mut copies = vec![0; n];
    let mut mirrors = vec![0; n];
    let mut same = vec![0u16; n + 1];
    let mut mirror = vec![0u16; n + 1];
    for i in (1..n).rev() {
        // `same[j]` holds the row of `i + 1` at `j + 1` when it is read in rising order.
        for j in 0..i {
            same[j] = if s[j] == s[i] { same[j + 1] + 1 } else { 0 };
            copies[i] = copies[i].max(usize::from(same[j]));
        }
        for j in (0..i).rev() {
            // `mirror[j]` of the row of `i + 1` at `j - 1`.
            let before = if j > 0 { mirror[j - 1] } else { 0 };
            mirror[j] = if s[j] == s[i] { before + 1 } else { 0 };
            mirrors[i] = mirrors[i].max(usize::from(mirror[j]));
        }
    }
    (copies, mirrors)
}

#[cfg(test)]
pub(super) fn constant_places() -> usize {
    CONSTANT_STARTS.len()
}
