//! The type of every operator's value from the types of its operands.

mod composite;
mod routing;

use super::MOST_OPERANDS;
use crate::op::{Op, Shape, Type};
use crate::plan::DType;

/// The type of `op`'s value.
///
/// # Errors
/// A sentence that names the operator, the operand and what was asked of it.
pub fn infer(op: &Op, inputs: &[&Type]) -> Result<Type, String> {
    let operands = Operands { op, types: inputs };
    if inputs.len() > MOST_OPERANDS {
        return operands.refuse(&format!("at most {MOST_OPERANDS} operands are possible"));
    }
    let ty = match op {
        Op::Input { ty, .. } | Op::State { ty, .. } => {
            operands.expect_count(0)?;
            ty.clone()
        }
        Op::Constant(_) => {
            operands.expect_count(0)?;
            Type::f32(&[])
        }
        Op::Pattern { pattern, shape } => {
            operands.expect_count(0)?;
            if shape.len() != if pattern.is_float() { 1 } else { 2 } {
                return operands.refuse("a pattern has its own number of dimensions");
            }
            let dtype = if pattern.is_float() { DType::F32 } else { DType::I32 };
            Type { shape: shape.clone(), dtype }
        }
        Op::Unary(_) | Op::Binary(_) | Op::Greater | Op::Select => elementwise(&operands)?,
        Op::Cast(dtype) => {
            operands.expect_count(1)?;
            operands.expect_float(0)?;
            if !dtype.is_half() {
                return operands.refuse("only 16-bit floats are cast to");
            }
            Type { shape: operands.shape(0).clone(), dtype: *dtype }
        }
        Op::Reduce { axes, .. } => reduce(&operands, axes)?,
        Op::Reshape(_) | Op::Permute(_) | Op::Expand(_) | Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => {
            movement(&operands)?
        }
        _ => composite::infer(&operands)?,
    };
    checked(&operands, ty)
}

/// Refuses empty and impossibly large values.
fn checked(operands: &Operands<'_>, ty: Type) -> Result<Type, String> {
    let elements = ty.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    match elements {
        Some(0) => operands.refuse(&format!("{ty} holds nothing")),
        Some(count) if count <= 1 << 48 => Ok(ty),
        _ => operands.refuse(&format!("{ty} is larger than any memory")),
    }
}

fn elementwise(operands: &Operands<'_>) -> Result<Type, String> {
    operands.expect_count(match operands.op {
        Op::Unary(_) => 1,
        Op::Binary(_) | Op::Greater => 2,
        _ => 3,
    })?;
    let mut shape = Shape::new();
    for ty in operands.types {
        let Some(common) = broadcast(&shape, &ty.shape) else {
            return operands.refuse("the shapes do not broadcast");
        };
        shape = common;
    }
    Ok(Type { shape, dtype: DType::F32 })
}

/// The common shape of two, as NumPy broadcasts: aligned on the right, sizes equal or 1.
pub(super) fn broadcast(a: &[u64], b: &[u64]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let size = |shape: &[u64], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (left, right) if left == right => Some(left),
            (1, right) => Some(right),
            (left, 1) => Some(left),
            _ => None,
        })
        .collect()
}

fn reduce(operands: &Operands<'_>, axes: &[usize]) -> Result<Type, String> {
    operands.expect_count(1)?;
    let mut shape = operands.shape(0).clone();
    if axes.is_empty() || !axes.is_sorted_by(|a, b| a < b) {
        return operands.refuse("the axes are not ascending");
    }
    for &axis in axes {
        operands.expect_axis(0, axis)?;
        shape[axis] = 1;
    }
    Ok(Type { shape, dtype: DType::F32 })
}

fn movement(operands: &Operands<'_>) -> Result<Type, String> {
    if let Op::Concat { axis } = operands.op {
        return concat(operands, *axis);
    }
    operands.expect_count(1)?;
    let mut shape = operands.shape(0).clone();
    match operands.op {
        Op::Reshape(target) => {
            if shape.iter().product::<u64>() != target.iter().product::<u64>() {
                return operands.refuse("the number of elements changes");
            }
            shape = target.clone();
        }
        Op::Permute(axes) => {
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..shape.len()) {
                return operands.refuse("the axes are not a permutation");
            }
            shape = axes.iter().map(|&axis| shape[axis]).collect();
        }
        Op::Expand(target) => {
            if broadcast(&shape, target).as_ref() != Some(target) {
                return operands.refuse("the operand does not broadcast to the shape");
            }
            shape = target.clone();
        }
        Op::Slice { axis, start, length } => {
            operands.expect_axis(0, *axis)?;
            if start.checked_add(*length).is_none_or(|end| end > shape[*axis]) {
                return operands.refuse("the slice ends behind the axis");
            }
            shape[*axis] = *length;
        }
        Op::Pad { axis, before, after } => {
            operands.expect_axis(0, *axis)?;
            let padded = shape[*axis].checked_add(*before).and_then(|sum| sum.checked_add(*after));
            let Some(size) = padded else {
                return operands.refuse("the axis is larger than any memory");
            };
            shape[*axis] = size;
        }
        _ => unreachable!("the caller passes movement only"),
    }
    Ok(Type { shape, dtype: operands.types[0].dtype })
}

fn concat(operands: &Operands<'_>, axis: usize) -> Result<Type, String> {
    let Some(first) = operands.types.first() else {
        return operands.refuse("there is no operand");
    };
    operands.expect_axis(0, axis)?;
    let mut joined = (*first).clone();
    for ty in &operands.types[1..] {
        let mut expected = joined.clone();
        expected.shape[axis] = ty.shape.get(axis).copied().unwrap_or(0);
        if **ty != expected {
            return operands.refuse("the operands differ in more than the axis");
        }
        joined.shape[axis] += ty.shape[axis];
    }
    Ok(joined)
}

/// The operands of one operator, with checks that explain themselves.
struct Operands<'a> {
    op: &'a Op,
    types: &'a [&'a Type],
}

impl Operands<'_> {
    /// The error: what is wrong, with the operator and all operands.
    fn refuse<T>(&self, reason: &str) -> Result<T, String> {
        let types: Vec<String> = self.types.iter().map(|ty| ty.to_string()).collect();
        Err(format!("{:?} of ({}): {reason}", self.op, types.join(", ")))
    }

    fn shape(&self, operand: usize) -> &Shape {
        &self.types[operand].shape
    }

    fn expect_count(&self, count: usize) -> Result<(), String> {
        if self.types.len() == count {
            return Ok(());
        }
        self.refuse(&format!("{count} operands are needed, {} are given", self.types.len()))
    }

    fn expect_axis(&self, operand: usize, axis: usize) -> Result<(), String> {
        if axis < self.shape(operand).len() {
            return Ok(());
        }
        self.refuse(&format!("operand {operand} has no axis {axis}"))
    }

    fn expect_rank(&self, operand: usize, rank: usize) -> Result<(), String> {
        if self.shape(operand).len() == rank {
            return Ok(());
        }
        self.refuse(&format!("operand {operand} must have {rank} dimensions"))
    }

    /// The operand must have this shape, and be of floats or of integers as `ty` is.
    fn expect(&self, operand: usize, ty: &Type) -> Result<(), String> {
        let given = self.types[operand];
        if given.shape == ty.shape && given.dtype.is_float() == ty.dtype.is_float() {
            return Ok(());
        }
        self.refuse(&format!("operand {operand} must be {ty}"))
    }

    fn expect_float(&self, operand: usize) -> Result<(), String> {
        if self.types[operand].dtype.is_float() {
            return Ok(());
        }
        self.refuse(&format!("operand {operand} must be of floats"))
    }

    fn expect_integer(&self, operand: usize) -> Result<(), String> {
        if self.types[operand].dtype == DType::I32 {
            return Ok(());
        }
        self.refuse(&format!("operand {operand} must be of i32"))
    }

    /// An f32 value of the shape of an operand.
    fn like(&self, operand: usize) -> Type {
        Type::f32(self.shape(operand))
    }

    /// Size of the last axis of an operand of floats that must have one.
    fn last(&self, operand: usize) -> Result<u64, String> {
        self.expect_float(operand)?;
        match self.shape(operand).last() {
            Some(&size) => Ok(size),
            None => self.refuse(&format!("operand {operand} must have at least one dimension")),
        }
    }
}
