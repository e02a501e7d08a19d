//! Operators that look rows or classes up by integer ids.

use super::{floats, integers, last};
use crate::graph::Tensor;
use crate::op::Op;
use crate::plan::LossPlan;

pub(super) fn evaluate(op: &Op, inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    match op {
        Op::Gather => gather(inputs[0], inputs[1]),
        Op::ScatterAdd { rows } => scatter_add(inputs[0], inputs[1], *rows as usize),
        Op::CrossEntropy(plan) => cross_entropy(plan, inputs[0], inputs[1]),
        Op::CrossEntropyGrad(plan) => cross_entropy_grad(plan, inputs[0], inputs[1], inputs[2]),
        _ => unreachable!("the caller passes look-ups only"),
    }
}

/// `id` as an index below `rows`.
pub(super) fn index(id: i32, rows: usize, what: &str) -> Result<usize, String> {
    usize::try_from(id).ok().filter(|&row| row < rows).ok_or_else(|| format!("{what} {id} lies outside 0..{rows}"))
}

fn gather(table: &Tensor, ids: &Tensor) -> Result<Vec<f32>, String> {
    let width = last(table);
    let rows = table.shape[0] as usize;
    let mut gathered = Vec::with_capacity(integers(ids).len() * width);
    for &id in integers(ids) {
        let row = index(id, rows, "id")?;
        gathered.extend_from_slice(&floats(table)[row * width..][..width]);
    }
    Ok(gathered)
}

fn scatter_add(ids: &Tensor, updates: &Tensor, rows: usize) -> Result<Vec<f32>, String> {
    let width = last(updates);
    let mut sums = vec![0.0f64; rows * width];
    for (&id, update) in integers(ids).iter().zip(floats(updates).chunks_exact(width)) {
        let row = index(id, rows, "id")?;
        for (sum, &value) in sums[row * width..].iter_mut().zip(update) {
            *sum += f64::from(value);
        }
    }
    Ok(sums.into_iter().map(|sum| sum as f32).collect())
}

/// Maximum of a row and sum of the exponentials of its distances to it.
pub(super) fn exponential_sum(row: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let maximum = row.clone().fold(f64::NEG_INFINITY, f64::max);
    (maximum, row.map(|value| (value - maximum).exp()).sum())
}

fn cross_entropy(plan: &LossPlan, logits: &Tensor, targets: &Tensor) -> Result<Vec<f32>, String> {
    let classes = last(logits);
    let row_loss = |(row, &target): (&[f32], &i32)| {
        if target < 0 {
            return Ok(0.0);
        }
        let target = index(target, classes, "target")?;
        let (maximum, sum) = exponential_sum(row.iter().map(|&logit| f64::from(logit)));
        let (normalizer, smoothing) = (maximum + sum.ln(), plan.label_smoothing);
        let mean = row.iter().map(|&logit| f64::from(logit)).sum::<f64>() / classes as f64;
        let expected = (1.0 - smoothing) * f64::from(row[target]) + smoothing * mean;
        Ok((normalizer - expected + plan.z_loss * normalizer * normalizer) as f32)
    };
    let rows = floats(logits).chunks_exact(classes);
    rows.zip(integers(targets)).map(row_loss).collect()
}

fn cross_entropy_grad(plan: &LossPlan, logits: &Tensor, targets: &Tensor, dloss: &Tensor) -> Result<Vec<f32>, String> {
    let classes = last(logits);
    let mut gradient = Vec::with_capacity(floats(logits).len());
    let rows = floats(logits).chunks_exact(classes);
    for ((row, &target), &dloss) in rows.zip(integers(targets)).zip(floats(dloss)) {
        if target < 0 {
            gradient.extend(std::iter::repeat_n(0.0, classes));
            continue;
        }
        let target = index(target, classes, "target")?;
        let (maximum, sum) = exponential_sum(row.iter().map(|&logit| f64::from(logit)));
        gradient.extend(row.iter().enumerate().map(|(class, &logit)| {
            let probability = (f64::from(logit) - maximum).exp() / sum;
            let spread = plan.label_smoothing / classes as f64;
            let expected = (1.0 - plan.label_smoothing) * f64::from(u8::from(class == target)) + spread;
            ((probability * (1.0 + 2.0 * plan.z_loss * (maximum + sum.ln())) - expected) * f64::from(dloss)) as f32
        }));
    }
    Ok(gradient)
}
