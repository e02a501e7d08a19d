//! A transposed operand of a matrix product becomes a flag of the product.

use crate::graph::{Graph, Id};
use crate::op::Op;

/// Absorbs transposes into matrix products.
pub(super) fn absorb(graph: &mut Graph) {
    super::rewrite(graph, rule);
}

fn rule(graph: &mut Graph, id: Id) -> Option<Id> {
    let &Op::MatMul { mut transpose_left, mut transpose_right } = graph.op(id) else {
        return None;
    };
    let mut inputs = graph.inputs(id);
    if let Some(source) = transposed(graph, inputs[0]) {
        inputs[0] = source;
        transpose_left = !transpose_left;
    } else if let Some(source) = transposed(graph, inputs[1]) {
        inputs[1] = source;
        transpose_right = !transpose_right;
    } else {
        return None;
    }
    let origin = graph.origin(id).clone();
    Some(graph.add(Op::MatMul { transpose_left, transpose_right }, &inputs, &origin))
}

/// What `id` is the transpose of, the last two axes being swapped.
fn transposed(graph: &Graph, id: Id) -> Option<Id> {
    let Op::Permute(axes) = graph.op(id) else {
        return None;
    };
    let mut swapped: Vec<usize> = (0..axes.len()).collect();
    if axes.len() < 2 {
        return None;
    }
    swapped.swap(axes.len() - 2, axes.len() - 1);
    (*axes == swapped).then(|| graph.inputs(id)[0])
}
