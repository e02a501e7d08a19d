//! The kernel of each operator that is not a loop: which views it takes and where it writes.

use super::draft::Storage;
use super::emit::{Emitter, Need};
use super::flow::ValueId;
use super::fuse::Role;
use super::sums::Sum;
use crate::op::{AttentionInput, NormInput, Op, Shape};
use crate::plan::{AttentionSettings, BinaryFunction, DType};
use crate::program::{Instruction, Kernel, LoopBody, MemoryKind, View};

impl Emitter<'_> {
    /// Adds the step of a value with a kernel of its own.
    pub(super) fn kernel(&mut self, id: ValueId) {
        use Need::{Any, Contiguous, Rows};
        let flow = self.flow;
        match flow.op(id).clone() {
            Op::Reduce { kind, axes } => {
                let (body, reads) = self.expression(flow.inputs(id)[0], false);
                let write = self.result(id, Any, &reads, false);
                self.step(id, Kernel::Reduce { kind, axes, body }, reads, vec![write]);
            }
            Op::MatMul { .. } => {
                let reads = self.product_operands(id);
                let write = self.result(id, Any, &reads, false);
                self.step(id, Kernel::MatMul { accumulate: false }, reads, vec![write]);
            }
            Op::Gather => self.plain(id, Kernel::Gather, &[Rows, Contiguous], Rows),
            Op::ScatterAdd { .. } => {
                let kernel = Kernel::ScatterAdd { accumulate: false };
                self.plain(id, kernel, &[Contiguous, Rows], Rows);
            }
            Op::TopK { count } => self.plain(id, Kernel::TopK { count }, &[Rows], Contiguous),
            Op::Pick => self.plain(id, Kernel::Pick, &[Rows, Contiguous], Contiguous),
            Op::Place { .. } => self.plain(id, Kernel::Place, &[Contiguous, Rows], Rows),
            Op::RoutedMatMul { transpose } => {
                let mut reads = self.operands(id, &[Rows, Contiguous, Any]);
                if transpose {
                    reads[2] = reads[2].permute(&[0, 2, 1]);
                }
                let write = self.result(id, Rows, &reads, false);
                self.step(id, Kernel::RoutedMatMul, reads, vec![write]);
            }
            Op::RoutedOuter { .. } => {
                self.plain(id, Kernel::RoutedOuter { accumulate: false }, &[Rows, Contiguous, Rows], Any);
            }
            Op::Softmax => self.plain(id, Kernel::Softmax, &[Rows], Rows),
            Op::LayerNorm { eps } => {
                self.plain(id, Kernel::LayerNorm { eps }, &[Rows, Contiguous, Contiguous], Rows);
            }
            Op::RmsNorm { eps } => self.plain(id, Kernel::RmsNorm { eps }, &[Rows, Contiguous], Rows),
            Op::Rotate { rotary, inverse } => {
                let reads = self.operands(id, &[Rows, Contiguous]);
                let write = self.result(id, Rows, &reads, true);
                self.step(id, Kernel::Rotate { rotary, inverse }, reads, vec![write]);
            }
            Op::CachedAttention(settings) => {
                let kernel = Kernel::CachedAttention(settings);
                self.plain(id, kernel, &[Rows, Rows, Rows, Contiguous], Rows);
            }
            Op::CrossEntropy(plan) => self.plain(id, Kernel::CrossEntropy(plan), &[Rows, Contiguous], Contiguous),
            Op::CrossEntropyGrad(plan) => {
                let kernel = Kernel::CrossEntropyGrad { plan, loss: false };
                self.plain(id, kernel, &[Rows, Contiguous, Contiguous], Rows);
            }
            Op::Pattern { pattern, .. } => self.plain(id, Kernel::Pattern(pattern), &[], Contiguous),
            Op::SumSquares => self.plain(id, Kernel::SumSquares, &[Contiguous], Contiguous),
            Op::LearningRate { peak, schedule } => {
                self.plain(id, Kernel::LearningRate { peak, schedule }, &[Contiguous], Contiguous);
            }
            Op::Random { function, seed, site } => {
                let reads = self.operands(id, &[Contiguous, Contiguous]);
                let write = self.result(id, Contiguous, &reads, true);
                self.step(id, Kernel::Random { function, seed, site }, reads, vec![write]);
            }
            Op::LayerNormGrad { .. } | Op::RmsNormGrad { .. } => self.norm_gradient(id),
            Op::Attention(_) | Op::AttentionStats(_) => self.attention(id),
            Op::AttentionGrad { .. } => self.attention_gradient(id),
            Op::AdamW { .. } => self.adamw(id),
            Op::CacheWrite => self.cache_write(id),
            Op::AddScalars => self.add_scalars(id),
            Op::Concat { axis } => self.concat(id, axis),
            Op::Pad { axis, before, after } => self.pad(id, axis, before, after),
            op => unreachable!("{op:?} has no kernel of its own"),
        }
    }

    /// The operands of `id`, each as its kernel needs it.
    pub(super) fn operands(&mut self, id: ValueId, needs: &[Need]) -> Vec<View> {
        let flow = self.flow;
        let inputs = flow.inputs(id).iter().zip(needs);
        inputs.map(|(&input, &need)| self.operand(input, need)).collect()
    }

    /// A kernel with one result and nothing special about it.
    fn plain(&mut self, id: ValueId, kernel: Kernel, needs: &[Need], result: Need) {
        let reads = self.operands(id, needs);
        let write = self.result(id, result, &reads, false);
        self.step(id, kernel, reads, vec![write]);
    }

    /// The operands of a matrix product as `[.., M, K]` and `[.., K, N]`.
    pub(super) fn product_operands(&mut self, id: ValueId) -> Vec<View> {
        let &Op::MatMul { transpose_left, transpose_right } = self.flow.op(id) else {
            unreachable!("only matrix products have factors");
        };
        let transposed = [transpose_left, transpose_right];
        let views = self.operands(id, &[Need::Any, Need::Any]);
        let turn = |(view, transposed): (View, bool)| match transposed {
            true => {
                let mut axes: Vec<usize> = (0..view.shape.len()).collect();
                axes.swap(view.shape.len() - 2, view.shape.len() - 1);
                view.permute(&axes)
            }
            false => view,
        };
        views.into_iter().zip(transposed).map(turn).collect()
    }

    /// `base + addend`: the addend's kernel adds onto the memory of the base.
    pub(super) fn sum(&mut self, id: ValueId, sum: Sum) {
        let flow = self.flow;
        let base = self.view(sum.base);
        if self.roles[sum.addend] == Role::Chunked {
            return self.loop_sum(id, sum, base);
        }
        let (kernel, reads) = match flow.op(sum.addend) {
            Op::MatMul { .. } => (Kernel::MatMul { accumulate: true }, self.product_operands(sum.addend)),
            Op::RoutedOuter { .. } => {
                let needs = [Need::Rows, Need::Contiguous, Need::Rows];
                (Kernel::RoutedOuter { accumulate: true }, self.operands(sum.addend, &needs))
            }
            _ => {
                let needs = [Need::Contiguous, Need::Rows];
                (Kernel::ScatterAdd { accumulate: true }, self.operands(sum.addend, &needs))
            }
        };
        if let Some(place) = self.place_of_sum(id, &base, &reads) {
            self.step(sum.addend, kernel, reads, vec![place]);
            return;
        }
        self.roles[sum.addend] = Role::Kernel;
        self.kernel(sum.addend);
        self.loop_sum(id, sum, base);
    }

    /// Where a kernel with these operands can add `id`'s second term onto its first, which lies at `base`.
    pub(super) fn place_of_sum(&mut self, id: ValueId, base: &View, reads: &[View]) -> Option<View> {
        let place = self.places.wishes[id].clone()?;
        let is_there = *base == place || self.is_old_value(base, &place);
        let free = reads.iter().all(|read| read.buffer != base.buffer && read.buffer != place.buffer);
        if !(is_there && free) {
            return None;
        }
        self.views[id] = Some(place.clone());
        Some(place)
    }

    /// `base + addend` by a loop.
    fn loop_sum(&mut self, id: ValueId, sum: Sum, base: View) {
        let reads = vec![base, self.view(sum.addend)];
        let body = LoopBody {
            instructions: vec![
                Instruction::Load(0),
                Instruction::Load(1),
                Instruction::Binary(BinaryFunction::Add, 0, 1),
            ],
            results: vec![2],
        };
        let write = self.result(id, Need::Any, &reads, true);
        self.step(id, Kernel::Loop(body), reads, vec![write]);
    }

    /// Whether `old` shows the value before the run of the very elements whose value after the run is `new`.
    pub(super) fn is_old_value(&self, old: &View, new: &View) -> bool {
        self.is_same_state(old, new) && View { buffer: new.buffer, ..old.clone() } == *new
    }

    /// Whether `old` belongs to a state as it is before the run, and `new` to the same state as it is after the run.
    pub(super) fn is_same_state(&self, old: &View, new: &View) -> bool {
        let storage = |view: &View| &self.draft.buffers[view.buffer].storage;
        matches!((storage(old), storage(new)), (Storage::Initial(a), Storage::Final(b)) if a == b)
    }

    /// Scratch memory of a kernel, or a result that nobody asked for.
    pub(super) fn scratch(&mut self, id: ValueId, shape: &[u64], dtype: DType) -> View {
        let name = &self.flow.values[id].origin.path;
        let shape: Shape = shape.into();
        self.draft.allocate(name, &shape, dtype, MemoryKind::Activations, Storage::Scratch)
    }

    /// The member of the family of `id` that satisfies a condition.
    pub(super) fn member(&self, id: ValueId, is_it: impl Fn(&Op) -> bool) -> Option<ValueId> {
        let family = self.families.get(&id)?;
        family.iter().copied().find(|&member| is_it(self.flow.op(member)))
    }

    fn norm_gradient(&mut self, id: ValueId) {
        let reads = self.operands(id, &[Need::Rows, Need::Contiguous, Need::Rows]);
        let mut present = [false; 3];
        let mut writes = Vec::new();
        for (index, wanted) in [NormInput::Value, NormInput::Scale, NormInput::Shift].into_iter().enumerate() {
            let member = self.member(
                id,
                |op| matches!(op, Op::LayerNormGrad { wrt, .. } | Op::RmsNormGrad { wrt, .. } if *wrt == wanted),
            );
            if let Some(member) = member {
                let need = if index == 0 { Need::Rows } else { Need::Contiguous };
                present[index] = true;
                writes.push(self.result(member, need, &reads, false));
            }
        }
        let kernel = match *self.flow.op(id) {
            Op::RmsNormGrad { eps, .. } => {
                Kernel::RmsNormGrad { accumulate: false, eps, writes: [present[0], present[1]] }
            }
            Op::LayerNormGrad { eps, .. } => Kernel::LayerNormGrad { accumulate: false, eps, writes: present },
            _ => unreachable!("called for the gradients of normalisations only"),
        };
        self.step(id, kernel, reads, writes);
    }

    fn attention(&mut self, id: ValueId) {
        let (Op::Attention(settings) | Op::AttentionStats(settings)) = *self.flow.op(id) else {
            unreachable!("called for attention only");
        };
        let reads = self.operands(id, &attention_needs(&settings, &[Need::Rows; 3]));
        let output = self.member(id, |op| matches!(op, Op::Attention(_)));
        let stats = self.member(id, |op| matches!(op, Op::AttentionStats(_)));
        let mut writes = Vec::new();
        writes.push(match output {
            Some(output) => self.result(output, Need::Rows, &reads, false),
            None => {
                let (q, v) = (&reads[0].shape, &reads[2].shape);
                let shape = [q[0], q[1], q[2], v[3]];
                self.scratch(id, &shape, DType::F32)
            }
        });
        if let Some(stats) = stats {
            writes.push(self.result(stats, Need::Contiguous, &reads, false));
        }
        let kernel = Kernel::Attention { settings, stats: stats.is_some() };
        self.step(id, kernel, reads, writes);
    }

    fn attention_gradient(&mut self, id: ValueId) {
        use Need::{Contiguous, Rows};
        let Op::AttentionGrad { settings, .. } = *self.flow.op(id) else {
            unreachable!("called for the gradients of attention only");
        };
        let reads = self.operands(id, &attention_needs(&settings, &[Rows, Rows, Rows, Rows, Contiguous, Rows]));
        let mut wanted = Vec::new();
        let mut writes = Vec::new();
        use AttentionInput::{Bias, Key, Query, Value};
        for input in [Query, Key, Value, Bias] {
            let member = self.member(id, |op| matches!(op, Op::AttentionGrad { wrt, .. } if *wrt == input));
            if let Some(member) = member {
                wanted.push(input);
                writes.push(self.result(member, Rows, &reads, false));
            }
        }
        let stats = reads[4].shape.clone();
        writes.push(self.scratch(id, &stats, DType::F32));
        self.step(id, Kernel::AttentionGrad { settings, writes: wanted }, reads, writes);
    }
}

/// Needs of attention's operands: these, and what follows from the settings.
fn attention_needs(settings: &AttentionSettings, fixed: &[Need]) -> Vec<Need> {
    let further = settings.operands(fixed.len());
    let mut needs = fixed.to_vec();
    needs.resize(further.count, Need::Contiguous);
    if let Some(bias) = further.bias {
        needs[bias] = Need::Rows;
    }
    needs
}
