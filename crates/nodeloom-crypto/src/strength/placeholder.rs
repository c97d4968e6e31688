//! Texts that ask to be replaced.

/// Anywhere in the letters of the text. Each is at least ten letters, so that a random key of
/// 64 letters and digits holds one of them with a chance below 2^-40.
const ANYWHERE: [&str; 15] = [
    "changethis",
    "changeitnow",
    "pleasechange",
    "mustbechanged",
    "shouldbechanged",
    "replacethis",
    "placeholder",
    "yoursecretkey",
    "yourencryptionkey",
    "yourkeyhere",
    "yoursecrethere",
    "djangoinsecure",
    "insertyourkey",
    "generatearandom",
    "donotusethis",
];
/// At one end of the text.
const AT_AN_END: [&str; 6] = [
    "changeme",
    "replaceme",
    "changeit",
    "yourkeyhere",
    "examplekey",
    "insertkey",
];
/// Words that make a placeholder of a text which is weak by its description.
const HINTS: [&str; 18] = [
    "change",
    "replace",
    "todo",
    "fixme",
    "example",
    "sample",
    "insecure",
    "default",
    "dummy",
    "your",
    "here",
    "xxxx",
    "insert",
    "secret-key",
    "aendern",
    "cambiar",
    "changez",
    "test",
];

fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether the shape alone tells that `text` is to be replaced: a template, or a request to change it.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let pairs = [
        ("<", ">"),
        ("${", "}"),
        ("{{", "}}"),
        ("[", "]"),
        ("%", "%"),
        ("__", "__"),
        ("$(", ")"),
        ("{", "}"),
    ];
    let is_word = |inner: &str| {
        inner
            .chars()
            .all(|c| c.is_alphanumeric() || " _-.:".contains(c))
    };
    // `__…__` alone could be base64url: it has to hold several words.
    if pairs.iter().any(|&(open, close)| {
        text.len() > open.len() + close.len()
            && text
                .strip_prefix(open)
                .and_then(|rest| rest.strip_suffix(close))
                .is_some_and(|inner| {
                    is_word(inner)
                        && (open != "__"
                            || inner
                                .split(['_', '-'])
                                .filter(|word| word.len() > 2)
                                .count()
                                > 2)
                        && !inner.chars().any(|c| c.is_ascii_digit())
                })
    }) {
        return true;
    }
    let letters = letters(text);
    ANYWHERE.iter().any(|word| letters.contains(word))
        || AT_AN_END
            .iter()
            .any(|word| letters.starts_with(word) || letters.ends_with(word))
        || (letters.starts_with("your") && letters.ends_with("here"))
}

/// Whether a text that is weak already says that it is a placeholder.
pub(super) fn hints_at_placeholder(text: &str) -> bool {
    let text = text.to_lowercase();
    HINTS.iter().any(|word| text.contains(word))
}
