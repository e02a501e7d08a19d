//! Softmax and the normalisations over the last axis, with their gradients.

use super::lookup::exponential_sum;
use super::{floats, last};
use crate::graph::Tensor;
use crate::op::{NormInput, Op};

pub(super) fn evaluate(op: &Op, inputs: &[&Tensor]) -> Vec<f32> {
    match op {
        Op::Softmax => softmax(inputs[0]),
        Op::LayerNorm { eps } => {
            let statistics = |row: &[f32]| Statistics::layer(row, *eps);
            normalize(inputs[0], inputs[1], Some(inputs[2]), statistics)
        }
        Op::RmsNorm { eps } => {
            let statistics = |row: &[f32]| Statistics::root_mean_square(row, *eps);
            normalize(inputs[0], inputs[1], None, statistics)
        }
        Op::LayerNormGrad { eps, wrt } => {
            let statistics = |row: &[f32]| Statistics::layer(row, *eps);
            gradient(*wrt, inputs, true, statistics)
        }
        Op::RmsNormGrad { eps, wrt } => {
            let statistics = |row: &[f32]| Statistics::root_mean_square(row, *eps);
            gradient(*wrt, inputs, false, statistics)
        }
        _ => unreachable!("the caller passes normalisations only"),
    }
}

fn softmax(x: &Tensor) -> Vec<f32> {
    let mut probabilities = Vec::with_capacity(floats(x).len());
    for row in floats(x).chunks_exact(last(x)) {
        let (maximum, sum) = exponential_sum(row.iter().map(|&value| f64::from(value)));
        probabilities.extend(row.iter().map(|&value| ((f64::from(value) - maximum).exp() / sum) as f32));
    }
    probabilities
}

/// What a row is shifted and scaled by.
struct Statistics {
    mean: f64,
    inverse_deviation: f64,
}

impl Statistics {
    fn layer(row: &[f32], eps: f64) -> Statistics {
        let mean = average(row.iter().map(|&x| f64::from(x)));
        let variance = average(row.iter().map(|&x| (f64::from(x) - mean).powi(2)));
        Statistics { mean, inverse_deviation: 1.0 / (variance + eps).sqrt() }
    }

    fn root_mean_square(row: &[f32], eps: f64) -> Statistics {
        let mean_square = average(row.iter().map(|&x| f64::from(x).powi(2)));
        Statistics { mean: 0.0, inverse_deviation: 1.0 / (mean_square + eps).sqrt() }
    }

    fn apply(&self, x: f32) -> f64 {
        (f64::from(x) - self.mean) * self.inverse_deviation
    }
}

fn average(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn normalize(
    x: &Tensor,
    scale: &Tensor,
    shift: Option<&Tensor>,
    statistics: impl Fn(&[f32]) -> Statistics,
) -> Vec<f32> {
    let mut normal = Vec::with_capacity(floats(x).len());
    for row in floats(x).chunks_exact(last(x)) {
        let statistics = statistics(row);
        normal.extend(row.iter().enumerate().map(|(i, &x)| {
            let shift = shift.map_or(0.0, |shift| f64::from(floats(shift)[i]));
            (statistics.apply(x) * f64::from(floats(scale)[i]) + shift) as f32
        }));
    }
    normal
}

/// The gradient of a normalisation. With `n = (x - mean) / deviation` and `g = dy * scale`:
/// `dx = (g - mean(g) - n * mean(g * n)) / deviation`, where `mean(g)` is left out if nothing is centred,
/// `dscale = sum(dy * n)`, `dshift = sum(dy)` over all rows.
fn gradient(wrt: NormInput, inputs: &[&Tensor], centred: bool, statistics: impl Fn(&[f32]) -> Statistics) -> Vec<f32> {
    let (x, scale, dy) = (inputs[0], floats(inputs[1]), inputs[2]);
    let width = last(x);
    let mut dx = Vec::new();
    let mut sums = vec![0.0f64; width];
    for (row, dy) in floats(x).chunks_exact(width).zip(floats(dy).chunks_exact(width)) {
        let statistics = statistics(row);
        let normal: Vec<f64> = row.iter().map(|&x| statistics.apply(x)).collect();
        match wrt {
            NormInput::Value => {
                let g: Vec<f64> = dy.iter().zip(scale).map(|(&dy, &scale)| f64::from(dy) * f64::from(scale)).collect();
                let mean = if centred { average(g.iter().copied()) } else { 0.0 };
                let along = average(g.iter().zip(&normal).map(|(g, n)| g * n));
                dx.extend(
                    g.iter().zip(&normal).map(|(g, n)| ((g - mean - n * along) * statistics.inverse_deviation) as f32),
                );
            }
            NormInput::Scale => {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum += f64::from(dy[i]) * normal[i];
                }
            }
            NormInput::Shift => {
                for (sum, &dy) in sums.iter_mut().zip(dy) {
                    *sum += f64::from(dy);
                }
            }
        }
    }
    match wrt {
        NormInput::Value => dx,
        NormInput::Scale | NormInput::Shift => sums.into_iter().map(|sum| sum as f32).collect(),
    }
}
