//! Tensors that are known before anything runs, and the shift that goes with them.

use super::super::inputs::{Inputs, Made, Stop};
use crate::dim::Dim;
use crate::plan::{Buckets, DType, ModelOp};

/// `fill(shape, value) -> shape`
pub(in super::super) fn fill(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    Ok(made(ModelOp::Fill(inputs.number(1).unwrap_or(0.0)), inputs.sizes(0)?.to_vec(), DType::F32))
}

/// `count(length, start, step) -> [length]`
pub(in super::super) fn count(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let op = ModelOp::Count { start: inputs.size(1)?.clone(), step: inputs.number(2).unwrap_or(1.0) };
    Ok(made(op, vec![inputs.size(0)?.clone()], DType::F32))
}

/// `sinusoids(places [L], width, theta) -> [L, width]`
pub(in super::super) fn sinusoids(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let places = inputs.need_rank(0, 1, "[L]")?;
    let width = inputs.size(1)?;
    if width.as_constant().is_some_and(|width| width == 0 || width % 2 != 0) {
        let message = format!("a width of {width} does not hold as many sines as cosines");
        return Err(inputs.outside(1, message, "not even", ""));
    }
    Ok(vec![Made {
        op: ModelOp::Sinusoids { theta: inputs.positive(2, "theta")? },
        inputs: vec![places.node],
        shape: vec![places.shape[0].clone(), width.clone()],
        dtype: Some(DType::F32),
    }])
}

/// `relative_buckets(length, buckets, max_distance, bidirectional) -> [length, length]`
pub(in super::super) fn relative_buckets(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let length = inputs.size(0)?.clone();
    let whole = |index: usize, least: u64, name: &str| match inputs.size(index)?.as_constant() {
        Some(value) if value < least => {
            let message = format!("`{name}` must be at least {least}");
            Err(inputs.outside(index, message, "too small", ""))
        }
        value => Ok(value.unwrap_or(least)),
    };
    let bidirectional = inputs.bool(3).unwrap_or(true);
    // Each side needs a bucket for the same place and one for the rest.
    let count = whole(1, if bidirectional { 4 } else { 2 }, "buckets")?;
    let exact = count / if bidirectional { 4 } else { 2 };
    let max_distance = whole(2, exact + 1, "max_distance")?;
    let op = ModelOp::RelativeBuckets(Buckets { count, max_distance, bidirectional });
    Ok(made(op, vec![length.clone(), length], DType::I32))
}

fn made(op: ModelOp, shape: Vec<Dim>, dtype: DType) -> Vec<Made> {
    vec![Made { op, inputs: Vec::new(), shape, dtype: Some(dtype) }]
}

/// `relative_shift(x [.., T, 2T]) -> [.., T, T]`
pub(in super::super) fn relative_shift(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_at_least(0, 2, "[.., T, 2T]")?;
    let rank = x.shape.len();
    let queries = &x.shape[rank - 2];
    let open = inputs.alone && (queries.as_constant().is_none() || x.shape[rank - 1].as_constant().is_none());
    if !open && queries.add(queries).is_some_and(|twice| twice != x.shape[rank - 1]) {
        let message = format!("{} is not twice {queries}", x.shape[rank - 1]);
        return Err(inputs.outside(0, message, "the last size must be twice the one before", ""));
    }
    let mut shape = x.shape.clone();
    shape[rank - 1] = queries.clone();
    Ok(vec![Made { op: ModelOp::RelativeShift, inputs: vec![x.node], shape, dtype: Some(DType::F32) }])
}
