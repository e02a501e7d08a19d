//! Scaled dot-product attention in tiles with an online softmax (Dao et al. 2022): no `T x T` matrix is ever stored.

use llmc_compiler::op::AttentionSettings;

use super::elements::Elements;
use super::lanes;
use super::loss::multiply;
use super::math;
use super::matrix::{Matrix, MatrixMut};
use super::operand::Operands;
use super::pool::Pool;
use super::rows::Rows;
use super::simd::vectorised;

/// Queries of a tile.
pub const QUERIES: usize = 64;
/// Keys of a tile.
pub const KEYS: usize = 128;
/// Axes of `[B, T, H, K]` in the order of the walk: all tokens of a head follow each other.
pub const BY_HEAD: [usize; 3] = [0, 2, 1];

/// Queries, keys and who sees whom.
pub struct Scores<'a> {
    /// `[B, H, T]` rows of `K`.
    pub queries: Rows<'a>,
    /// `[B, G, S]` rows of `K`.
    pub keys: Rows<'a>,
    documents: Option<Elements<'a, i32>>,
    causal: bool,
    /// Factor on the scores.
    pub scale: f32,
    /// Position of the first query among the keys.
    before: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub groups: usize,
    /// Queries of a head.
    pub query_count: usize,
    /// Keys of a head.
    pub key_count: usize,
}

/// A tile of the score matrix of one head.
#[derive(Debug, Clone, Copy)]
pub struct Tile {
    /// Row of the batch.
    pub batch: usize,
    /// Query head.
    pub head: usize,
    /// First query and how many.
    pub queries: (usize, usize),
    /// First key and how many.
    pub keys: (usize, usize),
}

impl<'a> Scores<'a> {
    /// The scores of an attention step: reads 0 and 1 are queries and keys, `documents` the read of document numbers.
    pub fn new(operands: &Operands<'a>, settings: &AttentionSettings, documents: usize, before: usize) -> Self {
        let (query, key) = (operands.read(0), operands.read(1));
        Scores {
            queries: operands.rows_in_order(0, &BY_HEAD),
            keys: operands.rows_in_order(1, &BY_HEAD),
            documents: settings.documents.then(|| operands.integers(documents)),
            causal: settings.causal,
            scale: settings.scale as f32,
            before,
            heads: query.shape[2],
            groups: key.shape[2],
            query_count: query.shape[1],
            key_count: key.shape[1],
        }
    }

    /// Number of the first query of a tile in `[B, H, T]`.
    pub fn query_row(&self, tile: &Tile) -> usize {
        (tile.batch * self.heads + tile.head) * self.query_count + tile.queries.0
    }

    /// Number of the first key of a tile in `[B, G, S]`.
    pub fn key_row(&self, tile: &Tile) -> usize {
        let group = tile.head / (self.heads / self.groups);
        (tile.batch * self.groups + group) * self.key_count + tile.keys.0
    }

    /// The tile of these queries that starts at key `first`; none if they see nothing from there on.
    pub fn tile(&self, batch: usize, head: usize, queries: (usize, usize), first: usize) -> Option<Tile> {
        let end = match self.causal {
            true => self.key_count.min(self.before + queries.0 + queries.1),
            false => self.key_count,
        };
        let count = end.saturating_sub(first).min(KEYS);
        (count > 0).then_some(Tile { batch, head, queries, keys: (first, count) })
    }

    /// Document numbers of `(first, count)` tokens.
    fn numbers<const N: usize>(&self, batch: usize, tokens: (usize, usize)) -> Option<[i32; N]> {
        self.documents.as_ref().map(|documents| {
            let mut numbers = [0; N];
            for (index, number) in numbers.iter_mut().enumerate().take(tokens.1) {
                *number = documents.get(batch * self.query_count + tokens.0 + index);
            }
            numbers
        })
    }

    /// Fills `scores` with the scaled scores of a tile, row by query, negative infinity where a key is not seen.
    /// False, and nothing is computed, if no query of the tile sees any of its keys.
    pub fn compute(&self, tile: &Tile, scores: &mut [f32]) -> bool {
        let keys = self.numbers::<KEYS>(tile.batch, tile.keys);
        let queries = self.numbers::<QUERIES>(tile.batch, tile.queries);
        if let (Some(keys), Some(queries)) = (&keys, &queries) {
            let (keys, queries) = (&keys[..tile.keys.1], &queries[..tile.queries.1]);
            if !keys.iter().any(|key| queries.contains(key)) {
                return false;
            }
        }
        let (rows, columns) = (tile.queries.1, tile.keys.1);
        MatrixMut::from_slice(scores, rows, columns).multiply(
            false,
            self.scale,
            self.queries.block(self.query_row(tile), rows),
            self.keys.block(self.key_row(tile), columns).transposed(),
        );
        for (row, scores) in scores.chunks_exact_mut(columns).take(rows).enumerate() {
            if self.causal {
                let seen = (self.before + tile.queries.0 + row + 1).saturating_sub(tile.keys.0);
                scores[seen.min(columns)..].fill(f32::NEG_INFINITY);
            }
            if let (Some(keys), Some(queries)) = (&keys, &queries) {
                for (score, key) in scores.iter_mut().zip(keys) {
                    if *key != queries[row] {
                        *score = f32::NEG_INFINITY;
                    }
                }
            }
        }
        true
    }
}

/// `(q, k, v, documents?) -> (out, stats?)`
pub fn attention(operands: &mut Operands<'_>, pool: &Pool, settings: &AttentionSettings, stats: bool) {
    let scores = Scores::new(operands, settings, 3, 0);
    forward(operands, pool, &scores, stats);
}

/// `(q, key_cache, value_cache, length) -> out`; the caller has checked that the caches hold the queries' own keys.
pub fn cached_attention(operands: &mut Operands<'_>, pool: &Pool, scale: f64, length: usize) {
    let settings = AttentionSettings { causal: true, scale, documents: false };
    let scores = Scores::new(operands, &settings, 4, length);
    forward(operands, pool, &scores, false);
}

fn forward(operands: &mut Operands<'_>, pool: &Pool, scores: &Scores<'_>, with_stats: bool) {
    let values = operands.rows_in_order(2, &BY_HEAD);
    let count = scores.query_count;
    let out = operands.rows_mut_in_order(0, &BY_HEAD).blocks(count, QUERIES);
    let stats = with_stats.then(|| operands.points_mut(1).blocks(count, QUERIES));
    let blocks = count.div_ceil(QUERIES);
    let tasks = out.count() / count * blocks;
    pool.run(tasks, (out, stats), |task, (mut out, stats), scratch| {
        let head = task / blocks;
        let (batch, head) = (head / scores.heads, head % scores.heads);
        let queries = (task % blocks * QUERIES, out.count());
        let tile_scores = scratch.floats(QUERIES * KEYS);
        let mut largest = [f32::NEG_INFINITY; QUERIES];
        let mut sums = [0.0f64; QUERIES];
        let mut shrink = [1.0; QUERIES];
        (0..queries.1).for_each(|row| out.row(row).fill(0.0));
        let mut first = 0;
        while let Some(tile) = scores.tile(batch, head, queries, first) {
            first += KEYS;
            if !scores.compute(&tile, tile_scores) {
                continue;
            }
            let all = &mut tile_scores[..queries.1 * tile.keys.1];
            absorb(all, tile.keys.1, &mut largest, &mut sums, &mut shrink);
            for (row, &shrink) in shrink.iter().enumerate().take(queries.1) {
                if shrink != 1.0 {
                    multiply(out.row(row), shrink);
                }
            }
            let probabilities = Matrix::from_slice(tile_scores, queries.1, tile.keys.1);
            let values = values.block(scores.key_row(&tile), tile.keys.1);
            out.block(0, queries.1).multiply(true, 1.0, probabilities, values);
        }
        for (row, sum) in sums.iter().enumerate().take(queries.1) {
            if *sum != 0.0 {
                multiply(out.row(row), (1.0 / sum) as f32);
            }
        }
        if let Some(mut stats) = stats {
            for row in 0..queries.1 {
                stats.row(row)[0] = (f64::from(largest[row]) + sums[row].ln()) as f32;
            }
        }
    });
}

vectorised! {
    /// The online softmax of a tile: scores become exponentials below the running maximum of their row.
    /// `shrink` is the factor by which everything summed for a row before has to shrink.
    fn absorb(
        scores: &mut [f32],
        columns: usize,
        largest: &mut [f32; QUERIES],
        sums: &mut [f64; QUERIES],
        shrink: &mut [f32; QUERIES],
    ) {
        let state = largest.iter_mut().zip(sums).zip(shrink);
        for (scores, ((largest, sum), shrink)) in scores.chunks_exact_mut(columns).zip(state) {
            let before = *largest;
            let now = math::maximum(before, lanes::maximum(scores));
            *shrink = 1.0;
            if now == f32::NEG_INFINITY {
                scores.fill(0.0);
                continue;
            }
            if before != now {
                *shrink = math::exp(before - now);
            }
            for score in scores.iter_mut() {
                *score = math::exp(*score - now);
            }
            *sum = *sum * f64::from(*shrink) + lanes::sum_of(scores, |x| x);
            *largest = now;
        }
    }
}
