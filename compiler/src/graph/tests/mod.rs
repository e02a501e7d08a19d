//! Proofs about operators and the graph, all over one table of sample operators.

mod decompositions;
mod gradients;
mod primitives;
mod rotary;
mod rules;
mod samples;
mod special;
mod storage;
mod text;
mod verifier;

use std::collections::BTreeMap;

use super::{Builder, Graph, Id, Target, Tensor};
use crate::op::{Op, Type};
use crate::plan::Origin;

/// Values by name, as the graph takes them.
type Named = BTreeMap<String, Tensor>;

/// An origin for nodes whose origin does not matter.
fn origin() -> Origin {
    Origin { path: "block".to_owned(), place: "test:1".to_owned() }
}

/// An f32 input.
fn input(graph: &mut Graph, name: &str, shape: &[u64]) -> Id {
    source(graph, name, Type::f32(shape))
}

/// An input of any type.
fn source(graph: &mut Graph, name: &str, ty: Type) -> Id {
    let name = name.to_owned();
    graph.add(Op::Input { name, ty }, &[], &origin())
}

/// A graph with one operator over inputs named `0`, `1`, ..., bound to the given tensors.
fn single(op: &Op, operands: &[Tensor]) -> (Graph, Vec<Id>, Id, Named) {
    let mut graph = Graph::new();
    let mut bound = Named::new();
    let mut inputs = Vec::new();
    for (position, tensor) in operands.iter().enumerate() {
        inputs.push(source(&mut graph, &position.to_string(), tensor.ty()));
        bound.insert(position.to_string(), tensor.clone());
    }
    let value = graph.add(op.clone(), &inputs, &origin());
    (graph, inputs, value, bound)
}

/// The sum of all elements.
fn total(build: &mut Builder<'_>, value: Id) -> Id {
    let axes: Vec<usize> = (0..build.shape(value).len()).collect();
    let sum = if axes.is_empty() { value } else { build.reduce(crate::op::Reduction::Sum, axes, value) };
    build.reshape(sum, &[])
}

/// Makes a value a result.
fn result(graph: &mut Graph, name: &str, value: Id) {
    graph.output(Target::Result(name.to_owned()), value);
}
