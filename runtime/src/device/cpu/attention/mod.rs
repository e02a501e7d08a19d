//! Scaled dot-product attention in tiles with an online softmax (Dao et al. 2022): no `T x T` matrix is ever stored.

mod few;
mod forward;
mod gradient;

use llmc_compiler::op::AttentionSettings;

use super::cache::Lengths;
use super::elements::Elements;
use super::operand::Operands;
use super::pool::Pool;
use super::rows::Rows;

pub use gradient::attention_grad;

/// Axes of `[B, T, H, K]` in the order of the walk: all tokens of a head follow each other.
const BY_HEAD: [usize; 3] = [0, 2, 1];
/// Vector lanes that softmax works on at once; panels are multiples of it.
const LANES: usize = 16;
/// Fewer queries than this do not fill a panel: see [`few`].
const FEW: usize = 8;

/// Queries, keys and who sees whom.
struct Scores<'a> {
    /// `[B, H, T]` rows of `K`.
    queries: Rows<'a>,
    /// `[B, G, S]` rows of `K`.
    keys: Rows<'a>,
    /// `[B, T]`
    documents: Option<Elements<'a, i32>>,
    causal: bool,
    /// Factor on the scores.
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
    /// The scores of an attention step: reads 0 and 1 are queries and keys, `documents` the read of document numbers.
    fn new(
        operands: &Operands<'a>,
        settings: &AttentionSettings,
        documents: usize,
        before: Option<Lengths<'a>>,
    ) -> Self {
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

    /// Keys up to the last one that `query` sees, documents aside.
    fn seen(&self, batch: usize, query: usize) -> usize {
        if self.causal { self.key_count.min(self.before(batch) + query + 1) } else { self.key_count }
    }

    /// The first query that sees `key`, documents aside.
    fn first_query(&self, batch: usize, key: usize) -> usize {
        if self.causal { key.saturating_sub(self.before(batch)) } else { 0 }
    }

    /// Whether a query and a key may be of different documents.
    fn strangers(&self, batch: usize, query: usize, key: usize) -> bool {
        self.documents.as_ref().is_some_and(|documents| {
            documents.get(batch * self.query_count + query) != documents.get(batch * self.query_count + key)
        })
    }

    /// Whether any of the tokens `queries` and `keys` share a document, and whether all do.
    fn share_documents(
        &self,
        batch: usize,
        queries: std::ops::Range<usize>,
        keys: std::ops::Range<usize>,
    ) -> (bool, bool) {
        let Some(documents) = &self.documents else { return (true, true) };
        let number = |token: usize| documents.get(batch * self.query_count + token);
        let extent = |tokens: std::ops::Range<usize>| {
            tokens.map(number).fold((i32::MAX, i32::MIN), |(low, high), number| (low.min(number), high.max(number)))
        };
        let ((first, last), (low, high)) = (extent(queries), extent(keys));
        (first <= high && low <= last, first == last && low == high && first == low)
    }
}

/// `(q, k, v, documents?) -> (out, stats?)`
pub fn attention(operands: &mut Operands<'_>, pool: &Pool, settings: &AttentionSettings, stats: bool) {
    let scores = Scores::new(operands, settings, 3, None);
    run(operands, pool, &scores, stats);
}

/// `(q, key_cache, value_cache, length [B]) -> out`
pub fn cached_attention<'a>(operands: &mut Operands<'a>, pool: &Pool, scale: f64, lengths: Lengths<'a>) {
    let settings = AttentionSettings { causal: true, scale, documents: false };
    let scores = Scores::new(operands, &settings, 4, Some(lengths));
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
