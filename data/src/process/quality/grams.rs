//! Repetition of word n-grams (Rae et al. 2021, table A1). Characters between words do not count.

use std::collections::{HashMap, HashSet};

use super::measure::{length, share};

/// The share of characters in the most frequent n-gram, its occurrences times its length; of equally frequent ones
/// the longest. An n-gram that occurs once does not count.
pub fn top_share(words: &[&str], n: usize) -> f64 {
    let mut counts: HashMap<&[&str], usize> = HashMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    let characters = |gram: &[&str]| gram.iter().map(|word| length(word)).sum::<usize>();
    let top = counts.into_iter().filter(|(_, count)| *count > 1).map(|(gram, count)| (count, characters(gram))).max();
    let (count, characters_of_top) = top.unwrap_or((0, 0));
    share(count * characters_of_top, characters(words)).min(1.0)
}

/// The share of characters in n-grams that occurred before, characters in several of them counted once.
pub fn duplicate_share(words: &[&str], n: usize) -> f64 {
    let mut seen: HashSet<&[&str]> = HashSet::with_capacity(words.len());
    let mut duplicated = 0;
    // The first word that no duplicate has covered yet.
    let mut covered = 0;
    for (start, gram) in words.windows(n).enumerate() {
        if !seen.insert(gram) {
            duplicated += words[covered.max(start)..start + n].iter().map(|word| length(word)).sum::<usize>();
            covered = start + n;
        }
    }
    let all = words.iter().map(|word| length(word)).sum::<usize>();
    share(duplicated, all)
}
