//! Movement that moves nothing goes; movement after movement becomes one.

use crate::graph::{Graph, Id};
use crate::op::Op;

/// Simplifies movement operators.
pub(super) fn simplify(graph: &mut Graph) {
    super::rewrite(graph, |graph, id| nothing(graph, id).or_else(|| twice(graph, id)));
}

/// The operand, where the operator gives it back as it is.
fn nothing(graph: &mut Graph, id: Id) -> Option<Id> {
    let still = match graph.op(id) {
        Op::Reshape(_) | Op::Expand(_) | Op::Slice { .. } => true,
        Op::Permute(axes) => axes.iter().copied().eq(0..axes.len()),
        Op::Pad { before, after, .. } => *before == 0 && *after == 0,
        Op::Concat { .. } => graph.inputs(id).len() == 1,
        _ => false,
    };
    let input = *graph.inputs(id).first()?;
    (still && graph.ty(input) == graph.ty(id)).then_some(input)
}

/// One operator for two in a row.
fn twice(graph: &mut Graph, id: Id) -> Option<Id> {
    let input = *graph.inputs(id).first()?;
    let joined = match (graph.op(id), graph.op(input)) {
        (Op::Reshape(shape), Op::Reshape(_)) => Op::Reshape(shape.clone()),
        (Op::Expand(shape), Op::Expand(_)) => Op::Expand(shape.clone()),
        (Op::Permute(axes), Op::Permute(before)) => Op::Permute(axes.iter().map(|&axis| before[axis]).collect()),
        (Op::Slice { axis, start, length }, Op::Slice { axis: same, start: before, .. }) if axis == same => {
            Op::Slice { axis: *axis, start: before + start, length: *length }
        }
        // A scalar repeated has no order of elements to keep.
        (Op::Reshape(shape), Op::Expand(_)) if graph.ty(graph.inputs(input)[0]).shape.is_empty() => {
            Op::Expand(shape.clone())
        }
        _ => return None,
    };
    let source = graph.inputs(input)[0];
    let origin = graph.origin(id).clone();
    Some(graph.add(joined, &[source], &origin))
}
