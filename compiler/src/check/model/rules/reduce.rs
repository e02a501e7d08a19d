//! Reductions over one axis.

use super::super::inputs::{Inputs, Made, Stop};
use crate::dim::Dim;
use crate::plan::{DType, ModelOp, ReduceFunction};

/// `sum(x, axis)` and its like: the axis stays with size 1.
pub(in super::super) fn over_axis(inputs: &Inputs, kind: ReduceFunction) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let axis = inputs.axis(1, x.shape.len())?;
    let mut shape = x.shape.clone();
    shape[axis] = Dim::integer(1);
    Ok(vec![Made { op: ModelOp::Reduce { kind, axis }, inputs: vec![x.node], shape, dtype: Some(DType::F32) }])
}
