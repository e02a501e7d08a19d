//! Pieces and their probabilities, by expectation and maximisation (Kudo 2018, section 3.2).
//!
//! It starts with more pieces than are wanted: all characters and the tokens of byte-pair encoding. In turns the
//! pieces get the probabilities with which they are expected in the text, and those that the text can best do without
//! are taken away. Sums are formed over parts of the text of a fixed size in a fixed order, whatever the threads do.

use rayon::prelude::*;

use super::super::pairs;
use super::lattice::{Lattice, Trie};

/// Pieces to start with, for each piece that is wanted.
const SEEDS: usize = 8;

/// Most symbols of a piece.
const LONGEST_PIECE: usize = 16;

/// Rounds between two prunings.
const ROUNDS: usize = 2;

/// The share of pieces that a pruning leaves.
const KEPT: f64 = 0.75;

/// Pieces that are expected less often are dropped; characters count as if they were.
const LEAST_EXPECTED: f64 = 0.5;

/// Parts that the text is cut into at most.
const MOST_PARTS: usize = 64;

/// Words and their counts, as symbols from 0 to less than `symbols`.
pub struct Text<'a> {
    pub words: &'a [(Vec<u32>, u64)],
    pub symbols: usize,
}

/// Pieces and the logarithms of their probabilities; the first are the symbols.
struct Pieces {
    pieces: Vec<Vec<u32>>,
    scores: Vec<f64>,
}

impl Text<'_> {
    /// At most `count` pieces with their scores, every symbol among them. `count` must not be less than the symbols.
    pub fn learn(&self, count: usize) -> Vec<(Vec<u32>, f64)> {
        let mut model = self.seeds(count);
        let enough = count + count / 10;
        loop {
            for _ in 0..ROUNDS {
                self.fit(&mut model);
            }
            if model.pieces.len() <= enough {
                break;
            }
            let kept = enough.max((model.pieces.len() as f64 * KEPT) as usize);
            self.prune(&mut model, kept);
        }
        let mut pieces: Vec<(Vec<u32>, f64)> = model.pieces.into_iter().zip(model.scores).collect();
        let mut others = pieces.split_off(self.symbols);
        others.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        others.truncate(count - self.symbols);
        pieces.append(&mut others);
        pieces
    }

    /// Symbols, and what byte-pair encoding makes of them, all alike.
    fn seeds(&self, count: usize) -> Pieces {
        let mut tokens: Vec<Vec<u32>> = (0..self.symbols as u32).map(|symbol| vec![symbol]).collect();
        for (left, right) in pairs::learn(self.words, self.symbols as u32, count * SEEDS, 2) {
            tokens.push([&tokens[left as usize][..], &tokens[right as usize]].concat());
        }
        tokens.retain(|token| token.len() <= LONGEST_PIECE);
        let score = -(tokens.len() as f64).ln();
        Pieces { scores: vec![score; tokens.len()], pieces: tokens }
    }

    /// Gives each piece the probability that follows from how often it is expected, with the prior of a Dirichlet
    /// process, which makes rare pieces rarer (Liang and Klein 2007).
    fn fit(&self, model: &mut Pieces) {
        let trie = Trie::new(&model.pieces);
        let scores = &model.scores;
        let expected = self.summed(scores.len(), |lattice, word, count, sums: &mut [f64]| {
            lattice.expect(&trie, scores, word, count, sums);
        });
        let symbols = self.symbols;
        let counts = expected.into_iter().enumerate().map(|(piece, count)| {
            let count = if piece < symbols { count.max(LEAST_EXPECTED) } else { count };
            (piece, count)
        });
        let counts: Vec<(usize, f64)> = counts.filter(|(_, count)| *count >= LEAST_EXPECTED).collect();
        let all = digamma(counts.iter().map(|(_, count)| count).sum());
        model.scores = counts.iter().map(|(_, count)| digamma(*count) - all).collect();
        model.pieces = counts.into_iter().map(|(piece, _)| std::mem::take(&mut model.pieces[piece])).collect();
    }

    /// Leaves `kept` pieces: the symbols, and those without which the text would become least probable.
    fn prune(&self, model: &mut Pieces, kept: usize) {
        let trie = Trie::new(&model.pieces);
        let Pieces { pieces, scores } = &*model;
        let used = self.summed(scores.len(), |lattice, word, count, sums: &mut [f64]| {
            lattice.best(&trie, scores, word, None, |piece| sums[piece] += count);
        });
        let all: f64 = used.iter().sum();
        let loss = |lattice: &mut Lattice, piece: usize| {
            if used[piece] == 0.0 {
                return 0.0;
            }
            let mut others = Vec::new();
            lattice.best(&trie, scores, &pieces[piece], Some(piece), |other| others.push(other));
            let all_then = (all + used[piece] * (others.len() as f64 - 1.0)).ln();
            let then: f64 = others.iter().map(|&other| (used[other] + used[piece]).ln() - all_then).sum();
            used[piece] / all * (used[piece].ln() - all.ln() - then)
        };
        let numbers: Vec<usize> = (self.symbols..pieces.len()).collect();
        let mut losses: Vec<(f64, usize)> =
            numbers.par_iter().map_init(Lattice::default, |lattice, &piece| (loss(lattice, piece), piece)).collect();
        losses.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        losses.truncate(kept - self.symbols);
        let mut left: Vec<usize> = (0..self.symbols).chain(losses.into_iter().map(|(_, piece)| piece)).collect();
        left.sort_unstable();
        model.scores = left.iter().map(|&piece| model.scores[piece]).collect();
        model.pieces = left.into_iter().map(|piece| std::mem::take(&mut model.pieces[piece])).collect();
    }

    /// Goes over all words on all cores and adds up what `add` adds.
    fn summed(&self, length: usize, add: impl Fn(&mut Lattice, &[u32], f64, &mut [f64]) + Sync) -> Vec<f64> {
        let part = self.words.len().div_ceil(MOST_PARTS).max(1);
        let parts = self.words.par_chunks(part).map(|words| {
            let mut sums = vec![0.0; length];
            let mut lattice = Lattice::default();
            words.iter().for_each(|(word, count)| add(&mut lattice, word, *count as f64, &mut sums));
            sums
        });
        let mut sums = vec![0.0; length];
        for part in parts.collect::<Vec<_>>() {
            sums.iter_mut().zip(part).for_each(|(sum, more)| *sum += more);
        }
        sums
    }
}

/// The derivative of the logarithm of the gamma function, by its recurrence and its asymptotic series
/// (Abramowitz and Stegun 6.3.5 and 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 7.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    sum + x.ln() - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digamma_at_known_places() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        for (x, value) in [(1.0, -EULER), (2.0, 1.0 - EULER), (0.5, -EULER - 4f64.ln()), (100.0, 4.600_161_852_738_087)]
        {
            assert!((digamma(x) - value).abs() < 1e-10, "{x}: {} is not {value}", digamma(x));
        }
    }
}
