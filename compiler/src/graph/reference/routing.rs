//! Selection along the last axis, and matrix products of rows with the matrix that each row's id names.

use super::lookup::index;
use super::{dot, floats, integers, last};
use crate::graph::Tensor;
use crate::op::Op;

/// Places of the largest elements of each row; equal ones in their order.
pub(super) fn top_k(x: &Tensor, count: usize) -> Vec<i32> {
    let rows = floats(x).chunks_exact(last(x));
    rows.flat_map(|row| {
        let mut places: Vec<usize> = (0..row.len()).collect();
        // Adding zero makes both zeros one.
        places.sort_by(|&a, &b| (row[b] + 0.0).total_cmp(&(row[a] + 0.0)));
        places.truncate(count);
        places.into_iter().map(|place| place as i32)
    })
    .collect()
}

pub(super) fn evaluate(op: &Op, inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    match op {
        Op::Pick => pick(inputs[0], inputs[1]),
        Op::Place { size } => place(inputs[0], inputs[1], *size as usize),
        Op::RoutedMatMul { transpose } => matmul(inputs[0], inputs[1], inputs[2], *transpose),
        Op::RoutedOuter { experts } => outer(inputs[0], inputs[1], inputs[2], *experts as usize),
        _ => unreachable!("the caller passes selection and routing only"),
    }
}

fn pick(x: &Tensor, ids: &Tensor) -> Result<Vec<f32>, String> {
    let rows = floats(x).chunks_exact(last(x)).zip(integers(ids).chunks_exact(last(ids)));
    let picked = rows.flat_map(|(row, ids)| ids.iter().map(|&id| Ok(row[index(id, row.len(), "id")?])));
    picked.collect()
}

fn place(ids: &Tensor, updates: &Tensor, size: usize) -> Result<Vec<f32>, String> {
    let count = last(ids);
    let mut placed = Vec::with_capacity(integers(ids).len() / count * size);
    for (ids, updates) in integers(ids).chunks_exact(count).zip(floats(updates).chunks_exact(count)) {
        let mut sums = vec![0.0f64; size];
        for (&id, &update) in ids.iter().zip(updates) {
            sums[index(id, size, "id")?] += f64::from(update);
        }
        placed.extend(sums.into_iter().map(|sum| sum as f32));
    }
    Ok(placed)
}

fn matmul(x: &Tensor, ids: &Tensor, matrices: &Tensor, transpose: bool) -> Result<Vec<f32>, String> {
    let (width, ids) = (last(x), integers(ids));
    let each = ids.len() / x.shape[0] as usize;
    let (experts, size) = (matrices.shape[0] as usize, (matrices.shape[1] * matrices.shape[2]) as usize);
    let columns = size / width;
    let mut product = Vec::with_capacity(ids.len() * columns);
    for (m, &id) in ids.iter().enumerate() {
        let row = &floats(x)[m / each * width..][..width];
        let matrix = &floats(matrices)[index(id, experts, "expert")? * size..][..size];
        product.extend((0..columns).map(|n| match transpose {
            true => dot(row, &matrix[n * width..][..width]) as f32,
            false => {
                let column = matrix[n..].iter().step_by(columns);
                row.iter().zip(column).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
            }
        }));
    }
    Ok(product)
}

fn outer(a: &Tensor, ids: &Tensor, b: &Tensor, experts: usize) -> Result<Vec<f32>, String> {
    let (depth, columns, ids) = (last(a), last(b), integers(ids));
    let (each_a, each_b) = (ids.len() / a.shape[0] as usize, ids.len() / b.shape[0] as usize);
    let mut sums = vec![0.0f64; experts * depth * columns];
    for (m, &id) in ids.iter().enumerate() {
        let matrix = &mut sums[index(id, experts, "expert")? * depth * columns..][..depth * columns];
        let b = &floats(b)[m / each_b * columns..][..columns];
        for (&a, sums) in floats(a)[m / each_a * depth..][..depth].iter().zip(matrix.chunks_exact_mut(columns)) {
            for (&b, sum) in b.iter().zip(sums) {
                *sum += f64::from(a) * f64::from(b);
            }
        }
    }
    Ok(sums.into_iter().map(|sum| sum as f32).collect())
}
