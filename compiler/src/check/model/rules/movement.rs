//! Functions that move elements and compute nothing.

use llmc_grammar::codes::{NOT_EXACT, SHAPE_MISMATCH};
use llmc_grammar::diagnostic::Diagnostic;

use super::super::super::arithmetic::nearest_divisors;
use super::super::inputs::{Given, Inputs, Made, Stop};
use super::super::tensor::{Tensor, elements, show};
use super::mismatch::{Operand, mismatch};
use crate::dim::Dim;
use crate::plan::ModelOp;

/// `reshape(x, shape)`
pub(in super::super) fn reshape(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let (x, shape) = (inputs.tensor(0)?, inputs.sizes(1)?);
    if elements(&x.shape) != elements(shape) {
        let (from, to) = (show(&x.shape), show(shape));
        let count = |shape: &[Dim]| elements(shape).map_or("more than fit".to_owned(), |count| count.to_string());
        return Err(Diagnostic::error(
            SHAPE_MISMATCH,
            format!("{from} cannot take the shape {to}: the number of elements differs"),
        )
        .label(inputs.span(1), format!("{} elements", count(shape)))
        .label(inputs.span(0), format!("{} elements", count(&x.shape)))
        .help("the sizes of both shapes must have the same product")
        .into());
    }
    Ok(vec![moved(x, ModelOp::Reshape(shape.to_vec()), shape.to_vec())])
}

/// `permute(x, axes)`
pub(in super::super) fn permute(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let axes = inputs.axes(1, x.shape.len())?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.shape.len()) {
        return Err(inputs.outside(
            1,
            format!("the axes must name each of the {} dimensions once", x.shape.len()),
            "not a permutation",
            "for example `[0, 2, 1, 3]` for four dimensions",
        ));
    }
    let shape = axes.iter().map(|&axis| x.shape[axis].clone()).collect();
    Ok(vec![moved(x, ModelOp::Permute(axes), shape)])
}

/// `transpose(x)`: the last two dimensions swapped
pub(in super::super) fn transpose(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_at_least(0, 2, "[.., M, N]")?;
    let rank = x.shape.len();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    let mut shape = x.shape.clone();
    shape.swap(rank - 2, rank - 1);
    Ok(vec![moved(x, ModelOp::Permute(axes), shape)])
}

/// `slice(x, axis, start, length)`
pub(in super::super) fn slice(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let axis = inputs.axis(1, x.shape.len())?;
    let (start, length) = (inputs.size(2)?, inputs.size(3)?);
    let size = &x.shape[axis];
    let left_over = start.add(length).and_then(|end| size.subtract(&end));
    let inside = start.is_always_whole() && left_over.as_ref().is_some_and(Dim::is_always_whole);
    // A difference with symbols may turn out either way: that is for the real call to decide.
    let open = inputs.alone && left_over.is_some_and(|rest| rest.as_integer().is_none());
    if !inside && !open {
        return Err(inputs.outside(
            3,
            format!("the slice from {start} of length {length} does not lie within {size}"),
            "ends outside",
            &format!("start and length together must stay within {size}"),
        ));
    }
    Ok(vec![part(x, axis, start, length)])
}

/// `split(x, parts, axis)`
pub(in super::super) fn split(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.tensor(0)?;
    let axis = inputs.axis(2, x.shape.len())?;
    let size = &x.shape[axis];
    let sizes = match inputs.given.get(1) {
        Some(Given::Sizes(sizes)) => sizes.clone(),
        Some(Given::Size(parts)) => equal_parts(inputs, size, parts)?,
        _ => return Err(Stop::Undetermined),
    };
    let mut start = Dim::default();
    let mut made = Vec::with_capacity(sizes.len());
    for length in &sizes {
        made.push(part(x, axis, &start, length));
        start = start.add(length).ok_or(Stop::Undetermined)?;
    }
    if start != *size {
        return Err(Diagnostic::error(
            SHAPE_MISMATCH,
            format!("the parts add up to {start}, the dimension has {size}"),
        )
        .label(inputs.span(1), format!("{start} in all"))
        .label(inputs.span(0), format!("this is {}", show(&x.shape)))
        .help("the sizes of the parts must add up to the whole dimension")
        .into());
    }
    Ok(made)
}

fn equal_parts(inputs: &Inputs, size: &Dim, parts: &Dim) -> Result<Vec<Dim>, Stop> {
    // More parts than this are surely a mistake, and each is a node.
    const MOST: u64 = 4096;
    let Some(count) = parts.as_constant() else {
        return Err(Stop::Undetermined);
    };
    if !(1..=MOST).contains(&count) {
        return Err(inputs.outside(1, format!("cannot split into {count} parts"), "1 to 4096", ""));
    }
    if let Some(length) = size.divide(parts) {
        return Ok(vec![length; count as usize]);
    }
    if inputs.alone && size.as_constant().is_none() {
        return Err(Stop::Undetermined);
    }
    let mistake = Diagnostic::error(NOT_EXACT, format!("{size} does not split into {count} equal parts"))
        .label(inputs.span(1), format!("{count} does not divide {size}"));
    let near: Vec<String> =
        nearest_divisors(size.as_constant().unwrap_or(0), count).iter().map(u64::to_string).collect();
    Err(if near.is_empty() {
        mistake.into()
    } else {
        mistake.help(format!("numbers of parts that fit: {}", near.join(", "))).into()
    })
}

/// `concat(parts, axis)`
pub(in super::super) fn concat(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let parts = inputs.tensors(0)?;
    let Some(first) = parts.first() else {
        return Err(inputs.outside(0, "nothing to join".to_owned(), "an empty list", ""));
    };
    let axis = inputs.axis(1, first.shape.len())?;
    let mut shape = first.shape.clone();
    for part in &parts[1..] {
        let same_rank = part.shape.len() == shape.len();
        let others_equal =
            same_rank && (0..shape.len()).all(|index| index == axis || part.shape[index] == shape[index]);
        if !others_equal || part.dtype != first.dtype {
            let operand = |tensor| Operand { tensor, span: inputs.span(0) };
            return Err(mismatch(
                operand(first),
                operand(part),
                &format!("parts may differ only in dimension {axis}"),
                "join along the dimension that differs, or bring the others to the same size".to_owned(),
            )
            .into());
        }
        shape[axis] = shape[axis].add(&part.shape[axis]).ok_or(Stop::Undetermined)?;
    }
    Ok(vec![Made {
        op: ModelOp::Concat { axis },
        inputs: parts.iter().map(|part| part.node).collect(),
        shape,
        dtype: first.dtype,
    }])
}

fn part(x: &Tensor, axis: usize, start: &Dim, length: &Dim) -> Made {
    let mut shape = x.shape.clone();
    shape[axis] = length.clone();
    let op = ModelOp::Slice { axis, start: start.clone(), length: length.clone() };
    moved(x, op, shape)
}

fn moved(x: &Tensor, op: ModelOp, shape: Vec<Dim>) -> Made {
    Made { op, inputs: vec![x.node], shape, dtype: x.dtype }
}
