//! Losses over a vocabulary with their gradients, computed chunk by chunk.

use llmc_compiler::graph::{Builder, Graph, Target, gradients};
use llmc_compiler::op::{Op, Reduction, Type};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::{LossPlan, Origin};
use llmc_compiler::random::Stream;
use llmc_compiler::schedule::{Hardware, persistent, schedule_single};

use super::assert_close;
use crate::device::{Cpu, Device, DeviceError, HostTensor, Reference};

/// Rows, vocabulary and width.
type Sizes = [u64; 3];

/// The loss of `x` and `w` and the gradient of `x` as results; the gradient of `w` is added to a state.
fn graph([rows, vocab, width]: Sizes, transposed: bool) -> Graph {
    let mut graph = Graph::new();
    let mut build = Builder::new(&mut graph, Origin::default());
    let shape = if transposed { [vocab, width] } else { [width, vocab] };
    let mut state =
        |name: &str, shape: [u64; 2]| build.add_op(Op::State { name: name.to_owned(), ty: Type::f32(&shape) }, &[]);
    let (x, w, so_far) = (state("x", [rows, width]), state("w", shape), state("gradient/w", shape));
    let targets = build.add_op(Op::Input { name: "targets".to_owned(), ty: Type::i32(&[rows]) }, &[]);
    let scale = build.add_op(Op::Input { name: "loss_scale".to_owned(), ty: Type::f32(&[]) }, &[]);
    let logits = build.matmul(x, false, w, transposed);
    let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[logits, targets]);
    let sum = build.reduce(Reduction::Sum, vec![0], losses);
    let sum = build.reshape(sum, &[]);
    let loss = build.multiply(sum, scale);
    let found = gradients(&mut graph, loss, &[x, w], &[]);
    let [Some(dx), Some(dw)] = found[..] else { unreachable!("the loss depends on both") };
    let sum = Builder::new(&mut graph, Origin::default()).add(so_far, dw);
    for (name, value) in [("losses", losses), ("dx", dx)] {
        graph.output(Target::Result(name.to_owned()), value);
    }
    graph.output(Target::State("gradient/w".to_owned()), sum);
    graph
}

/// Runs a device once on numbers that depend on the seed; gives the losses, the gradient of `x`, and the state.
fn run(
    device: &mut dyn Device,
    [rows, vocab, width]: Sizes,
    seed: u64,
    targets: &[i32],
) -> Result<[Vec<f32>; 3], DeviceError> {
    let normal = |index: u64, count: u64| -> Vec<f32> {
        let stream = Stream::new(seed, index);
        (0..count).map(|at| stream.normal(at)).collect()
    };
    device.write_state("x", &normal(1, rows * width))?;
    device.write_state("w", &normal(2, vocab * width))?;
    device.write_state("gradient/w", &normal(3, vocab * width))?;
    device.run(0, &[("targets", HostTensor::I32(targets)), ("loss_scale", HostTensor::F32(&[0.37]))])?;
    Ok([device.read_output(0, "losses")?, device.read_output(0, "dx")?, device.read_state("gradient/w")?])
}

fn devices(sizes: Sizes, transposed: bool) -> (Reference, [Cpu; 3]) {
    let mut graph = graph(sizes, transposed);
    let (layout, bytes) = persistent(&[&graph], &[], Hardware::Processor);
    optimise(&mut graph);
    let program = schedule_single(&graph, "loss", &layout, Hardware::Processor);
    let cpus = [1, 2, 3].map(|threads| Cpu::new(&layout, bytes, vec![program.clone()], threads).unwrap());
    (Reference::new(&layout, vec![self::graph(sizes, transposed)]), cpus)
}

#[test]
fn losses_and_gradients_follow_the_reference() {
    // The last has several chunks, of which one is smaller.
    for (seed, sizes) in [[1, 1, 1], [1, 301, 5], [7, 33, 64], [129, 513, 24], [515, 8193, 3]].into_iter().enumerate() {
        for transposed in [false, true] {
            let stream = Stream::new(seed as u64, 9);
            let target = |row| match stream.uniform(row) {
                ignored if ignored < 0.2 && row > 0 => -100,
                chosen => (chosen * sizes[1] as f32) as i32,
            };
            let targets: Vec<i32> = (0..sizes[0]).map(target).collect();
            let (mut reference, cpus) = devices(sizes, transposed);
            let expected = run(&mut reference, sizes, seed as u64, &targets).unwrap();
            let found = cpus.map(|mut cpu| run(&mut cpu, sizes, seed as u64, &targets).unwrap());
            for (name, (found, expected)) in ["loss", "dx", "dw"].into_iter().zip(found[0].iter().zip(&expected)) {
                assert_close(&format!("{name} of {sizes:?}"), found, expected, 3e-6);
            }
            for other in &found[1..] {
                let pairs = found[0].iter().flatten().zip(other.iter().flatten());
                assert!(pairs.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()), "{sizes:?}");
            }
        }
    }
}

#[test]
fn a_target_outside_the_vocabulary_is_refused_in_every_chunk() {
    let sizes = [515, 8193, 1];
    for place in [0, 514] {
        let mut targets = vec![3; 515];
        targets[place] = 8193;
        let (_, [mut cpu, ..]) = devices(sizes, true);
        let refused = run(&mut cpu, sizes, 1, &targets).unwrap_err();
        assert!(matches!(refused, DeviceError::IdOutOfRange { id: 8193, vocab: 8193, .. }), "{refused}");
    }
}
