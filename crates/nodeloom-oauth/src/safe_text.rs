//! Text from a peer, made fit to be shown and logged.

use std::fmt;

/// At most 200 characters of a peer's text on one line: no control characters, nothing that turns
/// the direction of writing, runs of white space as one space.
///
/// It still is a peer's text: escape it where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeText(String);

impl SafeText {
    /// Longest text that is kept, in characters.
    pub const MAX_CHARACTERS: usize = 200;

    /// Cleans `text`; `None` when nothing is left.
    #[must_use]
    pub fn clean(text: &str) -> Option<Self> {
        let mut kept = String::new();
        let mut count = 0;
        let mut gap = false;
        for character in text.chars() {
            if character.is_whitespace() || character.is_control() {
                gap = !kept.is_empty();
                continue;
            }
            if is_invisible(character) {
                continue;
            }
            if count + usize::from(gap) >= Self::MAX_CHARACTERS {
                break;
            }
            if gap {
                kept.push(' ');
                count += 1;
                gap = false;
            }
            kept.push(character);
            count += 1;
        }
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Marks that hide or reorder text (Unicode bidirectional controls, zero width, tags).
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_one_short_visible_line() {
        let text = SafeText::clean(" a\r\nX-Injected:\u{202e} b\u{0}\u{200b}c ").map(|text| text.0);
        assert_eq!(text.as_deref(), Some("a X-Injected: b c"));
        assert_eq!(SafeText::clean("\u{7}\u{2066}\n"), None);
        let long = SafeText::clean(&"é ".repeat(5_000)).map(|text| text.0.chars().count());
        assert!(long.is_some_and(|count| count <= SafeText::MAX_CHARACTERS));
    }
}
