//! Paths over neighbouring keys of a keyboard.

use std::sync::LazyLock;

use super::grammar::{Edges, Text, bits, share};

/// Shortest path worth a token.
const MIN_WALK: usize = 4;
/// Keys of the largest layout.
const KEYS: f32 = 48.0;
/// Longest path in one token: keeps a long row of one key from being quadratic.
const MAX_WALK: usize = 64;
/// A step repeats the last, the second, third or fourth last; is any other; or the path ends.
pub(super) const STEP: [f32; 6] = [0.46, 0.14, 0.09, 0.09, 0.12, 0.10];
/// Another step: one to the right, to the left, down, or any of the others.
pub(super) const OTHER_STEP: [f32; 4] = [0.35, 0.2, 0.15, 0.3];
/// The layout: the first of the list, or any of the others.
pub(super) const LAYOUT: [f32; 2] = [0.6, 0.4];
/// The path begins without shift, or with it.
pub(super) const FIRST_SHIFT: [f32; 2] = [0.8, 0.2];
/// Shift stays, or changes.
pub(super) const SHIFT: [f32; 2] = [0.94, 0.06];

/// Moves by rows and columns: the key itself, its neighbours, the next but one, the next column from its far end.
pub(super) const MOVES: [(i8, i8); 15] = [
    (0, 0),
    (0, 1),
    (0, -1),
    (1, 0),
    (1, -1),
    (-1, 0),
    (-1, 1),
    (0, 2),
    (0, -2),
    (-3, 1),
    (-3, -1),
    (3, 1),
    (3, -1),
    (1, -2),
    (-1, -2),
];

/// Rows of each layout, plain and shifted; a leading space shifts the columns.
const LAYOUTS: [[&str; 8]; 6] = [
    [
        "1234567890-=",
        "!@#$%^&*()_+",
        "qwertyuiop[]\\",
        "QWERTYUIOP{}|",
        "asdfghjkl;'",
        "ASDFGHJKL:\"",
        "zxcvbnm,./",
        "ZXCVBNM<>?",
    ],
    [
        "1234567890",
        "!\"§$%&/()=",
        "qwertzuiopü+",
        "QWERTZUIOPÜ*",
        "asdfghjklöä#",
        "ASDFGHJKLÖÄ'",
        "yxcvbnm,.-",
        "YXCVBNM;:_",
    ],
    [
        "1234567890",
        "&é\"'(-è_çà",
        "azertyuiop",
        "AZERTYUIOP",
        "qsdfghjklm",
        "QSDFGHJKLM",
        "wxcvbn,;:!",
        "WXCVBN?./§",
    ],
    [
        "1234567890",
        "!@#$%^&*()",
        "',.pyfgcrl",
        "\"<>PYFGCRL",
        "aoeuidhtns",
        "AOEUIDHTNS",
        ";qjkxbmwvz",
        ":QJKXBMWVZ",
    ],
    ["789", "", "456", "", "123", "", "0", ""],
    [
        "1234567890",
        "!\"№;%:?*()",
        "йцукенгшщзхъ",
        "ЙЦУКЕНГШЩЗХЪ",
        "фывапролджэ",
        "ФЫВАПРОЛДЖЭ",
        "ячсмитьбю.",
        "ЯЧСМИТЬБЮ,",
    ],
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
    let [unshifted, shifted] = FIRST_SHIFT.map(bits);
    let [last, second, third, fourth, other, end] = STEP.map(bits);
    let [stays, changes] = SHIFT.map(bits);
    let any = |step: (i8, i8)| {
        let rest = MOVES.len() as f32 - 3.0;
        other
            + match step {
                (0, 1) => bits(OTHER_STEP[0]),
                (0, -1) => bits(OTHER_STEP[1]),
                (1, 0) => bits(OTHER_STEP[2]),
                _ => bits(OTHER_STEP[3] / rest),
            }
    };
    for (layout, keys) in KEYBOARDS.iter().enumerate() {
        let rest = KEYBOARDS.len() as f32 - 1.0;
        let layout = if layout == 0 {
            LAYOUT[0]
        } else {
            LAYOUT[1] / rest
        };
        let begin = bits(share::WALK) + bits(layout) + KEYS.log2();
        let path: Vec<Option<Key>> = text
            .symbols
            .iter()
            .map(|&c| slot(c).and_then(|slot| keys[slot]))
            .collect();
        for start in 0..path.len() {
            let Some(mut at) = path[start] else { continue };
            let mut cost = begin + if at.2 { shifted } else { unshifted };
            let mut history = [(9i8, 9i8); 4];
            for (offset, key) in path[start + 1..].iter().enumerate().take(MAX_WALK) {
                let Some(key) = *key else { break };
                let step = (key.0 - at.0, key.1 - at.1);
                if !MOVES.contains(&step) {
                    break;
                }
                cost += if step == history[0] {
                    last
                } else if step == history[1] {
                    second
                } else if step == history[2] {
                    third
                } else if step == history[3] {
                    fourth
                } else {
                    any(step)
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
