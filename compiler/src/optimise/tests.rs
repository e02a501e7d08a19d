//! Every pass keeps what a graph computes.

use proptest::prelude::*;

use super::PASSES;
use crate::graph::{Graph, Id, Target};
use crate::lower::{lower, lower_decode};
use crate::op::{Op, Reduction, Shape, Type};
use crate::plan::{BinaryFunction, Origin, UnaryFunction};
use crate::schedule::tests::agree;
use crate::testing::plans::tiny_stages;
use crate::testing::values::{assert_close, values};

/// Runs one pass after the other; results and states must stay.
fn passes_keep_the_meaning(graph: &mut Graph) {
    let (inputs, states) = values(graph);
    let mut expected_states = states.clone();
    let expected = graph.execute(&inputs, &mut expected_states).unwrap();
    for (name, pass) in PASSES {
        pass(graph);
        graph.verify().unwrap_or_else(|reason| panic!("{name}: {reason}"));
        let mut found_states = states.clone();
        let found = graph.execute(&inputs, &mut found_states).unwrap();
        assert_close(&expected, &found, 2e-6);
        assert_close(&expected_states, &found_states, 2e-6);
    }
}

#[test]
fn every_pass_keeps_what_tiny_models_compute() {
    for (_, stage) in tiny_stages(1).into_iter().chain(tiny_stages(3)) {
        let graphs = lower(&stage).unwrap();
        let decode = lower_decode(&stage, 2, 3, 6).unwrap();
        let graphs = graphs.accumulate.into_iter().chain([graphs.update, graphs.evaluate, decode]);
        for mut graph in graphs {
            passes_keep_the_meaning(&mut graph);
        }
    }
}

#[test]
fn decoding_unembeds_the_last_position_only() {
    for (_, stage) in tiny_stages(1) {
        let mut graph = lower_decode(&stage, 2, 3, 6).unwrap();
        super::optimise(&mut graph);
        let vocab = stage.model.vocab;
        for id in graph.order() {
            let shape = &graph.ty(id).shape;
            let is_product = matches!(graph.op(id), Op::MatMul { .. });
            assert!(!is_product || shape[1] != vocab || shape[0] == 2, "{}", graph.print());
        }
    }
}

/// A graph that grows by random operators; each choice picks an operator and its operands.
fn random_graph(choices: &[[u8; 4]]) -> Graph {
    let mut graph = Graph::new();
    let origin = Origin::default();
    let state = |name: &str| Op::State { name: name.to_owned(), ty: Type::f32(&[4, 6]) };
    let mut values: Vec<Id> = ["a", "b"].map(|name| graph.add(state(name), &[], &origin)).to_vec();
    let scale = graph.add(Op::State { name: "scale".to_owned(), ty: Type::f32(&[6]) }, &[], &origin);
    for constant in [0.0, 1.0, 0.5] {
        values.push(graph.add(Op::Constant(constant), &[], &origin));
    }
    for &[kind, first, second, detail] in choices {
        let pick = |index: u8| values[index as usize % values.len()];
        let (a, b) = (pick(first), pick(second));
        let shape = graph.ty(a).shape.clone();
        let rank = shape.len();
        let axis = if rank > 0 { detail as usize % rank } else { 0 };
        let (op, operands) = match kind % 14 {
            0 => (Op::Binary(BinaryFunction::Add), vec![a, b]),
            1 => (Op::Binary(BinaryFunction::Multiply), vec![a, b]),
            2 => (Op::Binary(BinaryFunction::Subtract), vec![a, b]),
            3 => (Op::Unary(UnaryFunction::Negate), vec![a]),
            4 => (Op::Unary(UnaryFunction::Tanh), vec![a]),
            5 => (Op::Permute((0..rank).rev().collect()), vec![a]),
            6 if rank > 0 => {
                let start = u64::from(detail) % shape[axis];
                (Op::Slice { axis, start, length: shape[axis] - start }, vec![a])
            }
            7 if rank > 0 && shape[axis] < 16 => {
                (Op::Pad { axis, before: u64::from(detail % 2), after: u64::from(detail % 3) }, vec![a])
            }
            8 if rank > 0 && shape[axis] < 16 => (Op::Concat { axis }, vec![a, b]),
            9 => {
                let count: u64 = shape.iter().product();
                let rows = (1..=u64::from(detail % 6) + 1).rev().find(|rows| count.is_multiple_of(*rows)).unwrap_or(1);
                (Op::Reshape(Shape::from_slice(&[rows, count / rows])), vec![a])
            }
            10 if rank > 0 => (Op::Reduce { kind: Reduction::Sum, axes: vec![axis] }, vec![a]),
            11 => (Op::MatMul { transpose_left: detail % 2 == 1, transpose_right: detail % 4 > 1 }, vec![a, b]),
            12 => (Op::RmsNorm { eps: 0.1 }, vec![a, scale]),
            13 => (Op::LayerNorm { eps: 0.1 }, vec![a, scale, scale]),
            _ => continue,
        };
        let types: Vec<&Type> = operands.iter().map(|&operand| graph.ty(operand)).collect();
        if crate::graph::infer(&op, &types).is_ok_and(|ty| ty.elements() <= 4096) {
            values.push(graph.add(op, &operands, &origin));
        }
    }
    for (index, &value) in values.iter().rev().take(3).enumerate() {
        graph.output(Target::Result(format!("r{index}")), value);
    }
    // A state that is overwritten while others may still need its old value, if one fits.
    let fits = values.iter().rev().find(|&&value| *graph.ty(value) == Type::f32(&[4, 6]));
    if let Some(&value) = fits {
        graph.output(Target::State("a".to_owned()), value);
    }
    graph.output(Target::State("b".to_owned()), values[0]);
    graph
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_pass_and_the_schedule_keep_what_random_graphs_compute(
        choices in prop::collection::vec(any::<[u8; 4]>(), 1..40)
    ) {
        agree(&mut random_graph(&choices));
        let mut graph = random_graph(&choices);
        passes_keep_the_meaning(&mut graph);
        agree(&mut graph);
    }
}

/// Two halves of a concatenation written by one loop, of which one could lie where its operand dies.
#[test]
fn one_loop_that_writes_two_parts_of_a_concatenation() {
    let mut graph = Graph::new();
    let origin = Origin::default();
    let a = graph.add(Op::State { name: "a".to_owned(), ty: Type::f32(&[4, 6]) }, &[], &origin);
    let double = graph.add(Op::Binary(BinaryFunction::Add), &[a, a], &origin);
    let right = graph.add(Op::Slice { axis: 1, start: 3, length: 3 }, &[double], &origin);
    let twice = graph.add(Op::Concat { axis: 1 }, &[right, right], &origin);
    graph.output(Target::Result("twice".to_owned()), twice);
    agree(&mut graph);
}
