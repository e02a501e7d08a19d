//! How a measured value is spread over documents, in bounded memory and whatever their order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts of values in equal steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Distribution {
    low: f64,
    width: f64,
    logarithmic: bool,
    counts: Vec<u64>,
}

/// Steps of a distribution.
const STEPS: usize = 1000;

/// Shares of the documents that lie below the values that reports name.
const QUANTILES: [(f64, &str); 5] = [(0.05, "p05"), (0.25, "p25"), (0.5, "p50"), (0.75, "p75"), (0.95, "p95")];

impl Distribution {
    /// Of values between `low` and `high`; what lies outside counts as the nearest of them.
    pub fn between(low: f64, high: f64) -> Distribution {
        Distribution { low, width: (high - low).max(f64::MIN_POSITIVE), logarithmic: false, counts: vec![0; STEPS] }
    }

    /// Of values from 1 to 2^24, in steps of a factor.
    pub fn logarithmic() -> Distribution {
        Distribution { logarithmic: true, ..Distribution::between(0.0, 24.0) }
    }

    /// Counts a value.
    pub fn add(&mut self, value: f64) {
        let value = if self.logarithmic { value.max(1.0).log2() } else { value };
        let step = ((value - self.low) / self.width * STEPS as f64) as usize;
        self.counts[step.min(STEPS - 1)] += 1;
    }

    /// The value that this share of the documents does not exceed, to within a step; none of no values.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.counts.iter().sum();
        let wanted = ((share * all as f64).ceil() as u64).max(1);
        let mut below = 0;
        let step = self.counts.iter().position(|count| {
            below += count;
            below >= wanted
        })?;
        let value = self.low + (step as f64 + 0.5) / STEPS as f64 * self.width;
        Some(if self.logarithmic { value.exp2() } else { value })
    }

    /// `NAME.p05`, `NAME.p25`, ... for the report.
    pub fn measure(&self, name: &str, measures: &mut BTreeMap<String, f64>) {
        for (share, label) in QUANTILES {
            measures.extend(self.quantile(share).map(|value| (format!("{name}.{label}"), value)));
        }
    }

    /// In words, for the table.
    pub fn line(&self, name: &str) -> String {
        let parts: Vec<String> = QUANTILES
            .iter()
            .filter_map(|(share, _)| Some(format!("{:.0}% up to {}", share * 100.0, short(self.quantile(*share)?))))
            .collect();
        if parts.is_empty() { format!("{name}: no documents") } else { format!("{name}: {}", parts.join(", ")) }
    }
}

/// With as many digits as matter.
fn short(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut distribution = Distribution::between(0.0, 1.0);
        assert_eq!(distribution.quantile(0.5), None);
        assert_eq!(distribution.line("score"), "score: no documents");
        (0..100).for_each(|value| distribution.add(f64::from(value) / 100.0));
        assert!((distribution.quantile(0.5).unwrap() - 0.49).abs() < 0.002);
        assert!((distribution.quantile(1.0).unwrap() - 0.99).abs() < 0.002);
        let mut perplexity = Distribution::logarithmic();
        [10.0, 1000.0, 1e12, f64::INFINITY].into_iter().for_each(|value| perplexity.add(value));
        assert!((perplexity.quantile(0.5).unwrap() / 1000.0 - 1.0).abs() < 0.02);
    }
}
