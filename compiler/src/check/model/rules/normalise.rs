//! Softmax and normalisations over the last axis.

use super::super::inputs::{Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::plan::{DType, ModelOp};

/// `softmax(x)`
pub(in super::super) fn softmax(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    inputs.need_at_least(0, 1, "[.., D]")?;
    made(inputs, ModelOp::Softmax, 1)
}

/// `layer_normalize(x, scale, shift, eps)`
pub(in super::super) fn layer_normalize(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    scales_fit(inputs, 2)?;
    let eps = inputs.positive(3, "eps")?;
    made(inputs, ModelOp::LayerNormalize { eps }, 3)
}

/// `rms_normalize(x, scale, eps)`
pub(in super::super) fn rms_normalize(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    scales_fit(inputs, 1)?;
    let eps = inputs.positive(2, "eps")?;
    made(inputs, ModelOp::RmsNormalize { eps }, 2)
}

/// Arguments `1..=count` must be `[D]`, where `D` is the last size of argument 0.
fn scales_fit(inputs: &Inputs, count: usize) -> Result<(), Stop> {
    let x = inputs.need_at_least(0, 1, "[.., D]")?;
    for index in 1..=count {
        let scale = inputs.need_rank(index, 1, "[D]")?;
        if scale.shape.last() != x.shape.last() {
            let (left, right) = (operand(inputs, 0)?, operand(inputs, index)?);
            return Err(mismatch(
                left,
                right,
                "scale and shift have the size of the last dimension",
                "take the size from the input: `weight([D], init: ones)` where the input is `[..., D]`".to_owned(),
            )
            .into());
        }
    }
    Ok(())
}

fn operand(inputs: &Inputs, index: usize) -> Result<Operand<'_>, Stop> {
    Ok(Operand { tensor: inputs.tensor(index)?, span: inputs.span(index) })
}

/// A node over the first `count` arguments with the shape of the first.
fn made(inputs: &Inputs, op: ModelOp, count: usize) -> Result<Vec<Made>, Stop> {
    let nodes: Result<Vec<usize>, Stop> =
        (0..count).map(|index| inputs.tensor(index).map(|tensor| tensor.node)).collect();
    Ok(vec![Made { op, inputs: nodes?, shape: inputs.tensor(0)?.shape.clone(), dtype: Some(DType::F32) }])
}
