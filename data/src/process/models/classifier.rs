//! A linear classifier of texts: logistic regression over hashed words and pairs of words, the features of fastText
//! (Joulin et al. 2016, arXiv:1607.01759) without its hidden layer, trained by AdaGrad (Duchi, Hazan and Singer 2011)
//! one piece after another in a fixed order.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::words::{appended, mixed, tokens};
use super::Sample;

/// Weights are shared by features whose hashes agree in this many bits.
const BITS: u32 = 20;

/// Passes over the pieces.
const EPOCHS: u64 = 4;

/// Step of AdaGrad.
const RATE: f32 = 0.5;

/// Shrinks weights in each step, relative to the step: rare features do not decide alone.
const DECAY: f32 = 1e-5;

/// The margin is the mean of the features' weights times this.
const SCALE: f32 = 10.0;

/// The probability that a text is good.
#[derive(Debug, PartialEq)]
pub struct Classifier {
    weights: Vec<f32>,
    bias: f32,
    /// How well it does.
    pub quality: Separation,
}

/// What a classifier was trained on and how well it tells pieces apart that it was not trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// Good and bad pieces trained on.
    pub trained: [u64; 2],
    /// Good and bad pieces held out.
    pub heldout: [u64; 2],
    /// The mean of both classes' shares of held-out pieces on their side of 0.5.
    pub accuracy: f64,
    /// Area under the curve: how often a good held-out piece scores higher than a bad one, ties half.
    pub auc: f64,
}

impl Classifier {
    /// Trains on pieces of either class. None if a class has nothing to train or measure on.
    pub fn train(good: &Sample, bad: &Sample) -> Option<Classifier> {
        if [&good.train, &good.heldout, &bad.train, &bad.heldout].iter().any(|pieces| pieces.is_empty()) {
            return None;
        }
        let labelled = good.train.iter().map(|text| (text, true)).chain(bad.train.iter().map(|text| (text, false)));
        let labelled: Vec<(&String, bool)> = labelled.collect();
        let mut pieces: Vec<(Vec<u32>, bool)> =
            labelled.par_iter().map(|(text, is_good)| (features(text), *is_good)).collect();
        pieces.retain(|(features, _)| !features.is_empty());
        let mut model = Classifier { weights: vec![0.0; 1 << BITS], bias: 0.0, quality: Separation::default() };
        model.descend(&pieces, [good.train.len(), bad.train.len()]);
        let score = |texts: &[String]| -> Vec<f64> { texts.par_iter().map(|text| model.probability(text)).collect() };
        let (of_good, of_bad) = (score(&good.heldout), score(&bad.heldout));
        let right = |scores: &[f64], is_good: bool| {
            scores.iter().filter(|&&score| (score >= 0.5) == is_good).count() as f64 / scores.len() as f64
        };
        let quality = Separation {
            trained: [good.train.len() as u64, bad.train.len() as u64],
            heldout: [of_good.len() as u64, of_bad.len() as u64],
            accuracy: (right(&of_good, true) + right(&of_bad, false)) / 2.0,
            auc: auc(&of_good, &of_bad),
        };
        Some(Classifier { quality, ..model })
    }

    fn descend(&mut self, pieces: &[(Vec<u32>, bool)], counts: [usize; 2]) {
        // Both classes weigh the same in sum.
        let all = (counts[0] + counts[1]) as f32;
        let weight_of = |is_good: bool| all / (2.0 * counts[usize::from(!is_good)] as f32);
        let mut squares = vec![0.0f32; 1 << BITS];
        let mut bias_square = 0.0f32;
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        for epoch in 0..EPOCHS {
            order.sort_by_key(|&index| mixed(mixed(index as u64).wrapping_add(epoch)));
            for (features, is_good) in order.iter().map(|&index| &pieces[index]) {
                let wanted = if *is_good { 1.0 } else { 0.0 };
                let error = (logistic(self.margin(features)) - wanted) * weight_of(*is_good);
                let gradient = error * SCALE / features.len() as f32;
                for &feature in features {
                    let (weight, square) = (&mut self.weights[feature as usize], &mut squares[feature as usize]);
                    *square += gradient * gradient;
                    *weight -= RATE * (gradient / (square.sqrt() + 1e-6) + DECAY * *weight);
                }
                bias_square += error * error;
                self.bias -= RATE * error / (bias_square.sqrt() + 1e-6);
            }
        }
    }

    fn margin(&self, features: &[u32]) -> f32 {
        let sum: f32 = features.iter().map(|&feature| self.weights[feature as usize]).sum();
        self.bias + SCALE * sum / features.len().max(1) as f32
    }

    /// The probability that a text is good; that of an empty one is what the bias says.
    pub fn probability(&self, text: &str) -> f64 {
        f64::from(logistic(self.margin(&features(text))))
    }

    /// As bytes, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let quality = serde_json::to_vec(&self.quality).expect("numbers are plain data");
        let mut bytes = (quality.len() as u64).to_le_bytes().to_vec();
        bytes.extend(quality);
        bytes.extend(self.bias.to_le_bytes());
        bytes.extend(self.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        bytes
    }

    /// What [`Classifier::to_bytes`] gave; none for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Classifier> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (quality, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let (bias, rest) = rest.split_first_chunk::<4>()?;
        let (weights, odd) = rest.as_chunks::<4>();
        (weights.len() == 1 << BITS && odd.is_empty()).then_some(())?;
        Some(Classifier {
            weights: weights.iter().map(|weight| f32::from_le_bytes(*weight)).collect(),
            bias: f32::from_le_bytes(*bias),
            quality: serde_json::from_slice(quality).ok()?,
        })
    }
}

/// Hashed words, signs and pairs of them, in order, repetitions included.
fn features(text: &str) -> Vec<u32> {
    let tokens = tokens(text);
    let bucket = |hash: u64| (hash >> (64 - BITS)) as u32;
    let mut features: Vec<u32> = tokens.iter().map(|&token| bucket(mixed(token))).collect();
    features.extend(tokens.windows(2).map(|pair| bucket(appended(pair[0], pair[1]))));
    features
}

fn logistic(margin: f32) -> f32 {
    1.0 / (1.0 + (-margin).exp())
}

/// How often a value of the first exceeds one of the second, ties half (the Mann-Whitney statistic).
fn auc(above: &[f64], below: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = above.iter().map(|&score| (score, true)).collect();
    all.extend(below.iter().map(|&score| (score, false)));
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut wins = 0.0;
    let mut passed = 0;
    for tied in all.chunk_by(|one, other| one.0 == other.0) {
        let higher = tied.iter().filter(|(_, first)| *first).count();
        let lower = tied.len() - higher;
        wins += higher as f64 * (passed as f64 + lower as f64 / 2.0);
        passed += lower;
    }
    wins / (above.len() as f64 * below.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(words: &[&str], seed: u64) -> Sample {
        let piece = |number: u64| {
            let word = |at: u64| words[(mixed(number * 1000 + at + seed) % words.len() as u64) as usize];
            (0..30).map(word).collect::<Vec<_>>().join(" ")
        };
        Sample { train: (0..200).map(piece).collect(), heldout: (200..260).map(piece).collect() }
    }

    #[test]
    fn what_differs_is_learned_and_what_does_not_is_not() {
        let common = ["the", "a", "of", "it", "was"];
        let with = |extra: &[&'static str]| [&common[..], extra].concat();
        let good = sample(&with(&["river", "stone"]), 1);
        let bad = sample(&with(&["casino", "bonus"]), 2);
        let model = Classifier::train(&good, &bad).unwrap();
        assert!(model.quality.auc > 0.999 && model.quality.accuracy > 0.99, "{:?}", model.quality);
        assert!(model.probability("the river of stone") > 0.9);
        assert!(model.probability("a casino bonus") < 0.1);
        let same = Classifier::train(&sample(&common, 1), &sample(&common, 2)).unwrap();
        assert!((0.3..0.7).contains(&same.quality.auc), "{:?}", same.quality);
        assert!(Classifier::train(&good, &Sample::default()).is_none());
    }

    #[test]
    fn a_small_class_weighs_as_much_as_a_large_one() {
        let mut good = sample(&["river", "stone", "the"], 1);
        good.train.truncate(10);
        let bad = sample(&["casino", "bonus", "the"], 2);
        let model = Classifier::train(&good, &bad).unwrap();
        assert!(model.quality.accuracy > 0.95, "{:?}", model.quality);
        assert!((0.2..0.8).contains(&model.probability("nothing known here")));
    }

    #[test]
    fn training_is_the_same_again_and_models_come_back() {
        let (good, bad) = (sample(&["river", "stone"], 1), sample(&["casino", "stone"], 2));
        let model = Classifier::train(&good, &bad).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| Classifier::train(&good, &bad)).unwrap(), model);
        let bytes = model.to_bytes();
        assert_eq!(Classifier::from_bytes(&bytes).unwrap(), model);
        assert_eq!(Classifier::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Classifier::from_bytes(&[]), None);
    }

    #[test]
    fn areas_count_pairs() {
        assert_eq!(auc(&[0.9, 0.8], &[0.1]), 1.0);
        assert_eq!(auc(&[0.1], &[0.9, 0.8]), 0.0);
        assert_eq!(auc(&[0.5, 0.9], &[0.5, 0.1]), 0.875);
    }
}
