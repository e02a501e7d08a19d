//! Values put together from parts, which lie in their place already where that was possible.

use super::emit::{Emitter, Need};
use super::flow::ValueId;
use crate::op::Reduction;
use crate::program::{Instruction, Kernel, LoopBody, View};

impl Emitter<'_> {
    pub(super) fn add_scalars(&mut self, id: ValueId) {
        let row = self.places.rows[&id].clone();
        let flow = self.flow;
        for (position, &input) in flow.inputs(id).iter().enumerate() {
            let place = row.slice(0, position as u64, 1);
            self.settle(input, place);
        }
        let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
        let reads = vec![row];
        let scalar = self.result(id, Need::Any, &reads, false);
        let write = scalar.reshape(&[1]).unwrap_or(scalar);
        let kernel = Kernel::Reduce { kind: Reduction::Sum, axes: vec![0], body };
        self.step(id, kernel, reads, vec![write]);
    }

    pub(super) fn concat(&mut self, id: ValueId, axis: usize) {
        let whole = self.whole(id);
        let flow = self.flow;
        let mut start = 0;
        for &input in flow.inputs(id) {
            let length = flow.shape(input)[axis];
            self.settle(input, whole.slice(axis, start, length));
            start += length;
        }
    }

    pub(super) fn pad(&mut self, id: ValueId, axis: usize, before: u64, after: u64) {
        let whole = self.whole(id);
        let input = self.flow.inputs(id)[0];
        let length = self.flow.shape(input)[axis];
        self.settle(input, whole.slice(axis, before, length));
        let origin = self.flow.values[id].origin.clone();
        for (start, length) in [(0, before), (before + length, after)] {
            if length > 0 {
                self.write_zeros(whole.slice(axis, start, length), &origin);
            }
        }
    }

    /// The memory of a value that is put together from parts.
    fn whole(&mut self, id: ValueId) -> View {
        self.result(id, Need::Any, &[], false)
    }

    /// Copies a part to its place if it does not lie there.
    fn settle(&mut self, part: ValueId, place: View) {
        let mut view = self.view(part);
        if self.is_same_state(&view, &place) {
            let origin = self.flow.values[part].origin.clone();
            view = self.fresh_copy(&view, &origin);
        }
        let place = match place.reshape(&view.shape) {
            Some(place) => place,
            None => unreachable!("a part has the size of its place"),
        };
        if view != place {
            let origin = self.flow.values[part].origin.clone();
            self.write_copy(view, place, &origin);
        }
    }
}
