//! The code is prefix-free, each rule is reachable, and nothing of a key shows.

use super::{
    MAX_SAVED_BITS, Rule, Weakness, check, check_with_others, generate, grammar, lexicon, reading,
    runs, walks, words,
};

fn sum_is_at_most_one(name: &str, weights: impl IntoIterator<Item = f64>) {
    let sum: f64 = weights.into_iter().sum();
    // The shares are written in decimal; a millionth is their rounding in binary.
    assert!(sum <= 1.0 + 1e-6, "{name}: {sum}");
}

fn weights_of(shares: &[f32]) -> impl Iterator<Item = f64> + '_ {
    shares.iter().map(|&share| f64::from(share))
}

#[test]
fn alternatives_at_each_choice_sum_to_at_most_one() {
    for (name, shares) in [
        ("tokens, literal included", &grammar::share::ALL[..]),
        (
            "literals",
            &[grammar::LITERAL_GOES_ON, grammar::LITERAL_ENDS],
        ),
        ("case of letters", &grammar::LETTER_CASE),
        ("after the end of a word", &grammar::WORD_ENDS),
        ("the same without separator", &grammar::WORD_ENDS_BARE),
        ("after a word of a phrase", &grammar::PHRASE),
        ("the same without separator", &grammar::PHRASE_BARE),
        ("digits of a phrase", &grammar::PHRASE_DIGITS),
        ("ideographs", &grammar::IDEOGRAPHS),
        (
            "accents of letters",
            &[grammar::PLAIN_LETTER, 16.0 * grammar::ACCENTED_LETTER],
        ),
        ("case of words", &words::CASE),
        ("spelling of words", &words::SPELLING),
        ("accents of words", &words::ACCENTS),
        (
            "steps of runs",
            &[runs::STEP[0], 2.0 * runs::STEP[1], runs::STEP[2]],
        ),
        ("dates", &runs::DATE),
        ("digits", &[runs::DIGIT_GOES_ON, runs::DIGIT_ENDS]),
        ("counters", &runs::COUNT),
        ("steps of walks", &walks::STEP),
        ("other steps of walks", &walks::OTHER_STEP),
        ("layouts", &walks::LAYOUT),
        ("first shift", &walks::FIRST_SHIFT),
        ("shift", &walks::SHIFT),
        ("readings", &[reading::RAW, 13.0 * reading::OTHER]),
        ("texts", &[reading::GRAMMAR, reading::FEW]),
        ("bytes", &reading::BYTES),
    ] {
        sum_is_at_most_one(name, weights_of(shares));
    }
}

#[test]
fn words_letters_steps_and_lengths_are_codes() {
    let german = "derschluesselistgeheim".bytes().map(|c| Some(c - b'a'));
    let cyrillic = "секрет".chars().map(|c| lexicon::cyrillic_letter(c as u32));
    for language in [
        lexicon::latin().guess(german),
        lexicon::cyrillic().guess(cyrillic),
    ] {
        sum_is_at_most_one("words", [language.word_weight_sum()]);
        for sum in language.letter_weight_sums() {
            sum_is_at_most_one("letters", [sum]);
        }
    }
    for (is_bytes, steps) in [(false, -200..=200i64), (true, 0..=255)] {
        let weights = steps
            .filter_map(|step| runs::step_bits(step, is_bytes))
            .map(|bits| (-f64::from(bits)).exp2());
        sum_is_at_most_one("steps", weights);
    }
    for last in [1, 2, 7, 500] {
        let weights = (1..=last).map(|m| (-f64::from(grammar::length_bits(m, m == last))).exp2());
        sum_is_at_most_one("lengths", weights);
    }
    for (letter, marks) in words::LEET {
        let bits = |is_mark| (-f64::from(words::leet_bits(letter - b'a', is_mark))).exp2();
        sum_is_at_most_one("leet", [bits(false) + marks.len() as f64 * bits(true)]);
    }
}

#[test]
fn places_in_constants_are_paid() {
    assert!((runs::constant_places() as f32).log2() <= runs::CONSTANT_PLACE_BITS);
}

/// Every text of one length over a small alphabet: the inequality of Kraft itself, on the parser.
#[test]
fn descriptions_of_all_texts_sum_to_at_most_one() {
    let alphabets: [&[u8]; 4] = [b"aes", b"a1-", b"123", b"0qw"];
    for alphabet in alphabets {
        let length = 7;
        let literal = (alphabet.len() as f32).log2();
        let count = alphabet.len().pow(length);
        let weights = (0..count).map(|number| {
            let text: Vec<u32> = (0..length)
                .map(|place| {
                    u32::from(alphabet[number / alphabet.len().pow(place) % alphabet.len()])
                })
                .collect();
            (-f64::from(grammar::describe(&text, literal, false))).exp2()
        });
        sum_is_at_most_one("texts", weights);
    }
}

fn rule(key: &str) -> Option<Rule> {
    check(key.as_bytes()).err().map(|weakness| weakness.rule)
}

const GOOD: &str = "Vb3nQ0tZr8LxKc5Wm1Yp7JdHs2Ga9UfE4RqTi6No";

#[test]
fn each_rule_is_reachable() {
    assert_eq!(check(&[0xff; 40]).unwrap_err().rule, Rule::NotUtf8);
    assert_eq!(
        rule("Vb3nQ0tZr8LxKc5Wm1Yp7JdHs2Ga9Uf"),
        Some(Rule::TooShort)
    );
    assert_eq!(
        rule("your-cryptographically-random-key-here-min-32-chars"),
        Some(Rule::PublishedSample)
    );
    assert_eq!(
        rule("2B7E151628AED2A6ABF7158809CF4F3C"),
        Some(Rule::PublishedSample)
    );
    assert_eq!(
        rule("<the key that the vault gave you goes here>"),
        Some(Rule::Placeholder)
    );
    assert_eq!(
        rule("84719305628471930562840193756284"),
        Some(Rule::LowEntropy)
    );
    assert_eq!(
        rule("correct horse battery staple and so on"),
        Some(Rule::Describable)
    );
    assert_eq!(rule(GOOD), None);
    let reused = check_with_others(GOOD.as_bytes(), &[b"short", GOOD.as_bytes()]).unwrap_err();
    assert_eq!(reused.rule, Rule::ReusedSecret);
    assert!(check_with_others(GOOD.as_bytes(), &[b"short"]).is_ok());
}

#[test]
fn characters_are_counted_rather_than_bytes() {
    assert_eq!(rule("éàüéàüéàüéàüéàü"), Some(Rule::TooShort));
}

#[test]
fn a_weakness_shows_nothing_of_the_key() {
    for key in [
        "correct horse battery staple and so on",
        "zebra-zebra-zebra-zebra-zebra-zebra",
    ] {
        let weakness: Weakness = check(key.as_bytes()).unwrap_err();
        let shown = format!("{weakness} {weakness:?} {}", weakness.rule.code());
        for part in ["correct", "horse", "battery", "staple", "zebra"] {
            assert!(!shown.contains(part), "{shown}");
        }
        assert!(weakness.entropy_bits - weakness.description_bits >= MAX_SAVED_BITS);
    }
}

#[test]
fn generated_keys_pass_and_differ() {
    let keys = [(); 20].map(|()| generate().unwrap());
    for key in &keys {
        assert_eq!(key.len(), 64);
        assert!(key.bytes().all(|c| c.is_ascii_alphanumeric()));
        assert!(check(key.as_bytes()).is_ok());
    }
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn encodings_of_good_keys_pass_and_of_words_do_not() {
    // Hexadecimal of random bytes inside base64, as `openssl rand -hex 16 | base64` writes it.
    assert_eq!(rule("OGYzYTFjNWU3YjkwZDI0NjZlMDlhYjEzYzc1OGQyZjQK"), None);
    assert_eq!(
        rule("bXktc3VwZXItc2VjcmV0LWVuY3J5cHRpb24ta2V5LTIwMjQ="),
        Some(Rule::Describable)
    );
    assert_eq!(
        rule("prod-8f3a1c5e7b90d2466e09ab13c758d2f41b7e60c9d35fa284"),
        None
    );
}

#[test]
fn long_texts_are_bounded() {
    assert_eq!(rule(&"x7".repeat(100_000)), Some(Rule::Describable));
    assert_eq!(rule(&"a".repeat(5_000)), Some(Rule::Describable));
}
