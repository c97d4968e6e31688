//! Is this string fit to be a root key?
//!
//! [`check`] refuses a key that is shorter than 32 characters, a published sample, a placeholder,
//! drawn from an alphabet that leaves it fewer than 128 bits, or *describable*: written by a short
//! description rather than drawn at random. [`check_with_others`] also refuses one that another
//! setting holds already.
//!
//! # Describable
//! A key of `n` characters from its alphabet of `a` has `H = n log2 a` bits if it is random. The
//! module looks for a description of `D` bits in a fixed language: words with case and leet spelling,
//! copies and mirror images of what came before, arithmetic runs, counters, walks over a keyboard,
//! dates, well-known constants, letters as languages put them together, and literals; of the key itself
//! or of what it encodes (`reading`). It refuses when `D <= H - 34`.
//!
//! The language is a prefix-free code: at each choice the weights of all alternatives sum to at most 1
//! and an alternative of weight `w` costs `-log2 w` bits, so that by the inequality of Kraft and McMillan
//! `2^-D` summed over all keys of a length is at most 1. For a key drawn uniformly from any alphabet
//! with `H0 >= H` bits, Markov's inequality gives
//!
//! ```text
//! P(D <= H - 34) <= P(2^-D >= 2^(34 - H0)) <= 2^(H0 - 34) * sum over keys of 2^-H0 * 2^-D <= 2^-34
//! ```
//!
//! which holds for any word list: more words make each one dearer, never a random key suspicious. The
//! choice among readings (base64, hexadecimal, reversed and so on) and the choice of alphabet are paid
//! for in the same way, as the first symbols of the description. The cheapest parse is found by
//! dynamic programming over positions.
//!
//! Source: Cover and Thomas, *Elements of Information Theory*, 2nd edition, theorems 5.2.1 and 5.11.1
//! (competitive optimality, also called the no-hypercompression inequality).
//!
//! The entropy rule has no such bound: a random hexadecimal key of 32 characters has ten digits and
//! no letter with a chance of (10/16)^32, about 3 in 10 million, and is then refused as 106 bits of decimal.

mod alphabet;
mod digest;
mod generate;
mod grammar;
mod lexicon;
mod md5;
mod placeholder;
mod reading;
mod runs;
mod sample;
#[cfg(test)]
mod tests;
mod walks;
mod words;

pub use generate::{GenerateError, generate};
use subtle::ConstantTimeEq;

/// Fewest Unicode characters of a key.
pub const MIN_CHARACTERS: usize = 32;
/// Fewest bits of a key, from its length and alphabet.
pub const MIN_ENTROPY_BITS: f64 = 128.0;
/// A description that is this many bits shorter than the entropy makes a key weak.
pub const MAX_SAVED_BITS: f64 = 34.0;

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The bytes are no UTF-8 text.
    NotUtf8,
    /// Fewer than 32 Unicode characters.
    TooShort,
    /// Documentation, a tutorial or a standard publishes this key.
    PublishedSample,
    /// The text asks to be replaced.
    Placeholder,
    /// Fewer than 128 bits for the alphabet in use.
    LowEntropy,
    /// A description exists that is at least 34 bits shorter than the entropy.
    Describable,
    /// Another secret of the environment has the same value.
    ReusedSecret,
}

impl Rule {
    /// The rule as a stable name in kebab case, for machines.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not-utf8",
            Self::TooShort => "too-short",
            Self::PublishedSample => "published-sample",
            Self::Placeholder => "placeholder",
            Self::LowEntropy => "low-entropy",
            Self::Describable => "describable",
            Self::ReusedSecret => "reused-secret",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the key is not UTF-8 text",
            Self::TooShort => "the key has fewer than 32 characters",
            Self::PublishedSample => "the key is a published sample that everybody can look up",
            Self::Placeholder => "the key is a placeholder that was meant to be replaced",
            Self::LowEntropy => "the key has fewer than 128 bits of entropy for the alphabet it uses",
            Self::Describable => {
                "the key can be described much more shortly than a random one (words, repeats, runs, keyboard paths or dates)"
            }
            Self::ReusedSecret => "the key equals another secret of the environment",
        })
    }
}

/// A refused key: the rule and the figures behind it, never a part of the key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{rule}")]
pub struct Weakness {
    /// The first rule that the key breaks.
    pub rule: Rule,
    /// Unicode characters; 0 where the key is not UTF-8.
    pub characters: usize,
    /// Bits of a random key of this length and alphabet; 0 where the rule did not need them.
    pub entropy_bits: f64,
    /// Bits of the shortest description found; 0 where the rule did not need it.
    pub description_bits: f64,
}

/// The figures of an accepted key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Strength {
    /// Unicode characters, at least 32.
    pub characters: usize,
    /// The smallest standard alphabet that holds the key.
    pub alphabet: &'static str,
    /// Bits of a random key of this length and alphabet, at least 128.
    pub entropy_bits: f64,
    /// Bits of the shortest description found; may exceed the entropy.
    pub description_bits: f64,
}

/// Weighs `key`, the text of a root key as the operator gave it.
///
/// Takes about 50 ms at first use, which reads the word lists, then tens of microseconds for a key of
/// usual length and milliseconds at most. Of a text longer than 512 characters the first 512 are described. The time
/// depends on the key: not for use where an attacker could measure it.
///
/// # Errors
/// [`Weakness`] with the first rule that the key breaks, in the order of [`Rule`].
pub fn check(key: &[u8]) -> Result<Strength, Weakness> {
    let weakness = |rule, characters| Weakness {
        rule,
        characters,
        entropy_bits: 0.0,
        description_bits: 0.0,
    };
    let Ok(text) = std::str::from_utf8(key) else {
        return Err(weakness(Rule::NotUtf8, 0));
    };
    let symbols: zeroize::Zeroizing<Vec<u32>> =
        zeroize::Zeroizing::new(text.chars().map(|c| c as u32).collect());
    let characters = symbols.len();
    if characters < MIN_CHARACTERS {
        return Err(weakness(Rule::TooShort, characters));
    }
    if sample::is_published(text, &reading::decoded(&symbols)) {
        return Err(weakness(Rule::PublishedSample, characters));
    }
    if placeholder::is_placeholder(text) {
        return Err(weakness(Rule::Placeholder, characters));
    }
    let finding = reading::weigh(&symbols, 0);
    let entropy_bits = f64::from(finding.entropy);
    let saved_bits = f64::from(finding.saving);
    let description_bits = entropy_bits - saved_bits;
    let measured = |rule| Weakness {
        rule,
        characters,
        entropy_bits,
        description_bits,
    };
    // Half a thousandth of a bit covers the rounding of 32 times log2 16 and the like.
    if entropy_bits < MIN_ENTROPY_BITS - 5e-4 {
        return Err(measured(Rule::LowEntropy));
    }
    if saved_bits >= MAX_SAVED_BITS {
        let rule = if placeholder::hints_at_placeholder(text) {
            Rule::Placeholder
        } else {
            Rule::Describable
        };
        return Err(measured(rule));
    }
    Ok(Strength {
        characters,
        alphabet: finding.alphabet,
        entropy_bits,
        description_bits,
    })
}

/// Weighs `key` as [`check`] does, and against the `others`, secrets of the same environment.
///
/// Comparisons take the same time wherever two values differ.
///
/// # Errors
/// [`Weakness`] as from [`check`], or with [`Rule::ReusedSecret`].
pub fn check_with_others(key: &[u8], others: &[&[u8]]) -> Result<Strength, Weakness> {
    let strength = check(key)?;
    let is_reused = others.iter().fold(subtle::Choice::from(0), |found, other| {
        found | key.ct_eq(other)
    });
    if bool::from(is_reused) {
        return Err(Weakness {
            rule: Rule::ReusedSecret,
            characters: strength.characters,
            entropy_bits: strength.entropy_bits,
            description_bits: strength.description_bits,
        });
    }
    Ok(strength)
}
