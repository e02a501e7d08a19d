//! Turns a graph into kernels over views: one step for every value that gets memory.

use std::collections::BTreeMap;

use super::chunk::{ChunkedLoss, chunked_losses};
use super::draft::{Draft, Storage};
use super::flow::{Flow, Hardware, ValueId};
use super::fuse::{Role, roles};
use super::join::{Families, families};
use super::place::{Places, places};
use crate::graph::{Graph, Target};
use crate::op::{Op, Shape};
use crate::plan::Origin;
use crate::program::{Instruction, Kernel, LoopBody, MemoryKind, PersistentBuffer, View};

/// Which views an operand or a result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Any strides.
    Any,
    /// The last axis has stride 1.
    Rows,
    /// Row-major without gaps.
    Contiguous,
}

impl Need {
    fn met_by(self, view: &View) -> bool {
        match self {
            Need::Any => true,
            Need::Rows => view.has_rows(),
            Need::Contiguous => view.is_contiguous(),
        }
    }
}

/// The kernels of a graph, in the order of the graph.
pub(super) fn emit(graph: &Graph, states: &[PersistentBuffer], hardware: Hardware) -> Draft {
    let flow = Flow::new(graph, states, hardware);
    let losses = chunked_losses(&flow);
    let roles = roles(&flow, &losses);
    let mut draft = Draft::default();
    let places = places(&flow, &roles, &mut draft);
    let mut emitter = Emitter {
        families: families(&flow),
        losses: &losses,
        hardware,
        views: vec![None; flow.values.len()],
        copies: BTreeMap::new(),
        flow: &flow,
        roles,
        places,
        draft,
    };
    for id in 0..flow.values.len() {
        emitter.emit(id);
    }
    emitter.finish();
    emitter.draft
}

/// The state of one run of [`emit`].
pub(super) struct Emitter<'a> {
    pub(super) flow: &'a Flow,
    pub(super) roles: Vec<Role>,
    pub(super) places: Places,
    pub(super) families: Families,
    pub(super) hardware: Hardware,
    /// The losses computed chunk by chunk.
    pub(super) losses: &'a [ChunkedLoss],
    pub(super) draft: Draft,
    /// Where each value lies, once it does.
    pub(super) views: Vec<Option<View>>,
    /// Row-major copies of views.
    copies: BTreeMap<(usize, u64, Shape, Shape), View>,
}

impl Emitter<'_> {
    /// Adds the step of a value that gets memory; of a value that a joined kernel has written already, nothing.
    pub(super) fn emit(&mut self, id: ValueId) {
        if self.views[id].is_some() {
            return;
        }
        let value = &self.flow.values[id];
        match self.roles[id] {
            Role::Movement | Role::Inline | Role::Addend => {}
            Role::Source => match &value.op {
                Op::Input { name, ty } => {
                    if let Some((_, known)) = self.draft.inputs.iter().find(|(input, _)| input == name) {
                        self.views[id] = Some(View::contiguous(*known, &ty.shape));
                        return;
                    }
                    let kind = MemoryKind::Inputs;
                    let view = self.draft.allocate(name, &ty.shape, ty.dtype, kind, Storage::Input);
                    self.draft.inputs.push((name.clone(), view.buffer));
                    self.views[id] = Some(view);
                }
                Op::State { name, ty } => {
                    self.views[id] = Some(View::contiguous(self.places.initial[name], &ty.shape));
                }
                // A constant is written in the loops that use it; else when it is asked for.
                _ => {}
            },
            Role::Loop => self.compute(id),
            Role::Sum(sum) => self.sum(id, sum),
            Role::Kernel => self.kernel(id),
            Role::Chunked => self.chunked(id),
        }
    }

    /// Copies what did not land where it should, and names the results.
    fn finish(&mut self) {
        let mut copied: Vec<(View, View, Origin)> = Vec::new();
        for (target, id) in &self.flow.outputs {
            let mut view = self.view(*id);
            let initial = match &self.draft.buffers[view.buffer].storage {
                Storage::Initial(name) => Some(name.clone()),
                _ => None,
            };
            let origin = self.flow.values[*id].origin.clone();
            match target {
                Target::Result(name) => {
                    // A result is read after the run: the state may be another by then.
                    if initial.is_some_and(|state| self.places.last.contains_key(&state)) {
                        view = self.copy(&view, &origin);
                    }
                    self.draft.outputs.push((name.clone(), view));
                }
                Target::State(name) => {
                    let place = self.places.last[name].clone();
                    if view == place {
                        continue;
                    }
                    let whole = View { buffer: place.buffer, ..view.clone() } == place;
                    if whole && initial.as_ref() == Some(name) {
                        continue;
                    }
                    if initial.is_some() {
                        view = self.copy(&view, &origin);
                    }
                    copied.push((view, place, origin));
                }
            }
        }
        for (from, to, origin) in copied {
            self.write_copy(from, to, &origin);
        }
    }

    /// Where a value lies; a constant is written now.
    pub(super) fn view(&mut self, id: ValueId) -> View {
        let mut chain = Vec::new();
        let mut base = id;
        while self.views[base].is_none() && self.flow.op(base).is_movement() {
            chain.push(base);
            base = self.flow.inputs(base)[0];
        }
        if self.views[base].is_none() {
            self.compute(base);
        }
        let mut view = self.views[base]
            .clone()
            .unwrap_or_else(|| unreachable!("{:?} has no memory, but is read through it", self.flow.op(base)));
        for &movement in chain.iter().rev() {
            view = self.moved(view, movement);
            self.views[movement] = Some(view.clone());
        }
        view
    }

    /// The view that a movement makes of a view of its operand.
    pub(super) fn moved(&mut self, view: View, movement: ValueId) -> View {
        let flow = self.flow;
        match flow.op(movement) {
            Op::Reshape(shape) => self.reshaped(view, shape, &flow.values[movement].origin),
            Op::Permute(axes) => view.permute(axes),
            Op::Expand(shape) => view.expand(shape),
            Op::Slice { axis, start, length } => view.slice(*axis, *start, *length),
            op => unreachable!("{op:?} is not a movement"),
        }
    }

    /// A view of another shape, of a copy if no strides do that.
    fn reshaped(&mut self, view: View, shape: &[u64], origin: &Origin) -> View {
        if let Some(reshaped) = view.reshape(shape) {
            return reshaped;
        }
        let copy = self.copy(&view, origin);
        copy.reshape(shape).unwrap_or_else(|| unreachable!("a row-major copy takes every shape"))
    }

    /// The view of an operand, or of a row-major copy where the kernel needs one.
    pub(super) fn operand(&mut self, id: ValueId, need: Need) -> View {
        let view = self.view(id);
        if need.met_by(&view) {
            return view;
        }
        let origin = self.flow.values[id].origin.clone();
        self.copy(&view, &origin)
    }

    /// Where the result of a kernel goes: the place wished for if the kernel can write there, else memory of its own.
    ///
    /// `in_place` says that the kernel may write over the very elements it reads.
    pub(super) fn result(&mut self, id: ValueId, need: Need, reads: &[View], in_place: bool) -> View {
        if let Some(wish) = self.places.wishes[id].clone() {
            let old = match &self.draft.buffers[wish.buffer].storage {
                Storage::Final(name) => self.places.initial.get(name).copied(),
                _ => None,
            };
            let free = reads.iter().all(|read| {
                Some(read.buffer) != old || (in_place && View { buffer: wish.buffer, ..read.clone() } == wish)
            });
            if need.met_by(&wish) && free {
                self.views[id] = Some(wish.clone());
                return wish;
            }
        }
        let value = &self.flow.values[id];
        let kind = self.places.kinds[id];
        let (name, ty) = (&value.origin.path, &value.ty);
        let view = self.draft.allocate(name, &ty.shape, ty.dtype, kind, Storage::Scratch);
        self.views[id] = Some(view.clone());
        view
    }

    /// Adds a step that comes from `id`.
    pub(super) fn step(&mut self, id: ValueId, kernel: Kernel, reads: Vec<View>, writes: Vec<View>) {
        self.draft.step(kernel, reads, writes, &self.flow.values[id].origin);
    }

    /// Adds the loop that computes an elementwise value or a constant.
    fn compute(&mut self, id: ValueId) {
        let (body, reads) = self.expression(id, true);
        let write = self.result(id, Need::Any, &reads, true);
        self.step(id, Kernel::Loop(body), reads, vec![write]);
    }

    /// A row-major copy of a view; asked again, the same.
    fn copy(&mut self, view: &View, origin: &Origin) -> View {
        let key = (view.buffer, view.offset, view.shape.clone(), view.strides.clone());
        if let Some(copy) = self.copies.get(&key) {
            return copy.clone();
        }
        let copy = self.fresh_copy(view, origin);
        self.copies.insert(key, copy.clone());
        copy
    }

    /// A new row-major copy of a view.
    pub(super) fn fresh_copy(&mut self, view: &View, origin: &Origin) -> View {
        let source = &self.draft.buffers[view.buffer];
        let (dtype, kind) = (source.dtype, source.kind);
        let kind = if kind == MemoryKind::Gradients { kind } else { MemoryKind::Activations };
        let copy = self.draft.allocate(&origin.path, &view.shape, dtype, kind, Storage::Scratch);
        self.write_copy(view.clone(), copy.clone(), origin);
        copy
    }

    /// Adds a loop that copies one view to another.
    pub(super) fn write_copy(&mut self, from: View, to: View, origin: &Origin) {
        let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
        self.draft.step(Kernel::Loop(body), vec![from], vec![to], origin);
    }

    /// Adds a loop that fills a view with zeros.
    pub(super) fn write_zeros(&mut self, to: View, origin: &Origin) {
        let body = LoopBody { instructions: vec![Instruction::Constant(0.0)], results: vec![0] };
        self.draft.step(Kernel::Loop(body), Vec::new(), vec![to], origin);
    }
}
