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
            let (_, sum) = exponentials(out);
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

/// `(logits [N, V], targets [N], dloss [N]) -> (dlogits [N, V], loss [N]?)`
pub fn cross_entropy_grad(
    operands: &mut Operands<'_>,
    pool: &Pool,
    with_loss: bool,
    origin: &Origin,
) -> Result<(), DeviceError> {
    let (source, targets, dloss) = (operands.source(0), operands.integers(1), operands.floats(2));
    let out = operands.rows_mut(0);
    let (rows, vocab) = (out.count(), out.length());
    check_targets(&targets, vocab, origin)?;
    let per_task = (PER_TASK / vocab).max(1);
    let losses = with_loss.then(|| operands.points_mut(1).per_task(per_task));
    pool.run(rows.div_ceil(per_task), (out.per_task(per_task), losses), |_, (mut piece, mut losses), _| {
        for row in 0..piece.count() {
            let index = piece.first() + row;
            let loss = match usize::try_from(targets.get(index)) {
                Err(_) => {
                    piece.row(row).fill(0.0);
                    0.0
                }
                Ok(target) => gradient_of_row(piece.row_from(row, &source), target, dloss.get(index)),
            };
            if let Some(losses) = &mut losses {
                losses.row(row)[0] = loss;
            }
        }
    });
    Ok(())
}

/// Turns a row of logits into their gradient; the result is the loss.
fn gradient_of_row(logits: &mut [f32], target: usize, dloss: f32) -> f32 {
    let logit = f64::from(logits[target]);
    let (largest, sum) = exponentials(logits);
    let exponential = f64::from(logits[target]);
    multiply(logits, (f64::from(dloss) / sum) as f32);
    logits[target] = ((exponential / sum - 1.0) * f64::from(dloss)) as f32;
    (sum.ln() + f64::from(largest) - logit) as f32
}

vectorised! {
    /// `x = e^(x - max x)`; the results are the maximum and the sum.
    fn exponentials(x: &mut [f32]) -> (f32, f64) {
        let largest = lanes::maximum(x);
        (largest, lanes::replace_and_sum(x, |x| math::exp(x - largest)))
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
