//! Movement: each output element is an element of an operand, or zero.

use super::sizes;
use crate::graph::{Data, Tensor};
use crate::op::Op;

pub(super) fn evaluate(op: &Op, shape: &[u64], inputs: &[&Tensor]) -> Data {
    match &inputs[0].data {
        Data::F32(_) => Data::F32(moved(op, shape, inputs, floats)),
        Data::Half(dtype, _) => Data::Half(*dtype, moved(op, shape, inputs, floats)),
        Data::I32(_) => Data::I32(moved(op, shape, inputs, |data| match data {
            Data::I32(values) => values,
            Data::F32(_) | Data::Half(..) => unreachable!("the operands have one type"),
        })),
    }
}

fn floats(data: &Data) -> &[f32] {
    match data {
        Data::F32(values) | Data::Half(_, values) => values,
        Data::I32(_) => unreachable!("the operands have one type"),
    }
}

fn moved<T: Copy + Default>(op: &Op, shape: &[u64], inputs: &[&Tensor], values: fn(&Data) -> &[T]) -> Vec<T> {
    let input = values(&inputs[0].data);
    let from = &inputs[0].shape;
    match op {
        Op::Reshape(_) => input.to_vec(),
        Op::Permute(axes) => {
            let own = strides(from);
            let permuted: Vec<usize> = axes.iter().map(|&axis| own[axis]).collect();
            offsets(shape, &permuted).map(|offset| input[offset]).collect()
        }
        Op::Expand(_) => broadcast(input, from, shape),
        Op::Slice { axis, start, .. } => {
            let own = strides(from);
            let first = *start as usize * own[*axis];
            offsets(shape, &own).map(|offset| input[first + offset]).collect()
        }
        Op::Pad { axis, before, .. } => {
            let mut padded = vec![T::default(); sizes(shape).iter().product()];
            let own = strides(shape);
            let first = *before as usize * own[*axis];
            for (offset, &value) in offsets(from, &own).zip(input) {
                padded[first + offset] = value;
            }
            padded
        }
        Op::Concat { axis } => {
            let mut joined = vec![T::default(); sizes(shape).iter().product()];
            let own = strides(shape);
            let mut first = 0;
            for tensor in inputs {
                for (offset, &value) in offsets(&tensor.shape, &own).zip(values(&tensor.data)) {
                    joined[first + offset] = value;
                }
                first += tensor.shape[*axis] as usize * own[*axis];
            }
            joined
        }
        _ => unreachable!("the caller passes movement only"),
    }
}

/// The values repeated to a shape they broadcast to.
pub(super) fn broadcast<T: Copy>(values: &[T], from: &[u64], to: &[u64]) -> Vec<T> {
    let mut repeated = vec![0; to.len() - from.len()];
    repeated.extend(strides(from).iter().zip(from).map(|(&stride, &size)| if size == 1 { 0 } else { stride }));
    offsets(to, &repeated).map(|offset| values[offset]).collect()
}

/// Steps of row-major storage.
pub(super) fn strides(shape: &[u64]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as usize;
    }
    strides
}

/// For every element of `shape` in row-major order, the sum of its indices times `strides`.
pub(super) fn offsets(shape: &[u64], strides: &[usize]) -> impl Iterator<Item = usize> {
    let sizes = sizes(shape);
    let strides = strides.to_vec();
    let mut index = vec![0; sizes.len()];
    let mut offset = 0;
    let elements: usize = sizes.iter().product();
    (0..elements).map(move |_| {
        let here = offset;
        for axis in (0..sizes.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            offset -= index[axis] * strides[axis];
            index[axis] = 0;
        }
        here
    })
}
