//! A program in the making: buffers without offsets, steps in the order they were made.

use crate::op::Shape;
use crate::plan::{DType, Origin};
use crate::program::{BufferId, Kernel, MemoryKind, Step, View};

/// Buffers and steps. The order of the steps is a correct one, except that a step may read a state's
/// [`Storage::Initial`] value after another has written its [`Storage::Final`] one.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) buffers: Vec<DraftBuffer>,
    pub(super) steps: Vec<Step>,
    pub(super) inputs: Vec<(String, BufferId)>,
    pub(super) outputs: Vec<(String, View)>,
}

/// A buffer that has no offset yet.
#[derive(Clone)]
pub(super) struct DraftBuffer {
    pub(super) name: String,
    pub(super) elements: u64,
    pub(super) dtype: DType,
    pub(super) kind: MemoryKind,
    pub(super) storage: Storage,
}

impl DraftBuffer {
    pub(super) fn bytes(&self) -> u64 {
        self.elements * self.dtype.bytes()
    }
}

/// What a buffer is to the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Storage {
    /// Made and used up within a run.
    Scratch,
    /// Filled by the host.
    Input,
    /// A state as it is before the run.
    Initial(String),
    /// A state as it is after the run: the same memory as [`Storage::Initial`].
    Final(String),
}

impl Draft {
    /// A new buffer and the view of all of it.
    pub(super) fn allocate(
        &mut self,
        name: &str,
        shape: &Shape,
        dtype: DType,
        kind: MemoryKind,
        storage: Storage,
    ) -> View {
        self.buffers.push(DraftBuffer {
            name: name.to_owned(),
            elements: shape.iter().product(),
            dtype,
            kind,
            storage,
        });
        View::contiguous(self.buffers.len() - 1, shape)
    }

    /// Adds a step.
    pub(super) fn step(&mut self, kernel: Kernel, reads: Vec<View>, writes: Vec<View>, origin: &Origin) {
        self.steps.push(Step { kernel, reads, writes, origin: origin.clone() });
    }
}

/// What a state is for, by its name.
pub(super) fn kind_of_state(name: &str) -> MemoryKind {
    match name.split('/').next() {
        Some("weight") => MemoryKind::Weights,
        Some("gradient") => MemoryKind::Gradients,
        Some("key_cache" | "value_cache") => MemoryKind::Cache,
        _ => MemoryKind::Optimizer,
    }
}
