//! What the device needs beside its arenas, known before it is made.

use llmc_compiler::program::{Kernel, Program, Step, View};

use super::attention::scratch_floats;
use super::matmul::MatMul;
use super::routed;
use super::window::{Bound, Window};

/// What a thread has of its own: the touched part of its stack, its part of the allocator, small tiles of loops.
const THREAD_BYTES: usize = 96 << 10;

/// Bytes beside the arenas once every kernel of `programs` has run: the working memory of each thread (packed operands,
/// tiles of attention) and what a launch takes to be kept ready.
pub fn working_bytes(programs: &[&Program], threads: usize) -> u64 {
    let steps = || programs.iter().flat_map(|program| &program.steps);
    // Packed operands and tiles are kept apart, and each grows to its largest need.
    let packed = steps().map(|step| packed_floats(step, threads)).max().unwrap_or(0);
    let tiles = steps().map(tile_floats).max().unwrap_or(0);
    let launches: usize = steps().map(launch_bytes).sum();
    (launches + threads * (THREAD_BYTES + (packed + tiles) * size_of::<f32>())) as u64
}

/// Floats that a thread packs for a matrix product.
fn packed_floats(step: &Step, threads: usize) -> usize {
    let accumulate = match step.kernel {
        Kernel::MatMul { accumulate } => accumulate,
        _ => return routed_floats(step).map_or(0, |(packed, _)| packed),
    };
    let windows = |views: &[View]| views.iter().map(unplaced).collect();
    let bound = Bound { reads: windows(&step.reads), in_place: Vec::new(), writes: windows(&step.writes) };
    // A product that cannot be made ready is told when the device is made.
    MatMul::new(accumulate, &bound).map_or(0, |product| product.packed(threads))
}

/// A view's sizes without an address.
fn unplaced(view: &View) -> Window {
    Window {
        pointer: std::ptr::null_mut(),
        shape: view.shape.iter().map(|&size| size as usize).collect(),
        strides: view.strides.iter().map(|&stride| stride as usize).collect(),
        integer: false,
    }
}

/// Floats that a thread packs at most for a routed product, whatever the ids are, and those of its scratch memory.
fn routed_floats(step: &Step) -> Option<(usize, usize)> {
    let size = |read: usize, axis: usize| step.reads[read].shape[axis] as usize;
    match step.kernel {
        Kernel::RoutedMatMul => Some(routed::product_floats(size(1, 0), size(0, 1), size(2, 2))),
        Kernel::RoutedOuter { .. } => Some(routed::outer_floats(size(1, 0), size(0, 1), size(2, 1))),
        _ => None,
    }
}

/// Floats of a thread's scratch memory for attention or a routed product.
fn tile_floats(step: &Step) -> usize {
    let is_gradient = match step.kernel {
        Kernel::Attention { .. } | Kernel::CachedAttention(_) => false,
        Kernel::AttentionGrad { .. } => true,
        _ => return routed_floats(step).map_or(0, |(_, scratch)| scratch),
    };
    let size = |read: usize, axis: usize| {
        let view = step.reads.get(read);
        view.and_then(|view| view.shape.get(axis)).map_or(0, |&size| size as usize)
    };
    let sharers = size(0, 2) / size(1, 2).max(1);
    scratch_floats(is_gradient, (size(0, 1), size(1, 1)), (size(0, 3), size(2, 3)), sharers)
}

/// A launch keeps its windows, and its node and edge of the graph that runs it.
fn launch_bytes(step: &Step) -> usize {
    llmc_compiler::execute::STEP_BYTES + (step.reads.len() + step.writes.len()) * size_of::<Window>()
}
