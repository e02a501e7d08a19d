//! Reductions that keep the reduced axes with size 1.

use super::movement::{offsets, strides};
use crate::graph::Tensor;
use crate::graph::reference::elementwise::binary;
use crate::op::{Reduction, Shape};
use crate::plan::BinaryFunction;

pub(super) fn reduce(kind: Reduction, axes: &[usize], input: &Tensor) -> Vec<f32> {
    let mut shape: Shape = input.shape.clone();
    for &axis in axes {
        shape[axis] = 1;
    }
    let mut kept = strides(&shape);
    for &axis in axes {
        kept[axis] = 0;
    }
    let (start, function) = match kind {
        Reduction::Sum => (0.0, BinaryFunction::Add),
        Reduction::Max => (f64::NEG_INFINITY, BinaryFunction::Maximum),
    };
    let mut results = vec![start; shape.iter().product::<u64>() as usize];
    for (offset, value) in offsets(&input.shape, &kept).zip(input.to_f32()) {
        results[offset] = binary(function, results[offset], value.into());
    }
    results.into_iter().map(|value| value as f32).collect()
}
