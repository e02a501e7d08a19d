//! Kernels that overwrite what they are given: the optimizer step and the key/value cache.

use super::emit::{Emitter, Need};
use super::flow::ValueId;
use crate::op::{AdamOutput, Op};
use crate::program::{Kernel, View};

impl Emitter<'_> {
    pub(super) fn adamw(&mut self, id: ValueId) {
        let Op::AdamW { constants, .. } = *self.flow.op(id) else {
            unreachable!("called for AdamW only");
        };
        let inputs = self.flow.inputs(id);
        let reads: Vec<View> = inputs[3..].iter().map(|&input| self.operand(input, Need::Contiguous)).collect();
        let outputs = [AdamOutput::Weight, AdamOutput::FirstMoment, AdamOutput::SecondMoment];
        let writes = outputs
            .iter()
            .zip(inputs)
            .map(|(wanted, &input)| {
                let member = self.member(id, |op| matches!(op, Op::AdamW { output, .. } if output == wanted));
                self.overwritten(id, input, member, &reads)
            })
            .collect();
        self.step(id, Kernel::AdamW(constants), reads, writes);
    }

    pub(super) fn cache_write(&mut self, id: ValueId) {
        let inputs = self.flow.inputs(id);
        let reads = vec![self.operand(inputs[1], Need::Rows), self.operand(inputs[2], Need::Contiguous)];
        let write = self.overwritten(id, inputs[0], Some(id), &reads);
        self.step(id, Kernel::CacheWrite, reads, vec![write]);
    }

    /// The memory of `input` that a kernel overwrites with `result`: the state itself if the result is its next value,
    /// else a copy.
    fn overwritten(&mut self, id: ValueId, input: ValueId, result: Option<ValueId>, reads: &[View]) -> View {
        let old = self.view(input);
        let place = result.and_then(|result| self.places.wishes[result].clone());
        let view = match place {
            Some(place) if self.is_old_value(&old, &place) && reads.iter().all(|read| read.buffer != old.buffer) => {
                place
            }
            _ => {
                let origin = self.flow.values[id].origin.clone();
                self.fresh_copy(&old, &origin)
            }
        };
        if let Some(result) = result {
            self.views[result] = Some(view.clone());
        }
        view
    }
}
