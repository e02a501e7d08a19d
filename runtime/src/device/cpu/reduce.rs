//! Sums and maxima of an expression over some axes.
//!
//! Every result is combined from fixed chunks in index order, in f64, whatever the number of threads.

use llmc_compiler::op::Reduction;
use llmc_compiler::program::LoopBody;
use smallvec::SmallVec;

use super::lanes;
use super::math;
use super::operand::Operands;
use super::pool::{Pool, Runs};
use super::scratch::Scratch;
use super::simd::vectorised;
use super::stream::Stream;
use super::tile::{TILE, TileProgram};
use super::window::Bound;

/// Elements of a chunk at least: the part of a reduction that one task does.
const CHUNK: usize = 32 * TILE;
/// Chunks of a reduction at most, to bound the memory of their sums.
const MAX_CHUNKS: usize = 32;

/// A reduction made ready to run.
#[derive(Debug)]
pub struct Reduce {
    kind: Reduction,
    program: TileProgram,
    /// Axes in the order of the walk: `outer`, then the reduced ones, then perhaps one kept innermost axis.
    order: SmallVec<[usize; 4]>,
    outer: usize,
    reduced: usize,
    inner: usize,
    /// Results are whole rows of the write.
    rows: bool,
}

impl Reduce {
    /// Compiles the body of a step and checks it against the operands.
    pub fn new(kind: Reduction, axes: &[usize], body: &LoopBody, bound: &Bound) -> Result<Self, String> {
        let [write] = bound.writes.as_slice() else {
            return Err("a reduction has one write".to_owned());
        };
        let shape = bound.reads.first().unwrap_or(write).shape.clone();
        let expected: SmallVec<[usize; 4]> =
            shape.iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect();
        if bound.reads.iter().any(|read| read.shape != shape) || write.shape != expected {
            return Err("a reduction's operands must have one shape".to_owned());
        }
        let kept: SmallVec<[usize; 4]> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        // The innermost axis of more than one element stays innermost, so that memory is read in order.
        let innermost = (0..shape.len()).rfind(|&axis| shape[axis] > 1);
        let inner_axis = innermost.filter(|axis| kept.contains(axis));
        let outer_axes = kept.iter().copied().filter(|axis| Some(*axis) != inner_axis);
        let order: SmallVec<[usize; 4]> = outer_axes.chain(axes.iter().copied()).chain(inner_axis).collect();
        let contiguous = |window: &super::window::Window| !window.integer && window.layout_in(&order).is_contiguous();
        let direct: Vec<bool> = bound.reads.iter().map(contiguous).collect();
        let program = TileProgram::new(body, &direct)?;
        if program.results() != 1 {
            return Err("a reduction has one result".to_owned());
        }
        let inner = inner_axis.map_or(1, |axis| shape[axis]);
        let reduced = axes.iter().map(|&axis| shape[axis]).product();
        let outer = shape.iter().product::<usize>() / inner / reduced;
        let last = shape.len().saturating_sub(1);
        let rows = inner_axis == Some(last) && write.strides[last] == 1;
        Ok(Reduce { kind, program, order, outer, reduced, inner, rows })
    }

    /// Runs over all elements.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool, partial: &mut Vec<f64>) {
        let streams: SmallVec<[Stream<'_>; 6]> =
            (0..operands.reads()).map(|read| operands.stream(read, &self.order)).collect();
        // One result of `outer` is `inner` wide; chunks cut the reduced elements, never the inner ones.
        let rows_per_chunk = (CHUNK / self.inner).max(self.reduced.div_ceil(MAX_CHUNKS)).max(1);
        let chunks = self.reduced.div_ceil(rows_per_chunk);
        if chunks == 1 && self.rows && self.outer > 1 {
            return self.run_rows(&streams, operands, pool);
        }
        let units = self.outer * chunks;
        // Short reductions go to a task by the dozen.
        let per_task = (CHUNK / self.inner / self.reduced.min(rows_per_chunk)).max(1);
        partial.resize(partial.len().max(units * self.inner), 0.0);
        let partial = &mut partial[..units * self.inner];
        pool.run(units.div_ceil(per_task), Runs::new(partial, per_task * self.inner), |task, sums, scratch| {
            for (step, sums) in sums.chunks_exact_mut(self.inner).enumerate() {
                let unit = task * per_task + step;
                let (outer, chunk) = (unit / chunks, unit % chunks);
                let rows = chunk * rows_per_chunk..self.reduced.min((chunk + 1) * rows_per_chunk);
                let first = (outer * self.reduced + rows.start) * self.inner;
                self.chunk(&streams, first, rows.len(), sums, scratch);
            }
        });
        let mut out = operands.elements_mut(0);
        for (outer, sums) in partial.chunks_exact_mut(chunks * self.inner).enumerate() {
            let (first, rest) = sums.split_at_mut(self.inner);
            for chunk in rest.chunks_exact(self.inner) {
                match self.kind {
                    Reduction::Sum => add_all(first, chunk),
                    Reduction::Max => raise_all(first, chunk),
                }
            }
            for (inner, &value) in first.iter().enumerate() {
                out.set(outer * self.inner + inner, value as f32);
            }
        }
    }

    /// Where a result is one chunk: whole rows of results straight to their place.
    fn run_rows(&self, streams: &[Stream<'_>], operands: &mut Operands<'_>, pool: &Pool) {
        let per_task = (CHUNK / self.inner / self.reduced).max(1);
        let out = operands.rows_mut(0).per_task(per_task);
        pool.run(self.outer.div_ceil(per_task), out, |_, mut piece, scratch| {
            scratch.with_sums(self.inner, |sums, scratch| {
                for index in 0..piece.count() {
                    let outer = piece.first() + index;
                    self.chunk(streams, outer * self.reduced * self.inner, self.reduced, sums, scratch);
                    for (result, sum) in piece.row(index).iter_mut().zip(&*sums) {
                        *result = *sum as f32;
                    }
                }
            });
        });
    }

    /// Reduces `rows` rows of `inner` elements from element `first` of the walk on into `sums`.
    fn chunk(&self, streams: &[Stream<'_>], first: usize, rows: usize, sums: &mut [f64], scratch: &mut Scratch) {
        let tile = scratch.floats(self.program.scratch());
        self.program.start(tile);
        sums.fill(match self.kind {
            Reduction::Sum => 0.0,
            Reduction::Max => f64::NEG_INFINITY,
        });
        let end = first + rows * self.inner;
        let mut start = first;
        while start < end {
            let column = (start - first) % self.inner;
            // Whole rows if they fit, else a part of one row.
            let length = match self.inner {
                1 => TILE.min(end - start),
                inner if inner <= TILE => (TILE / inner * inner).min(end - start),
                inner => TILE.min(inner - column),
            };
            let slice = |read: usize| streams[read].slice(start, length);
            self.program.run(tile, length, slice, |read, row| streams[read].load(start, row));
            let values = self.program.result(tile, 0, length, slice);
            if self.inner == 1 {
                sums[0] = match self.kind {
                    Reduction::Sum => sums[0] + total(values),
                    Reduction::Max => f64::from(math::maximum(sums[0] as f32, largest(values))),
                };
            } else {
                for row in values.chunks(self.inner) {
                    let sums = &mut sums[column..column + row.len()];
                    match self.kind {
                        Reduction::Sum => add(sums, row),
                        Reduction::Max => raise(sums, row),
                    }
                }
            }
            start += length;
        }
    }
}

vectorised! {
    /// Sum of a row.
    fn total(values: &[f32]) -> f64 {
        lanes::sum_of(values, |x| x)
    }
}

vectorised! {
    /// Maximum of a row.
    fn largest(values: &[f32]) -> f32 {
        lanes::maximum(values)
    }
}

vectorised! {
    /// Adds a row to running sums.
    pub fn add(sums: &mut [f64], values: &[f32]) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
    }
}

vectorised! {
    /// Adds the sums of a later chunk to those before.
    pub fn add_all(sums: &mut [f64], others: &[f64]) {
        for (sum, &other) in sums.iter_mut().zip(others) {
            *sum += other;
        }
    }
}

vectorised! {
    /// Raises running maxima to those of a later chunk.
    fn raise_all(largest: &mut [f64], others: &[f64]) {
        for (largest, &other) in largest.iter_mut().zip(others) {
            *largest = f64::from(math::maximum(*largest as f32, other as f32));
        }
    }
}

vectorised! {
    /// Raises running maxima to a row.
    fn raise(largest: &mut [f64], values: &[f32]) {
        for (largest, &value) in largest.iter_mut().zip(values) {
            *largest = f64::from(math::maximum(*largest as f32, value));
        }
    }
}
