//! Paths over neighbouring keys of a keyboard.

use std::sync::LazyLock;

use super::grammar::{Edges, Text, bits, share};

/// Shortest path worth a token.
const MIN_WALK: usize = 4;
/// Keys of the largest layout.
const KEYS: f32 = 48.0;
/// A step repeats the last, the one before it, the fourth last; is any other; or the path ends.
pub(super) const STEP: [f32; 5] = [0.48, 0.16, 0.12, 0.14, 0.10];
/// Shift stays, or changes.
pub(super) const SHIFT: [f32; 2] = [0.94, 0.06];

/// Moves by rows and columns: the key itself, its neighbours, the next but one, the next column from its far end.
pub(super) const MOVES: [(i8, i8); 13] = [
    (0, 0), (0, 1), (0, -1), (1, 0), (1, -1), (-1, 0), (-1, 1), (0, 2), (0, -2), (-3, 1), (-3, -1), (3, 1), (3, -1),
];

/// Rows of each layout, plain and shifted; a leading space shifts the columns.
const LAYOUTS: [[&str; 8]; 6] = [
    ["1234567890-=", "!@#$%^&*()_+", "qwertyuiop[]\\", "QWERTYUIOP{}|", "asdfghjkl;'", "ASDFGHJKL:\"", "zxcvbnm,./", "ZXCVBNM<>?"],
    ["1234567890", "!\"§$%&/()=", "qwertzuiopü+", "QWERTZUIOPÜ*", "asdfghjklöä#", "ASDFGHJKLÖÄ'", "yxcvbnm,.-", "YXCVBNM;:_"],
    ["1234567890", "&é\"'(-è_çà", "azertyuiop", "AZERTYUIOP", "qsdfghjklm", "QSDFGHJKLM", "wxcvbn,;:!", "WXCVBN?./§"],
    ["1234567890", "!@#$%^&*()", "',.pyfgcrl", "\"<>PYFGCRL", "aoeuidhtns", "AOEUIDHTNS", ";qjkxbmwvz", ":QJKXBMWVZ"],
    ["789", "", "456", "", "123", "", "0", ""],
    ["1234567890", "!\"№;%:?*()", "йцукенгшщзхъ", "ЙЦУКЕНГШЩЗХЪ", "фывапролджэ", "ФЫВАПРОЛДЖЭ", "ячсмитьбю.", "ЯЧСМИТЬБЮ,"],
];

type Key = (i8, i8, bool);

static KEYBOARDS: LazyLock<Vec<[Option<Key>; 256]>> = LazyLock::new(|| {
    LAYOUTS
        .iter()
        .map(|rows| {
            let mut keys = [None; 256];
            for (line, row) in rows.iter().enumerate() {
                for (column, c) in row.chars().enumerate() {
                    if let Some(slot) = slot(c as u32) {
                        keys[slot] = Some((line as i8 / 2, column as i8, line % 2 == 1));
                    }
                }
            }
            keys
        })
        .collect()
});

/// ASCII, then Cyrillic.
fn slot(c: u32) -> Option<usize> {
    match c {
        0..128 => Some(c as usize),
        0x400..0x480 => Some(c as usize - 0x400 + 128),
        _ => None,
    }
}

/// Adds every path over each layout.
pub(super) fn find(text: &Text<'_>, edges: &mut Edges) {
    let begin = bits(share::WALK) + (LAYOUTS.len() as f32).log2() + KEYS.log2() + 1.0;
    let [last, second, fourth, other, end] = STEP.map(bits);
    let [stays, changes] = SHIFT.map(bits);
    let any = other + (MOVES.len() as f32).log2();
    for keys in KEYBOARDS.iter() {
        let path: Vec<Option<Key>> = text.symbols.iter().map(|&c| slot(c).and_then(|slot| keys[slot])).collect();
        for start in 0..path.len() {
            let Some(mut at) = path[start] else { continue };
            let mut cost = begin;
            let mut history = [(9i8, 9i8); 4];
            for (offset, key) in path[start + 1..].iter().enumerate() {
                let Some(key) = *key else { break };
                let step = (key.0 - at.0, key.1 - at.1);
                if !MOVES.contains(&step) {
                    break;
                }
                cost += if step == history[0] {
                    last
                } else if step == history[1] {
                    second
                } else if step == history[3] {
                    fourth
                } else {
                    any
                };
                cost += if key.2 == at.2 { stays } else { changes };
                history = [step, history[0], history[1], history[2]];
                at = key;
                let length = offset + 2;
                if length >= MIN_WALK {
                    edges.push(start, start + length, cost + end);
                }
            }
        }
    }
}
