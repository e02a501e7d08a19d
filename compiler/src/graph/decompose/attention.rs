//! Attention, its gradients, and key/value caches.

use super::Parts;
use crate::graph::Id;
use crate::op::{AttentionInput, Op, Reduction};
use crate::plan::{AttentionSettings, OrderRule, UnaryFunction, alibi_slope};

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
        let (heads, mask) = self.heads(settings, 3, None);
        self.weighted_mean(&heads, mask)
    }

    pub(super) fn cached_attention(&mut self, settings: &AttentionSettings) -> Id {
        let (heads, mask) = self.heads(settings, 4, Some(self.inputs[3]));
        self.weighted_mean(&heads, mask)
    }

    pub(super) fn attention_stats(&mut self, settings: &AttentionSettings) -> Id {
        let (heads, mask) = self.heads(settings, 3, None);
        let (maximum, _, sum) = self.exponentials(&heads, mask);
        let build = &mut self.build;
        let logarithm = build.unary(UnaryFunction::Log, sum);
        let stats = build.add(maximum, logarithm);
        let shape = build.shape(stats);
        build.reshape(stats, &shape[..3])
    }

    /// `dV = P' dO` and, with `dS = P * (dO V' - sum(dO * O))` times the slope of the cap, `dQ = dS K scale` and `dK = dS' Q scale`.
    pub(super) fn attention_grad(&mut self, settings: &AttentionSettings, wrt: AttentionInput) -> Id {
        let (out, stats, dout) = (self.inputs[3], self.inputs[4], self.inputs[5]);
        let (heads, mask) = self.heads(settings, 6, None);
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
        let mut dscores = build.multiply(probabilities, difference);
        if let Some(cap) = settings.soft_cap {
            let share = build.scale(heads.scores, 1.0 / cap);
            let square = build.multiply(share, share);
            let slope = build.one_minus(square);
            dscores = build.multiply(dscores, slope);
        }
        if wrt == AttentionInput::Bias {
            return dscores;
        }
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

    /// The operands and scores, and what a query sees; `fixed` operands stand before the further ones, and the first query of
    /// each row stands behind `before [B]` keys of a cache.
    fn heads(&mut self, settings: &AttentionSettings, fixed: usize, before: Option<Id>) -> (Heads, Mask) {
        let (query, key, value) = (self.inputs[0], self.inputs[1], self.inputs[2]);
        let count = self.build.shape(query)[2];
        let query = self.heads_first(query);
        let (key, value) = (self.repeated(key, count), self.repeated(value, count));
        let scores = self.build.matmul(query, false, key, true);
        let mut scores = self.build.scale(scores, settings.scale);
        let further = settings.operands(fixed);
        if let Some(bias) = further.bias {
            scores = self.build.add(scores, self.inputs[bias]);
        }
        if settings.alibi {
            let distance = self.distance(scores, before);
            let behind = self.build.unary(UnaryFunction::Abs, distance);
            let slopes: Vec<Id> = (0..count as usize)
                .map(|head| {
                    let slope = self.build.constant(-alibi_slope(head, count as usize));
                    self.build.reshape(slope, &[1, 1, 1, 1])
                })
                .collect();
            let slopes = self.build.add_op(Op::Concat { axis: 1 }, &slopes);
            let falling = self.build.multiply(slopes, behind);
            scores = self.build.add(scores, falling);
        }
        if let Some(cap) = settings.soft_cap {
            let share = self.build.scale(scores, 1.0 / cap);
            let bounded = self.build.unary(UnaryFunction::Tanh, share);
            scores = self.build.scale(bounded, cap);
        }
        let mask = self.mask(settings, further.documents, further.order, scores, before);
        (Heads { query, key, value, scores }, mask)
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

    /// What the settings let a query see; `documents` and `order` are the operands of the queries' numbers.
    fn mask(
        &mut self,
        settings: &AttentionSettings,
        documents: Option<usize>,
        order: Option<usize>,
        scores: Id,
        before: Option<Id>,
    ) -> Mask {
        let mut rules = Vec::new();
        if settings.causal || settings.window.is_some() {
            let distance = self.distance(scores, before);
            if settings.causal {
                let zero = self.build.constant(0.0);
                let after = self.build.greater(distance, zero);
                rules.push(self.build.one_minus(after));
            }
            if let Some(window) = settings.window {
                let apart = self.build.unary(UnaryFunction::Abs, distance);
                let window = self.build.constant(window as f64);
                rules.push(self.build.greater(window, apart));
            }
        }
        if let Some(operand) = documents {
            let (of_query, of_key) = self.numbers(operand);
            rules.push(self.equal(of_query, of_key));
        }
        if let Some((operand, rule)) = order.zip(settings.order) {
            let (of_query, of_key) = self.numbers(operand);
            rules.push(match rule {
                OrderRule::Earlier => self.build.greater(of_query, of_key),
                OrderRule::NotLater => {
                    let later = self.build.greater(of_key, of_query);
                    self.build.one_minus(later)
                }
            });
        }
        rules.into_iter().reduce(|all, rule| self.build.multiply(all, rule))
    }

    /// The numbers of queries, `[B, 1, T, 1]`, and of keys, `[B, 1, 1, S]`.
    fn numbers(&mut self, operand: usize) -> (Id, Id) {
        let (queries, keys) = (self.inputs[operand], self.inputs[operand + 1]);
        let (of_queries, of_keys) = (self.build.shape(queries), self.build.shape(keys));
        let queries = self.build.reshape(queries, &[of_queries[0], 1, of_queries[1], 1]);
        (queries, self.build.reshape(keys, &[of_keys[0], 1, 1, of_keys[1]]))
    }

    /// Place of each key less that of each query, `[1, 1, T, S]`; with `before [B]`, where the first query of each row stands,
    /// `[B, 1, T, S]`.
    fn distance(&mut self, scores: Id, before: Option<Id>) -> Id {
        let shape = self.build.shape(scores);
        let (queries, keys) = (shape[2], shape[3]);
        let query_places = self.count_up(queries);
        let mut query_places = self.build.reshape(query_places, &[1, 1, queries, 1]);
        if let Some(before) = before {
            let batch = self.build.shape(before)[0];
            let before = self.build.reshape(before, &[batch, 1, 1, 1]);
            query_places = self.build.add(query_places, before);
        }
        let key_places = self.count_up(keys);
        let key_places = self.build.reshape(key_places, &[1, 1, 1, keys]);
        self.build.subtract(key_places, query_places)
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
