//! Choosing the next token.

use llmc_compiler::random::{Stream, stream_of};

/// How the next token is chosen: temperature, then top-k, then top-p, then a draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most likely token.
    pub temperature: f64,
    /// Keeps the `k` most likely tokens, and those as likely as the last of them (Fan et al. 2018).
    pub top_k: Option<u64>,
    /// Keeps the smallest set of most likely tokens with at least this mass (Holtzman et al. 2020).
    pub top_p: Option<f64>,
    /// Key of the draws.
    pub seed: u64,
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Sampling {
        Sampling { temperature: 0.0, top_k: None, top_p: None, seed: 0 }
    }

    /// The probability of every token, given logits `[vocab]`. Greedy sampling gives the first most likely token all of it.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        if self.temperature == 0.0 {
            let mut probabilities = vec![0.0; logits.len()];
            if let Some(slot) = probabilities.get_mut(most_likely(logits)) {
                *slot = 1.0;
            }
            return probabilities;
        }
        let mut scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) / self.temperature).collect();
        if let Some(k) = self.top_k {
            let last = (k.max(1) - 1) as usize;
            if last < scores.len() {
                let mut parted = scores.clone();
                let threshold = *parted.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1;
                for score in scores.iter_mut().filter(|score| **score < threshold) {
                    *score = f64::NEG_INFINITY;
                }
            }
        }
        let mut probabilities = softmax(&scores);
        if let Some(p) = self.top_p {
            keep_mass(&mut probabilities, p);
        }
        probabilities
    }

    /// The token at `position` of the text, given logits `[vocab]`. The draw depends on seed and position alone.
    pub fn choose(&self, logits: &[f32], position: u64) -> u32 {
        if self.temperature == 0.0 {
            return most_likely(logits) as u32;
        }
        let probabilities = self.probabilities(logits);
        let words = Stream::new(self.seed, stream_of("sample")).block(position);
        // 53 random bits: a uniform double in [0, 1).
        let bits = (u64::from(words[0]) << 32 | u64::from(words[1])) >> 11;
        let total: f64 = probabilities.iter().sum();
        let mut left = bits as f64 / (1u64 << 53) as f64 * total;
        let mut chosen = 0;
        for (token, &probability) in probabilities.iter().enumerate() {
            if probability > 0.0 {
                chosen = token;
                left -= probability;
                if left < 0.0 {
                    break;
                }
            }
        }
        chosen as u32
    }
}

/// The first of the largest.
fn most_likely(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut values: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= total);
    values
}

/// Zeroes all but the most likely tokens that together reach `mass`, and rescales the rest.
fn keep_mass(probabilities: &mut [f64], mass: f64) {
    // Those that top-k left out need no place in the order.
    let mut order: Vec<usize> = (0..probabilities.len()).filter(|&token| probabilities[token] > 0.0).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let mut reached = 0.0;
    let mut kept = 0;
    while kept < order.len() && (kept == 0 || reached < mass) {
        reached += probabilities[order[kept]];
        kept += 1;
    }
    for &token in &order[kept..] {
        probabilities[token] = 0.0;
    }
    probabilities.iter_mut().for_each(|probability| *probability /= reached);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64, top_k: Option<u64>, top_p: Option<f64>) -> Sampling {
        Sampling { temperature, top_k, top_p, seed: 7 }
    }

    #[test]
    fn top_k_and_top_p_keep_what_they_say() {
        let logits = [1.0, 3.0, 2.0, 0.0];
        let kept =
            |sampling: Sampling| -> Vec<bool> { sampling.probabilities(&logits).iter().map(|&p| p > 0.0).collect() };
        assert_eq!(kept(sampling(1.0, Some(2), None)), [false, true, true, false]);
        assert_eq!(kept(sampling(1.0, None, Some(0.6))), [false, true, false, false]);
        assert_eq!(kept(sampling(1.0, None, Some(0.7))), [false, true, true, false]);
        assert_eq!(kept(sampling(1.0, None, Some(0.0))), [false, true, false, false]);
        assert_eq!(kept(sampling(0.0, None, None)), [false, true, false, false]);
        assert_eq!(sampling(1.0, Some(1), None).probabilities(&[2.0, 2.0]), [0.5, 0.5]);
    }

    #[test]
    fn draws_follow_the_probabilities_and_repeat() {
        let logits = [0.0, 1.0, 2.0];
        let sampling = sampling(1.0, None, None);
        let mut counts = [0u32; 3];
        for position in 0..20_000 {
            let token = sampling.choose(&logits, position);
            assert_eq!(token, sampling.choose(&logits, position));
            counts[token as usize] += 1;
        }
        for (count, probability) in counts.iter().zip(sampling.probabilities(&logits)) {
            let share = f64::from(*count) / 20_000.0;
            assert!((share - probability).abs() < 0.01, "{share} {probability}");
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert_eq!(Sampling::greedy().choose(&[1.0, 5.0, 5.0], 0), 1);
    }

    /// Reference probabilities computed in float64 elsewhere; they lie beside the repository, not in it.
    #[test]
    fn probabilities_match_the_reference_values() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/refs/numbers/sampling.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: no {path}");
            return;
        };
        let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            let list = value.as_array().unwrap();
            list.iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let logits: Vec<f32> = numbers(&reference["logits"]).iter().map(|&x| x as f32).collect();
        let mut compared = 0;
        for case in reference["cases"].as_array().unwrap() {
            let settings = case["settings"].as_object().unwrap();
            if settings.keys().any(|key| !["T", "k", "p"].contains(&key.as_str())) {
                continue;
            }
            let temperature = settings.get("T").map_or(1.0, |t| t.as_f64().unwrap());
            let top_k = settings.get("k").map(|k| k.as_u64().unwrap());
            let top_p = settings.get("p").map(|p| p.as_f64().unwrap());
            let ours = sampling(temperature, top_k, top_p).probabilities(&logits);
            for (a, b) in ours.iter().zip(numbers(&case["probs"])) {
                assert!((a - b).abs() < 1e-6, "{settings:?}: {a} and {b}");
            }
            compared += 1;
        }
        assert!(compared >= 4);
    }
}
