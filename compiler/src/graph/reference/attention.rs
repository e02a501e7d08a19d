//! Scaled dot-product attention, its gradients, and its form over a key/value cache.

use super::lookup::exponential_sum;
use super::{count, dot, floats, integers, sizes};
use crate::graph::Tensor;
use crate::op::{AttentionInput, Op};
use crate::plan::{AttentionSettings, OrderRule, alibi_slope};

pub(super) fn evaluate(op: &Op, inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    let queries = inputs[0].shape[1];
    Ok(match op {
        Op::Attention(settings) => Heads::new(*settings, inputs, 3).output(),
        Op::AttentionStats(settings) => Heads::new(*settings, inputs, 3).stats(),
        Op::AttentionGrad { settings, wrt } => Heads::new(*settings, inputs, 6).gradient(*wrt, &inputs[3..]),
        Op::CachedAttention(settings) => {
            let before = cache_room(inputs[1], queries, inputs[3])?;
            let heads = Heads { before, ..Heads::new(*settings, inputs, 4) };
            heads.output()
        }
        _ => unreachable!("the caller passes attention only"),
    })
}

/// `(cache [B, C, G, K], new [B, T, G, K], length [B])`
pub(super) fn cache_write(inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    let [cache, new, length] = inputs else { unreachable!("the type check asks for three operands") };
    let firsts = cache_room(cache, new.shape[1], length)?;
    let row: usize = sizes(&cache.shape[2..]).iter().product();
    let (capacity, added) = (cache.shape[1] as usize * row, new.shape[1] as usize * row);
    let mut written = floats(cache).to_vec();
    let rows = written.chunks_exact_mut(capacity).zip(floats(new).chunks_exact(added));
    for ((cache, new), first) in rows.zip(firsts) {
        cache[first * row..][..added].copy_from_slice(new);
    }
    Ok(written)
}

/// How many positions each row of a cache `[B, C, ..]` holds, if that leaves room for more.
fn cache_room(cache: &Tensor, added: u64, lengths: &Tensor) -> Result<Vec<usize>, String> {
    let capacity = cache.shape[1];
    let room = |&length: &f32| {
        let held = count(f64::from(length), "the length of the cache")?;
        match held.checked_add(added) {
            Some(end) if end <= capacity => Ok(held as usize),
            _ => Err(format!("{added} positions behind {held} do not fit a cache of {capacity}")),
        }
    };
    floats(lengths).iter().map(room).collect()
}

/// The operands of attention and where each head's rows lie.
struct Heads<'a> {
    settings: AttentionSettings,
    /// `[B, T, H, K]`
    query: &'a [f32],
    /// `[B, S, G, K]`
    key: &'a [f32],
    /// `[B, S, G, V]`
    value: &'a [f32],
    /// `[B, T]` and `[B, S]`
    documents: Option<(&'a [i32], &'a [i32])>,
    /// `[B, T]` and `[B, S]`
    order: Option<(&'a [i32], &'a [i32])>,
    bias: Option<&'a Tensor>,
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    groups: usize,
    key_width: usize,
    value_width: usize,
    /// Keys of each row that stand before its first query, those of a cache; none without one.
    before: Vec<usize>,
}

impl<'a> Heads<'a> {
    /// `fixed` operands stand before the further ones.
    fn new(settings: AttentionSettings, inputs: &[&'a Tensor], fixed: usize) -> Self {
        let further = settings.operands(fixed);
        let pair = |first: usize| (integers(inputs[first]), integers(inputs[first + 1]));
        let (query, value) = (sizes(&inputs[0].shape), sizes(&inputs[2].shape));
        Heads {
            settings,
            query: floats(inputs[0]),
            key: floats(inputs[1]),
            value: floats(inputs[2]),
            documents: further.documents.map(pair),
            order: further.order.map(pair),
            bias: further.bias.map(|bias| inputs[bias]),
            batch: query[0],
            queries: query[1],
            keys: value[1],
            heads: query[2],
            groups: value[2],
            key_width: query[3],
            value_width: value[3],
            before: Vec::new(),
        }
    }

    /// Every `(batch, query position, head)` in row-major order.
    fn rows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (queries, heads) = (self.queries, self.heads);
        (0..self.batch * queries * heads).map(move |i| (i / heads / queries, i / heads % queries, i % heads))
    }

    /// Where row `(b, t, h)` of query, output or their gradients starts.
    fn query_row(&self, (b, t, h): (usize, usize, usize), width: usize) -> usize {
        ((b * self.queries + t) * self.heads + h) * width
    }

    /// Where the key or value at position `s` for query head `h` starts.
    fn key_row(&self, (b, _, h): (usize, usize, usize), s: usize, width: usize) -> usize {
        let group = h / (self.heads / self.groups);
        ((b * self.keys + s) * self.groups + group) * width
    }

    /// The key positions a query sees, with the scores.
    fn scores(&self, row: (usize, usize, usize)) -> Vec<(usize, f64)> {
        let (b, t, h) = row;
        let settings = &self.settings;
        let place = self.before.get(b).copied().unwrap_or(0) + t;
        let query = &self.query[self.query_row(row, self.key_width)..][..self.key_width];
        settings
            .seen(place, self.keys)
            .filter(|&s| self.sees(b, t, s))
            .map(|s| {
                let key = &self.key[self.key_row(row, s, self.key_width)..][..self.key_width];
                let mut score = dot(query, key) * settings.scale + self.bias(b, h, t, s);
                if settings.alibi {
                    score -= alibi_slope(h, self.heads) * place.abs_diff(s) as f64;
                }
                (s, settings.soft_cap.map_or(score, |cap| cap * (score / cap).tanh()))
            })
            .collect()
    }

    /// Whether documents and order let a query see a key.
    fn sees(&self, b: usize, t: usize, s: usize) -> bool {
        let of = |(queries, keys): (&[i32], &[i32])| (queries[b * self.queries + t], keys[b * self.keys + s]);
        let ordered = self.settings.order.zip(self.order).is_none_or(|(rule, order)| {
            let (query, key) = of(order);
            match rule {
                OrderRule::NotLater => key <= query,
                OrderRule::Earlier => key < query,
            }
        });
        ordered && self.documents.map(of).is_none_or(|(query, key)| query == key)
    }

    /// What is added to a score.
    fn bias(&self, b: usize, h: usize, t: usize, s: usize) -> f64 {
        let Some(bias) = self.bias else { return 0.0 };
        let index = [b, h, t, s]
            .into_iter()
            .zip(sizes(&bias.shape))
            .fold(0, |sum, (index, size)| sum * size + if size == 1 { 0 } else { index });
        f64::from(floats(bias)[index])
    }

    /// `[B, T, H, V]`
    fn output(&self) -> Vec<f32> {
        let mut output = Vec::with_capacity(self.batch * self.queries * self.heads * self.value_width);
        for row in self.rows() {
            let scores = self.scores(row);
            let (maximum, sum) = exponential_sum(scores.iter().map(|(_, score)| *score));
            let mut mean = vec![0.0f64; self.value_width];
            for (s, score) in scores {
                let probability = (score - maximum).exp() / sum;
                let value = &self.value[self.key_row(row, s, self.value_width)..];
                for (mean, &value) in mean.iter_mut().zip(value) {
                    *mean += probability * f64::from(value);
                }
            }
            output.extend(mean.into_iter().map(|mean| mean as f32));
        }
        output
    }

    /// `[B, H, T]`
    fn stats(&self) -> Vec<f32> {
        let mut stats = vec![0.0; self.batch * self.heads * self.queries];
        for (b, t, h) in self.rows() {
            let scores = self.scores((b, t, h));
            let (maximum, sum) = exponential_sum(scores.iter().map(|(_, score)| *score));
            stats[(b * self.heads + h) * self.queries + t] = (maximum + sum.ln()) as f32;
        }
        stats
    }

    /// The gradient for one input, given `(out, stats, dout)`, with the probabilities recomputed from the statistics
    /// (Dao et al. 2022, algorithm 4): `ds = p * (dout . v - dout . out)`, times the slope of the cap.
    fn gradient(&self, wrt: AttentionInput, rest: &[&Tensor]) -> Vec<f32> {
        let (out, stats, dout) = (floats(rest[0]), floats(rest[1]), floats(rest[2]));
        let elements = match wrt {
            AttentionInput::Query => self.query.len(),
            AttentionInput::Key => self.key.len(),
            AttentionInput::Value => self.value.len(),
            AttentionInput::Bias => self.batch * self.heads * self.queries * self.keys,
        };
        let mut gradient = vec![0.0f64; elements];
        let mut add = |start: usize, factor: f64, values: &[f32]| {
            for (sum, &value) in gradient[start..].iter_mut().zip(values) {
                *sum += factor * f64::from(value);
            }
        };
        for row in self.rows() {
            let (b, t, h) = row;
            let query_row = self.query_row(row, self.key_width);
            let output_row = self.query_row(row, self.value_width);
            let dout = &dout[output_row..][..self.value_width];
            let along_output = dot(dout, &out[output_row..]);
            let normalizer = f64::from(stats[(b * self.heads + h) * self.queries + t]);
            for (s, score) in self.scores(row) {
                let key_row = self.key_row(row, s, self.key_width);
                let value_row = self.key_row(row, s, self.value_width);
                let probability = (score - normalizer).exp();
                let along_value = dot(dout, &self.value[value_row..]);
                let slope = self.settings.soft_cap.map_or(1.0, |cap| 1.0 - (score / cap).powi(2));
                let dscore = probability * (along_value - along_output) * slope;
                let dproduct = dscore * self.settings.scale;
                match wrt {
                    AttentionInput::Query => add(query_row, dproduct, &self.key[key_row..][..self.key_width]),
                    AttentionInput::Key => add(key_row, dproduct, &self.query[query_row..][..self.key_width]),
                    AttentionInput::Value => add(value_row, probability, dout),
                    AttentionInput::Bias => {
                        add(((b * self.heads + h) * self.queries + t) * self.keys + s, dscore, &[1.0]);
                    }
                }
            }
        }
        gradient.into_iter().map(|sum| sum as f32).collect()
    }
}
