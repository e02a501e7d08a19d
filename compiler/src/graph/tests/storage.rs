//! Edits of the graph, and luminal's limits met through our interface.

use super::{Named, input, origin, result};
use crate::graph::{Builder, Graph, Id, Target, Tensor};
use crate::op::{Op, Type};
use crate::plan::{BinaryFunction, Origin, UnaryFunction};

fn bound(values: &[(&str, Tensor)]) -> Named {
    values.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect()
}

fn run(graph: &mut Graph, values: &[(&str, Tensor)]) -> Result<Named, String> {
    graph.execute(&bound(values), &mut Named::new())
}

#[test]
fn operands_keep_their_order_and_may_repeat() {
    let mut graph = Graph::new();
    let (a, b) = (input(&mut graph, "a", &[2]), input(&mut graph, "b", &[2]));
    let mut build = Builder::new(&mut graph, origin());
    let difference = build.subtract(b, a);
    let square = build.multiply(difference, difference);
    assert_eq!(graph.inputs(difference).to_vec(), [b, a]);
    assert_eq!(graph.inputs(square).to_vec(), [difference, difference]);
    assert_eq!(graph.users(difference), [square]);
    result(&mut graph, "square", square);
    // Twice: nothing of the first run may be left in the second.
    for (b, expected) in [([5.0, 1.0], [16.0, 1.0]), ([1.0, 2.0], [0.0, 0.0])] {
        let values = [("a", Tensor::f32(&[2], vec![1.0, 2.0])), ("b", Tensor::f32(&[2], b.to_vec()))];
        let results = run(&mut graph, &values).expect("the inputs fit");
        assert_eq!(results["square"], Tensor::f32(&[2], expected.to_vec()));
    }
}

#[test]
fn a_reused_node_index_inherits_nothing() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[]);
    let one = graph.add(Op::Constant(1.0), &[], &origin());
    let old = graph.add(Op::Binary(BinaryFunction::Add), &[x, one], &origin());
    result(&mut graph, "y", old);
    let values = [("x", Tensor::scalar(5.0))];
    assert_eq!(run(&mut graph, &values).expect("fits")["y"], Tensor::scalar(6.0));
    let exp = graph.add(Op::Unary(UnaryFunction::Negate), &[x], &origin());
    graph.replace(old, exp);
    graph.remove_dead();
    // The new node takes the place of a removed one and is an output of the next run.
    let reused = graph.add(Op::Unary(UnaryFunction::Square), &[exp], &origin());
    assert!(reused == old || reused == one, "the test needs a reused index");
    result(&mut graph, "z", reused);
    graph.verify().expect("well-formed");
    let results = run(&mut graph, &values).expect("fits");
    assert_eq!(results["y"], Tensor::scalar(-5.0));
    assert_eq!(results["z"], Tensor::scalar(25.0));
}

#[test]
fn equal_looking_states_and_nodes_stay_apart() {
    let mut graph = Graph::new();
    let mut sum = Vec::new();
    for name in ["a", "b"] {
        let op = Op::State { name: name.to_owned(), ty: Type::f32(&[1]) };
        let state = graph.add(op, &[], &origin());
        let negated = graph.add(Op::Unary(UnaryFunction::Negate), &[state], &origin());
        graph.output(Target::State(name.to_owned()), negated);
        sum.push(negated);
    }
    // What luminal would merge by: a node equals itself only.
    assert_eq!(graph.op(sum[0]), graph.op(sum[1]));
    assert!(graph.node(sum[0]) != graph.node(sum[1]));
    let total = graph.add(Op::Binary(BinaryFunction::Add), &sum, &origin());
    result(&mut graph, "sum", total);
    let mut state = bound(&[("a", Tensor::f32(&[1], vec![1.0])), ("b", Tensor::f32(&[1], vec![10.0]))]);
    let results = graph.execute(&Named::new(), &mut state).expect("fits");
    assert_eq!(results["sum"], Tensor::f32(&[1], vec![-11.0]));
    assert_eq!(state["a"], Tensor::f32(&[1], vec![-1.0]));
    assert_eq!(state["b"], Tensor::f32(&[1], vec![-10.0]));
}

#[test]
fn one_value_may_be_an_input_and_several_outputs() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[]);
    result(&mut graph, "first", x);
    result(&mut graph, "second", x);
    let results = run(&mut graph, &[("x", Tensor::scalar(3.0))]).expect("fits");
    assert_eq!(results["first"], results["second"]);
}

#[test]
fn shapes_beyond_luminals_own_arithmetic_are_typed() {
    let mut graph = Graph::new();
    // Seven dimensions, and more elements than 32 bits count.
    let x = input(&mut graph, "x", &[1, 2, 1, 3, 1, 2, 1]);
    let wide = graph.add(Op::Reshape([1, 1, 1, 1, 1, 1, 12].into_iter().collect()), &[x], &origin());
    let huge = graph.add(Op::Expand([1 << 20, 1, 1, 1, 1, 1 << 12, 12].into_iter().collect()), &[wide], &origin());
    assert_eq!(graph.ty(huge).elements(), 12 << 32);
    graph.verify().expect("well-formed");
}

#[test]
fn more_operands_than_luminal_can_number_are_refused() {
    let ty = Type::f32(&[1]);
    let types = vec![&ty; 256];
    let reason = crate::graph::infer(&Op::Concat { axis: 0 }, &types).expect_err("256 operands");
    assert!(reason.contains("at most 255"), "{reason}");
    let joined = crate::graph::infer(&Op::Concat { axis: 0 }, &types[..255]).expect("255 operands");
    assert_eq!(joined, Type::f32(&[255]));
    let mut graph = Graph::new();
    let parts: Vec<Id> = (0..255).map(|i| input(&mut graph, &i.to_string(), &[1])).collect();
    let whole = graph.add(Op::Concat { axis: 0 }, &parts, &origin());
    assert_eq!(graph.inputs(whole).to_vec(), parts);
}

#[test]
fn a_failing_operator_names_its_place_and_leaves_the_states() {
    let mut graph = Graph::new();
    let table = graph.add(Op::State { name: "table".to_owned(), ty: Type::f32(&[3, 1]) }, &[], &origin());
    let ids = super::source(&mut graph, "ids", Type::i32(&[2]));
    let place = Origin { path: "transformer.wte".to_owned(), place: "std/gpt2:12".to_owned() };
    let rows = graph.add(Op::Gather, &[table, ids], &place);
    let doubled = graph.add(Op::Binary(BinaryFunction::Add), &[table, table], &origin());
    let later = graph.add(Op::SumSquares, &[rows], &origin());
    result(&mut graph, "rows", later);
    graph.output(Target::State("table".to_owned()), doubled);
    let mut state = bound(&[("table", Tensor::f32(&[3, 1], vec![1.0, 2.0, 3.0]))]);
    let before = state.clone();
    let wrong = bound(&[("ids", Tensor::i32(&[2], vec![0, 3]))]);
    let reason = graph.execute(&wrong, &mut state).expect_err("id 3 of 3 rows");
    assert_eq!(reason, "id 3 lies outside 0..3 (transformer.wte std/gpt2:12)");
    assert_eq!(state, before);
    let right = bound(&[("ids", Tensor::i32(&[2], vec![0, 2]))]);
    let results = graph.execute(&right, &mut state).expect("the failure is forgotten");
    assert_eq!(results["rows"], Tensor::scalar(10.0));
    let missing = graph.execute(&Named::new(), &mut state).expect_err("no ids");
    assert_eq!(missing, "input `ids` is not given");
    let long = bound(&[("ids", Tensor::i32(&[3], vec![0; 3]))]);
    let misfit = graph.execute(&long, &mut state).expect_err("three ids");
    assert_eq!(misfit, "input `ids` is i32[3], the graph needs i32[2]");
}

#[test]
fn a_value_can_be_wrapped_in_place() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[]);
    let y = graph.add(Op::Unary(UnaryFunction::Exp), &[x], &origin());
    result(&mut graph, "y", y);
    let wrapped = graph.add(Op::Unary(UnaryFunction::Negate), &[x], &origin());
    graph.replace(x, wrapped);
    graph.verify().expect("no cycle");
    assert_eq!(graph.inputs(y).to_vec(), [wrapped]);
    assert_eq!(graph.order(), [x, wrapped, y]);
}
