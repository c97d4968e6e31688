//! The strength check against the project's own list of structured keys.

use std::collections::BTreeMap;

use nodeloom_crypto::strength::check;

/// Class, key, whether it is held out from tuning.
fn bad_keys() -> Vec<(&'static str, &'static str, bool)> {
    let mut seen = BTreeMap::new();
    include_str!("strength/bad_keys.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (class, key) = line.split_once('\t').expect("class, tab, key");
            let count = seen.entry(class).or_insert(0);
            *count += 1;
            (class, key, *count % 3 == 0)
        })
        .collect()
}

fn caught(held_out: bool) -> f64 {
    let mut classes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (class, key, _) in bad_keys().into_iter().filter(|bad| bad.2 == held_out) {
        let (all, refused) = classes.entry(class).or_default();
        *all += 1;
        match check(key.as_bytes()) {
            Err(_) => *refused += 1,
            Ok(strength) => println!("missed {class}: {key} {strength:?}"),
        }
    }
    for (class, (all, refused)) in &classes {
        println!("{class}: {refused} of {all}");
    }
    let all: usize = classes.values().map(|counts| counts.0).sum();
    let refused: usize = classes.values().map(|counts| counts.1).sum();
    println!("{refused} of {all} refused (held out: {held_out})");
    refused as f64 / all as f64
}

#[test]
fn list_has_the_size_that_the_rates_need() {
    assert!(bad_keys().len() >= 250);
}

#[test]
fn structured_keys_are_refused() {
    assert!(caught(false) >= 0.95);
}

#[test]
fn structured_keys_held_out_from_tuning_are_refused() {
    assert!(caught(true) >= 0.95);
}
