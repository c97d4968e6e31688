//! The weighted grammar and its cheapest parse.
//!
//! A text of known length and alphabet is written as a sequence of tokens. In
//! every state the weights of all alternatives, the literal included, sum to at
//! most 1, so the bits of the cheapest parse are the length of a prefix-free code.

use super::{
    lexicon,
    lexicon::{Language, Lexicon},
    runs, walks, words,
};

/// Longest text that is parsed; what follows is taken as incompressible.
pub(super) const MAX_SYMBOLS: usize = 512;

/// Share of each token where one begins.
pub(super) mod share {
    pub(in super::super) const LITERAL: f32 = 0.05;
    pub(in super::super) const LITERALS: f32 = 0.10;
    pub(in super::super) const WORD: f32 = 0.28;
    pub(in super::super) const REVERSED_WORD: f32 = 0.015;
    pub(in super::super) const SEPARATOR: f32 = 0.13;
    pub(in super::super) const COPY: f32 = 0.08;
    pub(in super::super) const MIRROR: f32 = 0.025;
    pub(in super::super) const RUN: f32 = 0.06;
    pub(in super::super) const COUNTER: f32 = 0.015;
    pub(in super::super) const CONSTANT: f32 = 0.004;
    pub(in super::super) const WALK: f32 = 0.06;
    pub(in super::super) const DATE: f32 = 0.03;
    pub(in super::super) const DIGITS: f32 = 0.07;
    pub(in super::super) const LETTERS: f32 = 0.06;
    pub(in super::super) const IDEOGRAPH: f32 = 0.02;
    #[cfg(test)]
    pub(in super::super) const ALL: [f32; 15] = [
        LITERAL,
        LITERALS,
        WORD,
        REVERSED_WORD,
        SEPARATOR,
        COPY,
        MIRROR,
        RUN,
        COUNTER,
        CONSTANT,
        WALK,
        DATE,
        DIGITS,
        LETTERS,
        IDEOGRAPH,
    ];
}

/// Inside a stretch of literals: another one, or the end.
pub(super) const LITERAL_GOES_ON: f32 = 0.9;
pub(super) const LITERAL_ENDS: f32 = 0.1;
/// A stretch of letters begins as lower case, capitalised or upper case.
pub(super) const LETTER_CASE: [f32; 3] = [0.6, 0.25, 0.15];
/// After the end of a modelled word: leave, next word at once, next word after the separator.
pub(super) const WORD_ENDS: [f32; 3] = [0.3, 0.2, 0.5];
/// The same in a text without separator.
pub(super) const WORD_ENDS_BARE: [f32; 3] = [0.35, 0.65, 0.0];
/// Where the alphabet holds accented letters: a plain letter, or one of 16 accents on it.
pub(super) const PLAIN_LETTER: f32 = 0.9;
pub(super) const ACCENTED_LETTER: f32 = 0.1 / 16.0;
/// After a plain word: another one of the same case at once, one after the separator, digits, or the end of the phrase.
pub(super) const PHRASE: [f32; 4] = [0.16, 0.42, 0.17, 0.25];
/// The same in a text without separator.
pub(super) const PHRASE_BARE: [f32; 4] = [0.52, 0.0, 0.2, 0.28];
/// One to four digits in a phrase, which then goes on as after a word.
pub(super) const PHRASE_DIGITS: [f32; 4] = [0.4, 0.3, 0.1, 0.2];
/// In a row of ideographs: another one, or the end.
pub(super) const IDEOGRAPHS: [f32; 2] = [0.93, 0.07];
/// The separator of the whole text: none, or one of the 33 marks of ASCII.
const SEPARATOR_NONE_BITS: f32 = 1.0;
const SEPARATOR_BITS: f32 = 1.0 + 5.05;

/// Bits of a probability.
pub(super) fn bits(share: f32) -> f32 {
    -share.log2()
}

/// Bits of a length `m` of at least 1 when the text ends after `rest` more: half the weight says "to the end".
pub(super) fn length_bits(m: usize, to_end: bool) -> f32 {
    if to_end {
        1.0
    } else {
        1.0 + ((m * (m + 1)) as f32).log2()
    }
}

/// What each symbol is as a letter.
#[derive(Clone, Copy, Default)]
pub(super) struct Letter {
    /// Index in the script.
    pub(super) index: Option<u8>,
    pub(super) upper: bool,
    pub(super) accented: bool,
}

/// A text with what the token finders need to know about it.
pub(super) struct Text<'a> {
    pub(super) symbols: &'a [u32],
    /// Bits of one literal.
    pub(super) literal: f32,
    pub(super) letters: Vec<Letter>,
    pub(super) lexicon: &'static Lexicon,
    pub(super) language: &'static Language,
    /// Whether accented letters can occur.
    pub(super) accents: bool,
    pub(super) separator: Option<u32>,
}

impl<'a> Text<'a> {
    fn new(symbols: &'a [u32], literal: f32, is_bytes: bool) -> Self {
        let is_cyrillic = !is_bytes && symbols.iter().any(|c| (0x400..0x460).contains(c));
        let accents = !is_bytes && !is_cyrillic && symbols.iter().any(|&c| c > 0x7f);
        let lexicon = if is_cyrillic {
            lexicon::cyrillic()
        } else {
            lexicon::latin()
        };
        let letters: Vec<Letter> = symbols
            .iter()
            .map(|&c| letter(c, is_cyrillic, accents))
            .collect();
        Self {
            symbols,
            literal,
            lexicon,
            language: lexicon.guess(letters.iter().map(|letter| letter.index)),
            letters,
            accents,
            separator: separator(symbols),
        }
    }
}

fn letter(c: u32, is_cyrillic: bool, accents: bool) -> Letter {
    if c < 0x80 {
        let lower = if (0x41..=0x5a).contains(&c) {
            c + 32
        } else {
            c
        };
        let index = if is_cyrillic {
            None
        } else {
            lexicon::latin_letter(lower)
        };
        return Letter {
            index,
            upper: lower != c,
            accented: false,
        };
    }
    let Some(lower) = char::from_u32(c)
        .and_then(|c| c.to_lowercase().next())
        .map(|c| c as u32)
    else {
        return Letter::default();
    };
    if is_cyrillic {
        return Letter {
            index: lexicon::cyrillic_letter(lower),
            upper: lower != c,
            accented: false,
        };
    }
    let index = if accents { plain(lower) } else { None };
    Letter {
        index,
        upper: lower != c,
        accented: true,
    }
}

/// The letter under the accent.
fn plain(c: u32) -> Option<u8> {
    const ACCENTED: [(char, &str); 16] = [
        ('a', "àáâãäåāăą"),
        ('c', "çćĉċč"),
        ('d', "ďđ"),
        ('e', "èéêëēĕėęě"),
        ('g', "ĝğġģ"),
        ('h', "ĥħ"),
        ('i', "ìíîïĩīĭįı"),
        ('k', "ķ"),
        ('l', "ĺļľłŀ"),
        ('n', "ñńņň"),
        ('o', "òóôõöøōŏő"),
        ('r', "ŕŗř"),
        ('s', "śŝşšßș"),
        ('t', "ţťŧț"),
        ('u', "ùúûüũūŭůűų"),
        ('y', "ýÿŷ"),
    ];
    let c = char::from_u32(c)?;
    if "źżž".contains(c) {
        return Some(25);
    }
    ACCENTED
        .iter()
        .find(|(_, all)| all.contains(c))
        .and_then(|(base, _)| lexicon::latin_letter(*base as u32))
}

/// The mark that occurs most often, if it does at least twice.
fn separator(symbols: &[u32]) -> Option<u32> {
    let mut counts = [0u16; 128];
    for &c in symbols {
        if (0x20..0x7f).contains(&c) && !(c as u8).is_ascii_alphanumeric() {
            counts[c as usize] += 1;
        }
    }
    (0x20..0x7fu32)
        .filter(|&c| counts[c as usize] > 1)
        .max_by_key(|&c| counts[c as usize])
}

/// Token alternatives that begin at each symbol.
pub(super) struct Edges {
    head: Vec<u32>,
    list: Vec<(u32, u32, f32)>,
    /// Plain words: start, end, case (lower, capitalised, upper), bits without the case; by start.
    pub(super) plain_words: Vec<(u32, u32, u8, f32)>,
    /// Bits of each symbol as a common ideograph; empty where there are none.
    pub(super) ideographs: Vec<f32>,
}

impl Edges {
    fn new(symbols: usize) -> Self {
        Self {
            head: vec![u32::MAX; symbols],
            list: Vec::with_capacity(4 * symbols),
            plain_words: Vec::new(),
            ideographs: Vec::new(),
        }
    }

    /// A token over `start..end` that costs `bits`.
    pub(super) fn push(&mut self, start: usize, end: usize, bits: f32) {
        self.list.push((self.head[start], end as u32, bits));
        self.head[start] = self.list.len() as u32 - 1;
    }

    fn from(&self, start: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let mut at = self.head[start];
        std::iter::from_fn(move || {
            let &(next, end, bits) = self.list.get(at as usize)?;
            at = next;
            Some((end as usize, bits))
        })
    }
}

/// Bits of the cheapest parse of `symbols`, whose alphabet costs `literal` bits a symbol.
pub(super) fn describe(symbols: &[u32], literal: f32, is_bytes: bool) -> f32 {
    let parsed = &symbols[..symbols.len().min(MAX_SYMBOLS)];
    let rest = (symbols.len() - parsed.len()) as f32 * literal;
    let text = Text::new(parsed, literal, is_bytes);
    let mut edges = Edges::new(parsed.len());
    words::find(&text, &mut edges);
    runs::find(&text, is_bytes, &mut edges);
    walks::find(&text, &mut edges);
    let header = if text.separator.is_some() {
        SEPARATOR_BITS
    } else {
        SEPARATOR_NONE_BITS
    };
    header + lexicon::GROUP_BITS + cheapest(&text, &edges) + rest
}

/// Lowers `slot` to `bits`.
fn relax(slot: &mut f32, bits: f32) {
    if bits < *slot {
        *slot = bits;
    }
}

/// Dynamic programme over positions and the states "between tokens", "in literals", "in letters".
fn cheapest(text: &Text<'_>, edges: &Edges) -> f32 {
    let n = text.symbols.len();
    let (copies, mirrors) = runs::longest_copies(text.symbols);
    let infinite = f32::INFINITY;
    let mut main = vec![infinite; n + 1];
    let mut literals = vec![infinite; n + 1];
    let mut word_start = vec![infinite; n + 1];
    // By case of the rest (lower, upper) and letters since the word began (1, 2, 3 or more).
    let mut letters = vec![[[infinite; 3]; 2]; n + 1];
    main[0] = 0.0;
    let literal_single = bits(share::LITERAL) + text.literal;
    let literals_begin = bits(share::LITERALS) + text.literal;
    let literal_goes_on = bits(LITERAL_GOES_ON) + text.literal;
    let literal_ends = bits(LITERAL_ENDS);
    let separator = bits(share::SEPARATOR);
    let letters_begin = bits(share::LETTERS);
    let [case_lower, case_capital, case_upper] = LETTER_CASE.map(bits);
    let bare = text.separator.is_none();
    let [to_main, to_word, to_separator] = if bare { WORD_ENDS_BARE } else { WORD_ENDS }.map(bits);
    let (plain, accented) = if text.accents {
        (bits(PLAIN_LETTER), bits(ACCENTED_LETTER))
    } else {
        (0.0, infinite)
    };
    // A plain word of each case ends here; of each case, a word has to follow.
    let mut phrase = vec![[infinite; 3]; n + 1];
    let mut word_due = vec![[infinite; 3]; n + 1];
    let mut ideographs = vec![infinite; n + 1];
    let [phrase_at_once, phrase_separated, phrase_digits, phrase_ends] =
        if bare { PHRASE_BARE } else { PHRASE }.map(bits);
    let [ideograph_goes_on, ideographs_end] = IDEOGRAPHS.map(bits);
    let ideograph = bits(share::IDEOGRAPH);
    let word = bits(share::WORD);
    let word_case = [words::CASE[0], words::CASE[1], words::CASE[2]].map(bits);
    let word_plain = bits(words::SPELLING[0]);
    let mut next_word = 0;
    let copy = bits(share::COPY);
    let mirror = bits(share::MIRROR);

    for i in 0..n {
        // A stretch of letters or literals that ends here first lowers `main`, then `main` is extended.
        for (case, counts) in letters[i].into_iter().enumerate() {
            for (count, so_far) in counts.into_iter().enumerate() {
                if so_far == infinite {
                    continue;
                }
                let context = context(text, i, count + 1);
                let end = so_far + text.language.letter_bits(context, None);
                relax(&mut main[i], end + to_main);
                relax(&mut word_start[i], end + to_word);
                if text.separator == Some(text.symbols[i]) {
                    relax(&mut word_start[i + 1], end + to_separator);
                }
                let next = text.letters[i];
                if let Some(index) = next.index
                    && next.upper == (case == 1)
                {
                    let cost = text.language.letter_bits(context, Some(index))
                        + if next.accented { accented } else { plain };
                    relax(&mut letters[i + 1][case][(count + 1).min(2)], so_far + cost);
                }
            }
        }
        let so_far = literals[i];
        relax(&mut main[i], so_far + literal_ends);
        relax(&mut literals[i + 1], so_far + literal_goes_on);

        for case in 0..3 {
            let so_far = phrase[i][case];
            if so_far == infinite {
                continue;
            }
            relax(&mut main[i], so_far + phrase_ends);
            for (more, share) in PHRASE_DIGITS.into_iter().enumerate() {
                if !text
                    .symbols
                    .get(i + more)
                    .is_some_and(|c| (0x30..=0x39).contains(c))
                {
                    break;
                }
                let digits = (more + 1) as f32 * 3.322;
                relax(
                    &mut phrase[i + more + 1][case],
                    so_far + phrase_digits + bits(share) + digits,
                );
            }
            relax(&mut word_due[i][case], so_far + phrase_at_once);
            if text.separator == Some(text.symbols[i]) {
                relax(&mut word_due[i + 1][case], so_far + phrase_separated);
            }
        }
        relax(&mut main[i], ideographs[i] + ideographs_end);

        let here = main[i];
        while let Some(&(start, end, case, cost)) = edges.plain_words.get(next_word)
            && start as usize == i
        {
            let case = usize::from(case);
            let first = here + word + word_case[case] + word_plain;
            relax(
                &mut phrase[end as usize][case],
                cost + first.min(word_due[i][case]),
            );
            next_word += 1;
        }
        if let Some(rank) = edges.ideographs.get(i) {
            let before = (here + ideograph).min(ideographs[i] + ideograph_goes_on);
            relax(&mut ideographs[i + 1], rank + before);
        }
        let begin = word_start[i].min(here + letters_begin);
        let first = text.letters[i];
        if let Some(index) = first.index {
            let cost = begin
                + text.language.letter_bits([None; 3], Some(index))
                + if first.accented { accented } else { plain };
            if first.upper {
                relax(&mut letters[i + 1][0][0], cost + case_capital);
                relax(&mut letters[i + 1][1][0], cost + case_upper);
            } else {
                relax(&mut letters[i + 1][0][0], cost + case_lower);
            }
        }
        relax(&mut main[i + 1], here + literal_single);
        relax(&mut literals[i + 1], here + literals_begin);
        if text.separator == Some(text.symbols[i]) {
            relax(&mut main[i + 1], here + separator);
        }
        for (end, cost) in edges.from(i) {
            relax(&mut main[end], here + cost);
        }
        let source = (i.max(1) as f32).log2();
        for (longest, share) in [(copies[i], copy), (mirrors[i], mirror)] {
            for length in runs::MIN_COPY..=longest {
                let cost =
                    share + source + length_bits(length - runs::MIN_COPY + 1, i + length == n);
                relax(&mut main[i + length], here + cost);
            }
        }
    }
    let ends = [main[n], literals[n], ideographs[n]];
    ends.iter()
        .chain(letters[n].iter().flatten())
        .chain(&phrase[n])
        .fold(infinite, |least, &bits| least.min(bits))
}

/// Up to three letters before `at`, of a word that began `count` letters ago.
fn context(text: &Text<'_>, at: usize, count: usize) -> [Option<u8>; 3] {
    let mut context = [None; 3];
    for back in 1..=count {
        context[3 - back] = text.letters[at - back].index;
    }
    context
}
