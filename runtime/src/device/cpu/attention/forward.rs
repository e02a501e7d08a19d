//! Attention forward: the scores of a tile lie with a key a row and a query a column, so that softmax runs down columns without
//! crossing lanes, and the tile is at once the packed right operand of the product with the values.

use super::{BY_HEAD, LANES, Scores};
use crate::device::cpu::math;
use crate::device::cpu::matrix::{Left, Matrix, PanelProduct, Update};
use crate::device::cpu::operand::Operands;
use crate::device::cpu::pool::Pool;
use crate::device::cpu::rows::Piece;
use crate::device::cpu::scratch::split;
use crate::device::cpu::simd::vectorised;

/// Queries of a task: they share what is packed of the keys and values.
const QUERIES: usize = 256;
/// Keys of a tile.
const KEYS: usize = 128;

/// The running softmax of some queries.
struct Running {
    largest: [f32; QUERIES],
    sums: [f64; QUERIES],
}

/// Floats of the parts of a thread's scratch memory: packed queries, keys and values, a tile of scores, sums, turned sums.
pub fn sizes(queries: usize, depth: usize, width: usize) -> [usize; 6] {
    let PanelProduct { rows, columns, .. } = PanelProduct::detected();
    let (padded, queries) = (width.next_multiple_of(rows), QUERIES.min(queries).next_multiple_of(columns));
    [queries * depth, KEYS * depth, KEYS * padded, KEYS * columns, queries * padded, columns * width]
}

pub fn forward(operands: &mut Operands<'_>, pool: &Pool, scores: &Scores<'_>, with_stats: bool) {
    let values = operands.rows_in_order(2, &BY_HEAD);
    let count = scores.query_count;
    let out = operands.rows_mut_in_order(0, &BY_HEAD).blocks(count, QUERIES);
    let stats = with_stats.then(|| operands.points_mut(1).blocks(count, QUERIES));
    let blocks = count.div_ceil(QUERIES);
    let tasks = out.count() / count * blocks;
    let product = PanelProduct::detected();
    let (rows, columns) = (product.rows, product.columns);
    let (depth, width) = (scores.queries.length(), values.length());
    let padded = width.next_multiple_of(rows);
    let sizes = sizes(count, depth, width);
    pool.run(tasks, (out, stats), |task, (mut out, stats), scratch| {
        let (batch, head) = (task / blocks / scores.heads, task / blocks % scores.heads);
        let first = task % blocks * QUERIES;
        let count = out.count();
        let [queries, keys, packed_values, tile, sums, turned] = split(scratch, sizes);
        scores.queries.block(scores.query_row(batch, head, first), count).pack(columns, queries);
        let mut running = Running { largest: [f32::NEG_INFINITY; QUERIES], sums: [0.0; QUERIES] };
        let mut started = [false; QUERIES / LANES];
        let seen = scores.seen_by(batch, &(first..first + count));
        for first_key in (seen.start / KEYS * KEYS..seen.end).step_by(KEYS) {
            let tile_keys = KEYS.min(seen.end - first_key);
            let key_row = scores.key_row(batch, scores.group(head), first_key);
            scores.keys.block(key_row, tile_keys).pack(rows, keys);
            values.block(key_row, tile_keys).transposed().pack(rows, packed_values);
            for (panel, started) in (0..count.div_ceil(columns)).zip(&mut started) {
                let place = panel * columns..count.min((panel + 1) * columns);
                let queries_at = first + place.start..first + place.end;
                let by_place = scores.seen_by(batch, &queries_at);
                let seen = by_place.end.saturating_sub(first_key).min(tile_keys);
                let keys_at = first_key..first_key + seen;
                if seen == 0 || by_place.start >= keys_at.end {
                    continue;
                }
                let (any, all) = scores.numbers.visible(batch, &queries_at, &keys_at);
                if !any {
                    continue;
                }
                let left = Left { values: keys, depth };
                let right = &queries[panel * columns * depth..];
                product.multiply(tile, left, right, 0..seen.div_ceil(rows), 0..depth, Update::Replace(scores.scale));
                if let Some(bias) = &scores.bias {
                    let lines = &mut tile[..seen * columns];
                    bias.add_to_tile([batch, head], queries_at.clone(), keys_at.clone(), lines, columns);
                }
                for (key, line) in keys_at.zip(tile.chunks_exact_mut(columns)) {
                    scores.finish_key([batch, head, key], queries_at.start, all, line);
                }
                let sums = &mut sums[panel * columns * padded..][..columns * padded];
                for column in (0..columns).step_by(LANES) {
                    let group = place.start + column..place.start + column + LANES;
                    let shrink = absorb(
                        &mut tile[..seen * columns],
                        columns,
                        column,
                        &mut running.largest[group.clone()],
                        &mut running.sums[group],
                    );
                    if *started && shrink != [1.0; LANES] {
                        scale_columns(sums, columns, column, &shrink);
                    }
                }
                if !*started {
                    sums.fill(0.0);
                    *started = true;
                }
                let left = Left { values: packed_values, depth: tile_keys };
                product.multiply(sums, left, tile, 0..padded / rows, 0..seen, Update::Add);
            }
        }
        for (panel, started) in (0..count.div_ceil(columns)).zip(started) {
            let first = panel * columns;
            let sums = &sums[first * padded..];
            finish(&mut out, first, started.then_some(sums), columns, &running.sums, turned);
        }
        if let Some(mut stats) = stats {
            for row in 0..count {
                stats.row(row)[0] = (f64::from(running.largest[row]) + running.sums[row].ln()) as f32;
            }
        }
    });
}

/// Turns a panel of sums, `[width][columns]`, into rows of the result; without sums the rows are 0.
fn finish(out: &mut Piece<'_>, first: usize, sums: Option<&[f32]>, columns: usize, totals: &[f64], turned: &mut [f32]) {
    let count = columns.min(out.count() - first);
    let Some(sums) = sums else {
        return (first..first + count).for_each(|row| out.row(row).fill(0.0));
    };
    let width = out.row(first).len();
    Matrix::from_slice(sums, width, columns).pack(width, turned);
    for (row, turned) in (first..first + count).zip(turned.chunks_exact(width)) {
        let factor = if totals[row] == 0.0 { 0.0 } else { (1.0 / totals[row]) as f32 };
        for (out, &value) in out.row(row).iter_mut().zip(turned) {
            *out = value * factor;
        }
    }
}

vectorised! {
    /// The online softmax of the columns `column..column + LANES` of a tile with rows of `stride`: scores become exponentials
    /// below the running maximum of their column. Gives the factor by which what was summed before has to shrink.
    fn absorb(
        tile: &mut [f32],
        stride: usize,
        column: usize,
        largest: &mut [f32],
        sums: &mut [f64],
    ) -> [f32; LANES] {
        // Four chains, so that no step waits for the one before.
        let mut tops = [[f32::NEG_INFINITY; LANES]; 4];
        let mut groups = tile.chunks_exact(4 * stride);
        for group in &mut groups {
            for (top, row) in tops.iter_mut().zip(group.chunks_exact(stride)) {
                for (top, &score) in top.iter_mut().zip(&row[column..column + LANES]) {
                    *top = if *top > score { *top } else { score };
                }
            }
        }
        for (top, row) in tops.iter_mut().zip(groups.remainder().chunks_exact(stride)) {
            for (top, &score) in top.iter_mut().zip(&row[column..column + LANES]) {
                *top = if *top > score { *top } else { score };
            }
        }
        let (mut shrink, mut level) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let before = largest[lane];
            let top = tops.iter().fold(before, |top, chain| if top > chain[lane] { top } else { chain[lane] });
            largest[lane] = top;
            // Where nothing is seen yet, every score is negative infinity and every exponential 0.
            level[lane] = if top == f32::NEG_INFINITY { 0.0 } else { top };
            shrink[lane] = math::exp(before - level[lane]);
        }
        let mut totals = [[0.0f32; LANES]; 4];
        let mut groups = tile.chunks_exact_mut(4 * stride);
        for group in &mut groups {
            for (total, row) in totals.iter_mut().zip(group.chunks_exact_mut(stride)) {
                exponentials(&mut row[column..column + LANES], &level, total);
            }
        }
        for (total, row) in totals.iter_mut().zip(groups.into_remainder().chunks_exact_mut(stride)) {
            exponentials(&mut row[column..column + LANES], &level, total);
        }
        for lane in 0..LANES {
            let total = (totals[0][lane] + totals[1][lane]) + (totals[2][lane] + totals[3][lane]);
            sums[lane] = sums[lane] * f64::from(shrink[lane]) + f64::from(total);
        }
        shrink
    }
}

#[inline(always)]
fn exponentials(scores: &mut [f32], level: &[f32; LANES], total: &mut [f32; LANES]) {
    for ((score, &level), total) in scores.iter_mut().zip(level).zip(total) {
        *score = math::exp(*score - level);
        *total += *score;
    }
}

vectorised! {
    /// Multiplies the columns `column..column + LANES` of all rows.
    fn scale_columns(sums: &mut [f32], stride: usize, column: usize, factors: &[f32; LANES]) {
        for row in sums.chunks_exact_mut(stride) {
            for (sum, &factor) in row[column..column + LANES].iter_mut().zip(factors) {
                *sum *= factor;
            }
        }
    }
}
