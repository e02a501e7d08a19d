//! Tensors that follow from a formula.

use llmc_compiler::plan::Pattern;

use super::operand::Operands;
use super::pool::{Pool, Runs};

/// Floats of a task.
const PER_TASK: usize = 1 << 14;

/// `() -> x`
pub fn fill(operands: &mut Operands<'_>, pool: &Pool, pattern: &Pattern) {
    if pattern.is_float() {
        let out = operands.slice_mut(0);
        pool.run(out.len().div_ceil(PER_TASK), Runs::new(out, PER_TASK), |task, out, _| {
            for (index, value) in (task * PER_TASK..).zip(out) {
                *value = pattern.float(index);
            }
        });
        return;
    }
    let keys = operands.written(0).shape[1];
    let out = operands.integer_slice_mut(0);
    pool.run(out.len() / keys, Runs::new(out, keys), |query, out, _| {
        for (key, value) in out.iter_mut().enumerate() {
            *value = pattern.whole(query, key);
        }
    });
}
