//! Rotary position embedding: frequencies, and the rules that stretch a trained model to longer texts.

use std::f64::consts::PI;

use serde::Serialize;

/// Rotary position embedding (Su et al. 2021): pair `i` of a head of `K` elements is turned by `position * frequencies(K)[i]`
/// and multiplied by [`Rotary::amplitude`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rotary {
    /// Base of the frequencies, `theta^(-2i/K)`.
    pub theta: f64,
    /// The rule for longer texts.
    #[serde(skip_serializing_if = "RotaryScaling::is_none")]
    pub scaling: RotaryScaling,
    /// Which elements are turned together.
    #[serde(skip_serializing_if = "RotaryLayout::is_halves")]
    pub layout: RotaryLayout,
}

/// Which two elements of a head are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryLayout {
    /// `i` and `i + K/2` (GPT-NeoX, Llama in Hugging Face layout).
    Halves,
    /// `2i` and `2i + 1` (the paper, GPT-J, Llama as published by Meta).
    Interleaved,
}

impl RotaryLayout {
    fn is_halves(&self) -> bool {
        *self == RotaryLayout::Halves
    }
}

/// How frequencies change, so that a model reads texts longer than those it was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryScaling {
    /// They do not.
    None,
    /// Position interpolation: all divided by `factor` (Chen et al. 2023, arXiv:2306.15595).
    Interpolation {
        /// How many times longer texts become.
        factor: f64,
    },
    /// NTK-aware: `theta * factor^(K/(K-2))`, so that the lowest frequency is divided by `factor` and the highest stays
    /// (Peng et al. 2023, arXiv:2309.00071, section 3.1).
    Ntk {
        /// How many times longer texts become.
        factor: f64,
    },
    /// Dynamic NTK: as NTK-aware with `factor * L / original - (factor - 1)` for rows of `L > original` tokens, unchanged for
    /// shorter ones (Peng et al. 2023, section 3.3).
    DynamicNtk {
        /// How many times longer texts become.
        factor: f64,
        /// Tokens of a row in the first training.
        original: u64,
    },
    /// YaRN: high frequencies stay, low ones are divided by `factor`, a ramp between them (Peng et al. 2023, section 3.2).
    Yarn {
        /// How many times longer texts become.
        factor: f64,
        /// Tokens of a row in the first training.
        original: u64,
        /// Frequencies that turn more often than this over `original` positions stay.
        beta_fast: f64,
        /// Those that turn less often than this are divided.
        beta_slow: f64,
        /// Factor on the turned vectors, the square root of the inverse temperature of attention; none for the paper's
        /// `0.1 ln(factor) + 1`.
        attention_factor: Option<f64>,
        /// The ramp begins and ends at whole pairs.
        truncate: bool,
    },
    /// Llama 3's rule (Dubey et al. 2024): wavelengths above `original / low` are divided by `factor`, those below
    /// `original / high` stay, a straight line between them.
    Llama3 {
        /// How many times longer texts become.
        factor: f64,
        /// Turns over `original` positions below which a frequency is divided by the whole factor.
        low: f64,
        /// Turns above which it stays.
        high: f64,
        /// Tokens of a row in the first training.
        original: u64,
    },
}

impl RotaryScaling {
    /// YaRN with the numbers that its authors took for Llama (Peng et al. 2023, section 3.2).
    pub fn yarn(factor: f64, original: u64) -> RotaryScaling {
        RotaryScaling::Yarn {
            factor,
            original,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            truncate: true,
        }
    }

    /// Llama 3's rule with the bounds that its models have.
    pub fn llama3(factor: f64, original: u64) -> RotaryScaling {
        RotaryScaling::Llama3 { factor, low: 1.0, high: 4.0, original }
    }

    /// True if nothing is scaled.
    pub fn is_none(&self) -> bool {
        *self == RotaryScaling::None
    }
}

impl Rotary {
    /// Half-split pairs without a scaling rule.
    pub fn plain(theta: f64) -> Rotary {
        Rotary { theta, scaling: RotaryScaling::None, layout: RotaryLayout::Halves }
    }

    /// The same for rows of `length` tokens: what depends on the length is decided.
    pub fn for_length(self, length: u64) -> Rotary {
        let scaling = match self.scaling {
            RotaryScaling::DynamicNtk { factor, original } if length > original => {
                RotaryScaling::Ntk { factor: factor * (length as f64 / original as f64) - (factor - 1.0) }
            }
            RotaryScaling::DynamicNtk { .. } => RotaryScaling::None,
            other => other,
        };
        Rotary { scaling, ..self }
    }

    /// Radians per position of the `width / 2` pairs of a head of `width` elements (an even number). A rule that depends on
    /// the length must be decided first, see [`Rotary::for_length`].
    pub fn frequencies(&self, width: u64) -> Vec<f64> {
        let powers = |theta: f64| (0..width / 2).map(move |pair| theta.powf(-2.0 * pair as f64 / width as f64));
        let plain = powers(self.theta);
        match self.scaling {
            RotaryScaling::None | RotaryScaling::DynamicNtk { .. } => plain.collect(),
            RotaryScaling::Interpolation { factor } => plain.map(|frequency| frequency / factor).collect(),
            RotaryScaling::Ntk { factor } => powers(stretched_base(self.theta, factor, width)).collect(),
            RotaryScaling::Yarn { factor, original, beta_fast, beta_slow, truncate, .. } => {
                let [first, last] = self.ramp(width, original, [beta_fast, beta_slow], truncate);
                let kept = |pair: usize| 1.0 - ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                plain.enumerate().map(|(pair, f)| f / factor * (1.0 - kept(pair)) + f * kept(pair)).collect()
            }
            RotaryScaling::Llama3 { factor, low, high, original } => plain
                .map(|frequency| {
                    let turns = original as f64 * frequency / (2.0 * PI);
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * frequency / factor + kept * frequency
                })
                .collect(),
        }
    }

    /// The pairs between which YaRN goes over from unchanged to divided frequencies.
    fn ramp(&self, width: u64, original: u64, turns: [f64; 2], truncate: bool) -> [f64; 2] {
        // The pair that makes this many turns over the original length.
        let pair = |turns: f64| width as f64 * (original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
        let [mut first, mut last] = turns.map(pair);
        if truncate {
            (first, last) = (first.floor(), last.ceil());
        }
        (first, last) = (first.max(0.0), last.min(width as f64 - 1.0));
        // A ramp without extent is a step.
        if first == last { [first, last + 0.001] } else { [first, last] }
    }

    /// Factor on every turned vector: 1, except under YaRN.
    pub fn amplitude(&self) -> f64 {
        match self.scaling {
            RotaryScaling::Yarn { attention_factor: Some(amplitude), .. } => amplitude,
            RotaryScaling::Yarn { factor, .. } => 0.1 * factor.ln() + 1.0,
            _ => 1.0,
        }
    }
}

/// The base that divides the lowest frequency of a head of `width` elements by `factor` and keeps the highest.
pub fn stretched_base(theta: f64, factor: f64, width: u64) -> f64 {
    theta * factor.powf(width as f64 / (width as f64 - 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretched(scaling: RotaryScaling) -> Rotary {
        Rotary { scaling, ..Rotary::plain(10_000.0) }
    }

    #[test]
    fn ends_of_the_spectrum() {
        let (width, factor, original) = (64, 8.0, 4096);
        let plain = Rotary::plain(10_000.0).frequencies(width);
        for scaling in [
            RotaryScaling::Ntk { factor },
            RotaryScaling::yarn(factor, original),
            RotaryScaling::llama3(factor, original),
        ] {
            let found = stretched(scaling).frequencies(width);
            assert_eq!(found[0], 1.0, "{scaling:?}");
            assert!((found[31] * factor / plain[31] - 1.0).abs() < 1e-12, "{scaling:?}");
            assert!(found.is_sorted_by(|a, b| a > b), "{scaling:?}");
        }
        assert_eq!(stretched(RotaryScaling::yarn(factor, original)).amplitude(), 0.1 * 8.0f64.ln() + 1.0);
    }

    #[test]
    fn the_dynamic_rule_is_decided_by_the_length() {
        let dynamic = stretched(RotaryScaling::DynamicNtk { factor: 2.0, original: 2048 });
        assert_eq!(dynamic.for_length(2048), Rotary::plain(10_000.0));
        // 2 * 4096 / 2048 - 1
        assert_eq!(dynamic.for_length(4096), stretched(RotaryScaling::Ntk { factor: 3.0 }));
    }

    #[test]
    fn the_smallest_head_is_turned_by_whole_radians() {
        for scaling in [RotaryScaling::Ntk { factor: 4.0 }, RotaryScaling::None] {
            assert_eq!(stretched(scaling).frequencies(2), [1.0]);
        }
    }
}
