//! Gradient of attention from the saved statistics (Dao et al. 2022, algorithm 4): scores are computed again tile by tile.
//!
//! A tile of scores has a query a row and a key a column. So it is the packed right operand of the products that sum over
//! queries, whose results stay transposed, `[width][keys]`, until the end; only what the product over keys needs is turned.

use llmc_compiler::op::AttentionInput;
use llmc_compiler::plan::AttentionSettings;

use super::{BY_HEAD, Scores};
use crate::device::cpu::matrix::{Left, Matrix, PanelProduct, Update};
use crate::device::cpu::operand::Operands;
use crate::device::cpu::pool::{Pool, Runs};
use crate::device::cpu::rows::{Piece, Rows};
use crate::device::cpu::scratch::split;
use crate::device::cpu::simd::vectorised;
use crate::device::cpu::{lanes, math};

/// Rows of `dout . out` of a task.
const ROWS: usize = 256;
/// Queries of a tile.
const QUERIES: usize = 64;
/// Keys of a tile.
const KEYS: usize = 64;

/// `(q, k, v, out, stats, dout, ..) -> (dq?, dk?, dv?, dbias?, scratch [B, H, T])`
///
/// One task is one key/value head of one row of the batch: it alone writes that head's gradients, in a fixed order.
pub fn attention_grad(
    operands: &mut Operands<'_>,
    pool: &Pool,
    settings: &AttentionSettings,
    writes: &[AttentionInput],
) {
    let scores = Scores::new(operands, settings, 6, None);
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
        let order = if input == AttentionInput::Bias { [0, 1, 2] } else { BY_HEAD };
        Some(operands.rows_mut_in_order(write, &order).per_task(rows))
    };
    let dq = part(AttentionInput::Query, per_group * queries);
    let dk = part(AttentionInput::Key, keys);
    let dv = part(AttentionInput::Value, keys);
    let dbias = part(AttentionInput::Bias, per_group * queries);
    let tasks = scores.keys.count() / keys;
    let heads = Heads::new(&scores, &values, &dout, (stats, delta));
    let sizes = sizes(keys, heads.depth, heads.width);
    pool.run(tasks, ((dq, dk), (dv, dbias)), |task, ((mut dq, dk), (dv, mut dbias)), scratch| {
        let (batch, group) = (task / scores.groups, task % scores.groups);
        let mut work = Work::new(split(scratch, sizes), [dq.is_some(), dk.is_some(), dv.is_some()]);
        heads.pack_keys(batch, group, &mut work);
        for member in 0..per_group {
            let head = group * per_group + member;
            for first in (0..queries).step_by(QUERIES) {
                let count = QUERIES.min(queries - first);
                let mut block =
                    Block { batch, head, first, count, row: member * queries + first, dbias: dbias.as_mut() };
                heads.block(&mut block, &mut work);
                if let Some(dq) = &mut dq {
                    let (sums, width) = (&*work.dq, heads.padded(heads.depth));
                    heads.store(dq, member * queries + first, count, sums, width, work.rows);
                }
            }
        }
        for (piece, sums, width) in [(dk, &*work.dk, heads.depth), (dv, &*work.dv, heads.width)] {
            if let Some(mut piece) = piece {
                heads.store(&mut piece, 0, keys, sums, heads.padded(width), work.rows);
            }
        }
    });
}

/// All heads of an attention.
struct Heads<'a> {
    scores: &'a Scores<'a>,
    values: &'a Rows<'a>,
    dout: &'a Rows<'a>,
    /// Statistics and `dout . out`, `[B, H, T]` each.
    by_query: (&'a [f32], &'a [f32]),
    product: PanelProduct,
    /// Size of queries and keys.
    depth: usize,
    /// Size of values.
    width: usize,
}

/// Queries of one head.
struct Block<'b, 'p> {
    batch: usize,
    head: usize,
    first: usize,
    count: usize,
    /// Where the gradients of their biases go, if they are asked for, and the number of the first row there.
    row: usize,
    dbias: Option<&'b mut Piece<'p>>,
}

/// Parts of a thread's scratch memory. "Left" and "right" say which operand of a product a thing is packed for.
struct Work<'s> {
    /// Which of the gradients of queries, keys and values are asked for.
    asked: [bool; 3],
    /// `[keys / C][depth][C]`
    keys_right: &'s mut [f32],
    /// `[keys / C][width][C]`
    values_right: &'s mut [f32],
    /// Tile by tile `[depth / R][keys][R]`
    keys_left: &'s mut [f32],
    /// `[keys / C][depth][C]`
    dk: &'s mut [f32],
    /// `[keys / C][width][C]`
    dv: &'s mut [f32],
    /// Of a block: `[queries / R][depth][R]`
    queries_left: &'s mut [f32],
    /// `[queries / R][width][R]`
    dout_left: &'s mut [f32],
    /// `[depth / R][queries][R]`
    queries_turned: &'s mut [f32],
    /// `[width / R][queries][R]`
    dout_turned: &'s mut [f32],
    /// `[queries / C][depth][C]`
    dq: &'s mut [f32],
    /// Of a tile: `[keys / C][queries][C]`
    probabilities: &'s mut [f32],
    /// Gradients of the scores, alike.
    gradients: &'s mut [f32],
    /// The same as `[queries / C][keys][C]`
    gradients_turned: &'s mut [f32],
    /// Rows of a result.
    rows: &'s mut [f32],
}

impl<'s> Work<'s> {
    fn new(parts: [&'s mut [f32]; 14], asked: [bool; 3]) -> Self {
        let [
            keys_right,
            values_right,
            keys_left,
            dk,
            dv,
            queries_left,
            dout_left,
            queries_turned,
            dout_turned,
            dq,
            probabilities,
            gradients,
            gradients_turned,
            rows,
        ] = parts;
        dk.fill(0.0);
        dv.fill(0.0);
        Work {
            asked,
            keys_right,
            values_right,
            keys_left,
            dk,
            dv,
            queries_left,
            dout_left,
            queries_turned,
            dout_turned,
            dq,
            probabilities,
            gradients,
            gradients_turned,
            rows,
        }
    }
}

/// Floats of the parts of [`Work`].
pub fn sizes(key_count: usize, depth: usize, width: usize) -> [usize; 14] {
    let PanelProduct { rows, columns, .. } = PanelProduct::detected();
    let keys = key_count.next_multiple_of(columns);
    let (depth_padded, width_padded) = (depth.next_multiple_of(rows), width.next_multiple_of(rows));
    [
        keys * depth,
        keys * width,
        key_count * depth_padded,
        keys * depth_padded,
        keys * width_padded,
        QUERIES * depth,
        QUERIES * width,
        QUERIES * depth_padded,
        QUERIES * width_padded,
        QUERIES * depth_padded,
        QUERIES * KEYS,
        QUERIES * KEYS,
        QUERIES * KEYS,
        columns * depth.max(width),
    ]
}

impl<'a> Heads<'a> {
    fn new(scores: &'a Scores<'a>, values: &'a Rows<'a>, dout: &'a Rows<'a>, by_query: (&'a [f32], &'a [f32])) -> Self {
        let (depth, width) = (scores.queries.length(), values.length());
        Heads { scores, values, dout, by_query, product: PanelProduct::detected(), depth, width }
    }

    /// A size in whole left panels.
    fn padded(&self, size: usize) -> usize {
        size.next_multiple_of(self.product.rows)
    }

    /// Packs what all queries of a key/value head share.
    fn pack_keys(&self, batch: usize, group: usize, work: &mut Work<'_>) {
        let (first, count) = (self.scores.key_row(batch, group, 0), self.scores.key_count);
        let keys = self.scores.keys.block(first, count);
        keys.pack(self.product.columns, work.keys_right);
        self.values.block(first, count).pack(self.product.columns, work.values_right);
        for tile in (0..count).step_by(KEYS) {
            let keys = keys.rows_from(tile, KEYS.min(count - tile)).transposed();
            keys.pack(self.product.rows, &mut work.keys_left[tile * self.padded(self.depth)..]);
        }
    }

    /// All that a block of queries adds to the gradients; its own are in `work.dq` afterwards.
    fn block(&self, block: &mut Block<'_, '_>, work: &mut Work<'_>) {
        let (rows, columns) = (self.product.rows, self.product.columns);
        let first_row = self.scores.query_row(block.batch, block.head, block.first);
        let (queries, dout) =
            (self.scores.queries.block(first_row, block.count), self.dout.block(first_row, block.count));
        queries.pack(rows, work.queries_left);
        dout.pack(rows, work.dout_left);
        queries.transposed().pack(rows, work.queries_turned);
        dout.transposed().pack(rows, work.dout_turned);
        work.dq.fill(0.0);
        if let Some(dbias) = &mut block.dbias {
            (block.row..block.row + block.count).for_each(|row| dbias.row(row).fill(0.0));
        }
        let queries_at = block.first..block.first + block.count;
        let seen = self.scores.seen_by(block.batch, &queries_at);
        for tile in (seen.start / KEYS * KEYS..seen.end).step_by(KEYS) {
            let keys = tile..seen.end.min(tile + KEYS);
            let (any, all) = self.scores.numbers.visible(block.batch, &queries_at, &keys);
            if !any {
                continue;
            }
            for panel in (keys.start..keys.end).step_by(columns) {
                self.panel(block, panel..keys.end.min(panel + columns), (panel - tile) / columns, all, work);
            }
            if work.asked[0] {
                self.add_to_queries(block, keys, work);
            }
        }
    }

    /// Probabilities and gradients of the scores of one panel of keys, the `index`-th of its tile, and what follows from them
    /// for the keys and values. `all` says that no number hides anything.
    fn panel(
        &self,
        block: &mut Block<'_, '_>,
        keys: std::ops::Range<usize>,
        index: usize,
        all: bool,
        work: &mut Work<'_>,
    ) {
        let (rows, columns, count) = (self.product.rows, self.product.columns, block.count);
        let seeing = self.scores.seeing(block.batch, keys.start);
        let first = seeing.start.saturating_sub(block.first).min(count) / rows * rows;
        let (left, panel) = (first / rows..count.div_ceil(rows), keys.start / columns);
        let probabilities = &mut work.probabilities[index * QUERIES * columns..][..QUERIES * columns];
        let gradients = &mut work.gradients[index * QUERIES * columns..][..QUERIES * columns];
        // Where nothing is computed, because nothing is seen, the turned gradients are read all the same.
        gradients[..first * columns].fill(0.0);
        let queries = Left { values: work.queries_left, depth: self.depth };
        let keys_right = &work.keys_right[panel * columns * self.depth..];
        let scale = self.scores.scale;
        self.product.multiply(probabilities, queries, keys_right, left.clone(), 0..self.depth, Update::Replace(scale));
        let dout = Left { values: work.dout_left, depth: self.width };
        let values_right = &work.values_right[panel * columns * self.width..];
        self.product.multiply(gradients, dout, values_right, left, 0..self.width, Update::Replace(1.0));
        let lines = probabilities.chunks_exact_mut(columns).take(count).enumerate().skip(first);
        for (query, line) in lines.map(|(row, line)| (block.first + row, line)) {
            // What lies behind the last key of the row is padding of the panel.
            line[keys.len()..].fill(f32::NEG_INFINITY);
            let place = [block.batch, block.head, query];
            self.scores.finish_query(place, keys.start, all, &mut line[..keys.len()]);
        }
        let first_row = self.scores.query_row(block.batch, block.head, block.first);
        let range = first_row + first..first_row + count;
        let (stats, delta) = (&self.by_query.0[range.clone()], &self.by_query.1[range]);
        let computed = first * columns..count * columns;
        let cap = self.scores.settings.soft_cap.map(|cap| cap as f32);
        let (tile, line) = (&mut gradients[computed.clone()], &mut probabilities[computed]);
        if let Some(dbias) = &mut block.dbias {
            score_gradients(tile, line, columns, stats, delta, 1.0, cap);
            for (row, line) in (block.row + first..).zip(tile.chunks_exact(columns)) {
                dbias.row(row)[keys.clone()].copy_from_slice(&line[..keys.len()]);
            }
            tile.iter_mut().for_each(|gradient| *gradient *= scale);
        } else {
            score_gradients(tile, line, columns, stats, delta, scale, cap);
        }
        let [_, dk, dv] = work.asked;
        if dv {
            let (size, left) = (self.padded(self.width), Left { values: work.dout_turned, depth: count });
            let sums = &mut work.dv[panel * columns * size..];
            self.product.multiply(sums, left, probabilities, 0..size / rows, first..count, Update::Add);
        }
        if dk {
            let (size, left) = (self.padded(self.depth), Left { values: work.queries_turned, depth: count });
            let sums = &mut work.dk[panel * columns * size..];
            self.product.multiply(sums, left, gradients, 0..size / rows, first..count, Update::Add);
        }
    }

    /// Adds the product of a tile's score gradients with its keys to the gradients of the queries.
    fn add_to_queries(&self, block: &Block<'_, '_>, keys: std::ops::Range<usize>, work: &mut Work<'_>) {
        let (rows, columns) = (self.product.rows, self.product.columns);
        let size = self.padded(self.depth);
        let tile = KEYS.min(self.scores.key_count - keys.start);
        let left = Left { values: &work.keys_left[keys.start * size..], depth: tile };
        for (panel, first) in (0..block.count).step_by(columns).enumerate() {
            let queries = columns.min(block.count - first);
            let seen = self
                .scores
                .seen(block.batch, block.first + first + queries - 1)
                .end
                .min(keys.end)
                .saturating_sub(keys.start);
            let turned = &mut work.gradients_turned[panel * columns * KEYS..][..columns * KEYS];
            for (index, turned) in (0..seen.div_ceil(columns)).zip(turned.chunks_exact_mut(columns * columns)) {
                let gradients = &work.gradients[(index * QUERIES + first) * columns..];
                Matrix::from_slice(gradients, queries, columns).pack(columns, turned);
            }
            let sums = &mut work.dq[panel * columns * size..];
            self.product.multiply(sums, left, turned, 0..size / rows, 0..seen, Update::Add);
        }
    }

    /// Stores `count` rows from `first` on, found in the columns of `sums`, `[count / C][padded][C]`.
    fn store(&self, out: &mut Piece<'_>, first: usize, count: usize, sums: &[f32], padded: usize, rows: &mut [f32]) {
        let columns = self.product.columns;
        for (start, sums) in (0..count).step_by(columns).zip(sums.chunks_exact(columns * padded)) {
            let width = out.row(first + start).len();
            Matrix::from_slice(sums, width, columns).pack(width, rows);
            for (row, values) in (first + start..first + count).zip(rows.chunks_exact(width).take(columns)) {
                out.row(row).copy_from_slice(values);
            }
        }
    }
}

vectorised! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        lanes::sum_of_two(a, b, |a, b| a * b) as f32
    }
}

vectorised! {
    /// Scores become probabilities `p`, and `dp` becomes `ds = p (dp - delta) scale`, times the slope of the cap; a row that
    /// sees nothing becomes 0.
    fn score_gradients(
        gradients: &mut [f32],
        probabilities: &mut [f32],
        columns: usize,
        stats: &[f32],
        delta: &[f32],
        scale: f32,
        cap: Option<f32>,
    ) {
        let rows = gradients.chunks_exact_mut(columns).zip(probabilities.chunks_exact_mut(columns));
        for ((gradients, probabilities), (&normaliser, &delta)) in rows.zip(stats.iter().zip(delta)) {
            if normaliser == f32::NEG_INFINITY {
                gradients.fill(0.0);
                probabilities.fill(0.0);
                continue;
            }
            let slopes = cap.map(|cap| 1.0 / cap);
            for (gradient, probability) in gradients.iter_mut().zip(probabilities) {
                let score = *probability;
                *probability = math::exp(score - normaliser);
                *gradient = *probability * (*gradient - delta) * scale;
                if let Some(share) = slopes {
                    // A score that is not seen is negative infinity; any finite slope will do there.
                    let part = if score == f32::NEG_INFINITY { 0.0 } else { score * share };
                    *gradient *= 1.0 - part * part;
                }
            }
        }
    }
}
