//! Every kernel against plain f64 loops on random operands of odd sizes, with equal bits for every thread count.

mod attention;
mod device;
mod levels;
mod loops;
mod math;
mod matmul;
mod optimizer;
mod reduce;
mod rotate;
mod routed;
mod rows;

use llmc_compiler::plan::{DType, Origin};
use llmc_compiler::program::{Buffer, Kernel, MemoryKind, Program, Region, Step, View};
use llmc_compiler::random::Stream;
use smallvec::SmallVec;

use super::Cpu;
use crate::device::{Device, DeviceError, HostTensor};

/// Thread counts that must all give the same bits.
const THREADS: [usize; 4] = [1, 2, 3, 7];

/// Values of a buffer.
#[derive(Debug, Clone)]
enum Values {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

impl Values {
    fn tensor(&self) -> HostTensor<'_> {
        match self {
            Values::F32(values) => HostTensor::F32(values),
            Values::I32(values) => HostTensor::I32(values),
        }
    }
}

/// A program of a few steps over buffers with given first values.
#[derive(Debug, Default)]
struct Bench {
    buffers: Vec<Values>,
    steps: Vec<Step>,
}

impl Bench {
    fn floats(&mut self, values: Vec<f32>, shape: &[usize]) -> View {
        self.buffers.push(Values::F32(values));
        whole(self.buffers.len() - 1, shape)
    }

    fn integers(&mut self, values: Vec<i32>, shape: &[usize]) -> View {
        self.buffers.push(Values::I32(values));
        whole(self.buffers.len() - 1, shape)
    }

    /// A buffer whose every element has to be written: it starts as NaN.
    fn output(&mut self, shape: &[usize]) -> View {
        self.floats(vec![f32::NAN; shape.iter().product()], shape)
    }

    fn step(&mut self, kernel: Kernel, reads: &[&View], writes: &[&View]) {
        let list = |views: &[&View]| views.iter().copied().cloned().collect();
        let origin = Origin { path: "wte".to_owned(), place: "std/gpt2:3".to_owned() };
        self.steps.push(Step { kernel, reads: list(reads), writes: list(writes), origin });
    }

    fn program(&self) -> Program {
        let mut offset = 0;
        let mut buffers = Vec::new();
        for (index, values) in self.buffers.iter().enumerate() {
            let (count, dtype) = match values {
                Values::F32(values) => (values.len(), DType::F32),
                Values::I32(values) => (values.len(), DType::I32),
            };
            let bytes = 4 * count as u64;
            let kind = MemoryKind::Activations;
            buffers.push(Buffer { name: format!("{index}"), region: Region::Scratch, offset, bytes, dtype, kind });
            offset += bytes.div_ceil(64) * 64;
        }
        let names = (0..self.buffers.len()).map(|index| (format!("{index}"), index)).collect();
        Program {
            name: "test".to_owned(),
            buffers,
            steps: self.steps.clone(),
            inputs: names,
            outputs: Vec::new(),
            scratch_bytes: offset,
            peak_by_kind: Vec::new(),
            flops: 0,
        }
    }

    /// Runs once and returns the elements of the views.
    fn run_on(&self, threads: usize, results: &[&View]) -> Result<Vec<Vec<f32>>, DeviceError> {
        let mut program = self.program();
        program.outputs = results.iter().enumerate().map(|(i, view)| (format!("{i}"), View::clone(view))).collect();
        let mut cpu = Cpu::new(&[], 0, vec![program], threads)?;
        let names: Vec<String> = (0..self.buffers.len()).map(|index| index.to_string()).collect();
        let inputs: Vec<(&str, HostTensor<'_>)> =
            names.iter().zip(&self.buffers).map(|(name, values)| (name.as_str(), values.tensor())).collect();
        cpu.run(0, &inputs)?;
        (0..results.len()).map(|index| cpu.read_output(0, &index.to_string())).collect()
    }

    /// Runs with every thread count, checks that all bits agree, and returns the elements of the views.
    fn run(&self, results: &[&View]) -> Vec<Vec<f32>> {
        let first = self.run_on(THREADS[0], results).unwrap();
        for threads in &THREADS[1..] {
            let other = self.run_on(*threads, results).unwrap();
            for (a, b) in first.iter().flatten().zip(other.iter().flatten()) {
                assert_eq!(a.to_bits(), b.to_bits(), "{threads} threads");
            }
        }
        first
    }
}

/// The whole of a buffer.
fn whole(buffer: usize, shape: &[usize]) -> View {
    let shape: SmallVec<[u64; 4]> = shape.iter().map(|&size| size as u64).collect();
    let mut strides: SmallVec<[u64; 4]> = SmallVec::from_elem(1, shape.len());
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    View { buffer, offset: 0, shape, strides }
}

/// A view with other offset, sizes and strides.
fn window(view: &View, offset: u64, shape: &[u64], strides: &[u64]) -> View {
    View { buffer: view.buffer, offset, shape: shape.into(), strides: strides.into() }
}

/// Standard normal values, other ones for every `seed`.
fn normal(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, 77);
    (0..count as u64).map(|index| stream.normal(index)).collect()
}

/// Integers in `0..below`.
fn integers(seed: u64, count: usize, below: usize) -> Vec<i32> {
    let stream = Stream::new(seed, 78);
    (0..count as u64).map(|index| (stream.uniform(index) * below as f32) as i32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// Asserts that the distance is at most `tolerance` of the largest expected value.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(1e-30, |largest: f64, x| largest.max(x.abs()));
    assert_within(found, expected, tolerance * scale);
}

/// Asserts that every distance is at most `bound`.
#[track_caller]
fn assert_within(found: &[f32], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let distance = (f64::from(found) - expected).abs();
        assert!(distance <= bound, "element {index}: {found} for {expected} (bound {bound})");
    }
}
