//! Lets a kernel write over an operand that nobody reads afterwards, where the kernel may work in place.

use super::draft::{Draft, Storage};
use crate::program::{BufferId, Kernel, Step, View};

/// Gives results the memory of operands that die with the step.
pub(super) fn reuse(draft: &mut Draft) {
    let mut lives = Lives::new(draft);
    let mut steps = std::mem::take(&mut draft.steps);
    for (now, step) in steps.iter_mut().enumerate() {
        for view in step.reads.iter_mut().chain(&mut step.writes) {
            view.buffer = lives.memory(view.buffer);
        }
        for write in 0..step.writes.len() {
            let Some(operand) = operand_to_overwrite(draft, &lives, step, write, now) else {
                continue;
            };
            lives.take_over(step.writes[write].buffer, operand);
            step.writes[write].buffer = operand;
        }
    }
    draft.steps = steps;
    for (_, view) in &mut draft.outputs {
        view.buffer = lives.memory(view.buffer);
    }
}

/// The buffer of an operand that has the very elements of a result and is not needed after the step.
fn operand_to_overwrite(draft: &Draft, lives: &Lives, step: &Step, write: usize, now: usize) -> Option<BufferId> {
    let operands = match step.kernel {
        Kernel::Loop(_) => step.reads.len(),
        Kernel::LoopNorm { centred, .. } if write > 0 => step.reads.len() - 1 - usize::from(centred),
        Kernel::Rotate { .. } | Kernel::CrossEntropyGrad { .. } | Kernel::Random { .. } => 1,
        _ => 0,
    };
    let result = &step.writes[write];
    let fresh = &draft.buffers[result.buffer];
    // A buffer that the step writes in several parts would have to be taken over for all of them.
    let in_parts = step.writes.iter().filter(|other| other.buffer == result.buffer).count() > 1;
    if fresh.storage != Storage::Scratch || lives.first[result.buffer] != now || in_parts {
        return None;
    }
    let fits = |read: &&View| {
        let old = &draft.buffers[read.buffer];
        old.storage == Storage::Scratch
            && (old.elements, old.dtype, old.kind) == (fresh.elements, fresh.dtype, fresh.kind)
            && lives.last[read.buffer] == now
            && View { buffer: read.buffer, ..result.clone() } == **read
            && step.reads.iter().all(|other| other.buffer != read.buffer || other == *read)
            && step.writes.iter().all(|other| other.buffer != read.buffer)
    };
    step.reads[..operands].iter().find(fits).map(|read| read.buffer)
}

/// When buffers are touched, and which has taken over whose memory.
struct Lives {
    first: Vec<usize>,
    last: Vec<usize>,
    owner: Vec<BufferId>,
}

impl Lives {
    fn new(draft: &Draft) -> Lives {
        let count = draft.buffers.len();
        let mut lives = Lives { first: vec![usize::MAX; count], last: vec![0; count], owner: (0..count).collect() };
        for (now, step) in draft.steps.iter().enumerate() {
            for view in step.reads.iter().chain(&step.writes) {
                lives.first[view.buffer] = lives.first[view.buffer].min(now);
                lives.last[view.buffer] = now;
            }
        }
        for (_, view) in &draft.outputs {
            lives.last[view.buffer] = usize::MAX;
        }
        lives
    }

    /// The buffer whose memory a buffer has.
    fn memory(&self, buffer: BufferId) -> BufferId {
        self.owner[buffer]
    }

    /// Gives `buffer` the memory of `operand`, which stands for itself.
    fn take_over(&mut self, buffer: BufferId, operand: BufferId) {
        self.owner[buffer] = operand;
        self.last[operand] = self.last[buffer];
    }
}
