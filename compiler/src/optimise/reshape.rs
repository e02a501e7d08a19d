//! Reshapes sink below elementwise operators: `f(reshape(a), reshape(b))` is `reshape(f(a, b))`.
//!
//! Matrix products of batches come out flat and are reshaped; sums of such products meet as they came out, so that one
//! kernel can add to the result of another.

use crate::graph::{Graph, Id};
use crate::op::{Op, Shape};

/// Sinks reshapes.
pub(super) fn sink(graph: &mut Graph) {
    super::rewrite(graph, rule);
}

fn rule(graph: &mut Graph, id: Id) -> Option<Id> {
    let op = graph.op(id);
    if !matches!(op, Op::Binary(_)) {
        return None;
    }
    let mut inputs = graph.inputs(id);
    let mut inner: Option<Shape> = None;
    for input in &mut inputs {
        if graph.ty(*input).shape != graph.ty(id).shape || !matches!(graph.op(*input), Op::Reshape(_)) {
            return None;
        }
        *input = graph.inputs(*input)[0];
        let shape = &graph.ty(*input).shape;
        if inner.get_or_insert_with(|| shape.clone()) != shape {
            return None;
        }
    }
    let (op, origin, shape) = (op.clone(), graph.origin(id).clone(), graph.ty(id).shape.clone());
    let value = graph.add(op, &inputs, &origin);
    Some(graph.add(Op::Reshape(shape), &[value], &origin))
}
