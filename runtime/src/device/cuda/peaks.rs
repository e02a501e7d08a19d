//! What the card can do at most: a large matrix product and a large copy, by the kernels that a run would use.

use llmc_compiler::plan::{DType, Precision};
use llmc_compiler::program::{Buffer, Instruction, Kernel, LoopBody, MemoryKind, Program, Region, Step, View};

use super::Cuda;
use crate::device::{Device, Peaks};

/// Sides of the matrices, and of the square that is copied; the largest is reached on a card alone.
const SIDES: [u64; 5] = [256, 512, 1024, 4096, 8192];
/// A run as long as this tells enough.
const ENOUGH_SECONDS: f64 = 2e-3;
/// Runs of a size; the best counts.
const RUNS: usize = 5;

/// One step over square matrices: two are read, one is written.
fn program(side: u64, dtype: DType, kernel: Kernel) -> Program {
    let bytes = dtype.bytes() * side * side;
    let buffer = |index: u64| Buffer {
        name: index.to_string(),
        region: Region::Scratch,
        offset: index * bytes,
        bytes,
        dtype,
        kind: MemoryKind::Activations,
    };
    let view = |index: usize| View::contiguous(index, &[side, side]);
    let reads = if matches!(kernel, Kernel::MatMul { .. }) { vec![view(0), view(1)] } else { vec![view(0)] };
    Program {
        name: "peaks".to_owned(),
        buffers: (0..3).map(buffer).collect(),
        steps: vec![Step { kernel, reads, writes: vec![view(2)], origin: Default::default() }],
        inputs: Vec::new(),
        outputs: Vec::new(),
        scratch_bytes: 3 * bytes,
        peak_by_kind: Vec::new(),
        flops: 0,
    }
}

/// Products are of the type that a stage of this precision keeps. None where the card has no room beside what is on it.
pub fn measure(precision: Precision) -> Option<Peaks> {
    let copy = Kernel::Loop(LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] });
    let dtype = precision.short().unwrap_or(DType::F32);
    let best = |dtype: DType, kernel: Kernel| {
        let mut found = None;
        for side in SIDES {
            // Each on a device of its own: products are run when they are made ready.
            let mut card = Cuda::new(&[], 0, vec![program(side, dtype, kernel.clone())], precision).ok()?;
            let mut seconds = f64::INFINITY;
            for _ in 0..RUNS {
                card.time_steps(true);
                card.run(0, &[]).ok()?;
                seconds = seconds.min(card.step_seconds(0).iter().sum());
            }
            found = Some((side as f64, seconds));
            if seconds > ENOUGH_SECONDS {
                break;
            }
        }
        found
    };
    let (side, seconds) = best(dtype, Kernel::MatMul { accumulate: false })?;
    let flops = 2.0 * side.powi(3) / seconds;
    let (side, seconds) = best(DType::F32, copy)?;
    Some(Peaks { flops, flops_of_one: flops, copy_bytes: 8.0 * side.powi(2) / seconds })
}
