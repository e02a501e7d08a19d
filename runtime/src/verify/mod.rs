//! Kernels of one device held against another's, with random operands.

mod attention;
mod case;
mod compare;
mod kernels;

pub use case::{Case, Values};
pub use compare::{Difference, compare};

use llmc_compiler::plan::DType;
use llmc_compiler::program::{Buffer, Kernel, MemoryKind, Program, Region, Step, View};

/// Every kernel at awkward sizes: single elements, primes, sizes that no tile divides; with floats of each type, and with operands
/// of different types.
pub fn awkward() -> Vec<Case> {
    use DType::{Bf16, F16, F32};
    let sets: [&[DType]; 3] = [&[F32], &[Bf16], &[F16, F32, Bf16]];
    let mut cases: Vec<Case> = sets.into_iter().flat_map(kernels::cases).collect();
    let sets: [&[DType]; 3] = [&[F32], &[Bf16], &[F16]];
    cases.extend(sets.into_iter().flat_map(attention::cases));
    cases
}

/// Builds cases one by one.
#[derive(Debug)]
struct Draft {
    /// Types of floats, taken in turn.
    types: &'static [DType],
    buffers: Vec<Buffer>,
    cases: Vec<Case>,
}

impl Draft {
    fn of(types: &'static [DType]) -> Draft {
        Draft { types, buffers: Vec::new(), cases: Vec::new() }
    }

    fn buffer(&mut self, shape: &[u64], dtype: DType) -> View {
        let bytes = dtype.bytes() * shape.iter().product::<u64>();
        let (name, kind) = (self.buffers.len().to_string(), MemoryKind::Activations);
        self.buffers.push(Buffer { name, region: Region::Scratch, offset: 0, bytes, dtype, kind });
        View::contiguous(self.buffers.len() - 1, shape)
    }

    /// A new tensor of floats.
    fn floats(&mut self, shape: &[u64]) -> View {
        self.buffer(shape, self.types[self.buffers.len() % self.types.len()])
    }

    /// A new tensor of floats that are never shorter than f32.
    fn singles(&mut self, shape: &[u64]) -> View {
        self.buffer(shape, DType::F32)
    }

    /// A new tensor of whole numbers.
    fn integers(&mut self, shape: &[u64]) -> View {
        self.buffer(shape, DType::I32)
    }

    /// Adds a case of one kernel.
    fn add(&mut self, kernel: Kernel, reads: &[&View], writes: &[&View]) {
        self.add_all([(kernel, reads, writes)]);
    }

    /// Adds a case of kernels that follow each other.
    fn add_all<'v, const N: usize>(&mut self, kernels: [(Kernel, &[&'v View], &[&'v View]); N]) {
        let list = |views: &[&View]| views.iter().copied().cloned().collect();
        let steps = kernels.map(|(kernel, reads, writes)| Step {
            kernel,
            reads: list(reads),
            writes: list(writes),
            origin: Default::default(),
        });
        let program = Program {
            name: String::new(),
            buffers: self.buffers.clone(),
            steps: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            scratch_bytes: 0,
            peak_by_kind: Vec::new(),
            flops: 0,
        };
        self.cases.push(Case::of(&program, &steps));
    }
}
