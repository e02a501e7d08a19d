//! Attention, its gradients, and key/value caches.

use super::Parts;
use crate::graph::Id;
use crate::op::{AttentionInput, AttentionSettings, Op, Reduction};
use crate::plan::UnaryFunction;

/// Stands for the score of a key that is not seen: far below any other, yet finite.
const UNSEEN: f64 = -1e30;

/// Query, key and value with one matrix a head, and the scores.
struct Heads {
    /// `[B, H, T, K]`
    query: Id,
    /// `[B, H, S, K]`, key heads repeated for the query heads that read them.
    key: Id,
    /// `[B, H, S, V]`
    value: Id,
    /// `[B, H, T, S]`, scaled.
    scores: Id,
}

/// Where each query sees a key: 1 or 0, of a shape that broadcasts to `[B, H, T, S]`.
type Mask = Option<Id>;

impl Parts<'_> {
    pub(super) fn attention(&mut self, settings: &AttentionSettings) -> Id {
        let heads = self.heads(settings.scale);
        let mask = self.mask(settings, 3);
        self.weighted_mean(&heads, mask)
    }

    pub(super) fn cached_attention(&mut self, scale: f64) -> Id {
        let heads = self.heads(scale);
        let shape = self.build.shape(heads.scores);
        let first = self.inputs[3];
        let mask = self.not_after(shape[2], shape[3], Some(first));
        self.weighted_mean(&heads, Some(mask))
    }

    pub(super) fn attention_stats(&mut self, settings: &AttentionSettings) -> Id {
        let heads = self.heads(settings.scale);
        let mask = self.mask(settings, 3);
        let (maximum, _, sum) = self.exponentials(&heads, mask);
        let build = &mut self.build;
        let logarithm = build.unary(UnaryFunction::Log, sum);
        let stats = build.add(maximum, logarithm);
        let shape = build.shape(stats);
        build.reshape(stats, &shape[..3])
    }

    /// `dV = P' dO` and, with `dS = P * (dO V' - sum(dO * O)) * scale`, `dQ = dS K` and `dK = dS' Q`.
    pub(super) fn attention_grad(&mut self, settings: &AttentionSettings, wrt: AttentionInput) -> Id {
        let (out, stats, dout) = (self.inputs[3], self.inputs[4], self.inputs[5]);
        let heads = self.heads(settings.scale);
        let mask = self.mask(settings, 6);
        let build = &mut self.build;
        let mut stats_shape = build.shape(stats);
        stats_shape.push(1);
        let stats = build.reshape(stats, &stats_shape);
        let exponents = build.subtract(heads.scores, stats);
        let exponentials = build.unary(UnaryFunction::Exp, exponents);
        let zero = build.constant(0.0);
        let probabilities = mask.map_or(exponentials, |mask| build.select(mask, exponentials, zero));
        let (out, dout) = (self.heads_first(out), self.heads_first(dout));
        if wrt == AttentionInput::Value {
            let dvalue = self.build.matmul(probabilities, true, dout, false);
            return self.grouped(dvalue, 2);
        }
        let build = &mut self.build;
        let product = build.multiply(dout, out);
        let along_output = build.sum_last(product);
        let along_value = build.matmul(dout, false, heads.value, true);
        let difference = build.subtract(along_value, along_output);
        let dscores = build.multiply(probabilities, difference);
        let dscores = build.scale(dscores, settings.scale);
        if wrt == AttentionInput::Query {
            let dquery = build.matmul(dscores, false, heads.key, false);
            return self.heads_first(dquery);
        }
        let dkey = build.matmul(dscores, true, heads.query, false);
        self.grouped(dkey, 1)
    }

    /// The new rows placed by a one-hot matrix, the old ones kept elsewhere.
    pub(super) fn cache_write(&mut self) -> Id {
        let (cache, new, length) = (self.inputs[0], self.inputs[1], self.inputs[2]);
        let (shape, added) = (self.build.shape(cache), self.build.shape(new)[1]);
        let (batch, capacity, width) = (shape[0], shape[1], shape[2] * shape[3]);
        let places = self.count_up(capacity);
        let places = self.build.reshape(places, &[1, capacity, 1]);
        let numbers = self.count_up(added);
        let numbers = self.build.reshape(numbers, &[1, 1, added]);
        let length = self.build.reshape(length, &[batch, 1, 1]);
        let numbers = self.build.add(numbers, length);
        let placed = self.equal(places, numbers);
        let build = &mut self.build;
        let written = build.sum_last(placed);
        let written = build.reshape(written, &[batch, capacity, 1, 1]);
        let new = build.reshape(new, &[batch, added, width]);
        let rows = build.matmul(placed, false, new, false);
        let rows = build.reshape(rows, &shape);
        build.select(written, rows, cache)
    }

    fn heads(&mut self, scale: f64) -> Heads {
        let (query, key, value) = (self.inputs[0], self.inputs[1], self.inputs[2]);
        let heads = self.build.shape(query)[2];
        let query = self.heads_first(query);
        let (key, value) = (self.repeated(key, heads), self.repeated(value, heads));
        let scores = self.build.matmul(query, false, key, true);
        let scores = self.build.scale(scores, scale);
        Heads { query, key, value, scores }
    }

    /// Axes 1 and 2 exchanged: positions and heads.
    fn heads_first(&mut self, x: Id) -> Id {
        self.build.add_op(Op::Permute(vec![0, 2, 1, 3]), &[x])
    }

    /// `[B, S, G, K] -> [B, H, S, K]`, each group's head repeated for the query heads that read it.
    fn repeated(&mut self, x: Id, heads: u64) -> Id {
        let x = self.heads_first(x);
        let [batch, groups, length, width] = self.build.shape(x)[..] else {
            unreachable!("the type check asks for four dimensions")
        };
        let build = &mut self.build;
        let one = build.reshape(x, &[batch, groups, 1, length, width]);
        let all = build.expand(one, &[batch, groups, heads / groups, length, width]);
        build.reshape(all, &[batch, heads, length, width])
    }

    /// `[B, H, S, K] -> [B, S, G, K]`, summed over the query heads of a group: the shape of an operand.
    fn grouped(&mut self, x: Id, operand: usize) -> Id {
        let groups = self.build.shape(self.inputs[operand])[2];
        let [batch, heads, length, width] = self.build.shape(x)[..] else {
            unreachable!("the type check asks for four dimensions")
        };
        let build = &mut self.build;
        let apart = build.reshape(x, &[batch, groups, heads / groups, length, width]);
        let sum = build.reduce(Reduction::Sum, vec![2], apart);
        let together = build.reshape(sum, &[batch, groups, length, width]);
        self.heads_first(together)
    }

    /// What the settings let a query see; `documents` is the operand of the document numbers.
    fn mask(&mut self, settings: &AttentionSettings, documents: usize) -> Mask {
        let [batch, length, ..] = self.build.shape(self.inputs[0])[..] else {
            unreachable!("the type check asks for four dimensions")
        };
        let causal = settings.causal.then(|| self.not_after(length, length, None));
        let own = settings.documents.then(|| {
            let numbers = self.inputs[documents];
            let of_query = self.build.reshape(numbers, &[batch, 1, length, 1]);
            let of_key = self.build.reshape(numbers, &[batch, 1, 1, length]);
            self.equal(of_query, of_key)
        });
        match (causal, own) {
            (Some(causal), Some(own)) => Some(self.build.multiply(causal, own)),
            (causal, own) => causal.or(own),
        }
    }

    /// `[queries, keys]`: 1 where the key does not stand after the query. With `first [B]`, where the first query of each
    /// row stands, `[B, 1, queries, keys]`.
    fn not_after(&mut self, queries: u64, keys: u64, first: Option<Id>) -> Id {
        let query_places = self.count_up(queries);
        let mut query_places = self.build.reshape(query_places, &[queries, 1]);
        if let Some(first) = first {
            let batch = self.build.shape(first)[0];
            let first = self.build.reshape(first, &[batch, 1, 1, 1]);
            let places = self.build.reshape(query_places, &[1, 1, queries, 1]);
            query_places = self.build.add(places, first);
        }
        let key_places = self.count_up(keys);
        let after = self.build.greater(key_places, query_places);
        self.build.one_minus(after)
    }

    /// The greatest score seen, the exponentials of the scores' distances to it, and their sum.
    fn exponentials(&mut self, heads: &Heads, mask: Mask) -> (Id, Id, Id) {
        let build = &mut self.build;
        let (unseen, zero) = (build.constant(UNSEEN), build.constant(0.0));
        let scores = mask.map_or(heads.scores, |mask| build.select(mask, heads.scores, unseen));
        let maximum = build.reduce_last(Reduction::Max, scores);
        let distances = build.subtract(scores, maximum);
        let exponentials = build.unary(UnaryFunction::Exp, distances);
        let exponentials = mask.map_or(exponentials, |mask| build.select(mask, exponentials, zero));
        let sum = build.sum_last(exponentials);
        (maximum, exponentials, sum)
    }

    /// `softmax(scores) V` as `[B, T, H, V]`; 0 where nothing is seen.
    fn weighted_mean(&mut self, heads: &Heads, mask: Mask) -> Id {
        let (_, exponentials, sum) = self.exponentials(heads, mask);
        let build = &mut self.build;
        let one = build.constant(1.0);
        let divisor = build.select(sum, sum, one);
        let probabilities = build.divide(exponentials, divisor);
        let output = build.matmul(probabilities, false, heads.value, false);
        self.heads_first(output)
    }
}
