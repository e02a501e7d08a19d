//! An n-gram language model with interpolated Kneser-Ney smoothing (Kneser and Ney 1995; Chen and Goodman 1999,
//! section 2.7) over hashed words and signs.
//!
//! Counts are kept as they come: a shorter n-gram counts once for each longer one that it ends and that is new, which
//! is its continuation count. The table is bounded; an n-gram that is first seen when it is full is not counted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use super::super::words::{appended, tokens};
use super::Sample;

/// N-grams kept at most: what fills a hash table of 2^22 places.
const MOST_ENTRIES: usize = 3_600_000;

/// The hash of no words.
const EMPTY: u64 = 0x5851_f42d_4c95_7f2d;

/// Stands before a text.
const BEGIN: u64 = 0x1405_7b7e_f767_814f;

/// Held-out perplexities kept at most, evenly from the smallest to the largest.
const PERCENTILES: usize = 1000;

/// What is known of a sequence of words: how often it came, and what came after it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// Occurrences, or different words before it for all but the longest.
    count: u32,
    /// The sum of the counts of what came after it.
    total: u32,
    /// Different words that came after it.
    types: u32,
}

/// Keys are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The model.
#[derive(Debug, PartialEq)]
pub struct NgramModel {
    order: usize,
    entries: HashMap<u64, Counts, BuildHasherDefault<Unhashed>>,
    /// What is taken from every count for words not seen, by the length of the n-gram less one.
    discounts: Vec<f64>,
    /// Perplexities of held-out pieces, ascending.
    heldout: Vec<f64>,
    /// Words trained on.
    words: u64,
}

impl NgramModel {
    /// Trains n-grams of up to `order` words. None if there is nothing to train or measure on.
    pub fn train(order: usize, sample: &Sample) -> Option<NgramModel> {
        let mut model = NgramModel {
            order,
            entries: HashMap::default(),
            discounts: vec![0.75; order],
            heldout: Vec::new(),
            words: 0,
        };
        // N-grams that were seen once and twice, by length.
        let mut once_twice = vec![[0u64; 2]; order];
        for text in &sample.train {
            model.count(&tokens(text), &mut once_twice);
        }
        for (discount, [once, twice]) in model.discounts.iter_mut().zip(once_twice) {
            if once > 0 {
                *discount = once as f64 / (once + 2 * twice) as f64;
            }
        }
        let mut heldout: Vec<f64> = sample.heldout.par_iter().filter_map(|text| model.perplexity(text)).collect();
        heldout.sort_by(f64::total_cmp);
        let kept = heldout.len().min(PERCENTILES);
        model.heldout = (0..kept).map(|index| heldout[index * heldout.len() / kept]).collect();
        (model.words > 0 && !model.heldout.is_empty()).then_some(model)
    }

    fn count(&mut self, tokens: &[u64], once_twice: &mut [[u64; 2]]) {
        self.words += tokens.len() as u64;
        for (at, &word) in tokens.iter().enumerate() {
            for length in (1..=self.order).rev() {
                let context = context(tokens, at, length - 1);
                let Some(gram) = self.entry(appended(context, word)) else {
                    break;
                };
                gram.count = gram.count.saturating_add(1);
                let count = gram.count;
                match count {
                    1 => once_twice[length - 1][0] += 1,
                    2 => {
                        once_twice[length - 1][0] -= 1;
                        once_twice[length - 1][1] += 1;
                    }
                    3 => once_twice[length - 1][1] -= 1,
                    _ => {}
                }
                if let Some(before) = self.entry(context) {
                    before.total = before.total.saturating_add(1);
                    before.types = before.types.saturating_add(u32::from(count == 1));
                }
                if count > 1 {
                    break;
                }
            }
        }
    }

    fn entry(&mut self, key: u64) -> Option<&mut Counts> {
        if self.entries.len() >= MOST_ENTRIES {
            return self.entries.get_mut(&key);
        }
        Some(self.entries.entry(key).or_default())
    }

    /// The probability of the word at a place after those before it.
    fn probability(&self, tokens: &[u64], at: usize) -> f64 {
        let known = self.entries.get(&EMPTY).map_or(0, |counts| counts.types);
        // Words that were never seen share what one word would get.
        let mut probability = 1.0 / (f64::from(known) + 1.0);
        for length in 1..=self.order {
            let context = context(tokens, at, length - 1);
            let Some(before) = self.entries.get(&context).filter(|counts| counts.total > 0) else {
                continue;
            };
            let discount = self.discounts[length - 1];
            let count = self.entries.get(&appended(context, tokens[at])).map_or(0, |counts| counts.count);
            let seen = (f64::from(count) - discount).max(0.0);
            probability = (seen + discount * f64::from(before.types) * probability) / f64::from(before.total);
        }
        probability
    }

    /// exp of the mean of -ln p over the words and signs of a text; none of a text without any.
    pub fn perplexity(&self, text: &str) -> Option<f64> {
        let tokens = tokens(text);
        let sum: f64 = (0..tokens.len()).map(|at| -self.probability(&tokens, at).max(f64::MIN_POSITIVE).ln()).sum();
        (!tokens.is_empty()).then(|| (sum / tokens.len() as f64).exp())
    }

    /// The share of held-out pieces whose perplexity is no lower.
    pub fn fluency(&self, perplexity: f64) -> f64 {
        let lower = self.heldout.partition_point(|known| *known < perplexity);
        (self.heldout.len() - lower) as f64 / self.heldout.len() as f64
    }

    /// What the model was trained on, and the perplexities of held-out pieces.
    pub fn describe(&self) -> String {
        let at = |share: f64| self.heldout[((self.heldout.len() - 1) as f64 * share) as usize];
        format!(
            "model: {} words, {} n-grams{}; held-out pieces: 5% up to {:.0}, 50% up to {:.0}, 95% up to {:.0}",
            llmc_grammar::number::grouped(self.words),
            llmc_grammar::number::grouped(self.entries.len() as u64),
            if self.entries.len() >= MOST_ENTRIES { " (the table is full)" } else { "" },
            at(0.05),
            at(0.5),
            at(0.95)
        )
    }

    /// The perplexity that half of the held-out pieces do not exceed.
    pub fn median(&self) -> f64 {
        self.heldout[(self.heldout.len() - 1) / 2]
    }

    /// As bytes, little-endian: the same for the same model.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() * 20 + 16 * PERCENTILES);
        for number in [self.order as u64, self.words, self.heldout.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.discounts.iter().chain(&self.heldout).flat_map(|value| value.to_le_bytes()));
        let mut keys: Vec<u64> = self.entries.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let counts = &self.entries[&key];
            bytes.extend(key.to_le_bytes());
            [counts.count, counts.total, counts.types].iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        }
        bytes
    }

    /// What [`NgramModel::to_bytes`] gave; none for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<NgramModel> {
        let (head, rest) = bytes.split_at_checked(24)?;
        let (numbers, _) = head.as_chunks::<8>();
        let [order, words, heldout] = [0, 1, 2].map(|index| u64::from_le_bytes(numbers[index]));
        let (order, heldout) = (usize::try_from(order).ok()?, usize::try_from(heldout).ok()?);
        let (floats, rest) = rest.split_at_checked(order.checked_add(heldout)?.checked_mul(8)?)?;
        let floats: Vec<f64> = floats.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect();
        let (discounts, heldout) = floats.split_at(order);
        let (entries, odd) = rest.as_chunks::<20>();
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let entry = |bytes: &[u8; 20]| {
            let [count, total, types] = [8, 12, 16].map(|at| number(&bytes[at..at + 4]) as u32);
            (number(&bytes[..8]), Counts { count, total, types })
        };
        (odd.is_empty() && !heldout.is_empty()).then(|| NgramModel {
            order,
            entries: entries.iter().map(entry).collect(),
            discounts: discounts.to_vec(),
            heldout: heldout.to_vec(),
            words,
        })
    }
}

/// The hash of the `length` words before a place; a text begins with one mark.
fn context(tokens: &[u64], at: usize, length: usize) -> u64 {
    let start = if length > at { appended(EMPTY, BEGIN) } else { EMPTY };
    tokens[at.saturating_sub(length)..at].iter().fold(start, |hash, &word| appended(hash, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(order: usize, train: &[&str], heldout: &[&str]) -> NgramModel {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        NgramModel::train(order, &Sample { train: owned(train), heldout: owned(heldout) }).unwrap()
    }

    #[test]
    fn probabilities_of_all_words_sum_to_one() {
        let text = "a b a c a b b a d a b c";
        let model = model(3, &[text, "b a", "c"], &["a b"]);
        let [a, b, c, d, unknown] = ["a", "b", "c", "d", "z"].map(|word| tokens(word)[0]);
        for before in [vec![], vec![a], vec![a, b], vec![d], vec![unknown], vec![c, d, a]] {
            let probability = |word: u64| {
                let sequence: Vec<u64> = before.iter().copied().chain([word]).collect();
                model.probability(&sequence, before.len())
            };
            let sum: f64 = [a, b, c, d, unknown].into_iter().map(probability).sum();
            assert!((sum - 1.0).abs() < 1e-9, "after {} words: {sum}", before.len());
        }
    }

    #[test]
    fn shorter_ngrams_count_what_they_continue() {
        // "francisco" is frequent but follows one word only: after another word it is unlikely (Chen and Goodman).
        let model = model(2, &["san francisco san francisco san francisco the cat a cat my cat"], &["san"]);
        let [new, francisco, cat] = ["new", "francisco", "cat"].map(|word| tokens(word)[0]);
        assert!(model.probability(&[new, cat], 1) > 2.0 * model.probability(&[new, francisco], 1));
    }

    #[test]
    fn text_like_the_training_text_is_likely() {
        let prose = "the cat sat on the mat and the dog lay by the door of the old house";
        let model = model(3, &[prose, "the dog sat on the mat of the house"], &["the cat lay on the mat", "zz yy xx"]);
        let [like, unlike] = ["the dog lay on the mat", "mat the on lay dog the"].map(|text| model.perplexity(text));
        assert!(like.unwrap() * 3.0 < unlike.unwrap(), "{like:?} {unlike:?}");
        assert_eq!(model.perplexity(" \n"), None);
        assert_eq!((model.fluency(0.0), model.fluency(1e9)), (1.0, 0.0));
        assert_eq!(NgramModel::from_bytes(&model.to_bytes()).unwrap(), model);
        assert_eq!(NgramModel::from_bytes(&model.to_bytes()[1..]), None);
        assert!(NgramModel::train(2, &Sample::default()).is_none());
    }
}
