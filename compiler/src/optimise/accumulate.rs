//! `state + (a + b)` becomes `(state + a) + b`: each term of an accumulated gradient is added to the state by itself, by the
//! kernel that computes it, and no sum of terms is kept.

use crate::graph::{Graph, Id};
use crate::op::Op;
use crate::plan::BinaryFunction;

/// Adds the terms of sums to states one by one.
pub(super) fn separate(graph: &mut Graph) {
    for id in graph.order() {
        if !is_sum(graph, id) {
            continue;
        }
        let inputs = graph.inputs(id);
        let is_state = |id: Id| matches!(graph.op(id), Op::State { .. });
        let (state, rest) = match (is_state(inputs[0]), is_state(inputs[1])) {
            (true, false) => (inputs[0], inputs[1]),
            (false, true) => (inputs[1], inputs[0]),
            _ => continue,
        };
        let terms = terms(graph, id, rest);
        if terms.len() < 2 || graph.ty(state) != graph.ty(id) {
            continue;
        }
        let origin = graph.origin(id).clone();
        let add = |sum: Id, term: Id| graph.add(Op::Binary(BinaryFunction::Add), &[sum, term], &origin);
        let sum = terms.into_iter().fold(state, add);
        graph.replace(id, sum);
    }
    graph.remove_dead();
}

fn is_sum(graph: &Graph, id: Id) -> bool {
    *graph.op(id) == Op::Binary(BinaryFunction::Add)
}

/// The terms of a sum of sums, in order. Sums that something else reads too are terms.
fn terms(graph: &Graph, user: Id, sum: Id) -> Vec<Id> {
    let mut terms = Vec::new();
    let mut open = vec![(user, sum)];
    while let Some((user, id)) = open.pop() {
        let is_output = || graph.outputs().iter().any(|(_, value)| *value == id);
        if is_sum(graph, id) && graph.users(id) == [user] && !is_output() && graph.ty(id) == graph.ty(sum) {
            let inputs = graph.inputs(id);
            open.extend([(id, inputs[1]), (id, inputs[0])]);
        } else {
            terms.push(id);
        }
    }
    terms
}
