//! A loop whose first result is normalised while it is still in the cache: a residual sum and the normalisation of it.

use llmc_compiler::program::LoopBody;

use super::loops::Loop;
use super::norm::Norm;
use super::operand::Operands;
use super::pool::Pool;
use super::window::Bound;

/// Elements of a task.
const PER_TASK: usize = 1 << 13;

/// A normalised loop made ready to run.
#[derive(Debug)]
pub struct LoopNorm {
    body: Loop,
    norm: Norm,
    /// Reads of the loop; the scale and perhaps the shift follow.
    reads: usize,
}

impl LoopNorm {
    /// Compiles the body of a step and checks it against the operands.
    pub fn new(body: &LoopBody, norm: Norm, bound: &Bound) -> Result<Self, String> {
        let reads = bound.reads.len().checked_sub(1 + usize::from(norm.centred)).ok_or("too few operands")?;
        let Some((out, results)) = bound.writes.split_first() else {
            return Err("a normalised loop without writes".to_owned());
        };
        let of_loop = Bound {
            reads: bound.reads[..reads].to_vec(),
            in_place: bound.in_place[..reads].to_vec(),
            writes: results.to_vec(),
        };
        let body = Loop::new(body, &of_loop)?;
        let rows = |window: &super::window::Window| {
            !window.integer && window.strides.last() == Some(&1) && window.shape == out.shape
        };
        let parameters = bound.reads[reads..].iter().all(|parameter| {
            !parameter.integer && parameter.strides.as_slice() == [1] && parameter.shape.as_slice() == [out.last()]
        });
        match rows(out) && results.iter().all(rows) && parameters {
            true => Ok(LoopNorm { body, norm, reads }),
            false => Err(format!("a normalised loop's operands do not fit: {bound:?}")),
        }
    }

    /// Runs over all rows.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool) {
        let (count, width) = (operands.written(0).count(), operands.written(0).last());
        let rows = (PER_TASK / width).max(1);
        let streams = self.body.streams(operands);
        let scale = operands.rows(self.reads).row(0);
        let shift = self.norm.centred.then(|| operands.rows(self.reads + 1).row(0));
        let out = operands.rows_mut(0).per_task(rows);
        let results = operands.streams_mut(1, rows * width);
        pool.run(count.div_ceil(rows * width), (out, results), |task, (mut out, mut results), scratch| {
            let first = task * rows * width;
            let (tiles, row) = scratch.floats(self.body.scratch() + width).split_at_mut(self.body.scratch());
            self.body.range(&streams, &mut results, first..count.min(first + rows * width), tiles);
            for index in 0..out.count() {
                results.load(0, index * width, row);
                self.norm.row(out.row(index), row, scale, shift);
            }
        });
    }
}
