//! Rotary position embedding (Su et al. 2021).

use super::{floats, integers, sizes};
use crate::graph::Tensor;
use crate::plan::{Rotary, RotaryLayout};

pub(super) fn rotate(x: &Tensor, positions: &Tensor, rotary: &Rotary, inverse: bool) -> Vec<f32> {
    let [.., heads, width] = sizes(&x.shape)[..] else { unreachable!("the type check asks for four dimensions") };
    let (frequencies, amplitude) = (rotary.frequencies(width as u64), rotary.amplitude());
    let mut turned = floats(x).to_vec();
    for (token, &position) in turned.chunks_exact_mut(heads * width).zip(integers(positions)) {
        for head in token.chunks_exact_mut(width) {
            for (pair, frequency) in frequencies.iter().enumerate() {
                let [first, second] = match rotary.layout {
                    RotaryLayout::Halves => [pair, pair + width / 2],
                    RotaryLayout::Interleaved => [2 * pair, 2 * pair + 1],
                };
                let angle = f64::from(position) * frequency;
                let (sine, cosine) = if inverse { -angle } else { angle }.sin_cos();
                let (a, b) = (f64::from(head[first]), f64::from(head[second]));
                head[first] = (amplitude * (a * cosine - b * sine)) as f32;
                head[second] = (amplitude * (b * cosine + a * sine)) as f32;
            }
        }
    }
    turned
}
