//! Rotary positions and attention.

use llmc_grammar::codes::HEADS_DO_NOT_DIVIDE;
use llmc_grammar::diagnostic::Diagnostic;

use super::super::super::arithmetic::nearest_divisors;
use super::super::inputs::{Given, Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::plan::{DType, ModelOp, Rotary, RotaryLayout, RotaryScaling};

/// `rotate(x [B, T, H, K], positions [B, T], theta, scaling, layout)`
pub(in super::super) fn rotate(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_rank(0, 4, "[B, T, H, K]")?;
    let positions = inputs.need_rank(1, 2, "[B, T]")?;
    same(inputs, 0, 1, &[0, 1], "positions are `[B, T]` of the input")?;
    if let Some(width) = x.shape[3].as_constant().filter(|width| width % 2 != 0) {
        return Err(inputs.outside(
            0,
            format!("a head of {width} elements cannot be turned in pairs"),
            "the last size is odd",
            "choose heads so that the width of one is even",
        ));
    }
    let scaling = match inputs.given.get(3) {
        Some(Given::Scaling(Some(rule))) => *rule,
        _ => RotaryScaling::None,
    };
    let layout = match inputs.given.get(4) {
        Some(Given::Layout(layout)) => *layout,
        _ => RotaryLayout::Halves,
    };
    Ok(vec![Made {
        op: ModelOp::Rotate(Rotary { theta: inputs.positive(2, "theta")?, scaling, layout }),
        inputs: vec![x.node, positions.node],
        shape: x.shape.clone(),
        dtype: Some(DType::F32),
    }])
}

/// `attend(q [B, T, H, K], k [B, S, G, K], v [B, S, G, V], causal, scale, documents) -> [B, T, H, V]`
pub(in super::super) fn attend(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let q = inputs.need_rank(0, 4, "[B, T, H, K]")?;
    let k = inputs.need_rank(1, 4, "[B, S, G, K]")?;
    let v = inputs.need_rank(2, 4, "[B, S, G, V]")?;
    let documents = inputs.optional(5);
    // While a block is checked alone `causal` may be open; the stricter reading is checked then.
    let causal = inputs.bool(3).unwrap_or(true);
    same(inputs, 0, 1, &[0], "batch sizes must be equal")?;
    same(inputs, 0, 1, &[3], "query and key heads have the same width")?;
    same(inputs, 1, 2, &[0, 1, 2], "keys and values differ only in the last size")?;
    if causal || documents.is_some() {
        let rule = "causal attention and attention within documents need as many keys as queries";
        same(inputs, 0, 1, &[1], rule)?;
    }
    if documents.is_some() {
        inputs.need_rank(5, 2, "[B, T]")?;
        same(inputs, 0, 5, &[0, 1], "documents are `[B, T]` of the queries")?;
    }
    heads_divide(inputs)?;
    let scale = match (inputs.number(4), q.shape[3].as_constant()) {
        (Some(scale), _) => scale,
        (None, Some(width)) => (width as f64).powf(-0.5),
        (None, None) => 1.0,
    };
    let mut shape = q.shape.clone();
    shape[3] = v.shape[3].clone();
    let mut nodes = vec![q.node, k.node, v.node];
    nodes.extend(documents.map(|documents| documents.node));
    Ok(vec![Made { op: ModelOp::Attend { causal, scale }, inputs: nodes, shape, dtype: Some(DType::F32) }])
}

/// The query heads must be a multiple of the key heads.
fn heads_divide(inputs: &Inputs) -> Result<(), Stop> {
    let (q, k) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let (Some(heads), Some(groups)) = (q.shape[2].as_constant(), k.shape[2].as_constant()) else {
        return Ok(());
    };
    if groups != 0 && heads.is_multiple_of(groups) {
        return Ok(());
    }
    let near: Vec<String> = nearest_divisors(heads, groups).iter().map(u64::to_string).collect();
    Err(Diagnostic::error(
        HEADS_DO_NOT_DIVIDE,
        format!("{heads} query heads cannot share {groups} key and value heads evenly"),
    )
    .label(inputs.span(0), format!("{heads} heads"))
    .label(inputs.span(1), format!("{groups} heads"))
    .help(format!("counts that divide {heads}: {}", near.join(", ")))
    .into())
}

/// Arguments `a` and `b` must agree in the sizes of `axes`.
fn same(inputs: &Inputs, a: usize, b: usize, axes: &[usize], rule: &str) -> Result<(), Stop> {
    let operand = |index| -> Result<Operand<'_>, Stop> {
        Ok(Operand { tensor: inputs.tensor(index)?, span: inputs.span(index) })
    };
    let (left, right) = (operand(a)?, operand(b)?);
    for &axis in axes {
        let (size, other) = (&left.tensor.shape[axis], &right.tensor.shape[axis]);
        if size != other {
            let help = format!("dimension {axis} is {size} in one and {other} in the other");
            return Err(mismatch(left, right, rule, help).into());
        }
    }
    Ok(())
}
