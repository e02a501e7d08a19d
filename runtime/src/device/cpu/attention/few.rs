//! Attention of a few queries, as in decoding: a row of scores at a time.

use super::{BY_HEAD, Scores};
use crate::device::cpu::operand::Operands;
use crate::device::cpu::pool::Pool;
use crate::device::cpu::rows::Rows;
use crate::device::cpu::simd::vectorised;
use crate::device::cpu::{lanes, math};

pub fn forward(operands: &mut Operands<'_>, pool: &Pool, scores: &Scores<'_>, with_stats: bool) {
    let values = operands.rows_in_order(2, &BY_HEAD);
    let queries = scores.query_count;
    let out = operands.rows_mut_in_order(0, &BY_HEAD).per_task(queries);
    let stats = with_stats.then(|| operands.points_mut(1).per_task(queries));
    pool.run(out.count() / queries, (out, stats), |task, (mut out, mut stats), scratch| {
        let (batch, head) = (task / scores.heads, task % scores.heads);
        let first_key = scores.key_row(batch, scores.group(head), 0);
        for query in 0..queries {
            let seen = scores.seen(query);
            let row = scratch.floats(seen);
            products(
                row,
                scores.queries.row(scores.query_row(batch, head, query)),
                &scores.keys,
                first_key,
                scores.scale,
            );
            for (key, score) in row.iter_mut().enumerate() {
                if scores.strangers(batch, query, key) {
                    *score = f32::NEG_INFINITY;
                }
            }
            let normaliser = average(out.row(query), row, &values, first_key);
            if let Some(stats) = &mut stats {
                stats.row(query)[0] = normaliser;
            }
        }
    });
}

vectorised! {
    /// Scaled products of a query with keys.
    fn products(scores: &mut [f32], query: &[f32], keys: &Rows<'_>, first: usize, scale: f32) {
        for (key, score) in (first..).zip(scores) {
            *score = lanes::dot(query, keys.row(key)) * scale;
        }
    }
}

vectorised! {
    /// The mean of the values, weighted by softmax of the scores; the logarithm of the sum of the weights.
    fn average(out: &mut [f32], scores: &mut [f32], values: &Rows<'_>, first: usize) -> f32 {
        out.fill(0.0);
        let largest = lanes::maximum(scores);
        if largest == f32::NEG_INFINITY {
            return largest;
        }
        for score in scores.iter_mut() {
            *score = math::exp(*score - largest);
        }
        let sum = lanes::sum_of(scores, |x| x);
        let factor = (1.0 / sum) as f32;
        for (value, &weight) in (first..).zip(scores.iter()) {
            let weight = weight * factor;
            for (out, &value) in out.iter_mut().zip(values.row(value)) {
                *out = weight.mul_add(value, *out);
            }
        }
        (f64::from(largest) + sum.ln()) as f32
    }
}
