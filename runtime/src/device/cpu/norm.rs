//! Layer normalisation (Ba et al. 2016) and root-mean-square normalisation (Zhang and Sennrich 2019), and their gradients.

use super::elements::ElementsMut;
use super::lanes;
use super::operand::Operands;
use super::pool::{Pool, Runs};
use super::reduce::add_all;
use super::rows::Piece;
use super::simd::vectorised;

/// Elements of a task.
const PER_TASK: usize = 1 << 14;
/// Parts of the rows whose sums for scale and shift are kept apart, at most.
const PARTS: usize = 32;

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Whether the mean is taken away (layer normalisation).
    pub centred: bool,
    /// Added to the variance or mean square.
    pub eps: f64,
}

/// Mean and reciprocal standard deviation of a row.
#[derive(Debug, Clone, Copy)]
struct Statistics {
    mean: f32,
    rstd: f32,
}

impl Norm {
    /// `(x [.., D], scale [D], shift [D]?) -> [.., D]`
    pub fn forward(self, operands: &mut Operands<'_>, pool: &Pool) {
        let (x, scale) = (operands.rows(0), operands.rows(1).row(0));
        let shift = self.centred.then(|| operands.rows(2).row(0));
        let per_task = (PER_TASK / x.length()).max(1);
        let out = operands.rows_mut(0).per_task(per_task);
        pool.run(x.count().div_ceil(per_task), out, |_, mut piece, _| {
            for row in 0..piece.count() {
                let x = x.row(piece.first() + row);
                normalise(piece.row(row), x, scale, shift, self);
            }
        });
    }

    /// One row: `out = norm(x) scale + shift?`
    pub fn row(self, out: &mut [f32], x: &[f32], scale: &[f32], shift: Option<&[f32]>) {
        normalise(out, x, scale, shift, self);
    }

    /// `(x, scale, dy) -> (dx?, dscale?, dshift?)`, the writes present in this order; `dx` may be added to what is there.
    pub fn gradient(
        self,
        accumulate: bool,
        writes: [bool; 3],
        operands: &mut Operands<'_>,
        pool: &Pool,
        partial: &mut Vec<f64>,
    ) {
        let (x, scale, dy) = (operands.rows(0), operands.rows(1).row(0), operands.rows(2));
        let (rows, width) = (x.count(), x.length());
        let per_task = (PER_TASK / width).max(1).max(rows.div_ceil(PARTS));
        let tasks = rows.div_ceil(per_task);
        let mut next = 0..;
        let mut index = |present: bool| if present { next.next() } else { None };
        let [dx, dscale, dshift] = writes.map(&mut index);
        let dx = dx.map(|write| operands.rows_mut(write).per_task(per_task));
        let sums = if dscale.is_some() || dshift.is_some() { 2 * width } else { 0 };
        partial.resize(partial.len().max(tasks * sums), 0.0);
        let partial = &mut partial[..tasks * sums];
        pool.run(tasks, (dx, Runs::new(partial, sums)), |task, (mut dx, sums), scratch| {
            sums.fill(0.0);
            let (dscale, dshift) = sums.split_at_mut(sums.len() / 2);
            for row in task * per_task..rows.min((task + 1) * per_task) {
                let (x, dy) = (x.row(row), dy.row(row));
                let at = statistics(x, self);
                if let Some(dx) = dx.as_mut().map(|dx: &mut Piece<'_>| dx.row(row - task * per_task)) {
                    if accumulate {
                        let own = scratch.floats(width);
                        row_gradient(own, x, dy, scale, at, self.centred);
                        add_row(dx, own);
                    } else {
                        row_gradient(dx, x, dy, scale, at, self.centred);
                    }
                }
                if !dscale.is_empty() {
                    add_products(dscale, dshift, x, dy, at);
                }
            }
        });
        let (first, rest) = partial.split_at_mut(sums);
        rest.chunks_exact(sums.max(1)).for_each(|part| add_all(first, part));
        let total = |mut out: ElementsMut<'_>, sums: &[f64]| {
            for (column, &sum) in sums.iter().enumerate() {
                out.set(column, sum as f32);
            }
        };
        if let Some(write) = dscale {
            total(operands.elements_mut(write), &first[..width]);
        }
        if let Some(write) = dshift {
            total(operands.elements_mut(write), &first[width..]);
        }
    }
}

#[inline(always)]
fn row_statistics(x: &[f32], norm: Norm) -> Statistics {
    let count = x.len() as f64;
    let mean = if norm.centred { (lanes::sum_of(x, |x| x) / count) as f32 } else { 0.0 };
    let variance = lanes::sum_of(x, |x| (x - mean) * (x - mean)) / count;
    Statistics { mean, rstd: (1.0 / (variance + norm.eps).sqrt()) as f32 }
}

vectorised! {
    fn statistics(x: &[f32], norm: Norm) -> Statistics {
        row_statistics(x, norm)
    }
}

vectorised! {
    /// One row of the forward pass.
    fn normalise(out: &mut [f32], x: &[f32], scale: &[f32], shift: Option<&[f32]>, norm: Norm) {
        let Statistics { mean, rstd } = row_statistics(x, norm);
        match shift {
            Some(shift) => {
                for (((out, &x), &scale), &shift) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    *out = ((x - mean) * rstd).mul_add(scale, shift);
                }
            }
            None => {
                for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scale) {
                    *out = x * rstd * scale;
                }
            }
        }
    }
}

vectorised! {
    /// One row of `dx = rstd (g - mean(g) - n mean(g n))` with `g = dy scale` and `n` the normalised row;
    /// without the `mean(g)` where the mean is not taken away.
    fn row_gradient(dx: &mut [f32], x: &[f32], dy: &[f32], scale: &[f32], at: Statistics, centred: bool) {
        let Statistics { mean, rstd } = at;
        for ((dx, &dy), &scale) in dx.iter_mut().zip(dy).zip(scale) {
            *dx = dy * scale;
        }
        let count = x.len() as f64;
        let along = (lanes::sum_of_two(dx, x, |g, x| g * ((x - mean) * rstd)) / count) as f32;
        let level = if centred { (lanes::sum_of(dx, |g| g) / count) as f32 } else { 0.0 };
        for (dx, &x) in dx.iter_mut().zip(x) {
            *dx = rstd * (*dx - level - (x - mean) * rstd * along);
        }
    }
}

vectorised! {
    fn add_row(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out += x;
        }
    }
}

vectorised! {
    /// Adds one row to the sums for scale and shift.
    fn add_products(dscale: &mut [f64], dshift: &mut [f64], x: &[f32], dy: &[f32], at: Statistics) {
        let Statistics { mean, rstd } = at;
        for (((dscale, dshift), &x), &dy) in dscale.iter_mut().zip(dshift).zip(x).zip(dy) {
            *dscale += f64::from(dy * ((x - mean) * rstd));
            *dshift += f64::from(dy);
        }
    }
}
