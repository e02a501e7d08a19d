//! Softmax and cross-entropy over rows.

use llmc_compiler::plan::Origin;

use super::elements::Elements;
use super::lanes;
use super::math;
use super::operand::Operands;
use super::pool::Pool;
use super::simd::vectorised;
use crate::device::DeviceError;

/// Elements of a task.
const PER_TASK: usize = 1 << 14;

/// `(x [.., D]) -> [.., D]`
pub fn softmax(operands: &mut Operands<'_>, pool: &Pool) {
    let x = operands.rows(0);
    let per_task = (PER_TASK / x.length()).max(1);
    let out = operands.rows_mut(0).per_task(per_task);
    pool.run(x.count().div_ceil(per_task), out, |_, mut piece, _| {
        for row in 0..piece.count() {
            let x = x.row(piece.first() + row);
            let out = piece.row(row);
            out.copy_from_slice(x);
            let sum = exponentials(out);
            multiply(out, (1.0 / sum) as f32);
        }
    });
}

/// A target that names a column, none where it is to be ignored.
fn check_targets(targets: &Elements<'_, i32>, vocab: usize, origin: &Origin) -> Result<(), DeviceError> {
    let outside = |target: &i32| usize::try_from(*target).is_ok_and(|target| target >= vocab);
    match (0..targets.count()).map(|index| targets.get(index)).find(outside) {
        None => Ok(()),
        Some(id) => Err(DeviceError::IdOutOfRange { id: id.into(), vocab: vocab as u64, origin: origin.clone() }),
    }
}

/// `(logits [N, V], targets [N]) -> loss [N]`
pub fn cross_entropy(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let (logits, targets) = (operands.rows(0), operands.integers(1));
    check_targets(&targets, logits.length(), origin)?;
    let per_task = (PER_TASK / logits.length()).max(1);
    let out = operands.points_mut(0).per_task(per_task);
    pool.run(logits.count().div_ceil(per_task), out, |_, mut piece, _| {
        for row in 0..piece.count() {
            let index = piece.first() + row;
            let loss = match usize::try_from(targets.get(index)) {
                Err(_) => 0.0,
                Ok(target) => {
                    let logits = logits.row(index);
                    let (largest, sum) = exponential_sum(logits);
                    (sum.ln() + f64::from(largest) - f64::from(logits[target])) as f32
                }
            };
            piece.row(row)[0] = loss;
        }
    });
    Ok(())
}

/// `(logits [N, V], targets [N], dloss [N]) -> [N, V]`
pub fn cross_entropy_grad(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let (source, targets, dloss) = (operands.source(0), operands.integers(1), operands.floats(2));
    let out = operands.rows_mut(0);
    let (rows, vocab) = (out.count(), out.length());
    check_targets(&targets, vocab, origin)?;
    let per_task = (PER_TASK / vocab).max(1);
    pool.run(rows.div_ceil(per_task), out.per_task(per_task), |_, mut piece, _| {
        for row in 0..piece.count() {
            let index = piece.first() + row;
            let Ok(target) = usize::try_from(targets.get(index)) else {
                piece.row(row).fill(0.0);
                continue;
            };
            let dloss = dloss.get(index);
            let values = piece.row_from(row, &source);
            let sum = exponentials(values);
            let exponential = f64::from(values[target]);
            multiply(values, (f64::from(dloss) / sum) as f32);
            values[target] = ((exponential / sum - 1.0) * f64::from(dloss)) as f32;
        }
    });
    Ok(())
}

vectorised! {
    /// `x = e^(x - max x)`; the result is the sum.
    pub fn exponentials(x: &mut [f32]) -> f64 {
        let largest = lanes::maximum(x);
        for x in x.iter_mut() {
            *x = math::exp(*x - largest);
        }
        lanes::sum_of(x, |x| x)
    }
}

vectorised! {
    /// The maximum, and the sum of `e^(x - max x)`.
    fn exponential_sum(x: &[f32]) -> (f32, f64) {
        let largest = lanes::maximum(x);
        (largest, lanes::sum_of(x, |x| math::exp(x - largest)))
    }
}

vectorised! {
    /// `x *= factor`
    pub fn multiply(x: &mut [f32], factor: f32) {
        for x in x {
            *x *= factor;
        }
    }
}
