//! Selection along the last axis, products with matrices that ids name, and losses on the way.

use super::super::inputs::{Inputs, Made, Stop};
use super::mismatch::{Operand, mismatch};
use crate::dim::Dim;
use crate::plan::{DType, ModelOp};

/// `top_k(x [.., N], k) -> [.., k], [.., k]`
pub(in super::super) fn top_k(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_at_least(0, 1, "[.., N]")?;
    let (size, count) = (&x.shape[x.shape.len() - 1], inputs.size(1)?);
    let open = count.as_constant().is_none() || size.as_constant().is_none();
    if open && !inputs.alone {
        let message = format!("how many of {size} elements are taken must be known when the model is made");
        return Err(inputs.outside(1, message, "differs from batch to batch", ""));
    }
    let fits = count.as_constant().zip(size.as_constant()).is_none_or(|(count, size)| (1..=size).contains(&count));
    if !fits || count.as_integer().is_some_and(|count| count < 1) {
        let help = "`k` is at least 1 and at most the last size";
        return Err(inputs.outside(
            1,
            format!("there are no {count} largest of {size} elements"),
            "too many or none",
            help,
        ));
    }
    let mut shape = x.shape.clone();
    let last = shape.len() - 1;
    shape[last] = count.clone();
    let count = count.as_constant().unwrap_or(1);
    let made = |places: bool, dtype: DType| Made {
        op: ModelOp::TopK { count, places },
        inputs: vec![x.node],
        shape: shape.clone(),
        dtype: Some(dtype),
    };
    Ok(vec![made(false, DType::F32), made(true, DType::I32)])
}

/// `gather(x [.., N], ids [.., K]) -> [.., K]`
pub(in super::super) fn gather(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let (shape, nodes) = same_rows(inputs)?;
    Ok(vec![Made { op: ModelOp::Pick, inputs: nodes, shape, dtype: Some(DType::F32) }])
}

/// `scatter(updates [.., K], ids [.., K], size) -> [.., size]`
pub(in super::super) fn scatter(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let (mut shape, nodes) = same_rows(inputs)?;
    let (updates, size) = (inputs.tensor(0)?, inputs.size(2)?);
    if updates.shape != shape {
        return Err(rows_differ(inputs, "there must be an id for every element"));
    }
    if size.as_integer().is_some_and(|size| size < 1) {
        return Err(inputs.outside(2, format!("a size must be at least 1, found {size}"), "not a size", ""));
    }
    let last = shape.len() - 1;
    shape[last] = size.clone();
    let op = ModelOp::Place { size: size.clone() };
    Ok(vec![Made { op, inputs: nodes, shape, dtype: Some(DType::F32) }])
}

/// The shape of the ids, whose leading sizes must be those of the first tensor, and the nodes of both.
fn same_rows(inputs: &Inputs) -> Result<(Vec<Dim>, Vec<usize>), Stop> {
    let x = inputs.need_at_least(0, 1, "[.., N]")?;
    let ids = inputs.need_at_least(1, 1, "[.., K]")?;
    let leading = |shape: &[Dim]| shape[..shape.len() - 1].to_vec();
    if leading(&x.shape) != leading(&ids.shape) {
        return Err(rows_differ(inputs, "all sizes before the last must be equal"));
    }
    Ok((ids.shape.clone(), vec![x.node, ids.node]))
}

fn rows_differ(inputs: &Inputs, rule: &str) -> Stop {
    match (inputs.tensor(0), inputs.tensor(1)) {
        (Ok(x), Ok(ids)) => {
            let [x, ids] = [(x, 0), (ids, 1)].map(|(tensor, index)| Operand { tensor, span: inputs.span(index) });
            let help = "every row of the first tensor has its own ids: `reshape` gives both the same dimensions";
            mismatch(x, ids, rule, help.to_owned()).into()
        }
        _ => Stop::Undetermined,
    }
}

/// `routed_matmul(x [.., D] or [.., K, D], ids [.., K], w [E, D, N]) -> [.., K, N]`
pub(in super::super) fn routed_matmul(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let x = inputs.need_at_least(0, 1, "[.., D]")?;
    let ids = inputs.need_at_least(1, 1, "[.., K]")?;
    let matrices = inputs.need_rank(2, 3, "[E, D, N]")?;
    let transpose_right = inputs.bool(3)?;
    let (width, leading) = (&x.shape[x.shape.len() - 1], &x.shape[..x.shape.len() - 1]);
    if leading != ids.shape.as_slice() && leading != &ids.shape[..ids.shape.len() - 1] {
        return Err(rows_differ(inputs, "`x [.., D]` or `x [.., K, D]` takes `ids [.., K]`"));
    }
    let (inner, outer) = match transpose_right {
        true => (&matrices.shape[2], &matrices.shape[1]),
        false => (&matrices.shape[1], &matrices.shape[2]),
    };
    if width != inner {
        let (left, right) =
            (Operand { tensor: x, span: inputs.span(0) }, Operand { tensor: matrices, span: inputs.span(2) });
        let help = match width == outer {
            true => format!("`transpose_right: {}` would fit", !transpose_right),
            false => format!("the rows end in {width}, the matrices take {inner}"),
        };
        return Err(
            mismatch(left, right, "the last size of the rows must be that which the matrices take", help).into()
        );
    }
    let mut shape = ids.shape.clone();
    shape.push(outer.clone());
    Ok(vec![Made {
        op: ModelOp::RoutedMatMul { transpose_right },
        inputs: vec![x.node, ids.node, matrices.node],
        shape,
        dtype: Some(DType::F32),
    }])
}

/// `add_loss(x, value, weight) -> x`
pub(in super::super) fn add_loss(inputs: &Inputs) -> Result<Vec<Made>, Stop> {
    let (x, value) = (inputs.tensor(0)?, inputs.tensor(1)?);
    if let Some(size) = value.shape.iter().find(|size| size.as_constant() != Some(1)) {
        if inputs.alone
            && size.as_constant().is_none()
            && !size.symbols().into_iter().any(|name| name == "B" || name == "T")
        {
            return Err(Stop::Undetermined);
        }
        let message = format!("a loss is one number, found {}", super::super::tensor::show(&value.shape));
        let help = "bring it to one number with `sum` or `mean` over each dimension";
        return Err(inputs.outside(1, message, "more than one number", help));
    }
    let weight = inputs.number(2).unwrap_or(1.0);
    if !weight.is_finite() || weight < 0.0 {
        return Err(inputs.outside(2, "the weight of a loss cannot be negative".to_owned(), "below 0", ""));
    }
    let op = ModelOp::AddLoss { weight };
    Ok(vec![Made { op, inputs: vec![x.node, value.node], shape: x.shape.clone(), dtype: x.dtype }])
}
