//! Graphs made to be awkward for the schedule.

use super::agree;
use crate::graph::{Builder, Graph, Id, Target};
use crate::op::{Op, Reduction, Type};
use crate::plan::{BinaryFunction, Origin, UnaryFunction};
use crate::program::{Kernel, Program};
use crate::schedule::fuse::{MOST_INSTRUCTIONS, MOST_READS};
use crate::schedule::{Hardware, persistent, schedule_single};

fn state(build: &mut Builder<'_>, name: &str, shape: &[u64]) -> Id {
    build.add_op(Op::State { name: name.to_owned(), ty: Type::f32(shape) }, &[])
}

/// A graph made by `make` from two square states.
fn graph(make: impl Fn(&mut Builder<'_>, Id, Id)) -> Graph {
    let mut graph = Graph::new();
    let mut build = Builder::new(&mut graph, Origin::default());
    let (a, b) = (state(&mut build, "a", &[4, 4]), state(&mut build, "b", &[4, 4]));
    make(&mut build, a, b);
    graph
}

fn write(build: &mut Builder<'_>, name: &str, value: Id) {
    build.graph.output(Target::State(name.to_owned()), value);
}

fn give(build: &mut Builder<'_>, name: &str, value: Id) {
    build.graph.output(Target::Result(name.to_owned()), value);
}

fn program(graph: &Graph) -> Program {
    let (layout, _) = persistent(&[graph], &[], Hardware::Processor);
    schedule_single(graph, "test", &layout, Hardware::Processor)
}

#[test]
fn two_states_swap() {
    agree(&mut graph(|build, a, b| {
        write(build, "a", b);
        write(build, "b", a);
    }));
}

#[test]
fn a_state_is_replaced_by_its_transpose() {
    agree(&mut graph(|build, a, b| {
        let turned = build.add_op(Op::Permute(vec![1, 0]), &[a]);
        let sum = build.add(turned, b);
        write(build, "a", turned);
        write(build, "b", sum);
    }));
}

#[test]
fn the_old_value_is_read_after_the_new_one_is_there() {
    let mut graph = graph(|build, a, b| {
        let new = build.add(a, b);
        let product = build.matmul(new, false, a, true);
        write(build, "a", new);
        give(build, "product", product);
        give(build, "old", a);
    });
    agree(&mut graph);
}

#[test]
fn a_state_adds_products_of_itself() {
    agree(&mut graph(|build, a, b| {
        let product = build.matmul(a, false, b, false);
        let sum = build.add(a, product);
        write(build, "a", sum);
    }));
}

#[test]
fn a_state_is_shifted_along_an_axis() {
    agree(&mut graph(|build, a, b| {
        let kept = build.add_op(Op::Slice { axis: 0, start: 1, length: 3 }, &[a]);
        let new = build.add_op(Op::Slice { axis: 0, start: 2, length: 1 }, &[b]);
        let new = build.unary(UnaryFunction::Exp, new);
        let shifted = build.add_op(Op::Concat { axis: 0 }, &[kept, new]);
        write(build, "a", shifted);
    }));
}

#[test]
fn one_value_goes_to_two_states_and_out() {
    agree(&mut graph(|build, a, b| {
        let sum = build.add(a, b);
        write(build, "a", sum);
        write(build, "b", sum);
        give(build, "sum", sum);
    }));
}

#[test]
fn constants_are_results() {
    agree(&mut graph(|build, a, _| {
        let one = build.constant(1.0);
        let many = build.expand(one, &[4, 4]);
        give(build, "one", one);
        give(build, "many", many);
        write(build, "b", many);
        write(build, "a", a);
    }));
}

#[test]
fn loops_stay_within_their_bounds() {
    let mut graph = graph(|build, a, b| {
        // Doubled 60 times: were each use computed anew, 2^60 instructions.
        let mut doubled = build.scale(a, 1e-18);
        for _ in 0..60 {
            doubled = build.add(doubled, doubled);
        }
        // A sum of many different operands.
        let mut sum = b;
        for index in 0..40 {
            let term = state(build, &format!("term{index}"), &[4, 4]);
            sum = build.add(sum, term);
        }
        give(build, "doubled", doubled);
        give(build, "sum", sum);
    });
    for step in &program(&graph).steps {
        let Kernel::Loop(body) = &step.kernel else {
            panic!("{:?}", step.kernel);
        };
        assert!(body.instructions.len() <= MOST_INSTRUCTIONS + MOST_READS, "{}", body.instructions.len());
        assert!(step.reads.len() <= MOST_READS, "{}", step.reads.len());
    }
    agree(&mut graph);
}

#[test]
fn elementwise_operands_are_reduced_without_memory() {
    let mut graph = graph(|build, a, b| {
        let product = build.multiply(a, b);
        let square = build.unary(UnaryFunction::Square, product);
        let sum = build.reduce(Reduction::Sum, vec![0], square);
        give(build, "sum", sum);
    });
    let program = program(&graph);
    assert_eq!(program.steps.len(), 1, "{}", program.print());
    assert_eq!(program.scratch_bytes, 64);
    agree(&mut graph);
}

#[test]
fn parts_of_a_concatenation_are_written_in_place() {
    let mut graph = graph(|build, a, b| {
        let left = build.unary(UnaryFunction::Exp, a);
        let right = build.matmul(a, false, b, false);
        let joined = build.add_op(Op::Concat { axis: 1 }, &[left, right]);
        give(build, "joined", joined);
    });
    let program = program(&graph);
    assert_eq!(program.steps.len(), 2, "{}", program.print());
    agree(&mut graph);
}

#[test]
fn a_product_adds_to_a_product() {
    let mut graph = graph(|build, a, b| {
        let first = build.matmul(a, false, b, false);
        let second = build.matmul(b, false, a, true);
        let sum = build.binary(BinaryFunction::Add, first, second);
        give(build, "sum", sum);
    });
    let program = program(&graph);
    let adds = program.steps.iter().filter(|step| step.kernel == Kernel::MatMul { accumulate: true });
    assert_eq!((adds.count(), program.steps.len()), (1, 2), "{}", program.print());
    assert_eq!(program.flops, 2 * 2 * 4 * 4 * 4);
    agree(&mut graph);
}
