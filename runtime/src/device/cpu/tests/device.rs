use llmc_compiler::plan::{BinaryFunction, DType, Initializer, LossPlan, Origin};
use llmc_compiler::program::{
    Buffer, Instruction, Kernel, LoopBody, MemoryKind, PersistentBuffer, Program, Region, Step,
};

use super::super::Cpu;
use super::{Bench, normal, whole, window};
use crate::device::{Device, DeviceError, HostTensor};

#[test]
fn ids_outside_the_table_are_named() {
    for (ids, bad) in [(vec![0, 5, 9], 5), (vec![1, -2, 0], -2)] {
        let mut bench = Bench::default();
        let table = bench.floats(normal(1, 15), &[5, 3]);
        let ids = bench.integers(ids, &[3]);
        let out = bench.output(&[3, 3]);
        bench.step(Kernel::Gather, &[&table, &ids], &[&out]);
        let error = bench.run_on(2, &[&out]).unwrap_err();
        let origin = Origin { path: "wte".to_owned(), place: "std/gpt2:3".to_owned() };
        assert_eq!(error, DeviceError::IdOutOfRange { id: bad, vocab: 5, origin });
        assert!(error.to_string().contains("wte") && error.to_string().contains(&bad.to_string()));
    }
    let mut bench = Bench::default();
    let logits = bench.floats(normal(1, 8), &[2, 4]);
    let targets = bench.integers(vec![-100, 4], &[2]);
    let out = bench.output(&[2]);
    bench.step(Kernel::CrossEntropy(LossPlan::default()), &[&logits, &targets], &[&out]);
    assert!(matches!(bench.run_on(1, &[&out]), Err(DeviceError::IdOutOfRange { id: 4, vocab: 4, .. })));
}

#[test]
fn a_full_cache_is_an_error() {
    for length in [6.0, -1.0, f32::NAN, 1e30] {
        let mut bench = Bench::default();
        let cache = bench.floats(normal(1, 8), &[1, 8, 1, 1]);
        let new = bench.floats(normal(2, 3), &[1, 3, 1, 1]);
        let held = bench.floats(vec![length], &[1]);
        bench.step(Kernel::CacheWrite, &[&new, &held], &[&cache]);
        let error = bench.run_on(1, &[&cache]).unwrap_err();
        assert!(matches!(error, DeviceError::CacheFull { added: 3, capacity: 8, .. }), "{length}");
    }
}

#[test]
fn faulty_programs_are_refused() {
    let copy = || LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
    let refused = |build: fn(&mut Bench, LoopBody)| {
        let mut bench = Bench::default();
        build(&mut bench, copy());
        assert!(matches!(bench.run_on(1, &[]), Err(DeviceError::Program(_))));
    };
    // A view that leaves its buffer.
    refused(|bench, body| {
        let x = bench.output(&[4]);
        let out = bench.output(&[4]);
        bench.step(Kernel::Loop(body), &[&window(&x, 1, &[4], &[1])], &[&out]);
    });
    // A write that overlaps a read without being the same.
    refused(|bench, body| {
        let x = bench.output(&[8]);
        bench.step(Kernel::Loop(body), &[&window(&x, 0, &[4], &[1])], &[&window(&x, 2, &[4], &[1])]);
    });
    // A write that meets an element twice.
    refused(|bench, body| {
        let x = bench.output(&[4]);
        let out = bench.output(&[4]);
        bench.step(Kernel::Loop(body), &[&x], &[&window(&out, 0, &[4], &[0])]);
    });
    // Two shapes, a kernel that cannot work in place, a register before its time.
    refused(|bench, body| {
        let x = bench.output(&[3]);
        let out = bench.output(&[4]);
        bench.step(Kernel::Loop(body), &[&x], &[&out]);
    });
    refused(|bench, _| {
        let x = bench.output(&[3, 3]);
        bench.step(Kernel::Softmax, &[&x], &[&x]);
    });
    refused(|bench, mut body| {
        body.instructions.insert(0, Instruction::Binary(BinaryFunction::Add, 1, 1));
        let x = bench.output(&[3]);
        let out = bench.output(&[3]);
        bench.step(Kernel::Loop(body), &[&x], &[&out]);
    });
}

/// A training step by hand: `y = x w`, `loss = sum y^2`, and the weight moves against its gradient.
#[test]
fn states_inputs_and_outputs_of_a_small_program() {
    let buffer = |name: &str, region, offset, count: u64, kind| Buffer {
        name: name.to_owned(),
        region,
        offset,
        bytes: 4 * count,
        dtype: DType::F32,
        kind,
    };
    let buffers = vec![
        buffer("weight/w", Region::Persistent, 64, 6, MemoryKind::Weights),
        buffer("x", Region::Scratch, 0, 4, MemoryKind::Inputs),
        buffer("y", Region::Scratch, 64, 6, MemoryKind::Activations),
        buffer("loss", Region::Scratch, 128, 1, MemoryKind::Activations),
    ];
    let (w, x, y, loss) = (whole(0, &[2, 3]), whole(1, &[2, 2]), whole(2, &[2, 3]), whole(3, &[]));
    let step = |kernel, reads: &[&llmc_compiler::program::View], write: &llmc_compiler::program::View| Step {
        kernel,
        reads: reads.iter().map(|view| (*view).clone()).collect(),
        writes: vec![write.clone()],
        origin: Origin::default(),
    };
    let descend = LoopBody {
        instructions: vec![
            Instruction::Load(0),
            Instruction::Load(1),
            Instruction::Binary(BinaryFunction::Subtract, 0, 1),
        ],
        results: vec![2],
    };
    let program = Program {
        name: "update".to_owned(),
        buffers,
        steps: vec![
            step(Kernel::MatMul { accumulate: false }, &[&x, &w], &y),
            step(Kernel::SumSquares, &[&y], &loss),
            step(Kernel::Loop(descend), &[&w, &y], &w),
        ],
        inputs: vec![("x".to_owned(), 1)],
        outputs: vec![("loss".to_owned(), loss), ("y".to_owned(), whole(2, &[6]))],
        scratch_bytes: 192,
        peak_by_kind: Vec::new(),
        flops: 24,
    };
    let state = |name: &str, offset, kind| PersistentBuffer {
        name: name.to_owned(),
        shape: vec![2, 3],
        dtype: DType::F32,
        offset,
        bytes: 24,
        init: Initializer::Zeros,
        kind,
    };
    let states = [state("gradient/w", 0, MemoryKind::Gradients), state("weight/w", 64, MemoryKind::Weights)];
    let mut cpu = Cpu::new(&states, 128, vec![program], 2).unwrap();
    assert!(cpu.describe().starts_with("cpu, 2 threads"));
    cpu.write_state("weight/w", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    cpu.write_state("gradient/w", &[1.0; 6]).unwrap();
    let x = [1.0, 0.0, 0.0, 2.0];
    cpu.run(0, &[("x", HostTensor::F32(&x))]).unwrap();
    assert_eq!(cpu.read_output(0, "y").unwrap(), [1.0, 2.0, 3.0, 8.0, 10.0, 12.0]);
    assert_eq!(cpu.read_output(0, "loss").unwrap(), [14.0 + 64.0 + 100.0 + 144.0]);
    assert_eq!(cpu.read_state("weight/w").unwrap(), [0.0, 0.0, 0.0, -4.0, -5.0, -6.0]);
    cpu.zero_states("gradient/");
    assert_eq!(cpu.read_state("gradient/w").unwrap(), [0.0; 6]);
    assert_eq!(cpu.read_state("weight/w").unwrap()[3], -4.0);

    assert_eq!(cpu.run(0, &[]).unwrap_err(), DeviceError::MissingInput("x".to_owned()));
    let short = DeviceError::Size { name: "x".to_owned(), expected: 4, given: 3 };
    assert_eq!(cpu.run(0, &[("x", HostTensor::F32(&x[..3]))]).unwrap_err(), short);
    assert!(matches!(cpu.run(1, &[]), Err(DeviceError::UnknownName(_))));
    assert!(matches!(cpu.read_state("weight/v"), Err(DeviceError::UnknownName(_))));
    assert!(matches!(cpu.write_state("weight/w", &[0.0]), Err(DeviceError::Size { .. })));
}
