//! Names that people give, and the words by which they find them again.

use std::fmt;

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// Why a name or an e-mail address was refused. Display says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A control, formatting or direction character, which could disguise a name.
    #[error("must not contain control or text-direction characters")]
    Control,
    /// Not of the form local@domain.
    #[error("must be an e-mail address like ada@example.com")]
    NotAnEmail,
}

impl NameError {
    /// Stable name of the rule, for the `rule` of a field error.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::TooLong(_) => "too-long",
            Self::Control => "control-character",
            Self::NotAnEmail => "email",
        }
    }
}

/// A name of 1 to 200 characters, in Unicode normal form C, without white space at
/// its ends and without control or direction characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Most characters that a name may have.
    pub const MAX_CHARS: usize = 200;

    /// Normalises and checks `text`.
    ///
    /// # Errors
    /// [`NameError`] says which rule refused it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // A first cut by bytes: normalising a megabyte to refuse it would be a gift.
        if text.len() > Self::MAX_CHARS * 16 {
            return Err(NameError::TooLong(Self::MAX_CHARS));
        }
        if text.chars().any(disguises) {
            return Err(NameError::Control);
        }
        let name: String = text.trim().nfc().collect();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > Self::MAX_CHARS {
            return Err(NameError::TooLong(Self::MAX_CHARS));
        }
        Ok(Self(name))
    }

    /// The name as it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Characters that change how a text looks without being seen: controls, line and
/// paragraph separators, zero-width and direction marks, the byte order mark.
fn disguises(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// An e-mail address in lower case, 3 to 254 characters (RFC 5321, section 4.5.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Lower-cases and checks `text`: one `@`, both sides present, no white space.
    /// Whether it receives mail, only a mail can tell.
    ///
    /// # Errors
    /// [`NameError`] says which rule refused it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 254 {
            return Err(NameError::TooLong(254));
        }
        if text.chars().any(disguises) {
            return Err(NameError::Control);
        }
        let (local, domain) = text.split_once('@').ok_or(NameError::NotAnEmail)?;
        let fits = !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !text
                .chars()
                .any(|c| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ',' | ';'));
        if fits {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(NameError::NotAnEmail)
        }
    }

    /// The address in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Folds a text for comparing without case: compatibility form, then lower case.
fn fold(text: &str) -> String {
    text.nfkc()
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfc()
        .collect()
}

/// The text by which names sort: folded, so that `apple` and `Apple` stand together.
#[must_use]
pub fn sort_key(name: &str) -> String {
    fold(name)
}

/// Longest word that the index keeps, in characters; a longer word is found by
/// its first part.
const MAX_WORD_CHARS: usize = 64;
/// Most words of one name that are indexed, and most terms of one search.
const MAX_WORDS: usize = 32;

/// The distinct folded words of a name, at most 32 of at most 64 characters.
/// A word is a run of letters and digits, and the whole name counts as one more,
/// so that a search for `my-key` finds a name that starts so.
#[must_use]
pub fn name_words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let mut words: Vec<String> = split_words(&folded).collect();
    words.push(cut(folded.trim()));
    words.sort_unstable();
    words.dedup();
    words.retain(|word| !word.is_empty());
    words.truncate(MAX_WORDS);
    words
}

/// The folded terms of a search. A name matches when each term starts one of its
/// words. A search without a letter or digit is taken as one term.
#[must_use]
pub fn search_terms(search: &str) -> Vec<String> {
    let folded = fold(search);
    let mut terms: Vec<String> = split_words(&folded).collect();
    if terms.is_empty() && !folded.trim().is_empty() {
        terms.push(cut(folded.trim()));
    }
    terms.sort_unstable();
    terms.dedup();
    terms.truncate(MAX_WORDS);
    terms
}

fn split_words(folded: &str) -> impl Iterator<Item = String> + '_ {
    folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(cut)
}

fn cut(word: &str) -> String {
    word.chars().take(MAX_WORD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_normalised() {
        assert_eq!(
            Name::parse("  Cafe\u{301} key ").unwrap().as_str(),
            "Caf\u{e9} key"
        );
    }

    #[test]
    fn names_that_could_deceive_are_refused() {
        assert_eq!(Name::parse(" \t").unwrap_err(), NameError::Control);
        assert_eq!(Name::parse("   ").unwrap_err(), NameError::Empty);
        assert_eq!(Name::parse("a\u{202e}b").unwrap_err(), NameError::Control);
        assert_eq!(Name::parse("a\nb").unwrap_err(), NameError::Control);
        assert_eq!(
            Name::parse(&"x".repeat(201)).unwrap_err(),
            NameError::TooLong(200)
        );
        assert_eq!(
            Name::parse(&"x".repeat(1 << 20)).unwrap_err(),
            NameError::TooLong(200)
        );
        assert!(Name::parse(&"\u{65e5}".repeat(200)).is_ok());
    }

    #[test]
    fn an_address_is_lower_cased_and_has_two_sides() {
        assert_eq!(
            Email::parse(" Ada@Example.COM ").unwrap().as_str(),
            "ada@example.com"
        );
        for bad in ["", "ada", "@x", "a@", "a@b@c", "a b@c", "Ada <a@b>"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_folded_runs_of_letters_and_digits() {
        assert_eq!(
            name_words("OpenAI Prod-Key"),
            ["key", "openai", "openai prod-key", "prod"]
        );
        assert_eq!(search_terms("PROD open"), ["open", "prod"]);
        assert_eq!(search_terms("--"), ["--"]);
        assert_eq!(search_terms("  "), Vec::<String>::new());
    }
}
