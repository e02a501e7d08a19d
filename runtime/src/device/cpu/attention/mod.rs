//! Scaled dot-product attention in tiles with an online softmax (Dao et al. 2022): no `T x T` matrix is ever stored.

mod bias;
mod few;
mod forward;
mod gradient;
mod numbers;
mod score;

use std::ops::Range;

use llmc_compiler::plan::{AttentionSettings, alibi_slope};

use super::cache::Lengths;
use super::operand::Operands;
use super::pool::Pool;
use super::rows::Rows;
use bias::Bias;
use numbers::Numbers;

pub use gradient::attention_grad;

/// Axes of `[B, T, H, K]` in the order of the walk: all tokens of a head follow each other.
const BY_HEAD: [usize; 3] = [0, 2, 1];
/// Vector lanes that softmax works on at once; panels are multiples of it.
const LANES: usize = 16;
/// Fewer queries than this do not fill a panel: see [`few`].
const FEW: usize = 8;

/// Queries, keys, who sees whom, and what is added to their scores.
struct Scores<'a> {
    /// `[B, H, T]` rows of `K`.
    queries: Rows<'a>,
    /// `[B, G, S]` rows of `K`.
    keys: Rows<'a>,
    /// Document numbers and places in an order.
    numbers: Numbers<'a>,
    bias: Option<Bias<'a>>,
    settings: AttentionSettings,
    /// Factor on the products.
    scale: f32,
    /// Position of each row's first query among the keys; 0 without a cache.
    before: Option<Lengths<'a>>,
    /// Query heads.
    heads: usize,
    /// Key/value heads.
    groups: usize,
    /// Queries of a head.
    query_count: usize,
    /// Keys of a head.
    key_count: usize,
}

impl<'a> Scores<'a> {
    /// The scores of an attention step: reads 0 and 1 are queries and keys; `fixed` reads stand before the further ones.
    fn new(operands: &Operands<'a>, settings: &AttentionSettings, fixed: usize, before: Option<Lengths<'a>>) -> Self {
        let (query, key) = (operands.read(0), operands.read(1));
        let further = settings.operands(fixed);
        Scores {
            queries: operands.rows_in_order(0, &BY_HEAD),
            keys: operands.rows_in_order(1, &BY_HEAD),
            numbers: Numbers::new(operands, settings, &further),
            bias: further.bias.map(|bias| Bias::new(operands, bias)),
            settings: *settings,
            scale: settings.scale as f32,
            before,
            heads: query.shape[2],
            groups: key.shape[2],
            query_count: query.shape[1],
            key_count: key.shape[1],
        }
    }

    /// Number of a query in `[B, H, T]`.
    fn query_row(&self, batch: usize, head: usize, query: usize) -> usize {
        (batch * self.heads + head) * self.query_count + query
    }

    /// Number of a key in `[B, G, S]`.
    fn key_row(&self, batch: usize, group: usize, key: usize) -> usize {
        (batch * self.groups + group) * self.key_count + key
    }

    /// Key/value head of a query head.
    fn group(&self, head: usize) -> usize {
        head / (self.heads / self.groups)
    }

    /// Position of a row's first query among its keys.
    fn before(&self, batch: usize) -> usize {
        self.before.as_ref().map_or(0, |before| before.of(batch))
    }

    /// Keys that `query` sees by its place. Both ends rise with the query.
    fn seen(&self, batch: usize, query: usize) -> Range<usize> {
        self.settings.seen(self.before(batch) + query, self.key_count)
    }

    /// Keys that some query of a range sees by its place.
    fn seen_by(&self, batch: usize, queries: &Range<usize>) -> Range<usize> {
        self.seen(batch, queries.start).start..self.seen(batch, queries.end - 1).end
    }

    /// Queries that see `key` by its place.
    fn seeing(&self, batch: usize, key: usize) -> Range<usize> {
        let place = |at: usize| at.saturating_sub(self.before(batch)).min(self.query_count);
        let reach = self.settings.window.map_or(usize::MAX, |window| usize::try_from(window).unwrap_or(usize::MAX));
        let first = if self.settings.causal { key } else { (key + 1).saturating_sub(reach) };
        place(first)..place(key.saturating_add(reach))
    }

    /// Bends a line of scores of a head, bias included, whose distances between query and key are `distance, distance + 1, ..`.
    fn bend(&self, head: usize, distance: f32, scores: &mut [f32]) {
        if self.settings.alibi {
            score::fall(scores, distance, -alibi_slope(head, self.heads) as f32);
        }
        if let Some(cap) = self.settings.soft_cap {
            score::cap(scores, cap as f32);
        }
    }

    /// Makes scaled products of one query with the keys from `first` on into scores; what is not seen becomes negative infinity.
    /// `all` says that no number hides anything.
    fn finish_query(&self, place: [usize; 3], first: usize, all: bool, scores: &mut [f32]) {
        let [batch, head, query] = place;
        if let Some(bias) = &self.bias {
            bias.add_to_query(place, first, scores);
        }
        self.bend(head, first as f32 - (self.before(batch) + query) as f32, scores);
        let seen = self.seen(batch, query);
        score::keep(scores, seen.start.saturating_sub(first)..seen.end.saturating_sub(first));
        if !all {
            self.numbers.hide_keys(batch, query, first, scores);
        }
    }

    /// The same for one key and the queries from `first` on, bias included already.
    fn finish_key(&self, [batch, head, key]: [usize; 3], first: usize, all: bool, scores: &mut [f32]) {
        self.bend(head, (self.before(batch) + first) as f32 - key as f32, scores);
        let seeing = self.seeing(batch, key);
        score::keep(scores, seeing.start.saturating_sub(first)..seeing.end.saturating_sub(first));
        if !all {
            self.numbers.hide_from_queries(batch, key, first, scores);
        }
    }
}

/// `(q, k, v, ..) -> (out, stats?)`
pub fn attention(operands: &mut Operands<'_>, pool: &Pool, settings: &AttentionSettings, stats: bool) {
    let scores = Scores::new(operands, settings, 3, None);
    run(operands, pool, &scores, stats);
}

/// `(q, key_cache, value_cache, length [B]) -> out`
pub fn cached_attention<'a>(
    operands: &mut Operands<'a>,
    pool: &Pool,
    settings: &AttentionSettings,
    lengths: Lengths<'a>,
) {
    let scores = Scores::new(operands, settings, 4, Some(lengths));
    run(operands, pool, &scores, false);
}

/// Floats of a thread's scratch memory for so many `(queries, keys)` of `(depth, width)`, the sizes of a key and of a value,
/// where so many heads share their keys.
pub fn scratch_floats(
    is_gradient: bool,
    (queries, keys): (usize, usize),
    (depth, width): (usize, usize),
    sharers: usize,
) -> usize {
    match is_gradient {
        true => gradient::sizes(keys, depth, width).iter().sum(),
        false if queries < FEW => few::sizes(sharers * queries, keys, depth, width).iter().sum(),
        false => forward::sizes(queries, depth, width).iter().sum(),
    }
}

fn run(operands: &mut Operands<'_>, pool: &Pool, scores: &Scores<'_>, stats: bool) {
    if scores.query_count < FEW {
        few::forward(operands, pool, scores, stats);
    } else {
        forward::forward(operands, pool, scores, stats);
    }
}
