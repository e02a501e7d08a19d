//! Common subexpressions: equal operators on equal operands are computed once.

use std::collections::BTreeMap;

use crate::graph::{Graph, Id};
use crate::op::Op;
use crate::plan::BinaryFunction;

/// Merges equal values. Inputs and states are what they are named and stay.
pub(super) fn merge(graph: &mut Graph) {
    let mut constants: BTreeMap<u32, Id> = BTreeMap::new();
    let mut known: BTreeMap<Vec<usize>, Vec<Id>> = BTreeMap::new();
    for id in graph.order() {
        let first = match graph.op(id) {
            Op::Input { .. } | Op::State { .. } => continue,
            Op::Constant(value) => *constants.entry(value.to_bits()).or_insert(id),
            op => {
                let mut operands: Vec<usize> = graph.inputs(id).iter().map(|input| input.index()).collect();
                if matches!(op, Op::Binary(BinaryFunction::Add | BinaryFunction::Multiply)) {
                    operands.sort_unstable();
                }
                let same_operands = known.entry(operands).or_default();
                match same_operands.iter().find(|&&other| graph.op(other) == op) {
                    Some(&other) => other,
                    None => {
                        same_operands.push(id);
                        id
                    }
                }
            }
        };
        if first != id {
            graph.replace(id, first);
        }
    }
    graph.remove_dead();
}
