//! MinHash sketches of sets, cut into bands.

use super::words::mixed;

/// Of pairs whose similarity is just the threshold, the share that must become candidates.
const RECALL: f64 = 0.99;

/// Of pairs whose similarity is just the threshold, the share that [`Signer::may_be_alike`] may miss.
const MISSED: f64 = 0.001;

/// MinHash values of which a sketch keeps two bits.
const SKETCHED: usize = u128::BITS as usize / 2;

/// What stands in every band of a set of nothing.
pub const EMPTY: u32 = u32::MAX;

/// Computes the bands of a document.
///
/// The MinHash values are those of *fast similarity sketching* (Dahlgaard, Knudsen and Thorup 2017): in a round every
/// element falls into one bin, and each bin keeps its smallest hash of the first round that reaches it. Two sets have
/// equal values in a bin with the probability of their Jaccard similarity, as with one permutation for each value, but
/// the work is that of one or two permutations in all.
#[derive(Debug)]
pub struct Signer {
    rows: usize,
    bands: usize,
    /// Values of which sketches of near-duplicates have equal bits, at least.
    equal: u32,
}

impl Signer {
    /// As many rows a band as `hashes` values allow while a pair at `threshold` becomes a candidate with
    /// probability 0.99: more rows mean fewer candidates to compare.
    pub fn new(threshold: f64, hashes: usize) -> Signer {
        let bands_for = |rows: usize| -> usize {
            let missed = 1.0 - threshold.powi(rows as i32);
            if missed <= 0.0 { 1 } else { ((1.0 - RECALL).ln() / missed.ln()).ceil().max(1.0) as usize }
        };
        let rows = (1..=16).rev().find(|&rows| rows * bands_for(rows) <= hashes).unwrap_or(1);
        let bands = bands_for(rows).min(hashes / rows);
        Signer { rows, bands, equal: expected_equal(threshold, SKETCHED.min(rows * bands)) }
    }

    /// Values of a document.
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// MinHash values that one band stands for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The probability that a pair of this similarity becomes a candidate: `1 - (1 - s^rows)^bands`.
    pub fn recall(&self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powi(self.rows as i32)).powi(self.bands as i32)
    }

    /// Writes one hash for each of the [`Signer::bands`] of the MinHash values of a set of well-mixed hashes;
    /// All ones for the empty set. Order and repetitions change nothing. `bins` is memory that is used again.
    /// Gives two bits of each of the first values (Li and König 2010).
    pub fn sign(&self, set: &[u64], bins: &mut Vec<u64>, bands: &mut [u32]) -> u128 {
        if set.is_empty() {
            bands.fill(EMPTY);
            return 0;
        }
        fill(set, self.rows * self.bands, bins);
        for (hash, values) in bands.iter_mut().zip(bins.chunks_exact(self.rows)) {
            let folded = values.iter().fold(0, |sum, &value| mixed(sum ^ value));
            *hash = (folded as u32).min(EMPTY - 1);
        }
        bins.iter().take(SKETCHED).fold(0, |sketch, value| sketch << 2 | u128::from(value & 3))
    }

    /// Whether sets of these sketches can reach the threshold: of a thousand that just do one is told that it cannot.
    pub fn may_be_alike(&self, one: u128, other: u128) -> bool {
        const LOWER_BITS: u128 = u128::MAX / 3;
        let different = one ^ other;
        let different = (different | different >> 1) & LOWER_BITS;
        SKETCHED.min(self.rows * self.bands) as u32 - different.count_ones() >= self.equal
    }
}

/// The largest number that as many of `values` or more are equal in two bits with, but for [`MISSED`], where sets are
/// `similarity` alike: equal values, and by chance one of four others.
fn expected_equal(similarity: f64, values: usize) -> u32 {
    let equal = similarity + (1.0 - similarity) / 4.0;
    // The binomial distribution, from none on.
    let mut probability = (1.0 - equal).powi(values as i32);
    let mut below = 0.0;
    for count in 0..values {
        below += probability;
        if below > MISSED {
            return count as u32;
        }
        probability *= (values - count) as f64 / (count + 1) as f64 * equal / (1.0 - equal);
    }
    values as u32
}

/// The smallest `round << 32 | hash` that falls into each of `count` bins.
fn fill(set: &[u64], count: usize, bins: &mut Vec<u64>) {
    const UNFILLED: u64 = u64::MAX;
    bins.clear();
    bins.resize(count, UNFILLED);
    // The last `count` rounds send all to one bin after another, so that none stays empty.
    for round in 0..2 * count as u64 {
        let key = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for &element in set {
            let hash = if round == 0 { element } else { mixed(element ^ key) };
            let bin = match round.checked_sub(count as u64) {
                None => ((hash >> 32) * count as u64) >> 32,
                Some(bin) => bin,
            } as usize;
            bins[bin] = bins[bin].min(round << 32 | hash & 0xffff_ffff);
        }
        if bins.iter().all(|&value| value != UNFILLED) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of bins in which two sets agree is an unbiased estimate of their similarity, of no more variance than
    /// that of one permutation for each bin.
    #[test]
    fn equal_bins_measure_similarity() {
        const BINS: usize = 60;
        for (size, common) in [(3, 2), (10, 8), (60, 40), (60, 54), (500, 450)] {
            let trials = 400;
            let shares: Vec<f64> = (0..trials)
                .map(|trial| {
                    let element = |number: u64| mixed(number + trial * 1_000_003 + 1);
                    let one: Vec<u64> = (0..size).map(element).collect();
                    let other: Vec<u64> = (size - common..2 * size - common).map(element).collect();
                    let (mut a, mut b) = (Vec::new(), Vec::new());
                    fill(&one, BINS, &mut a);
                    fill(&other, BINS, &mut b);
                    a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / BINS as f64
                })
                .collect();
            let similarity = common as f64 / (2 * size - common) as f64;
            let mean = shares.iter().sum::<f64>() / trials as f64;
            let variance = shares.iter().map(|share| (share - similarity).powi(2)).sum::<f64>() / trials as f64;
            let independent = similarity * (1.0 - similarity) / BINS as f64;
            assert!((mean - similarity).abs() < 4.0 * (independent / trials as f64).sqrt(), "{mean} of {similarity}");
            assert!(variance < 1.2 * independent, "{variance} against {independent}");
        }
    }

    #[test]
    fn order_and_repetitions_change_nothing() {
        let signer = Signer::new(0.8, 64);
        let set: Vec<u64> = (1..50).map(mixed).collect();
        let again: Vec<u64> = set.iter().rev().chain(&set[..7]).copied().collect();
        let bands = |set: &[u64]| {
            let (mut bins, mut bands) = (vec![3; 500], vec![0; signer.bands()]);
            (signer.sign(set, &mut bins, &mut bands), bands)
        };
        assert_eq!(bands(&set), bands(&again));
        assert_eq!(bands(&[]), (0, vec![EMPTY; signer.bands()]));
        assert!(!bands(&set).1.contains(&EMPTY));
    }

    #[test]
    fn sketches_tell_apart_what_is_not_alike() {
        let signer = Signer::new(0.8, 64);
        let passed = |common: u64| {
            let trials = 2000;
            let alike = |trial: u64| {
                let sketch = |first: u64| {
                    let set: Vec<u64> = (first..first + 90).map(|number| mixed(number + trial * 1_000_003)).collect();
                    signer.sign(&set, &mut Vec::new(), &mut vec![0; signer.bands()])
                };
                signer.may_be_alike(sketch(1), sketch(91 - common))
            };
            (0..trials).filter(|&trial| alike(trial)).count() as f64 / trials as f64
        };
        // 80 of 100 is the threshold, 60 of 120 a half.
        assert!(passed(80) > 0.995, "{}", passed(80));
        assert!(passed(60) < 0.15, "{}", passed(60));
        for similarity in [0.1, 0.5, 1.0] {
            assert!(expected_equal(similarity, 64) <= 64);
        }
        assert_eq!(expected_equal(1.0, 64), 64);
    }
}
