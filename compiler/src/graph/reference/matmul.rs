//! Matrix products.

use super::{floats, sizes};
use crate::graph::Tensor;

/// `[.., M, K] x [.., K, N] -> [.., M, N]`, either operand perhaps stored transposed.
pub(super) fn matmul(
    left: &Tensor,
    right: &Tensor,
    transpose_left: bool,
    transpose_right: bool,
    shape: &[u64],
) -> Vec<f32> {
    let rank = shape.len();
    let output = sizes(shape);
    let (rows, columns) = (output[rank - 2], output[rank - 1]);
    let inner = left.shape[if transpose_left { rank - 2 } else { rank - 1 }] as usize;
    // Steps from row to row and from column to column.
    let (a_row, a_column) = if transpose_left { (1, rows) } else { (inner, 1) };
    let (b_row, b_column) = if transpose_right { (1, inner) } else { (columns, 1) };
    let mut product = Vec::with_capacity(output.iter().product());
    for (a, b) in floats(left).chunks_exact(rows * inner).zip(floats(right).chunks_exact(inner * columns)) {
        for m in 0..rows {
            let mut sums = vec![0.0f64; columns];
            for k in 0..inner {
                let factor = f64::from(a[m * a_row + k * a_column]);
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum += factor * f64::from(b[k * b_row + n * b_column]);
                }
            }
            product.extend(sums.into_iter().map(|sum| sum as f32));
        }
    }
    product
}
