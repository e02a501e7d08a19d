//! What attention is told: who sees whom, and how scores are made.

use std::fmt;

use serde::Serialize;

/// Which keys a query sees by the numbers that both carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderRule {
    /// Keys whose number is not larger.
    NotLater,
    /// Keys whose number is smaller: a query does not see itself.
    Earlier,
}

/// Settings of attention. The score of a query and a key is `cap(scale * q . k + bias + slope * -|t - s|)`, where everything
/// but the product may be missing. A query sees a key if every rule that is set allows it.
///
/// Further operands follow the ones every attention has, in this order: with `documents` `[B, T]` and `[B, S]`, with
/// `order` `[B, T]` and `[B, S]` (queries, keys; i32), with `bias` `[B or 1, H or 1, T or 1, S]`.
#[derive(Clone, Copy, PartialEq, Serialize)]
pub struct AttentionSettings {
    /// Factor on the products of queries and keys.
    pub scale: f64,
    /// A token sees itself and what is before it.
    pub causal: bool,
    /// A token sees what is less than so many positions away (Beltagy et al. 2020).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// `cap * tanh(score / cap)` (Gemma Team 2024).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_cap: Option<f64>,
    /// Scores fall with the distance, with a slope for each head: see [`alibi_slope`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alibi: bool,
    /// A token sees tokens of the same document number alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub documents: bool,
    /// A token sees tokens by their place in an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderRule>,
    /// Something is added to the scores.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bias: bool,
}

/// Where the further operands of attention stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionOperands {
    /// The queries' document numbers; the keys' stand behind them.
    pub documents: Option<usize>,
    /// The queries' places in the order; the keys' stand behind them.
    pub order: Option<usize>,
    /// What is added to the scores.
    pub bias: Option<usize>,
    /// All operands.
    pub count: usize,
}

impl AttentionSettings {
    /// Everybody sees everybody.
    pub fn full(scale: f64) -> Self {
        AttentionSettings {
            scale,
            causal: false,
            window: None,
            soft_cap: None,
            alibi: false,
            documents: false,
            order: None,
            bias: false,
        }
    }

    /// A token sees itself and what is before it.
    pub fn causal(scale: f64) -> Self {
        AttentionSettings { causal: true, ..Self::full(scale) }
    }

    /// Where the further operands stand behind the first `fixed`.
    pub fn operands(&self, fixed: usize) -> AttentionOperands {
        let mut count = fixed;
        let mut take = |present: bool, width: usize| {
            let first = present.then_some(count);
            count += if present { width } else { 0 };
            first
        };
        let documents = take(self.documents, 2);
        let order = take(self.order.is_some(), 2);
        let bias = take(self.bias, 1);
        AttentionOperands { documents, order, bias, count }
    }

    /// Whether query `t` and key `s` count as places in one row, so that there must be as many of both.
    pub fn is_positional(&self) -> bool {
        self.causal || self.window.is_some() || self.alibi
    }

    /// Keys that the query at place `t` sees by its place alone, of `keys`.
    pub fn seen(&self, t: usize, keys: usize) -> std::ops::Range<usize> {
        let reach = self.window.map_or(usize::MAX, |window| usize::try_from(window).unwrap_or(usize::MAX));
        let last = if self.causal { t + 1 } else { t.saturating_add(reach) };
        (t + 1).saturating_sub(reach).min(keys)..last.min(keys)
    }
}

/// `causal: true, scale: 0.125, window: 8`; what is not set is left out.
impl fmt::Display for AttentionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AttentionSettings { scale, causal, window, soft_cap, alibi, documents, order, bias } = self;
        write!(f, "causal: {causal}, scale: {scale:?}")?;
        if let Some(window) = window {
            write!(f, ", window: {window}")?;
        }
        if let Some(cap) = soft_cap {
            write!(f, ", soft_cap: {cap:?}")?;
        }
        if let Some(rule) = order {
            write!(f, ", order: {rule:?}")?;
        }
        for (name, is_set) in [("alibi", alibi), ("documents", documents), ("bias", bias)] {
            if *is_set {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AttentionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {self} }}")
    }
}

/// The slope of a head's scores over the distance (Press et al. 2022, section 3 and its released code): for a power of two
/// `n` of heads `2^(-8 (head + 1) / n)`; for others the slopes of the next smaller power, then every other of twice as many.
pub fn alibi_slope(head: usize, heads: usize) -> f64 {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |index: usize, count: usize| (-8.0 * (index + 1) as f64 / count as f64).exp2();
    if head < power { slope(head, power) } else { slope(2 * (head - power), 2 * power) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_seen() {
        let settings = AttentionSettings { window: Some(3), ..AttentionSettings::causal(1.0) };
        assert_eq!(settings.seen(5, 9), 3..6);
        assert_eq!(settings.seen(1, 9), 0..2);
        let settings = AttentionSettings { causal: false, ..settings };
        assert_eq!(settings.seen(5, 9), 3..8);
        assert_eq!(settings.seen(5, 6), 3..6);
        assert_eq!(AttentionSettings::full(1.0).seen(5, 9), 0..9);
        assert_eq!(AttentionSettings::full(1.0).seen(5, 2), 0..2);
        assert_eq!(AttentionSettings::causal(1.0).seen(5, 9), 0..6);
    }

    #[test]
    fn slopes_of_powers_of_two_and_of_others() {
        let slopes = |heads| (0..heads).map(|head| alibi_slope(head, heads)).collect::<Vec<_>>();
        assert_eq!(slopes(4), [0.25, 0.0625, 0.015625, 0.00390625]);
        assert_eq!(slopes(3), [0.0625, 0.00390625, 0.25]);
    }
}
