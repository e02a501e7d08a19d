//! What happens to a line of scores after the product.

use std::ops::Range;

use crate::device::cpu::math;
use crate::device::cpu::simd::vectorised;

/// Hides all scores of a line but these.
pub fn keep(scores: &mut [f32], seen: Range<usize>) {
    let count = scores.len();
    scores[..seen.start.min(count)].fill(f32::NEG_INFINITY);
    scores[seen.end.min(count)..].fill(f32::NEG_INFINITY);
}

vectorised! {
    /// Adds `slope * |distance|` to scores whose distances are `first, first + 1, ..`.
    pub fn fall(scores: &mut [f32], first: f32, slope: f32) {
        for (index, score) in scores.iter_mut().enumerate() {
            *score += slope * (first + index as i32 as f32).abs();
        }
    }
}

vectorised! {
    /// `cap * tanh(score / cap)`
    pub fn cap(scores: &mut [f32], cap: f32) {
        let share = 1.0 / cap;
        for score in scores {
            *score = cap * math::tanh(*score * share);
        }
    }
}

vectorised! {
    /// Hides the scores of a line where the numbers of the line's token and of the others do not allow it: `low <= other <= high`
    /// stays seen.
    pub fn hide(scores: &mut [f32], others: &[i32], low: i32, high: i32) {
        for (score, &other) in scores.iter_mut().zip(others) {
            let seen = (low <= other) & (other <= high);
            *score = if seen { *score } else { f32::NEG_INFINITY };
        }
    }
}
