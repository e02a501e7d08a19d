//! Token ids drawn uniformly and independently: made as they are read, kept nowhere.

use std::ops::Range;

use llmc_compiler::plan::SourcePlan;
use llmc_compiler::random::{Stream, stream_of};

/// One document of random ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomTokens {
    stream: Stream,
    vocab: u64,
    count: u64,
}

impl RandomTokens {
    /// The source's ids; none for another kind of source.
    pub fn of(source: &SourcePlan) -> Option<RandomTokens> {
        let SourcePlan::RandomTokens { vocab, count, seed } = *source else { return None };
        Some(RandomTokens { stream: Stream::new(seed, stream_of("random_tokens")), vocab, count })
    }

    /// Number of ids.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Ids are `0..vocab`.
    pub fn vocab(&self) -> u64 {
        self.vocab
    }

    /// Where the held-out tail begins when `share` of the ids are held out.
    pub fn heldout_from(&self, share: f64) -> u64 {
        ((self.count as f64 * (1.0 - share)).ceil() as u64).min(self.count)
    }

    /// Appends the ids of `range` to `ids`: each a function of the seed and its index alone.
    pub fn read(&self, range: Range<u64>, ids: &mut Vec<i32>) {
        let mut index = range.start;
        while index < range.end {
            let words = self.stream.block(index / 4);
            let end = range.end.min(index / 4 * 4 + 4);
            // A 32-bit word scaled to the vocabulary (Lemire 2019): the bias is under vocab / 2^32.
            let id = |index: u64| ((u64::from(words[(index % 4) as usize]) * self.vocab) >> 32) as i32;
            ids.extend((index..end).map(id));
            index = end;
        }
    }

    /// Nats per token of the best model: nothing can be known of the next id.
    pub fn entropy(&self) -> f64 {
        (self.vocab as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(vocab: u64, seed: u64, range: Range<u64>) -> Vec<i32> {
        let source = SourcePlan::RandomTokens { vocab, count: 1 << 40, seed };
        let mut ids = Vec::new();
        RandomTokens::of(&source).unwrap().read(range, &mut ids);
        ids
    }

    #[test]
    fn an_id_depends_on_seed_and_index_alone() {
        let whole = ids(1000, 1, 0..100);
        for (start, end) in [(0, 0), (0, 1), (1, 2), (3, 9), (4, 8), (5, 100)] {
            assert_eq!(ids(1000, 1, start..end), whole[start as usize..end as usize]);
        }
        assert_ne!(ids(1000, 2, 0..100), whole);
        assert_eq!(ids(1, 1, 0..5), [0; 5]);
        assert_eq!(ids(9, 1, (1 << 39)..(1 << 39) + 7).len(), 7);
    }

    #[test]
    fn ids_are_uniform() {
        // Chi-squared with 9 degrees of freedom.
        let mut counts = [0f64; 10];
        for id in ids(10, 5, 0..100_000) {
            counts[id as usize] += 1.0;
        }
        let chi_squared: f64 = counts.iter().map(|count| (count - 1e4).powi(2) / 1e4).sum();
        assert!(chi_squared < 33.7, "{chi_squared} (p = 0.0001)");
    }
}
