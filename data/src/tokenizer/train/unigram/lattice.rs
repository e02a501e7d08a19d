//! All ways to put a word together from pieces.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::super::pairs::PairHasher;

/// No piece.
const NONE: u32 = u32::MAX;

/// Finds the pieces that start at a place.
pub struct Trie {
    children: HashMap<u64, u32, BuildHasherDefault<PairHasher>>,
    /// The piece that ends at each node.
    ends: Vec<u32>,
}

impl Trie {
    /// Over these pieces, which are numbered in order. None is empty, and all differ.
    pub fn new(pieces: &[Vec<u32>]) -> Trie {
        let mut trie = Trie { children: HashMap::default(), ends: vec![NONE] };
        for (piece, id) in pieces.iter().zip(0..) {
            let mut node = 0;
            for &symbol in piece {
                let next = trie.ends.len() as u32;
                let child = *trie.children.entry(u64::from(node) << 32 | u64::from(symbol)).or_insert(next);
                if child == next {
                    trie.ends.push(NONE);
                }
                node = child;
            }
            trie.ends[node as usize] = id;
        }
        trie
    }

    /// Hands the length and number of each piece that `symbols` start with to `found`.
    fn starts(&self, symbols: &[u32], mut found: impl FnMut(usize, usize)) {
        let mut node = 0u32;
        for (place, &symbol) in symbols.iter().enumerate() {
            match self.children.get(&(u64::from(node) << 32 | u64::from(symbol))) {
                Some(&child) => node = child,
                None => return,
            }
            let piece = self.ends[node as usize];
            if piece != NONE {
                found(place + 1, piece as usize);
            }
        }
    }
}

/// Memory that is used from word to word.
#[derive(Default)]
pub struct Lattice {
    /// Start, end and number of each piece in the word, by start.
    edges: Vec<(usize, usize, usize)>,
    /// Of everything before a place and after it, as logarithms.
    before: Vec<f64>,
    after: Vec<f64>,
    /// The last edge of the best way to a place.
    best: Vec<usize>,
}

impl Lattice {
    fn build(&mut self, trie: &Trie, word: &[u32], without: Option<usize>) {
        self.edges.clear();
        for start in 0..word.len() {
            trie.starts(&word[start..], |length, piece| {
                if without != Some(piece) {
                    self.edges.push((start, start + length, piece));
                }
            });
        }
    }

    /// Adds to `expected` how often each piece is expected in `count` times this word, given the logarithms of the
    /// pieces' probabilities (forward-backward, as in Kudo 2018).
    pub fn expect(&mut self, trie: &Trie, scores: &[f64], word: &[u32], count: f64, expected: &mut [f64]) {
        self.build(trie, word, None);
        let Lattice { edges, before, after, .. } = self;
        before.clear();
        before.resize(word.len() + 1, f64::NEG_INFINITY);
        before[0] = 0.0;
        for &(start, end, piece) in edges.iter() {
            before[end] = log_sum(before[end], before[start] + scores[piece]);
        }
        after.clear();
        after.resize(word.len() + 1, f64::NEG_INFINITY);
        after[word.len()] = 0.0;
        for &(start, end, piece) in edges.iter().rev() {
            after[start] = log_sum(after[start], after[end] + scores[piece]);
        }
        let all = before[word.len()];
        for &(start, end, piece) in edges.iter() {
            expected[piece] += count * (before[start] + scores[piece] + after[end] - all).exp();
        }
    }

    /// Hands the pieces of the most probable way to `found`, the last first. One piece may be left out.
    pub fn best(
        &mut self,
        trie: &Trie,
        scores: &[f64],
        word: &[u32],
        without: Option<usize>,
        mut found: impl FnMut(usize),
    ) {
        self.build(trie, word, without);
        let Lattice { edges, before, best, .. } = self;
        before.clear();
        before.resize(word.len() + 1, f64::NEG_INFINITY);
        before[0] = 0.0;
        best.clear();
        best.resize(word.len() + 1, usize::MAX);
        for (number, &(start, end, piece)) in edges.iter().enumerate() {
            let score = before[start] + scores[piece];
            if score > before[end] {
                (before[end], best[end]) = (score, number);
            }
        }
        let mut place = word.len();
        while let Some(&(start, _, piece)) = edges.get(best[place]) {
            found(piece);
            place = start;
        }
    }
}

/// The logarithm of the sum of two numbers of which the logarithms are given.
fn log_sum(one: f64, other: f64) -> f64 {
    let (small, large) = if one < other { (one, other) } else { (other, one) };
    if small == f64::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_counts_with_its_probability() {
        // Pieces a, b, ab with 0.5, 0.3, 0.2: "ab" is one piece by 0.2 of 0.35 and two by 0.15.
        let trie = Trie::new(&[vec![0], vec![1], vec![0, 1]]);
        let scores = [0.5f64, 0.3, 0.2].map(f64::ln);
        let mut lattice = Lattice::default();
        let mut expected = [0.0; 3];
        lattice.expect(&trie, &scores, &[0, 1], 7.0, &mut expected);
        for (found, right) in expected.iter().zip([3.0, 3.0, 4.0]) {
            assert!((found - right).abs() < 1e-12, "{expected:?}");
        }
        let mut best = |without| {
            let mut pieces = Vec::new();
            lattice.best(&trie, &scores, &[0, 1, 0], without, |piece| pieces.push(piece));
            pieces
        };
        assert_eq!(best(None), [0, 2]);
        assert_eq!(best(Some(2)), [0, 1, 0]);
    }
}
