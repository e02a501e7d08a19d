//! Evaluations of what a model makes of its context: loss by position, and a needle in a haystack.

pub mod needle;
pub mod position;
mod text;

pub use text::{HeldOut, Rows};

/// Colours of several models in one drawing, told apart by people who see few colours, too (Okabe and Ito 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000"];

/// The colour of model `index`.
fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// The mean of some numbers; none of none.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
