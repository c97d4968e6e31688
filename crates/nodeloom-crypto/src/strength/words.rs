//! Dictionary words as tokens: rank, case, leet spelling, accents, reversal.

use std::sync::LazyLock;

use super::{
    grammar::{Edges, Text, bits, share},
    lexicon,
};

/// Lower, Capitalised, UPPER, aLtErNaTe (two phases), lasT, any other (then one bit a letter).
pub(super) const CASE: [f32; 6] = [0.5, 0.25, 0.125, 0.03, 0.015, 0.06];
/// Plain spelling, leet spelling.
pub(super) const SPELLING: [f32; 2] = [0.75, 0.25];
/// Where accents occur: a word without, a word with (then one bit a letter and four for each accent).
pub(super) const ACCENTS: [f32; 2] = [0.5, 0.5];

/// What stands for each letter in leet spelling; the letter itself keeps half the weight.
pub(super) const LEET: [(u8, &[u8]); 11] = [
    (b'a', b"4@"),
    (b'b', b"8"),
    (b'c', b"("),
    (b'e', b"3"),
    (b'g', b"96"),
    (b'i', b"1!|"),
    (b'l', b"1|!"),
    (b'o', b"0"),
    (b's', b"5$"),
    (b't', b"7+"),
    (b'z', b"2"),
];

/// For each ASCII character the letters it may stand for.
static STANDS_FOR: LazyLock<[[Option<u8>; 3]; 128]> = LazyLock::new(|| {
    let mut table = [[None; 3]; 128];
    for (letter, marks) in LEET {
        for &mark in marks {
            if let Some(slot) = table[usize::from(mark)]
                .iter_mut()
                .find(|slot| slot.is_none())
            {
                *slot = Some(letter - b'a');
            }
        }
    }
    table
});

/// Ideographs and syllables by how common they are.
static COMMON: LazyLock<std::collections::HashMap<u32, f32>> = LazyLock::new(|| {
    let all: Vec<u32> = include_str!("data/hanzi.txt")
        .trim_end()
        .chars()
        .map(|c| c as u32)
        .collect();
    let total: f32 = (0..all.len()).map(|rank| 1.0 / (rank as f32 + 60.0)).sum();
    all.iter()
        .enumerate()
        .map(|(rank, &c)| (c, ((rank as f32 + 60.0) * total).log2()))
        .collect()
});

/// Bits of the letter (or mark) chosen for `letter` in leet spelling.
pub(super) fn leet_bits(letter: u8, is_mark: bool) -> f32 {
    match LEET.iter().find(|(l, _)| l - b'a' == letter) {
        Some((_, marks)) if is_mark => 1.0 + (marks.len() as f32).log2(),
        Some(_) => 1.0,
        None => 0.0,
    }
}

#[derive(Clone, Copy, Default)]
struct Seen {
    length: usize,
    uppers: usize,
    first_upper: bool,
    last_upper: bool,
    not_alternating: bool,
    is_leet: bool,
    leet_bits: f32,
    accents: usize,
}

impl Seen {
    fn bits(&self, text: &Text<'_>) -> f32 {
        let case = match self.uppers {
            0 => bits(CASE[0]),
            1 if self.first_upper => bits(CASE[1]),
            n if n == self.length => bits(CASE[2]),
            _ if !self.not_alternating && self.length > 2 => bits(CASE[3]) + 1.0,
            1 if self.last_upper => bits(CASE[4]),
            _ => bits(CASE[5]) + self.length as f32,
        };
        let spelling = if self.is_leet {
            bits(SPELLING[1]) + self.leet_bits
        } else {
            bits(SPELLING[0])
        };
        case + spelling + self.accent_bits(text)
    }

    fn accent_bits(&self, text: &Text<'_>) -> f32 {
        match (text.accents, self.accents) {
            (false, _) => 0.0,
            (true, 0) => bits(ACCENTS[0]),
            (true, n) => bits(ACCENTS[1]) + self.length as f32 + 4.0 * n as f32,
        }
    }

    /// Lower, capitalised or upper case in plain spelling.
    fn usual_case(&self) -> Option<u8> {
        match self.uppers {
            _ if self.is_leet => None,
            0 => Some(0),
            1 if self.first_upper => Some(1),
            n if n == self.length => Some(2),
            _ => None,
        }
    }
}

/// Adds every word that can be read in `text`, in either direction, and weighs ideographs.
pub(super) fn find(text: &Text<'_>, edges: &mut Edges) {
    let is_latin = std::ptr::eq(text.lexicon, lexicon::latin());
    for at in 0..text.symbols.len() {
        walk(text, edges, is_latin, at, true, 0, Seen::default());
        walk(text, edges, is_latin, at, false, 0, Seen::default());
    }
    if text.symbols.iter().any(|&c| c > 0x2e7f) {
        edges.ideographs = text
            .symbols
            .iter()
            .map(|c| COMMON.get(c).copied().unwrap_or(f32::INFINITY))
            .collect();
    }
}

fn walk(
    text: &Text<'_>,
    edges: &mut Edges,
    is_latin: bool,
    from: usize,
    forward: bool,
    node: u32,
    seen: Seen,
) {
    if seen.length > 1
        && let Some(rank) = text.lexicon.word(node)
    {
        let rank = text.language.word_bits(rank);
        if forward {
            let end = from + seen.length;
            // A plain word of the three usual cases may begin or continue a phrase; any other stands alone.
            if let Some(case) = seen.usual_case() {
                edges.plain_words.push((
                    from as u32,
                    end as u32,
                    case,
                    rank + seen.accent_bits(text),
                ));
            } else {
                edges.push(from, end, bits(share::WORD) + rank + seen.bits(text));
            }
        } else if seen.length > 2 {
            edges.push(
                from + 1 - seen.length,
                from + 1,
                bits(share::REVERSED_WORD) + rank + seen.bits(text),
            );
        }
    }
    let at = if forward {
        if from + seen.length >= text.symbols.len() {
            return;
        }
        from + seen.length
    } else {
        if seen.length > from {
            return;
        }
        from - seen.length
    };
    let letter = text.letters[at];
    if let Some(index) = letter.index {
        if let Some(child) = text.lexicon.child(node, index) {
            let next = Seen {
                length: seen.length + 1,
                uppers: seen.uppers + usize::from(letter.upper),
                first_upper: if seen.length == 0 {
                    letter.upper
                } else {
                    seen.first_upper
                },
                last_upper: letter.upper,
                not_alternating: seen.not_alternating
                    || (seen.length > 0 && letter.upper == seen.last_upper),
                leet_bits: seen.leet_bits
                    + if is_latin {
                        leet_bits(index, false)
                    } else {
                        0.0
                    },
                accents: seen.accents + usize::from(letter.accented),
                ..seen
            };
            walk(text, edges, is_latin, from, forward, child, next);
        }
    } else if is_latin && text.symbols[at] < 128 {
        for index in STANDS_FOR[text.symbols[at] as usize].iter().flatten() {
            if let Some(child) = text.lexicon.child(node, *index) {
                let next = Seen {
                    length: seen.length + 1,
                    last_upper: !seen.last_upper,
                    is_leet: true,
                    leet_bits: seen.leet_bits + leet_bits(*index, true),
                    ..seen
                };
                walk(text, edges, is_latin, from, forward, child, next);
            }
        }
    }
}
