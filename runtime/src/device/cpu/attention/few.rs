//! Attention of a few queries, as in decoding: all query heads of a key/value head go together, so that every key and value is
//! read once, with a row of scores for each query.

use super::{BY_HEAD, Scores};
use crate::device::cpu::matrix::Matrix;
use crate::device::cpu::operand::Operands;
use crate::device::cpu::pool::Pool;
use crate::device::cpu::scratch::split;
use crate::device::cpu::simd::vectorised;
use crate::device::cpu::{lanes, math};

/// Floats of the parts of a thread's scratch memory: queries, scores, and sums of values, for so many query rows of a task.
pub fn sizes(rows: usize, keys: usize, depth: usize, width: usize) -> [usize; 3] {
    [rows * depth, rows * keys, rows * width]
}

pub fn forward(operands: &mut Operands<'_>, pool: &Pool, scores: &Scores<'_>, with_stats: bool) {
    let values = operands.rows_in_order(2, &BY_HEAD);
    let queries = scores.query_count;
    // A task's rows: the queries of the first head that reads the keys, then those of the next.
    let rows = scores.heads / scores.groups * queries;
    let out = operands.rows_mut_in_order(0, &BY_HEAD).per_task(rows);
    let stats = with_stats.then(|| operands.points_mut(1).per_task(rows));
    let (depth, width) = (scores.queries.length(), values.length());
    pool.run(out.count() / rows, (out, stats), |task, (mut out, mut stats), scratch| {
        let (batch, group) = (task / scores.groups, task % scores.groups);
        let seen = scores.seen(batch, queries - 1).end;
        let first_key = scores.key_row(batch, group, 0);
        let (keys, values) = (scores.keys.block(first_key, seen), values.block(first_key, seen));
        let [asking, lines, sums] = split(scratch, sizes(rows, seen, depth, width));
        for (row, query) in asking.chunks_exact_mut(depth).enumerate() {
            query.copy_from_slice(scores.queries.row(out.first() + row));
        }
        products(lines, asking, keys, scores.scale);
        for (row, line) in lines.chunks_exact_mut(seen).enumerate() {
            let (head, query) = (group * (scores.heads / scores.groups) + row / queries, row % queries);
            scores.finish_query([batch, head, query], 0, false, line);
            let normaliser = softmax(line);
            if let Some(stats) = &mut stats {
                stats.row(row)[0] = normaliser;
            }
        }
        sum(sums, lines, values);
        for (row, sum) in sums.chunks_exact(width).enumerate() {
            out.row(row).copy_from_slice(sum);
        }
    });
}

vectorised! {
    /// Scaled products of the queries, a row each, with the keys: a row of scores each.
    fn products(scores: &mut [f32], queries: &[f32], keys: Matrix<'_>, scale: f32) {
        let (count, depth) = keys.size();
        for key in 0..count {
            let row = keys.row(key);
            for (query, scores) in queries.chunks_exact(depth).zip(scores.chunks_exact_mut(count)) {
                scores[key] = lanes::dot(query, row) * scale;
            }
        }
    }
}

vectorised! {
    /// Scores become weights that sum to one, or to zero where nothing is seen. Gives the logarithm of the sum of the exponentials.
    fn softmax(scores: &mut [f32]) -> f32 {
        let largest = lanes::maximum(scores);
        if largest == f32::NEG_INFINITY {
            scores.fill(0.0);
            return largest;
        }
        let sum = lanes::replace_and_sum(scores, |score| math::exp(score - largest));
        let factor = (1.0 / sum) as f32;
        for score in scores.iter_mut() {
            *score *= factor;
        }
        (f64::from(largest) + sum.ln()) as f32
    }
}

vectorised! {
    /// The weighted sums of the values, a row for each row of weights.
    fn sum(sums: &mut [f32], weights: &[f32], values: Matrix<'_>) {
        let (count, width) = values.size();
        sums.fill(0.0);
        for value in 0..count {
            let row = values.row(value);
            for (sum, weights) in sums.chunks_exact_mut(width).zip(weights.chunks_exact(count)) {
                let weight = weights[value];
                for (sum, &value) in sum.iter_mut().zip(row) {
                    *sum = weight.mul_add(value, *sum);
                }
            }
        }
    }
}
