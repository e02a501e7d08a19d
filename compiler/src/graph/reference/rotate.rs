//! Rotary position embedding, half-split layout (Su et al. 2021).

use super::{floats, integers, sizes};
use crate::graph::Tensor;

pub(super) fn rotate(x: &Tensor, positions: &Tensor, theta: f64, inverse: bool) -> Vec<f32> {
    let [.., heads, width] = sizes(&x.shape)[..] else { unreachable!("the type check asks for four dimensions") };
    let half = width / 2;
    let mut turned = floats(x).to_vec();
    for (token, &position) in turned.chunks_exact_mut(heads * width).zip(integers(positions)) {
        for head in token.chunks_exact_mut(width) {
            for i in 0..half {
                let angle = f64::from(position) * theta.powf(-2.0 * i as f64 / width as f64);
                let (sine, cosine) = if inverse { -angle } else { angle }.sin_cos();
                let (a, b) = (f64::from(head[i]), f64::from(head[i + half]));
                head[i] = (a * cosine - b * sine) as f32;
                head[i + half] = (b * cosine + a * sine) as f32;
            }
        }
    }
    turned
}
