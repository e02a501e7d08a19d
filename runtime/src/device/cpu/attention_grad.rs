//! Gradient of attention from the saved statistics (Dao et al. 2022, algorithm 4): scores are computed again tile by tile.

use llmc_compiler::op::{AttentionInput, AttentionSettings};

use super::attention::{BY_HEAD, KEYS, QUERIES, Scores};
use super::lanes;
use super::math;
use super::matrix::{Matrix, MatrixMut};
use super::operand::Operands;
use super::pool::{Pool, Runs};
use super::rows::Piece;
use super::simd::vectorised;

/// Rows of `dout . out` of a task.
const ROWS: usize = 256;

/// `(q, k, v, out, stats, dout, documents?) -> (dq?, dk?, dv?, scratch [B, H, T])`
///
/// One task is one key/value head of one row of the batch: it alone writes that head's gradients, in a fixed order.
pub fn attention_grad(
    operands: &mut Operands<'_>,
    pool: &Pool,
    settings: &AttentionSettings,
    writes: &[AttentionInput],
) {
    let scores = Scores::new(operands, settings, 6, 0);
    let values = operands.rows_in_order(2, &BY_HEAD);
    let (out, dout) = (operands.rows_in_order(3, &BY_HEAD), operands.rows_in_order(5, &BY_HEAD));
    let stats = operands.slice(4);
    let delta = operands.slice_mut(writes.len());
    pool.run(delta.len().div_ceil(ROWS), Runs::new(delta, ROWS), |task, delta, _| {
        for (row, delta) in (task * ROWS..).zip(delta) {
            *delta = dot(out.row(row), dout.row(row));
        }
    });
    let delta = &*delta;

    let (queries, keys) = (scores.query_count, scores.key_count);
    let per_group = scores.heads / scores.groups;
    let mut part = |input: AttentionInput, rows: usize| {
        let write = writes.iter().position(|write| *write == input)?;
        Some(operands.rows_mut_in_order(write, &BY_HEAD).per_task(rows))
    };
    let dq = part(AttentionInput::Query, per_group * queries);
    let dk = part(AttentionInput::Key, keys);
    let dv = part(AttentionInput::Value, keys);
    let tasks = scores.keys.count() / keys;
    pool.run(tasks, (dq, dk, dv), |task, (mut dq, mut dk, mut dv), scratch| {
        let (batch, group) = (task / scores.groups, task % scores.groups);
        let (probabilities, gradients) = scratch.floats(2 * QUERIES * KEYS).split_at_mut(QUERIES * KEYS);
        [&mut dq, &mut dk, &mut dv].into_iter().flatten().for_each(clear);
        for member in 0..per_group {
            let head = group * per_group + member;
            for first_query in (0..queries).step_by(QUERIES) {
                let block = (first_query, QUERIES.min(queries - first_query));
                let mut first_key = 0;
                while let Some(tile) = scores.tile(batch, head, block, first_key) {
                    first_key += KEYS;
                    if !scores.compute(&tile, probabilities) {
                        continue;
                    }
                    let (rows, columns) = (tile.queries.1, tile.keys.1);
                    let (query_row, key_row) = (scores.query_row(&tile), scores.key_row(&tile));
                    let dout = dout.block(query_row, rows);
                    for (row, scores) in probabilities.chunks_exact_mut(columns).take(rows).enumerate() {
                        exponentials(scores, stats[query_row + row]);
                    }
                    let shape = |values| Matrix::from_slice(values, rows, columns);
                    if let Some(dv) = &mut dv {
                        let mut dv = dv.block(tile.keys.0, columns);
                        dv.multiply(true, 1.0, shape(probabilities).transposed(), dout);
                    }
                    if dq.is_none() && dk.is_none() {
                        continue;
                    }
                    let along_values = values.block(key_row, columns).transposed();
                    MatrixMut::from_slice(gradients, rows, columns).multiply(false, 1.0, dout, along_values);
                    let pairs = gradients.chunks_exact_mut(columns).zip(probabilities.chunks_exact(columns));
                    for (row, (gradients, probabilities)) in pairs.take(rows).enumerate() {
                        score_gradients(gradients, probabilities, delta[query_row + row], scores.scale);
                    }
                    if let Some(dk) = &mut dk {
                        let queries = scores.queries.block(query_row, rows);
                        dk.block(tile.keys.0, columns).multiply(true, 1.0, shape(gradients).transposed(), queries);
                    }
                    if let Some(dq) = &mut dq {
                        let keys = scores.keys.block(key_row, columns);
                        let mut dq = dq.block(member * queries + first_query, rows);
                        dq.multiply(true, 1.0, shape(gradients), keys);
                    }
                }
            }
        }
    });
}

fn clear(piece: &mut Piece<'_>) {
    (0..piece.count()).for_each(|row| piece.row(row).fill(0.0));
}

vectorised! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        lanes::sum_of_two(a, b, |a, b| a * b) as f32
    }
}

vectorised! {
    /// Scores become probabilities; a row that sees nothing stays 0.
    fn exponentials(scores: &mut [f32], normaliser: f32) {
        if normaliser == f32::NEG_INFINITY {
            return scores.fill(0.0);
        }
        for score in scores {
            *score = math::exp(*score - normaliser);
        }
    }
}

vectorised! {
    /// `ds = p (dp - delta) scale`
    fn score_gradients(gradients: &mut [f32], probabilities: &[f32], delta: f32, scale: f32) {
        for (gradient, &probability) in gradients.iter_mut().zip(probabilities) {
            *gradient = probability * (*gradient - delta) * scale;
        }
    }
}
