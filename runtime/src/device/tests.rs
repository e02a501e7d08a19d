//! The CPU against the reference device: whole training steps of a small model.

mod losses;

use llmc_compiler::graph::{Builder, Graph, Id, Target, gradients};
use llmc_compiler::op::{AdamConstants, AdamOutput, Op, RandomFunction, Reduction, Type};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::{
    AttentionSettings, BinaryFunction, Initializer, LossPlan, Origin, Rotary, ScheduleKind, SchedulePlan,
    UnaryFunction, WeightPlan,
};
use llmc_compiler::program::PersistentBuffer;
use llmc_compiler::random::Stream;
use llmc_compiler::schedule::{Hardware, persistent, schedule_single};

use super::{Cpu, Device, DeviceError, HostTensor, Reference};

const BATCH: u64 = 3;
const TOKENS: u64 = 37;
const WIDTH: u64 = 24;
const HEADS: u64 = 4;
const VOCAB: u64 = 50;

/// Weights by name and shape.
const WEIGHTS: [(&str, &[u64]); 12] = [
    ("wte", &[VOCAB, WIDTH]),
    ("wpe", &[TOKENS, WIDTH]),
    ("ln.scale", &[WIDTH]),
    ("ln.shift", &[WIDTH]),
    ("q", &[WIDTH, WIDTH]),
    ("k", &[WIDTH / 2, WIDTH]),
    ("v", &[WIDTH, WIDTH / 2]),
    ("o", &[WIDTH, WIDTH]),
    ("rms.scale", &[WIDTH]),
    ("up", &[WIDTH, 4 * WIDTH]),
    ("up.bias", &[4 * WIDTH]),
    ("down", &[4 * WIDTH, WIDTH]),
];

/// A weight's value in the graph.
fn state(builder: &mut Builder<'_>, kind: &str, name: &str, shape: &[u64]) -> Id {
    builder.add_op(Op::State { name: format!("{kind}/{name}"), ty: Type::f32(shape) }, &[])
}

/// One block with grouped-query attention over documents, a tied head, clipping, and AdamW. Logits that are a result are
/// computed whole, else chunk by chunk.
fn training_step(with_logits: bool) -> Graph {
    let mut graph = Graph::new();
    let mut b = Builder::new(&mut graph, Origin::default());
    let weights = WEIGHTS.map(|(name, shape)| state(&mut b, "weight", name, shape));
    let [wte, wpe, ln_scale, ln_shift, q, k, v, o, rms_scale, up, up_bias, down] = weights;
    let input = |b: &mut Builder<'_>, name: &str, ty: Type| b.add_op(Op::Input { name: name.to_owned(), ty }, &[]);
    let [tokens, targets, positions, documents] =
        ["tokens", "targets", "positions", "documents"].map(|name| input(&mut b, name, Type::i32(&[BATCH, TOKENS])));
    let [loss_scale, step] = ["loss_scale", "step"].map(|name| input(&mut b, name, Type::f32(&[])));

    let token = b.add_op(Op::Gather, &[wte, tokens]);
    let position = b.add_op(Op::Gather, &[wpe, positions]);
    let x = b.add(token, position);
    let x = b.add_op(Op::Random { function: RandomFunction::Dropout(0.2), seed: 5, site: 0 }, &[x, step]);
    let rows = BATCH * TOKENS;
    let n = b.add_op(Op::LayerNorm { eps: 1e-5 }, &[x, ln_scale, ln_shift]);
    let n = b.reshape(n, &[rows, WIDTH]);
    let project = |b: &mut Builder<'_>, weight: Id, transposed: bool, heads: u64| {
        let projected = b.matmul(n, false, weight, transposed);
        b.reshape(projected, &[BATCH, TOKENS, heads, WIDTH / HEADS])
    };
    let turn = |b: &mut Builder<'_>, x: Id| {
        b.add_op(Op::Rotate { rotary: Rotary::plain(100.0), inverse: false }, &[x, positions])
    };
    let query = project(&mut b, q, false, HEADS);
    let query = turn(&mut b, query);
    let key = project(&mut b, k, true, HEADS / 2);
    let key = turn(&mut b, key);
    let value = project(&mut b, v, false, HEADS / 2);
    let settings = AttentionSettings { documents: true, ..AttentionSettings::causal(0.4) };
    let mixed = b.add_op(Op::Attention(settings), &[query, key, value, documents, documents]);
    let mixed = b.reshape(mixed, &[rows, WIDTH]);
    let mixed = b.matmul(mixed, false, o, false);
    let x = b.reshape(x, &[rows, WIDTH]);
    let x = b.add(x, mixed);
    let n = b.add_op(Op::RmsNorm { eps: 1e-6 }, &[x, rms_scale]);
    let hidden = b.matmul(n, false, up, false);
    let hidden = b.binary(BinaryFunction::Add, hidden, up_bias);
    let hidden = b.unary(UnaryFunction::GeluTanh, hidden);
    let hidden = b.matmul(hidden, false, down, false);
    let x = b.add(x, hidden);
    let logits = b.matmul(x, false, wte, true);
    let targets = b.reshape(targets, &[rows]);
    let losses = b.add_op(Op::CrossEntropy(LossPlan::default()), &[logits, targets]);
    let sum = b.reduce(Reduction::Sum, vec![0], losses);
    let sum = b.reshape(sum, &[]);
    let loss = b.multiply(sum, loss_scale);

    let slopes: Vec<Id> = gradients(&mut graph, loss, &weights, &[]).into_iter().flatten().collect();
    assert_eq!(slopes.len(), weights.len());
    let mut b = Builder::new(&mut graph, Origin::default());
    let squares: Vec<Id> = slopes.iter().map(|&slope| b.add_op(Op::SumSquares, &[slope])).collect();
    let norm = b.add_op(Op::AddScalars, &squares);
    let norm = b.unary(UnaryFunction::Sqrt, norm);
    let bound = b.constant(0.7);
    let factor = b.divide(bound, norm);
    let one = b.constant(1.0);
    let factor = b.binary(BinaryFunction::Minimum, factor, one);
    let schedule = SchedulePlan { kind: ScheduleKind::Cosine, warmup: 2, floor: 0.1, decay: 0, steps: 9 };
    let rate = b.add_op(Op::LearningRate { peak: 0.01, schedule }, &[step]);
    let constants = AdamConstants { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    let mut outputs = vec![
        (Target::Result("loss".to_owned()), loss),
        (Target::Result("grad_norm".to_owned()), norm),
        (Target::Result("learning_rate".to_owned()), rate),
    ];
    outputs.extend(with_logits.then(|| (Target::Result("logits".to_owned()), logits)));
    for ((&weight, &slope), (name, shape)) in weights.iter().zip(&slopes).zip(WEIGHTS) {
        let [first, second] = ["first", "second"].map(|kind| state(&mut b, kind, name, shape));
        let results =
            [("weight", AdamOutput::Weight), ("first", AdamOutput::FirstMoment), ("second", AdamOutput::SecondMoment)];
        for (kind, output) in results {
            let value = b.add_op(Op::AdamW { constants, output }, &[weight, first, second, slope, rate, factor, step]);
            outputs.push((Target::State(format!("{kind}/{name}")), value));
        }
    }
    for (target, value) in outputs {
        graph.output(target, value);
    }
    graph
}

/// Where the states lie.
fn states(graph: &Graph) -> (Vec<PersistentBuffer>, u64) {
    let weight = |(name, shape): (&str, &[u64])| WeightPlan {
        path: name.to_owned(),
        shape: shape.to_vec(),
        init: Initializer::Zeros,
    };
    persistent(&[graph], &WEIGHTS.map(weight), Hardware::Processor)
}

fn cpu(threads: usize, with_logits: bool) -> Cpu {
    let mut graph = training_step(with_logits);
    let (layout, bytes) = states(&graph);
    optimise(&mut graph);
    let program = schedule_single(&graph, "update", &layout, Hardware::Processor);
    Cpu::new(&layout, bytes, vec![program], threads).unwrap()
}

/// Fills the weights.
fn start(device: &mut dyn Device) {
    for (index, (name, shape)) in WEIGHTS.into_iter().enumerate() {
        let stream = Stream::new(3, index as u64);
        let count = shape.iter().product::<u64>();
        let level = if name.ends_with("scale") { 1.0 } else { 0.0 };
        let values: Vec<f32> = (0..count).map(|i| level + 0.2 * stream.normal(i)).collect();
        device.write_state(&format!("weight/{name}"), &values).unwrap();
    }
}

/// Runs one step on a batch that depends on the step.
fn train(device: &mut dyn Device, step: u64) -> Result<(), DeviceError> {
    let stream = Stream::new(step, 99);
    let count = BATCH * TOKENS;
    let tokens: Vec<i32> = (0..count).map(|i| (stream.uniform(i) * VOCAB as f32) as i32).collect();
    let targets: Vec<i32> = (0..count).map(|i| if i % 7 == 3 { -100 } else { (i * 13 % VOCAB) as i32 }).collect();
    let positions: Vec<i32> = (0..count).map(|i| (i % TOKENS) as i32).collect();
    let documents: Vec<i32> = (0..count).map(|i| (i % TOKENS / 11) as i32).collect();
    let (loss_scale, now) = ([1.0 / count as f32], [step as f32]);
    device.run(
        0,
        &[
            ("tokens", HostTensor::I32(&tokens)),
            ("targets", HostTensor::I32(&targets)),
            ("positions", HostTensor::I32(&positions)),
            ("documents", HostTensor::I32(&documents)),
            ("loss_scale", HostTensor::F32(&loss_scale)),
            ("step", HostTensor::F32(&now)),
        ],
    )
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-6f32, |largest, x| largest.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * scale, "{name}: {found} for {expected} of {scale}");
    }
}

#[test]
fn training_on_the_cpu_follows_the_reference() {
    for with_logits in [true, false] {
        follow_the_reference(with_logits);
    }
}

fn follow_the_reference(with_logits: bool) {
    let graph = training_step(with_logits);
    let (layout, _) = states(&graph);
    let mut reference = Reference::new(&layout, vec![graph]);
    let mut cpus: Vec<Cpu> = [1, 2, 3, 7].map(|threads| cpu(threads, with_logits)).into();
    start(&mut reference);
    cpus.iter_mut().for_each(|cpu| start(cpu));
    for step in 0..4 {
        train(&mut reference, step).unwrap();
        for cpu in &mut cpus {
            train(cpu, step).unwrap();
            for name in ["loss", "grad_norm", "learning_rate"].into_iter().chain(with_logits.then_some("logits")) {
                let expected = reference.read_output(0, name).unwrap();
                assert_close(name, &cpu.read_output(0, name).unwrap(), &expected, 1e-5);
            }
        }
    }
    for state in &layout {
        let expected = reference.read_state(&state.name).unwrap();
        let found = cpus[0].read_state(&state.name).unwrap();
        assert_close(&state.name, &found, &expected, 1e-4);
        for cpu in &cpus[1..] {
            let other = cpu.read_state(&state.name).unwrap();
            assert!(found.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", state.name);
        }
    }
}

#[test]
fn both_devices_refuse_the_same_inputs() {
    let graph = training_step(true);
    let (layout, _) = states(&graph);
    let devices: [Box<dyn Device>; 2] = [Box::new(Reference::new(&layout, vec![graph])), Box::new(cpu(2, true))];
    for mut device in devices {
        assert_eq!(device.run(0, &[]).unwrap_err().to_string().matches("is missing").count(), 1);
        assert!(matches!(device.run(1, &[]), Err(DeviceError::UnknownName(_))));
        assert!(matches!(
            device.write_state("weight/q", &[1.0]),
            Err(DeviceError::Size { expected: 576, given: 1, .. })
        ));
        assert!(matches!(device.write_state("weight/none", &[]), Err(DeviceError::UnknownName(_))));
        assert!(matches!(device.read_state("none"), Err(DeviceError::UnknownName(_))));
        device.write_state("weight/ln.scale", &[2.0; WIDTH as usize]).unwrap();
        let count = |first: u64, part: &mut [f32]| {
            part.iter_mut().zip(first..).for_each(|(value, index)| *value = index as f32);
        };
        device.fill_state("weight/ln.scale", &count).unwrap();
        let counted: Vec<f32> = (0..WIDTH).map(|index| index as f32).collect();
        assert_eq!(device.read_state("weight/ln.scale").unwrap(), counted);
        assert!(matches!(device.fill_state("weight/none", &count), Err(DeviceError::UnknownName(_))));
        device.zero_states("weight/ln.");
        assert_eq!(device.read_state("weight/ln.scale").unwrap(), [0.0; WIDTH as usize]);
    }
}
