//! The reference meaning of every operator: obvious loops over row-major values, sums and statistics in f64.
//!
//! Nothing here is fast; it is the oracle that every pass and every kernel is held against.

mod attention;
mod elementwise;
mod lookup;
mod matmul;
mod movement;
mod normalize;
mod optimizer;
mod reduce;
mod rotate;
mod routing;

pub use elementwise::{binary, unary};

use super::{Data, Tensor};
use crate::op::{Op, Type};

/// The value of `op`, whose type is `ty`.
///
/// # Errors
/// A sentence if a value is outside what the operator takes.
pub(super) fn evaluate(op: &Op, ty: &Type, inputs: &[&Tensor]) -> Result<Tensor, String> {
    let data = match op {
        Op::Input { name, .. } | Op::State { name, .. } => {
            return Err(format!("`{name}` is not given"));
        }
        Op::Constant(value) => Data::F32(vec![*value]),
        Op::Pattern { pattern, shape } if pattern.is_float() => {
            Data::F32((0..shape[0] as usize).map(|index| pattern.float(index)).collect())
        }
        Op::Pattern { pattern, shape } => {
            let (queries, keys) = (shape[0] as usize, shape[1] as usize);
            Data::I32((0..queries * keys).map(|index| pattern.whole(index / keys, index % keys)).collect())
        }
        Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Greater | Op::Random { .. } => {
            Data::F32(elementwise::evaluate(op, &ty.shape, inputs)?)
        }
        Op::Cast(dtype) => Data::Half(*dtype, floats(inputs[0]).iter().map(|&value| dtype.round(value)).collect()),
        Op::Reduce { kind, axes } => Data::F32(reduce::reduce(*kind, axes, inputs[0])),
        Op::Reshape(_) | Op::Permute(_) | Op::Expand(_) | Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => {
            movement::evaluate(op, &ty.shape, inputs)
        }
        Op::MatMul { transpose_left, transpose_right } => {
            Data::F32(matmul::matmul(inputs[0], inputs[1], *transpose_left, *transpose_right, &ty.shape))
        }
        Op::Gather | Op::ScatterAdd { .. } | Op::CrossEntropy(_) | Op::CrossEntropyGrad(_) => {
            Data::F32(lookup::evaluate(op, inputs)?)
        }
        Op::TopK { count } => Data::I32(routing::top_k(inputs[0], *count as usize)),
        Op::Pick | Op::Place { .. } | Op::RoutedMatMul { .. } | Op::RoutedOuter { .. } => {
            Data::F32(routing::evaluate(op, inputs)?)
        }
        Op::Softmax | Op::LayerNorm { .. } | Op::LayerNormGrad { .. } | Op::RmsNorm { .. } | Op::RmsNormGrad { .. } => {
            Data::F32(normalize::evaluate(op, inputs))
        }
        Op::Rotate { rotary, inverse } => Data::F32(rotate::rotate(inputs[0], inputs[1], rotary, *inverse)),
        Op::Attention(_) | Op::AttentionStats(_) | Op::AttentionGrad { .. } | Op::CachedAttention(_) => {
            Data::F32(attention::evaluate(op, inputs)?)
        }
        Op::CacheWrite => Data::F32(attention::cache_write(inputs)?),
        Op::SumSquares | Op::AddScalars | Op::LearningRate { .. } | Op::AdamW { .. } => {
            Data::F32(optimizer::evaluate(op, inputs))
        }
    };
    let value = Tensor { shape: ty.shape.clone(), data };
    debug_assert!(value.fits(ty), "{op:?} gives {} where {ty} was inferred", value.ty());
    Ok(value)
}

/// The elements of an operand of floats.
fn floats(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::F32(values) | Data::Half(_, values) => values,
        Data::I32(_) => unreachable!("the types were checked when the node was added"),
    }
}

/// The elements of an i32 operand.
fn integers(tensor: &Tensor) -> &[i32] {
    match &tensor.data {
        Data::I32(values) => values,
        Data::F32(_) | Data::Half(..) => unreachable!("the types were checked when the node was added"),
    }
}

/// The one element of a scalar operand.
fn scalar(tensor: &Tensor) -> f64 {
    match &tensor.data {
        Data::F32(values) | Data::Half(_, values) => f64::from(values[0]),
        Data::I32(values) => f64::from(values[0]),
    }
}

/// A value that counts something.
fn count(value: f64, what: &str) -> Result<u64, String> {
    if value >= 0.0 && value.fract() == 0.0 {
        return Ok(value as u64);
    }
    Err(format!("{what} is {value}, not a count"))
}

/// Sizes as indices.
fn sizes(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|&size| size as usize).collect()
}

/// Size of the last axis.
fn last(tensor: &Tensor) -> usize {
    *tensor.shape.last().expect("the type check asks for a dimension") as usize
}

/// Sum of products, in f64.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
