//! Softmax and cross-entropy over rows.

use llmc_compiler::plan::{LossPlan, Origin};

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
pub fn cross_entropy(
    operands: &mut Operands<'_>,
    pool: &Pool,
    plan: &LossPlan,
    origin: &Origin,
) -> Result<(), DeviceError> {
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
                    loss_of_row(plan, sum.ln() + f64::from(largest), logits[target], || mean(logits)) as f32
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
    plan: &LossPlan,
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
                Ok(target) => gradient_of_row(plan, piece.row_from(row, &source), target, dloss.get(index)),
            };
            if let Some(losses) = &mut losses {
                losses.row(row)[0] = loss;
            }
        }
    });
    Ok(())
}

/// Turns a row of logits into their gradient; the result is the loss.
fn gradient_of_row(plan: &LossPlan, logits: &mut [f32], target: usize, dloss: f32) -> f32 {
    let (logit, smoothing, dloss) = (logits[target], plan.label_smoothing, f64::from(dloss));
    let mean = if smoothing > 0.0 { mean(logits) } else { 0.0 };
    let (largest, sum) = exponentials(logits);
    let normalizer = sum.ln() + f64::from(largest);
    let share = f64::from(logits[target]) / sum * (1.0 + 2.0 * plan.z_loss * normalizer);
    let spread = smoothing / logits.len() as f64;
    multiply(logits, (dloss / sum * (1.0 + 2.0 * plan.z_loss * normalizer)) as f32);
    if smoothing > 0.0 {
        let spread = (spread * dloss) as f32;
        logits.iter_mut().for_each(|logit| *logit -= spread);
    }
    logits[target] = ((share - (1.0 - smoothing) - spread) * dloss) as f32;
    loss_of_row(plan, normalizer, logit, || mean) as f32
}

/// The loss of a row from the logarithm of its sum of exponentials and the logit of its target.
fn loss_of_row(plan: &LossPlan, normalizer: f64, logit: f32, mean: impl FnOnce() -> f64) -> f64 {
    let smoothing = plan.label_smoothing;
    let spread = if smoothing > 0.0 { smoothing * mean() } else { 0.0 };
    normalizer - (1.0 - smoothing) * f64::from(logit) - spread + plan.z_loss * normalizer * normalizer
}

fn mean(logits: &[f32]) -> f64 {
    lanes::sum_of(logits, |logit| logit) / logits.len() as f64
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
