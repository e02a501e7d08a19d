//! Elementwise functions and broadcasting.

use llmc_grammar::diagnostic::Diagnostic;

use super::super::inputs::{Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::dim::Dim;
use crate::plan::{BinaryFunction, DType, ModelOp, UnaryFunction};

/// One tensor in, the same shape out.
pub(in super::super) fn unary(inputs: &Inputs, function: UnaryFunction) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    Ok(vec![Made {
        op: ModelOp::Unary(function),
        inputs: vec![x.node],
        shape: x.shape.clone(),
        dtype: Some(DType::F32),
    }])
}

/// Two tensors in, their shapes broadcast.
pub(in super::super) fn binary(
    function: BinaryFunction,
    left: Operand<'_>,
    right: Operand<'_>,
) -> Result<Made, Box<Diagnostic>> {
    Ok(Made {
        op: ModelOp::Binary(function),
        inputs: vec![left.tensor.node, right.tensor.node],
        shape: broadcast(left, right)?,
        dtype: Some(DType::F32),
    })
}

/// NumPy's rule: sizes are compared from the right; a size of 1 and a missing one stretch.
fn broadcast(left: Operand<'_>, right: Operand<'_>) -> Result<Vec<Dim>, Box<Diagnostic>> {
    let (a, b) = (&left.tensor.shape, &right.tensor.shape);
    let one = Dim::integer(1);
    let rank = a.len().max(b.len());
    let mut shape = Vec::with_capacity(rank);
    for back in (1..=rank).rev() {
        let size = |shape: &[Dim]| shape.len().checked_sub(back).map(|axis| shape[axis].clone());
        shape.push(match (size(a), size(b)) {
            (Some(a), Some(b)) if a == b || b == one => a,
            (Some(a), Some(b)) if a == one => b,
            (Some(a), Some(b)) => {
                return Err(mismatch(
                    left,
                    right,
                    "sizes must be equal or 1, counted from the right",
                    format!(
                        "dimension -{back} is {a} on the left and {b} on the right; make the layer before give \
                         the other size, or write one of them as 1 with `reshape`"
                    ),
                ));
            }
            (Some(size), None) | (None, Some(size)) => size,
            (None, None) => one.clone(),
        });
    }
    Ok(shape)
}

/// `dropout(x, rate)`
pub(in super::super) fn dropout(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let rate = inputs.number(1);
    if rate.is_some_and(|rate| !(0.0..1.0).contains(&rate)) {
        return Err(inputs.outside(
            1,
            "a dropout rate lies from 0 to below 1".to_owned(),
            "outside 0 to 1",
            "0.1 zeroes one element in ten",
        ));
    }
    Ok(vec![Made {
        op: ModelOp::Dropout { rate: rate.unwrap_or(0.0) },
        inputs: vec![x.node],
        shape: x.shape.clone(),
        dtype: Some(DType::F32),
    }])
}

/// `stop_gradient(x)`
pub(in super::super) fn stop_gradient(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let (shape, dtype) = (x.shape.clone(), Some(DType::F32));
    Ok(vec![Made { op: ModelOp::StopGradient, inputs: vec![x.node], shape, dtype }])
}
