//! Table look-up and matrix products.

use super::super::inputs::{Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::plan::{DType, ModelOp};

/// `lookup(table [V, D], ids [..]) -> [.., D]`
pub(in super::super) fn lookup(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let table = inputs.need_rank(0, 2, "[V, D]")?;
    let ids = inputs.tensor(1)?;
    let mut shape = ids.shape.clone();
    shape.push(table.shape[1].clone());
    Ok(vec![Made { op: ModelOp::Lookup, inputs: vec![table.node, ids.node], shape, dtype: Some(DType::F32) }])
}

/// `matmul(a [.., M, K], b [.., K, N]) -> [.., M, N]`
pub(in super::super) fn matmul(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let a = inputs.need_at_least(0, 2, "[.., M, K]")?;
    let b = inputs.need_at_least(1, 2, "[.., K, N]")?;
    let transpose_right = inputs.bool(2)?;
    let left = Operand { tensor: a, span: inputs.span(0) };
    let right = Operand { tensor: b, span: inputs.span(1) };
    let (a, b) = (&a.shape, &b.shape);
    let (rows, columns) = (&b[b.len() - 2], &b[b.len() - 1]);
    let (inner, outer) = if transpose_right { (columns, rows) } else { (rows, columns) };
    if a[a.len() - 1] != *inner {
        let help = if a[a.len() - 1] == *outer {
            format!("`transpose_right: {}` would fit", !transpose_right)
        } else {
            format!("the left operand ends in {}, the right one takes {inner}", a[a.len() - 1])
        };
        let rule = if transpose_right {
            "the last sizes must be equal"
        } else {
            "the last size of the left must be the last but one of the right"
        };
        return Err(mismatch(left, right, rule, help).into());
    }
    if b.len() > 2 && a[..a.len() - 2] != b[..b.len() - 2] {
        return Err(mismatch(
            left,
            right,
            "all sizes before the last two must be equal",
            "or let the right operand have just two dimensions".to_owned(),
        )
        .into());
    }
    let mut shape = a.clone();
    let last = shape.len() - 1;
    shape[last] = outer.clone();
    Ok(vec![Made {
        op: ModelOp::MatMul { transpose_right },
        inputs: vec![left.tensor.node, right.tensor.node],
        shape,
        dtype: Some(DType::F32),
    }])
}
