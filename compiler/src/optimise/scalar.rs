//! Arithmetic with constants: folded where all operands are constant, left out where it changes nothing.

use crate::graph::{Graph, Id, binary, infer, unary};
use crate::op::{Op, Type};
use crate::plan::{BinaryFunction, UnaryFunction};

/// Simplifies elementwise operators.
pub(super) fn simplify(graph: &mut Graph) {
    super::rewrite(graph, |graph, id| {
        fold(graph, id).or_else(|| identity(graph, id)).or_else(|| unexpanded(graph, id))
    });
}

/// The one value of all elements, if it is known.
fn uniform(graph: &Graph, mut id: Id) -> Option<f32> {
    loop {
        match graph.op(id) {
            Op::Constant(value) => return Some(*value),
            Op::Expand(_) | Op::Reshape(_) | Op::Permute(_) | Op::Slice { .. } => id = graph.inputs(id)[0],
            _ => return None,
        }
    }
}

/// An operator of constants is a constant.
fn fold(graph: &mut Graph, id: Id) -> Option<Id> {
    let inputs = graph.inputs(id);
    let value = match *graph.op(id) {
        Op::Binary(function) => {
            let (a, b) = (uniform(graph, inputs[0])?, uniform(graph, inputs[1])?);
            binary(function, f64::from(a), f64::from(b))
        }
        Op::Unary(function) => unary(function, f64::from(uniform(graph, inputs[0])?)),
        _ => return None,
    };
    Some(constant(graph, id, value as f32))
}

/// A constant in the place of `id`.
fn constant(graph: &mut Graph, id: Id, value: f32) -> Id {
    let (origin, shape) = (graph.origin(id).clone(), graph.ty(id).shape.clone());
    let constant = graph.add(Op::Constant(value), &[], &origin);
    match shape.is_empty() {
        true => constant,
        false => graph.add(Op::Expand(shape), &[constant], &origin),
    }
}

/// `x + 0`, `x - 0`, `x * 1`, `x / 1` and `-(-x)` are `x`.
fn identity(graph: &mut Graph, id: Id) -> Option<Id> {
    let inputs = graph.inputs(id);
    let is = |operand: usize, value: f32| uniform(graph, inputs[operand]) == Some(value);
    let same = match graph.op(id) {
        Op::Binary(BinaryFunction::Add) if is(1, 0.0) => inputs[0],
        Op::Binary(BinaryFunction::Add) if is(0, 0.0) => inputs[1],
        Op::Binary(BinaryFunction::Subtract) if is(1, 0.0) => inputs[0],
        Op::Binary(BinaryFunction::Multiply | BinaryFunction::Divide) if is(1, 1.0) => inputs[0],
        Op::Binary(BinaryFunction::Multiply) if is(0, 1.0) => inputs[1],
        Op::Unary(UnaryFunction::Negate) if *graph.op(inputs[0]) == Op::Unary(UnaryFunction::Negate) => {
            graph.inputs(inputs[0])[0]
        }
        _ => return None,
    };
    (graph.ty(same) == graph.ty(id)).then_some(same)
}

/// Elementwise operators broadcast by themselves: an operand need not be repeated for them.
fn unexpanded(graph: &mut Graph, id: Id) -> Option<Id> {
    let op = graph.op(id);
    if !matches!(op, Op::Binary(_) | Op::Select | Op::Greater) {
        return None;
    }
    let mut inputs = graph.inputs(id);
    let expanded = |graph: &Graph, input: Id| matches!(graph.op(input), Op::Expand(_));
    for operand in 0..inputs.len() {
        if !expanded(graph, inputs[operand]) {
            continue;
        }
        let before = inputs[operand];
        inputs[operand] = graph.inputs(before)[0];
        let types: Vec<&Type> = inputs.iter().map(|&input| graph.ty(input)).collect();
        if infer(op, &types).as_ref() == Ok(graph.ty(id)) {
            let (op, origin) = (op.clone(), graph.origin(id).clone());
            return Some(graph.add(op, &inputs, &origin));
        }
        inputs[operand] = before;
    }
    None
}
