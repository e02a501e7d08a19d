//! The verifier catches what a wrong pass could do.

use super::{input, origin, result, source};
use crate::graph::{Graph, Id, Node, Target};
use crate::op::{Op, Type};
use crate::plan::UnaryFunction;

/// `y = exp(x)`, `z = negate(y)`
fn chain() -> (Graph, [Id; 3]) {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[2, 3]);
    let y = graph.add(Op::Unary(UnaryFunction::Exp), &[x], &origin());
    let z = graph.add(Op::Unary(UnaryFunction::Negate), &[y], &origin());
    result(&mut graph, "z", z);
    (graph, [x, y, z])
}

fn node(graph: &mut Graph, id: Id) -> &mut Node {
    let operator = graph.storage.graph.node_weight_mut(id).expect("the node is there");
    (**operator).as_any_mut().downcast_mut().expect("every operator is a Node")
}

#[track_caller]
fn caught(graph: &Graph, part: &str) {
    let reason = graph.verify().expect_err("a planted mistake");
    assert!(reason.contains(part), "{reason}");
}

#[test]
fn a_good_graph_passes() {
    assert_eq!(chain().0.verify(), Ok(()));
}

#[test]
fn a_wrong_type_is_caught() {
    let (mut graph, [_, y, _]) = chain();
    node(&mut graph, y).ty = Type::f32(&[3, 2]);
    caught(&graph, "has type f32[3, 2] where its operands give f32[2, 3]");
}

#[test]
fn a_wrong_number_of_operands_is_caught() {
    let (mut graph, [x, y, _]) = chain();
    graph.connect(x, y, 1);
    caught(&graph, "1 operands are needed, 2 are given");
}

#[test]
fn a_gap_between_operands_is_caught() {
    let (mut graph, [x, y, _]) = chain();
    graph.connect(x, y, 2);
    caught(&graph, "has operands numbered [0, 2]");
}

#[test]
fn a_cycle_is_caught() {
    let (mut graph, [x, y, z]) = chain();
    let edge = graph.storage.graph.find_edge(x, y).expect("y reads x");
    graph.storage.graph.remove_edge(edge);
    graph.connect(z, y, 0);
    caught(&graph, "lies on a cycle");
}

#[test]
fn outputs_are_checked() {
    let (mut graph, [x, _, z]) = chain();
    result(&mut graph, "z", x);
    caught(&graph, "is there twice");
    let (mut graph, _) = chain();
    graph.storage.graph.remove_node(z);
    caught(&graph, "was removed");
    let (mut graph, [_, _, z]) = chain();
    let state = Op::State { name: "w".to_owned(), ty: Type::f32(&[6]) };
    graph.add(state, &[], &origin());
    graph.output(Target::State("w".to_owned()), z);
    caught(&graph, "is written to state `w` of type f32[6]");
}

#[test]
fn one_name_has_one_type() {
    let (mut graph, _) = chain();
    source(&mut graph, "x", Type::i32(&[2, 3]));
    caught(&graph, "input `x` is also there as f32[2, 3]");
}
