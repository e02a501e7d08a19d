//! Losses over a vocabulary: what is computed chunk by chunk, and what must stay whole.

use super::agree;
use crate::graph::{Builder, Graph, Id, Target, gradients};
use crate::op::{Op, Reduction, Type};
use crate::plan::{BinaryFunction, LossPlan, Origin, UnaryFunction};
use crate::program::{Kernel, Program, Region};
use crate::schedule::verify::verify;
use crate::schedule::{Hardware, persistent, schedule_single};

/// Rows, vocabulary and width of losses of one chunk, and of one with two chunks of different sizes.
const SMALL: [u64; 3] = [7, 13, 5];
const LARGE: [u64; 3] = [515, 8193, 2];

/// `losses = cross_entropy(logits, targets)` of `logits = x w`.
struct Head {
    x: Id,
    w: Id,
    targets: Id,
    logits: Id,
    losses: Id,
}

fn state(build: &mut Builder<'_>, name: &str, shape: &[u64]) -> Id {
    build.add_op(Op::State { name: name.to_owned(), ty: Type::f32(shape) }, &[])
}

/// The loss of states `x [rows, width]` and `w`, which is `[vocab, width]` where transposed, else `[width, vocab]`.
fn head(build: &mut Builder<'_>, [rows, vocab, width]: [u64; 3], transposed: bool) -> Head {
    let x = state(build, "x", &[rows, width]);
    let w = state(build, "w", &if transposed { [vocab, width] } else { [width, vocab] });
    let targets = build.add_op(Op::Input { name: "targets".to_owned(), ty: Type::i32(&[1, rows]) }, &[]);
    let targets = build.reshape(targets, &[rows]);
    let logits = build.matmul(x, false, w, transposed);
    let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[logits, targets]);
    Head { x, w, targets, logits, losses }
}

/// The sum of values times the input `loss_scale`.
fn scaled_sum(build: &mut Builder<'_>, values: Id) -> Id {
    let scale = build.add_op(Op::Input { name: "loss_scale".to_owned(), ty: Type::f32(&[]) }, &[]);
    let sum = build.reduce(Reduction::Sum, vec![0], values);
    let sum = build.reshape(sum, &[]);
    build.multiply(sum, scale)
}

fn give(graph: &mut Graph, name: &str, value: Id) {
    graph.output(Target::Result(name.to_owned()), value);
}

/// A graph of one loss: `total` makes a scalar of a head, whose gradients for `x` and `w` are results where `wanted`.
fn graph(sizes: [u64; 3], transposed: bool, wanted: [bool; 2], total: impl Fn(&mut Builder<'_>, &Head) -> Id) -> Graph {
    let mut graph = Graph::new();
    let mut build = Builder::new(&mut graph, Origin::default());
    let head = head(&mut build, sizes, transposed);
    let loss = total(&mut build, &head);
    let operands = [("dx", head.x), ("dw", head.w)].into_iter().zip(wanted);
    let (names, wrt): (Vec<_>, Vec<_>) = operands.filter(|(_, wanted)| *wanted).map(|(operand, _)| operand).unzip();
    let found = gradients(&mut graph, loss, &wrt, &[]);
    give(&mut graph, "loss", loss);
    for (name, gradient) in names.into_iter().zip(found) {
        give(&mut graph, name, gradient.unwrap());
    }
    graph
}

/// The program of a graph, after a look that it is sound and computes the same.
fn program(mut graph: Graph) -> Program {
    agree(&mut graph);
    program_for(&graph, Hardware::Processor)
}

fn program_for(graph: &Graph, hardware: Hardware) -> Program {
    let (layout, _) = persistent(&[graph], &[], hardware);
    let program = schedule_single(graph, "test", &layout, hardware);
    assert_eq!(verify(&program), Ok(()));
    program
}

/// How many steps are losses alone, losses with gradients, gradients alone, and matrix products.
fn counts(program: &Program) -> [usize; 4] {
    let count = |kernel: fn(&Kernel) -> bool| program.steps.iter().filter(|step| kernel(&step.kernel)).count();
    [
        count(|kernel| matches!(kernel, Kernel::CrossEntropy(_))),
        count(|kernel| matches!(kernel, Kernel::CrossEntropyGrad { loss: true, .. })),
        count(|kernel| matches!(kernel, Kernel::CrossEntropyGrad { loss: false, .. })),
        count(|kernel| matches!(kernel, Kernel::MatMul { .. })),
    ]
}

#[test]
fn one_pass_over_the_chunks_gives_the_loss_and_its_gradients() {
    for (sizes, chunks) in [([1, 13, 1], 1), (SMALL, 1), ([129, 33, 4], 1), (LARGE, 2)] {
        for transposed in [false, true] {
            let program = program(graph(sizes, transposed, [true, true], |build, head| scaled_sum(build, head.losses)));
            assert_eq!(counts(&program), [0, chunks, 0, 3 * chunks], "{}", program.print());
            assert_eq!(program.flops, 6 * sizes.iter().product::<u64>());
            let logits = 4 * sizes[0] * sizes[1];
            assert!(chunks == 1 || program.scratch_bytes < logits * 3 / 5, "{}", program.print());
        }
    }
}

#[test]
fn a_card_takes_larger_chunks() {
    let chunks = |sizes, hardware| {
        let graph = graph(sizes, true, [true, true], |build, head| scaled_sum(build, head.losses));
        let program = program_for(&graph, hardware);
        let products = program.steps.iter().filter(|step| matches!(step.kernel, Kernel::CrossEntropyGrad { .. }));
        products.map(|step| step.reads[0].shape[0]).collect::<Vec<_>>()
    };
    assert_eq!(chunks(LARGE, Hardware::Processor), [258, 257]);
    assert_eq!(chunks(LARGE, Hardware::Card), [515]);
    // 512 MiB of logits are 2663 rows; half of all rows is 2050, and the multiple of 128 above that 2176.
    assert_eq!(chunks([4100, 50_400, 2], Hardware::Card), [2176, 1924]);
}

#[test]
fn what_nobody_asks_for_is_not_computed() {
    let kernels = |wanted| counts(&program(graph(LARGE, true, wanted, |build, head| scaled_sum(build, head.losses))));
    assert_eq!(kernels([true, false]), [0, 2, 0, 4]);
    assert_eq!(kernels([false, true]), [0, 2, 0, 4]);
    assert_eq!(kernels([false, false]), [2, 0, 0, 2]);
}

#[test]
fn a_slope_that_depends_on_the_losses_takes_a_second_pass() {
    let square = |build: &mut Builder<'_>, head: &Head| {
        let sum = scaled_sum(build, head.losses);
        build.unary(UnaryFunction::Square, sum)
    };
    let program = program(graph(LARGE, true, [true, true], square));
    assert_eq!(counts(&program), [2, 0, 2, 8], "{}", program.print());
    assert!(program.scratch_bytes < 4 * LARGE[0] * LARGE[1] * 3 / 5);
}

#[test]
fn two_losses_may_be_each_others_slopes() {
    let product = |build: &mut Builder<'_>, head: &Head| {
        let other = state(build, "other", &[5, 17]);
        let logits = build.matmul(head.x, false, other, false);
        let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[logits, head.targets]);
        let product = build.multiply(head.losses, losses);
        scaled_sum(build, product)
    };
    // The gradient of `x` adds up from both.
    assert_eq!(counts(&program(graph(SMALL, true, [true, true], product))), [2, 0, 2, 2 + 3 + 2]);
}

#[test]
fn logits_that_something_else_reads_stay_whole() {
    let whole = |total: fn(&mut Builder<'_>, &Head) -> Id| {
        let program = program(graph(SMALL, false, [true, true], total));
        let [losses, joined, ..] = counts(&program);
        assert_eq!(joined, 0, "{}", program.print());
        losses
    };
    let by_a_result = |build: &mut Builder<'_>, head: &Head| {
        give(build.graph, "logits", head.logits);
        scaled_sum(build, head.losses)
    };
    let by_a_penalty = |build: &mut Builder<'_>, head: &Head| {
        let loss = scaled_sum(build, head.losses);
        let penalty = build.add_op(Op::SumSquares, &[head.logits]);
        build.add(loss, penalty)
    };
    let by_another_loss = |build: &mut Builder<'_>, head: &Head| {
        let rows = build.shape(head.losses)[0];
        let others = build.add_op(Op::Input { name: "others".to_owned(), ty: Type::i32(&[1, rows]) }, &[]);
        let others = build.reshape(others, &[rows]);
        let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[head.logits, others]);
        let sum = build.binary(BinaryFunction::Add, head.losses, losses);
        scaled_sum(build, sum)
    };
    let capped = |build: &mut Builder<'_>, head: &Head| {
        let capped = build.unary(UnaryFunction::Tanh, head.logits);
        let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[capped, head.targets]);
        scaled_sum(build, losses)
    };
    assert_eq!([whole(by_a_result), whole(by_a_penalty), whole(by_another_loss), whole(capped)], [1, 1, 2, 1]);
}

/// The state of this name.
fn named(graph: &Graph, name: &str) -> Id {
    let is_it = |id: &Id| matches!(graph.op(*id), Op::State { name: found, .. } if found == name);
    graph.order().into_iter().find(is_it).unwrap()
}

#[test]
fn every_chunk_adds_to_the_accumulated_gradient() {
    for transposed in [false, true] {
        let mut graph = graph(LARGE, transposed, [false, false], |build, head| scaled_sum(build, head.losses));
        let (loss, w) = (graph.outputs()[0].1, named(&graph, "w"));
        let dw = gradients(&mut graph, loss, &[w], &[])[0].unwrap();
        let shape = graph.ty(w).shape.clone();
        let mut build = Builder::new(&mut graph, Origin::default());
        let so_far = state(&mut build, "gradient/w", &shape);
        let sum = build.add(so_far, dw);
        graph.output(Target::State("gradient/w".to_owned()), sum);
        let program = program(graph);
        let onto_the_state = program.steps.iter().filter(|step| {
            let region = program.buffers[step.writes[0].buffer].region;
            step.kernel == Kernel::MatMul { accumulate: true } && region == Region::Persistent
        });
        assert_eq!(onto_the_state.count(), 2, "{}", program.print());
        assert!(program.scratch_bytes < 4 * LARGE[0] * LARGE[1] * 3 / 5);
    }
}

#[test]
fn the_operands_are_overwritten_with_what_their_gradients_give() {
    let mut graph = graph(LARGE, true, [true, true], |build, head| scaled_sum(build, head.losses));
    let (x, w) = (named(&graph, "x"), named(&graph, "w"));
    let (dx, dw) = (graph.outputs()[1].1, graph.outputs()[2].1);
    let mut build = Builder::new(&mut graph, Origin::default());
    let (new_x, new_w) = (build.add(x, dx), build.add(w, dw));
    graph.output(Target::State("x".to_owned()), new_x);
    graph.output(Target::State("w".to_owned()), new_w);
    assert_eq!(counts(&program(graph)), [0, 2, 0, 6]);
}
