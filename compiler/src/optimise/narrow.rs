//! Slices rise above row-wise operators that only they read: what is cut away is not computed.
//!
//! Decoding asks for the logits of the last position; so only that row meets the unembedding.

use std::collections::BTreeSet;

use crate::graph::{Graph, Id, Operands};
use crate::op::{Op, Shape};

/// Raises slices.
pub(super) fn narrow(graph: &mut Graph) {
    let mut replaced: BTreeSet<Id> = BTreeSet::new();
    // From the outputs up, so that a slice rises as far as it can.
    for id in graph.order().into_iter().rev() {
        let mut open = vec![id];
        while let Some(slice) = open.pop() {
            if let Some(raised) = raise(graph, slice, &replaced) {
                graph.replace(slice, raised.value);
                replaced.insert(slice);
                replaced.extend(raised.replaced);
                open.extend(raised.slices);
            }
        }
    }
    graph.remove_dead();
}

/// A slice computed from slices of operands.
struct Raised {
    value: Id,
    /// The slices it is computed from.
    slices: Vec<Id>,
    /// What nobody reads any more.
    replaced: Vec<Id>,
}

/// Whether `user` is all that reads a value, apart from what has been replaced.
fn read_only_by(graph: &Graph, value: Id, user: Id, replaced: &BTreeSet<Id>) -> bool {
    let is_output = graph.outputs().iter().any(|(_, output)| *output == value);
    !is_output && graph.users(value).into_iter().all(|other| other == user || replaced.contains(&other))
}

/// Computes a slice from slices of the operands of what it cuts.
fn raise(graph: &mut Graph, id: Id, replaced: &BTreeSet<Id>) -> Option<Raised> {
    let &Op::Slice { axis, start, length } = graph.op(id) else {
        return None;
    };
    let source = graph.inputs(id)[0];
    if !read_only_by(graph, source, id, replaced) {
        return None;
    }
    let shape = graph.ty(source).shape.clone();
    let op = graph.op(source).clone();
    let mut inputs = graph.inputs(source);
    let cut = Cut { axis, start, length };
    let slices = match op {
        Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Greater => cut.operands(graph, &mut inputs, &shape),
        Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::Softmax if axis + 1 < shape.len() => {
            inputs[0] = cut.of(graph, inputs[0]);
            vec![inputs[0]]
        }
        Op::Reshape(_) if axis + 1 < shape.len() => {
            return raise_above_product(graph, source, &cut, replaced);
        }
        _ => return None,
    };
    let origin = graph.origin(source).clone();
    let value = graph.add(op, &inputs, &origin);
    Some(Raised { value, slices, replaced: vec![source] })
}

/// `reshape(reshape(x) W)`, the flattened product of a batch: the leading axes of `x` are those of the result.
fn raise_above_product(graph: &mut Graph, source: Id, cut: &Cut, replaced: &BTreeSet<Id>) -> Option<Raised> {
    let product = graph.inputs(source)[0];
    let &Op::MatMul { transpose_left: false, transpose_right } = graph.op(product) else {
        return None;
    };
    let factors = graph.inputs(product);
    let (flat, weight) = (factors[0], factors[1]);
    let rows = match graph.op(flat) {
        Op::Reshape(_) => graph.inputs(flat)[0],
        _ => return None,
    };
    let (result, operand) = (graph.ty(source).shape.clone(), graph.ty(rows).shape.clone());
    let leading = result.len() - 1;
    let inner = graph.ty(flat).shape[1];
    let batch_of_rows = operand.len() == result.len()
        && operand[..leading] == result[..leading]
        && operand[leading] == inner
        && graph.ty(weight).shape.len() == 2
        && graph.ty(product).shape[1] == result[leading]
        && read_only_by(graph, product, source, replaced);
    if !batch_of_rows {
        return None;
    }
    let mut replaced_too = vec![source, product];
    if read_only_by(graph, flat, product, replaced) {
        replaced_too.push(flat);
    }
    let origin = graph.origin(product).clone();
    let slice = cut.of(graph, rows);
    let mut shape = graph.ty(slice).shape.clone();
    let count = shape[..leading].iter().product();
    let flat = graph.add(Op::Reshape(Shape::from_slice(&[count, inner])), &[slice], &origin);
    let op = Op::MatMul { transpose_left: false, transpose_right };
    let product = graph.add(op, &[flat, weight], &origin);
    shape[leading] = result[leading];
    let value = graph.add(Op::Reshape(shape), &[product], &origin);
    Some(Raised { value, slices: vec![slice], replaced: replaced_too })
}

/// What a slice takes.
struct Cut {
    axis: usize,
    start: u64,
    length: u64,
}

impl Cut {
    /// The same slice of another value.
    fn of(&self, graph: &mut Graph, value: Id) -> Id {
        let origin = graph.origin(value).clone();
        let &Cut { axis, start, length } = self;
        graph.add(Op::Slice { axis, start, length }, &[value], &origin)
    }

    /// Slices the operands of an elementwise operator with a value of shape `shape`; those that repeat along the axis stay.
    fn operands(&self, graph: &mut Graph, inputs: &mut Operands, shape: &[u64]) -> Vec<Id> {
        let mut slices: Vec<Id> = Vec::new();
        for position in 0..inputs.len() {
            let input = inputs[position];
            let own = graph.ty(input).shape.clone();
            let Some(axis) = (self.axis + own.len()).checked_sub(shape.len()) else {
                continue;
            };
            if own[axis] == shape[self.axis] {
                let slice = Cut { axis, ..*self }.of(graph, input);
                inputs[position] = slice;
                slices.push(slice);
            }
        }
        slices
    }
}
