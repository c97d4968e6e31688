//! Ranked words as a trie, and a letter model learnt from them.
//!
//! Both are codes: the Zipf weights of the words sum to 1, and so do the
//! letter probabilities (with the end of the word) in each context.

use std::sync::OnceLock;

/// Letters of either script: 26 Latin, 32 Cyrillic.
const MAX_LETTERS: usize = 32;
/// Flattens the head of the Zipf distribution.
const ZIPF_OFFSET: f32 = 4.0;

/// One node: its children are `first_child..` in the order of the bits of `mask`.
#[derive(Clone, Copy, Default)]
struct Node {
    mask: u32,
    first_child: u32,
    /// Rank of the word that ends here plus one; 0 for none.
    rank: u32,
}

/// Groups of languages of the Latin list, named by a letter after each word.
const GROUPS: usize = 15;
/// Weight of the chosen group's words; the rest is for all words.
const GROUP_SHARE: f32 = 0.65;
/// Bits that name the group.
pub(super) const GROUP_BITS: f32 = 3.907;

/// Words of one script.
pub(super) struct Lexicon {
    nodes: Vec<Node>,
    words: Vec<Vec<u8>>,
    /// For each word the groups that know it.
    groups: Vec<u16>,
    letters: usize,
    /// For each group, bits of a letter after another one: enough to guess the language.
    pairs: Vec<Vec<f32>>,
    languages: [OnceLock<Language>; GROUPS],
}

/// What a language makes likely.
pub(super) struct Language {
    rank_bits: Vec<f32>,
    letters: usize,
    /// Bits of a letter, or of the end (`letters`), after up to three letters.
    letter_bits: Vec<f32>,
}

/// The words in Latin letters, lower case without accents.
pub(super) fn latin() -> &'static Lexicon {
    static LATIN: OnceLock<Lexicon> = OnceLock::new();
    LATIN.get_or_init(|| Lexicon::build(include_str!("data/words.txt"), 26, GROUPS, latin_letter))
}

/// The words in Cyrillic letters, lower case.
pub(super) fn cyrillic() -> &'static Lexicon {
    static CYRILLIC: OnceLock<Lexicon> = OnceLock::new();
    CYRILLIC
        .get_or_init(|| Lexicon::build(include_str!("data/cyrillic.txt"), 32, 1, cyrillic_letter))
}

/// Index of a lower-case Latin letter, 0 to 25.
pub(super) fn latin_letter(c: u32) -> Option<u8> {
    (0x61..=0x7a).contains(&c).then(|| (c - 0x61) as u8)
}

/// Index of a lower-case Cyrillic letter, 0 to 31; `ё` counts as `е`.
pub(super) fn cyrillic_letter(c: u32) -> Option<u8> {
    match c {
        0x451 => Some(5),
        0x430..=0x44f => Some((c - 0x430) as u8),
        _ => None,
    }
}

impl Lexicon {
    fn build(list: &str, letters: usize, groups: usize, index: fn(u32) -> Option<u8>) -> Self {
        let words: Vec<Vec<u8>> = list
            .lines()
            .map(|line| line.chars().filter_map(|c| index(c as u32)).collect())
            .collect();
        let tags = |line: &str| {
            line.bytes()
                .filter(u8::is_ascii_uppercase)
                .fold(0, |mask, c| mask | 1u16 << (c - b'A'))
        };
        let known: Vec<u16> = list.lines().map(|line| tags(line).max(1)).collect();
        let pairs = (0..groups)
            .map(|group| model(&of_group(&words, &known, group), letters, 1))
            .collect();
        Self {
            nodes: trie(&words),
            words,
            groups: known,
            letters,
            pairs,
            languages: Default::default(),
        }
    }

    /// The language whose letter pairs suit `text` best. Any answer is a valid one: its bits are paid.
    pub(super) fn guess(&self, text: impl Iterator<Item = Option<u8>> + Clone) -> &Language {
        let side = self.letters + 1;
        let place = |letter: Option<u8>| letter.map_or(self.letters, usize::from);
        let bits = |pairs: &[f32]| {
            let (mut before, mut sum) = (self.letters, 0.0);
            for letter in text.clone().map(place) {
                if before != self.letters || letter != self.letters {
                    sum += pairs[before * side + letter];
                }
                before = letter;
            }
            sum
        };
        let group = (0..self.pairs.len())
            .map(|group| (bits(&self.pairs[group]), group))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let group = group.map_or(0, |(_, group)| group);
        self.languages[group].get_or_init(|| self.language(group))
    }

    fn language(&self, group: usize) -> Language {
        let zipf = |rank: usize| 1.0 / (rank as f32 + ZIPF_OFFSET);
        let total: f32 = (0..self.words.len()).map(zipf).sum();
        let own: f32 = (0..self
            .groups
            .iter()
            .filter(|&&mask| mask >> group & 1 == 1)
            .count())
            .map(zipf)
            .sum();
        let mut own_rank = 0;
        let rank_bits = self.groups.iter().enumerate().map(|(rank, mask)| {
            let mut share = (1.0 - GROUP_SHARE) * zipf(rank) / total;
            if mask >> group & 1 == 1 {
                share += GROUP_SHARE * zipf(own_rank) / own;
                own_rank += 1;
            }
            1e-4 - share.log2()
        });
        Language {
            rank_bits: rank_bits.collect(),
            letters: self.letters,
            letter_bits: model(&of_group(&self.words, &self.groups, group), self.letters, 3),
        }
    }

    /// The node reached from `node` by `letter`; the root is 0.
    pub(super) fn child(&self, node: u32, letter: u8) -> Option<u32> {
        let node = &self.nodes[node as usize];
        let bit = 1u32 << letter;
        (node.mask & bit != 0).then(|| node.first_child + (node.mask & (bit - 1)).count_ones())
    }

    /// Rank of the word ending at `node`.
    pub(super) fn word(&self, node: u32) -> Option<usize> {
        (self.nodes[node as usize].rank as usize).checked_sub(1)
    }
}

impl Language {
    /// Bits that name the word of this rank.
    pub(super) fn word_bits(&self, rank: usize) -> f32 {
        self.rank_bits[rank]
    }

    /// Bits of `next` after the letters of `context`, oldest first; `None` stands before the word.
    pub(super) fn letter_bits(&self, context: [Option<u8>; 3], next: Option<u8>) -> f32 {
        let side = self.letters + 1;
        let place = |letter: Option<u8>| letter.map_or(self.letters, usize::from);
        let row = (place(context[0]) * side + place(context[1])) * side + place(context[2]);
        self.letter_bits[row * side + place(next)]
    }

    #[cfg(test)]
    pub(super) fn word_weight_sum(&self) -> f64 {
        self.rank_bits
            .iter()
            .map(|&bits| (-f64::from(bits)).exp2())
            .sum()
    }

    #[cfg(test)]
    pub(super) fn letter_weight_sums(&self) -> impl Iterator<Item = f64> + '_ {
        self.letter_bits
            .chunks(self.letters + 1)
            .map(|row| row.iter().map(|&bits| (-f64::from(bits)).exp2()).sum())
    }
}

fn of_group<'a>(words: &'a [Vec<u8>], groups: &[u16], group: usize) -> Vec<&'a [u8]> {
    words
        .iter()
        .zip(groups)
        .filter(|(_, mask)| *mask >> group & 1 == 1)
        .map(|(word, _)| word.as_slice())
        .collect()
}

fn trie(words: &[Vec<u8>]) -> Vec<Node> {
    let mut sorted: Vec<(&[u8], u32)> = words
        .iter()
        .enumerate()
        .map(|(rank, word)| (word.as_slice(), rank as u32 + 1))
        .collect();
    sorted.sort_unstable();
    let mut nodes = vec![Node::default()];
    // Breadth first, so that the children of one node lie side by side.
    let mut queue = std::collections::VecDeque::from([(0usize, 0..sorted.len(), 0usize)]);
    while let Some((node, range, depth)) = queue.pop_front() {
        let mut at = range.start;
        while at < range.end && sorted[at].0.len() == depth {
            nodes[node].rank = sorted[at].1;
            at += 1;
        }
        nodes[node].first_child = nodes.len() as u32;
        while at < range.end {
            let letter = sorted[at].0[depth];
            let end = at + sorted[at..range.end].partition_point(|(word, _)| word[depth] == letter);
            nodes[node].mask |= 1 << letter;
            nodes.push(Node::default());
            queue.push_back((nodes.len() - 1, at..end, depth + 1));
            at = end;
        }
    }
    nodes
}

/// Bits of each letter, and of the end, after `order` letters, backed off to fewer.
fn model(words: &[&[u8]], letters: usize, order: usize) -> Vec<f32> {
    debug_assert!(letters <= MAX_LETTERS && order <= 3);
    let side = letters + 1;
    let mut counts: Vec<Vec<f32>> = (0..=order)
        .map(|order| vec![0.0; side.pow(order as u32 + 1)])
        .collect();
    for (rank, word) in words.iter().enumerate() {
        let weight = 40.0 / (rank as f32 + 200.0);
        let mut context = [letters; 3];
        for letter in word.iter().map(|&l| usize::from(l)).chain([letters]) {
            let mut row = 0;
            for (below, table) in counts.iter_mut().enumerate() {
                table[row * side + letter] += weight;
                if below < 3 {
                    row += context[2 - below] * side.pow(below as u32);
                }
            }
            context = [context[1], context[2], letter];
        }
    }
    let to_bits = |shares: &[f32]| -> Vec<f32> { shares.iter().map(|p| 1e-4 - p.log2()).collect() };
    let mut below = vec![1.0 / side as f32; side];
    let mut bits = to_bits(&below);
    for (table, strength) in counts.iter().zip([0.5f32, 0.3, 0.15, 0.1]) {
        let lower_rows = below.len() / side;
        let (mut shares, mut shares_bits) = (
            Vec::with_capacity(table.len()),
            Vec::with_capacity(table.len()),
        );
        for (row, chunk) in table.chunks(side).enumerate() {
            let lower = (row % lower_rows) * side..(row % lower_rows + 1) * side;
            let total: f32 = chunk.iter().sum();
            if total == 0.0 {
                // Most contexts never occur: what fewer letters say stands, logarithms included.
                shares.extend_from_slice(&below[lower.clone()]);
                shares_bits.extend_from_slice(&bits[lower]);
                continue;
            }
            let from = shares.len();
            shares.extend(
                chunk
                    .iter()
                    .zip(&below[lower])
                    .map(|(&n, &p)| (n + strength * p) / (total + strength)),
            );
            shares_bits.extend(to_bits(&shares[from..]));
        }
        (below, bits) = (shares, shares_bits);
    }
    bits
}
