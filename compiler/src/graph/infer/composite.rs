//! Types of the composites and of the optimizer's operators.

use super::Operands;
use crate::op::{AttentionInput, NormInput, Op, RandomFunction, Shape, Type};
use crate::plan::{AttentionSettings, DType};

/// Scalars that one [`Op::AddScalars`] adds at most.
const MOST_SCALARS: usize = 64;

pub(super) fn infer(operands: &Operands<'_>) -> Result<Type, String> {
    match operands.op {
        Op::MatMul { transpose_left, transpose_right } => matmul(operands, *transpose_left, *transpose_right),
        Op::Gather => gather(operands),
        Op::ScatterAdd { rows } => scatter(operands, *rows),
        Op::TopK { .. } | Op::Pick | Op::Place { .. } | Op::RoutedMatMul { .. } | Op::RoutedOuter { .. } => {
            super::routing::infer(operands)
        }
        Op::Softmax => {
            operands.expect_count(1)?;
            operands.last(0)?;
            Ok(operands.like(0))
        }
        Op::LayerNorm { .. } => norm(operands, 3, None),
        Op::RmsNorm { .. } => norm(operands, 2, None),
        Op::LayerNormGrad { wrt, .. } => norm_grad(operands, *wrt),
        Op::RmsNormGrad { wrt: NormInput::Shift, .. } => operands.refuse("there is no shift"),
        Op::RmsNormGrad { wrt, .. } => norm_grad(operands, *wrt),
        Op::Rotate { .. } => rotate(operands),
        Op::Attention(settings) => Ok(Type::f32(&attention(operands, settings, 3)?.output)),
        Op::AttentionStats(settings) => Ok(Type::f32(&attention(operands, settings, 3)?.stats)),
        Op::AttentionGrad { settings, wrt } => {
            let shapes = attention(operands, settings, 6)?;
            operands.expect(3, &Type::f32(&shapes.output))?;
            operands.expect(4, &Type::f32(&shapes.stats))?;
            operands.expect(5, &Type::f32(&shapes.output))?;
            Ok(match wrt {
                AttentionInput::Query => operands.like(0),
                AttentionInput::Key => operands.like(1),
                AttentionInput::Value => operands.like(2),
                AttentionInput::Bias => {
                    let [batch, heads, length] = shapes.stats;
                    Type::f32(&[batch, heads, length, operands.shape(1)[1]])
                }
            })
        }
        Op::CachedAttention(settings) => {
            if !settings.causal || settings.operands(0).count > 0 {
                return operands.refuse("a cache takes causal attention without further operands");
            }
            let shapes = attention(operands, &AttentionSettings::full(settings.scale), 4)?;
            lengths(operands, 3)?;
            Ok(Type::f32(&shapes.output))
        }
        Op::CacheWrite => cache_write(operands),
        Op::CrossEntropy(_) => {
            operands.expect_count(2)?;
            cross_entropy(operands)
        }
        Op::CrossEntropyGrad(_) => {
            operands.expect_count(3)?;
            let loss = cross_entropy(operands)?;
            operands.expect(2, &loss)?;
            Ok(operands.like(0))
        }
        Op::Random { function, .. } => {
            operands.expect_count(2)?;
            operands.expect_float(0)?;
            operands.expect(1, &Type::f32(&[]))?;
            if matches!(function, RandomFunction::Dropout(rate) if !(0.0..1.0).contains(rate)) {
                return operands.refuse("the rate must lie in 0..1");
            }
            Ok(operands.like(0))
        }
        Op::SumSquares => {
            operands.expect_count(1)?;
            operands.expect_float(0)?;
            Ok(Type::f32(&[]))
        }
        Op::AddScalars => {
            if operands.types.is_empty() || operands.types.len() > MOST_SCALARS {
                return operands.refuse(&format!("1 to {MOST_SCALARS} operands are needed"));
            }
            scalars(operands, 0)?;
            Ok(Type::f32(&[]))
        }
        Op::LearningRate { .. } => {
            operands.expect_count(1)?;
            scalars(operands, 0)?;
            Ok(Type::f32(&[]))
        }
        Op::AdamW { .. } => {
            operands.expect_count(7)?;
            operands.expect_float(0)?;
            for operand in 1..4 {
                operands.expect(operand, operands.types[0])?;
            }
            scalars(operands, 4)?;
            Ok(operands.like(0))
        }
        Op::Input { .. }
        | Op::State { .. }
        | Op::Constant(_)
        | Op::Pattern { .. }
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Greater
        | Op::Cast(_)
        | Op::Reduce { .. }
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::Expand(_)
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. } => {
            unreachable!("the caller keeps sources, elementwise operators, reductions and movement")
        }
    }
}

/// Every operand from `first` on must be an f32 scalar.
fn scalars(operands: &Operands<'_>, first: usize) -> Result<(), String> {
    (first..operands.types.len()).try_for_each(|operand| operands.expect(operand, &Type::f32(&[])))
}

/// An operand that says how many positions each row of a cache holds.
fn lengths(operands: &Operands<'_>, operand: usize) -> Result<(), String> {
    operands.expect(operand, &Type::f32(&operands.shape(0)[..1]))
}

fn matmul(operands: &Operands<'_>, transpose_left: bool, transpose_right: bool) -> Result<Type, String> {
    operands.expect_count(2)?;
    operands.last(0)?;
    operands.last(1)?;
    let (left, right) = (operands.shape(0), operands.shape(1));
    let rank = left.len();
    if rank < 2 || rank != right.len() {
        return operands.refuse("the operands must have two or more dimensions, both as many");
    }
    if left[..rank - 2] != right[..rank - 2] {
        return operands.refuse("the leading dimensions differ");
    }
    let pair = |shape: &Shape, transposed: bool| {
        let (first, second) = (shape[rank - 2], shape[rank - 1]);
        if transposed { (second, first) } else { (first, second) }
    };
    let (rows, left_inner) = pair(left, transpose_left);
    let (right_inner, columns) = pair(right, transpose_right);
    if left_inner != right_inner {
        return operands.refuse(&format!("the inner dimensions differ: {left_inner} and {right_inner}"));
    }
    let mut shape = left.clone();
    shape[rank - 2] = rows;
    shape[rank - 1] = columns;
    Ok(Type { shape, dtype: DType::F32 })
}

fn gather(operands: &Operands<'_>) -> Result<Type, String> {
    operands.expect_count(2)?;
    operands.expect_rank(0, 2)?;
    let width = operands.last(0)?;
    operands.expect_integer(1)?;
    let mut shape = operands.shape(1).clone();
    shape.push(width);
    Ok(Type { shape, dtype: DType::F32 })
}

fn scatter(operands: &Operands<'_>, rows: u64) -> Result<Type, String> {
    operands.expect_count(2)?;
    operands.expect_integer(0)?;
    let width = operands.last(1)?;
    let mut expected = operands.shape(0).clone();
    expected.push(width);
    operands.expect(1, &Type { shape: expected, dtype: DType::F32 })?;
    Ok(Type::f32(&[rows, width]))
}

/// A normalisation, or its gradient if the operand of the output's gradient is named: the last is the value's type.
fn norm(operands: &Operands<'_>, count: usize, gradient: Option<usize>) -> Result<Type, String> {
    operands.expect_count(count)?;
    let width = operands.last(0)?;
    for operand in (1..count).filter(|&operand| Some(operand) != gradient) {
        operands.expect(operand, &Type::f32(&[width]))?;
    }
    if let Some(operand) = gradient {
        operands.expect(operand, operands.types[0])?;
    }
    Ok(operands.like(0))
}

fn norm_grad(operands: &Operands<'_>, wrt: NormInput) -> Result<Type, String> {
    let value = norm(operands, 3, Some(2))?;
    Ok(match wrt {
        NormInput::Value => value,
        NormInput::Scale | NormInput::Shift => operands.like(1),
    })
}

fn rotate(operands: &Operands<'_>) -> Result<Type, String> {
    operands.expect_count(2)?;
    operands.expect_rank(0, 4)?;
    if operands.last(0)? % 2 != 0 {
        return operands.refuse("the last dimension must be even");
    }
    operands.expect(1, &Type::i32(&operands.shape(0)[..2]))?;
    Ok(operands.like(0))
}

/// Shapes of what attention gives.
struct AttentionShapes {
    output: [u64; 4],
    stats: [u64; 3],
}

/// Checks query, key, value (operands 0, 1, 2), and what the settings ask for behind the first `fixed` operands.
fn attention(operands: &Operands<'_>, settings: &AttentionSettings, fixed: usize) -> Result<AttentionShapes, String> {
    let further = settings.operands(fixed);
    operands.expect_count(further.count)?;
    for operand in 0..3 {
        operands.expect_float(operand)?;
        operands.expect_rank(operand, 4)?;
    }
    let (query, key, value) = (operands.shape(0), operands.shape(1), operands.shape(2));
    let (batch, length, heads) = (query[0], query[1], query[2]);
    if key[0] != batch || query[3] != key[3] {
        return operands.refuse("query and key differ in batch or width");
    }
    if key[..3] != value[..3] {
        return operands.refuse("key and value differ in batch, length or heads");
    }
    if key[2] == 0 || heads % key[2] != 0 {
        return operands.refuse("the query heads must be a multiple of the key heads");
    }
    if settings.is_positional() && key[1] != length {
        return operands.refuse("query and key must be equally long where their positions count");
    }
    for first in [further.documents, further.order].into_iter().flatten() {
        operands.expect(first, &Type::i32(&[batch, length]))?;
        operands.expect(first + 1, &Type::i32(&[batch, key[1]]))?;
    }
    if let Some(bias) = further.bias {
        operands.expect_float(bias)?;
        operands.expect_rank(bias, 4)?;
        let scores = [batch, heads, length, key[1]];
        let fits = operands.shape(bias).iter().zip(scores).take(3).all(|(&size, full)| size == 1 || size == full);
        if !fits || operands.shape(bias)[3] != key[1] {
            return operands.refuse("what is added to the scores is [B or 1, H or 1, T or 1, S]");
        }
    }
    Ok(AttentionShapes { output: [batch, length, heads, value[3]], stats: [batch, heads, length] })
}

fn cache_write(operands: &Operands<'_>) -> Result<Type, String> {
    operands.expect_count(3)?;
    operands.expect_rank(0, 4)?;
    operands.last(0)?;
    let mut new = operands.types[0].clone();
    new.shape[1] = operands.shape(1).get(1).copied().unwrap_or(0);
    operands.expect(1, &new)?;
    if new.shape[1] > operands.shape(0)[1] {
        return operands.refuse("more positions are written than the cache has");
    }
    lengths(operands, 2)?;
    Ok(operands.like(0))
}

fn cross_entropy(operands: &Operands<'_>) -> Result<Type, String> {
    operands.expect_rank(0, 2)?;
    operands.last(0)?;
    let rows = operands.shape(0)[0];
    operands.expect(1, &Type::i32(&[rows]))?;
    Ok(Type::f32(&[rows]))
}
