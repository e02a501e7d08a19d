//! Decides where results are written: a state's new value into the state itself, the parts of a concatenation into their
//! place in the whole. A place is a wish: where a kernel cannot write there, the value gets memory of its own and is copied.

use std::collections::BTreeMap;

use super::draft::{Draft, Storage, kind_of_state};
use super::flow::{Flow, ValueId};
use super::fuse::Role;
use crate::graph::Target;
use crate::op::{Op, Type};
use crate::plan::BinaryFunction;
use crate::program::{BufferId, MemoryKind, View};

/// Where each value should be written, and the memory of states.
pub(super) struct Places {
    /// By value: the view that the value's kernel should fill.
    pub(super) wishes: Vec<Option<View>>,
    /// By state: the buffer of its value before the run.
    pub(super) initial: BTreeMap<String, BufferId>,
    /// By overwritten state: the view of its value after the run.
    pub(super) last: BTreeMap<String, View>,
    /// By sum of scalars: the row that holds its terms.
    pub(super) rows: BTreeMap<ValueId, View>,
    /// By value: what memory of its own would be for.
    pub(super) kinds: Vec<MemoryKind>,
}

/// Allocates the states and the results of concatenations, and wishes every part to its place.
pub(super) fn places(flow: &Flow, roles: &[Role], draft: &mut Draft) -> Places {
    let mut places = Places {
        wishes: vec![None; flow.values.len()],
        initial: BTreeMap::new(),
        last: BTreeMap::new(),
        rows: BTreeMap::new(),
        kinds: kinds(flow),
    };
    for value in &flow.values {
        if let Op::State { name, ty } = &value.op {
            places.initial.entry(name.clone()).or_insert_with(|| {
                let storage = Storage::Initial(name.clone());
                draft.allocate(name, &ty.shape, ty.dtype, kind_of_state(name), storage).buffer
            });
        }
    }
    for (target, id) in &flow.outputs {
        if let Target::State(name) = target {
            let Type { shape, dtype } = &flow.values[*id].ty;
            let view = draft.allocate(name, shape, *dtype, kind_of_state(name), Storage::Final(name.clone()));
            places.last.insert(name.clone(), view.clone());
            places.wish(*id, view);
        }
    }
    for id in (0..flow.values.len()).rev() {
        places.push_down(flow, roles, draft, id);
    }
    places
}

impl Places {
    fn wish(&mut self, id: ValueId, view: View) {
        self.wishes[id].get_or_insert(view);
    }

    /// Wishes the operands of `id` to the place that makes `id` land where it should.
    fn push_down(&mut self, flow: &Flow, roles: &[Role], draft: &mut Draft, id: ValueId) {
        let inputs = flow.inputs(id);
        let only_use = |input: ValueId| flow.uses[input] == 1;
        match (flow.op(id), self.wishes[id].clone()) {
            (Op::Reshape(_), Some(wish)) if only_use(inputs[0]) => {
                if let Some(view) = wish.reshape(flow.shape(inputs[0])) {
                    self.wish(inputs[0], view);
                }
            }
            (Op::Permute(axes), Some(wish)) if only_use(inputs[0]) => self.wish(inputs[0], wish.unpermute(axes)),
            (Op::Concat { axis }, wish) => {
                let whole = wish.unwrap_or_else(|| self.allocate(flow, draft, id));
                let mut start = 0;
                for &input in inputs {
                    let length = flow.shape(input)[*axis];
                    if only_use(input) {
                        self.wish(input, whole.slice(*axis, start, length));
                    }
                    start += length;
                }
            }
            (Op::Pad { axis, before, .. }, wish) => {
                let whole = wish.unwrap_or_else(|| self.allocate(flow, draft, id));
                if only_use(inputs[0]) {
                    self.wish(inputs[0], whole.slice(*axis, *before, flow.shape(inputs[0])[*axis]));
                }
            }
            // The scalars are summed up as one row.
            (Op::AddScalars, _) => {
                let Type { dtype, .. } = flow.values[id].ty;
                let shape = [inputs.len() as u64].into_iter().collect();
                let name = &flow.values[id].origin.path;
                let row = draft.allocate(name, &shape, dtype, MemoryKind::Activations, Storage::Scratch);
                for (position, &input) in inputs.iter().enumerate() {
                    if only_use(input) {
                        let element = row.slice(0, position as u64, 1).reshape(&[]);
                        self.wishes[input] = self.wishes[input].take().or(element);
                    }
                }
                self.rows.insert(id, row);
            }
            (_, wish) => {
                if let Role::Sum(sum) = roles[id] {
                    let view = wish.unwrap_or_else(|| self.allocate(flow, draft, id));
                    self.wish(sum.base, view);
                }
            }
        }
    }

    /// Memory for a value of its own, as the place where it should be.
    fn allocate(&mut self, flow: &Flow, draft: &mut Draft, id: ValueId) -> View {
        let value = &flow.values[id];
        let (name, ty) = (&value.origin.path, &value.ty);
        let view = draft.allocate(name, &ty.shape, ty.dtype, self.kinds[id], Storage::Scratch);
        self.wishes[id] = Some(view.clone());
        view
    }
}

/// What memory each value is for, should it get memory: the gradients of weights are told from the rest by their readers.
fn kinds(flow: &Flow) -> Vec<MemoryKind> {
    let mut kinds = vec![MemoryKind::Activations; flow.values.len()];
    for (target, id) in &flow.outputs {
        let (Target::Result(name) | Target::State(name)) = target;
        if name.starts_with("gradient/") {
            kinds[*id] = MemoryKind::Gradients;
        }
    }
    for id in (0..flow.values.len()).rev() {
        let inputs = flow.inputs(id);
        match flow.op(id) {
            Op::AdamW { .. } => kinds[inputs[3]] = MemoryKind::Gradients,
            Op::SumSquares => kinds[inputs[0]] = MemoryKind::Gradients,
            Op::Reshape(_) | Op::Permute(_) | Op::Binary(BinaryFunction::Add) | Op::Concat { .. } | Op::Pad { .. }
                if kinds[id] == MemoryKind::Gradients =>
            {
                for &input in inputs {
                    kinds[input] = MemoryKind::Gradients;
                }
            }
            _ => {}
        }
    }
    kinds
}
