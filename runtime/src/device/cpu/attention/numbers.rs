//! Who sees whom by the numbers that tokens carry: documents, and places in an order.

use std::ops::Range;

use llmc_compiler::plan::{AttentionOperands, AttentionSettings, OrderRule};

use super::score::hide;
use crate::device::cpu::operand::Operands;

/// Numbers of queries, `[B, T]`, and of keys, `[B, S]`, with the rule that they follow.
#[derive(Clone, Copy)]
struct Rule<'a> {
    queries: &'a [i32],
    keys: &'a [i32],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Equal,
    NotLater,
    Earlier,
}

/// The rules of an attention.
pub struct Numbers<'a> {
    documents: Option<Rule<'a>>,
    order: Option<Rule<'a>>,
    query_count: usize,
    key_count: usize,
}

impl<'a> Numbers<'a> {
    pub fn new(operands: &Operands<'a>, settings: &AttentionSettings, further: &AttentionOperands) -> Self {
        let rule = |first: usize, kind: Kind| Rule {
            queries: operands.integer_slice(first),
            keys: operands.integer_slice(first + 1),
            kind,
        };
        let kind = match settings.order {
            Some(OrderRule::Earlier) => Kind::Earlier,
            _ => Kind::NotLater,
        };
        Numbers {
            documents: further.documents.map(|first| rule(first, Kind::Equal)),
            order: further.order.map(|first| rule(first, kind)),
            query_count: operands.read(0).shape[1],
            key_count: operands.read(1).shape[1],
        }
    }

    /// Whether any of the queries sees any of the keys, and whether all see all.
    pub fn visible(&self, batch: usize, queries: &Range<usize>, keys: &Range<usize>) -> (bool, bool) {
        let mut visible = (true, true);
        for rule in self.rules() {
            let queries = extent(&rule.queries[batch * self.query_count..][queries.clone()]);
            let keys = extent(&rule.keys[batch * self.key_count..][keys.clone()]);
            let (any, all) = match rule.kind {
                Kind::Equal => {
                    let single = queries.0 == queries.1 && keys.0 == keys.1;
                    (queries.0 <= keys.1 && keys.0 <= queries.1, single && queries.0 == keys.0)
                }
                Kind::NotLater => (keys.0 <= queries.1, keys.1 <= queries.0),
                Kind::Earlier => (keys.0 < queries.1, keys.1 < queries.0),
            };
            visible = (visible.0 && any, visible.1 && all);
        }
        visible
    }

    /// Hides from the scores of one key those of the queries from `first` on that do not see it.
    pub fn hide_from_queries(&self, batch: usize, key: usize, first: usize, scores: &mut [f32]) {
        for rule in self.rules() {
            let number = rule.keys[batch * self.key_count + key];
            let (low, high) = match rule.kind {
                Kind::Equal => (number, number),
                Kind::NotLater => (number, i32::MAX),
                // No query stands after the largest number.
                Kind::Earlier if number == i32::MAX => (i32::MAX, i32::MIN),
                Kind::Earlier => (number + 1, i32::MAX),
            };
            let row = &rule.queries[batch * self.query_count..][..self.query_count];
            hide(scores, &row[first..], low, high);
        }
    }

    /// Hides from the scores of one query those of the keys from `first` on that it does not see.
    pub fn hide_keys(&self, batch: usize, query: usize, first: usize, scores: &mut [f32]) {
        for rule in self.rules() {
            let number = rule.queries[batch * self.query_count + query];
            let (low, high) = match rule.kind {
                Kind::Equal => (number, number),
                Kind::NotLater => (i32::MIN, number),
                Kind::Earlier if number == i32::MIN => (i32::MAX, i32::MIN),
                Kind::Earlier => (i32::MIN, number - 1),
            };
            let row = &rule.keys[batch * self.key_count..][..self.key_count];
            hide(scores, &row[first..], low, high);
        }
    }

    fn rules(&self) -> impl Iterator<Item = Rule<'a>> {
        [self.documents, self.order].into_iter().flatten()
    }
}

/// The smallest and the largest number.
fn extent(numbers: &[i32]) -> (i32, i32) {
    numbers.iter().fold((i32::MAX, i32::MIN), |(low, high), &number| (low.min(number), high.max(number)))
}
