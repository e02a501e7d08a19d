//! Losses over a vocabulary, computed some rows at a time: projection, cross-entropy and gradients follow each other on one
//! chunk of the logits, so that the logits of all rows are never in memory (as in Hsu et al. 2024, "Liger Kernel").

use std::collections::BTreeSet;

use super::emit::{Emitter, Need};
use super::flow::{Flow, Hardware, ValueId};
use super::fuse::Role;
use crate::op::Op;
use crate::plan::{DType, LossPlan};
use crate::program::{Kernel, View};

/// Rows of a chunk at least: each chunk reads the whole weight for every product, and adds to the whole of its gradient.
const FEWEST_ROWS: u64 = 512;
/// Bytes of a chunk's logits beyond the fewest rows on a processor, so that they stay in the last-level cache.
const CACHED_BYTES: u64 = 16 << 20;
/// Bytes of a chunk's logits on a card, where no cache holds them: few chunks, since each adds to the weight's gradient in
/// memory, and products that keep all multiprocessors busy.
const CARD_BYTES: u64 = 512 << 20;
/// Rows of a chunk on a card are a multiple of so many, which its matrix products compute at a time.
const CARD_ROWS: u64 = 128;
/// Chunks at most: each adds steps to the program.
const MOST_CHUNKS: u64 = 64;

/// `loss = cross_entropy(x w, targets)` with the gradients of `x` and `w`, where nothing else reads the logits or their gradient.
pub(super) struct ChunkedLoss {
    /// `x w`: the logits `[N, V]`.
    logits: ValueId,
    /// The cross-entropy `[N]`.
    loss: ValueId,
    plan: LossPlan,
    gradient: Option<Gradient>,
}

/// The way back.
struct Gradient {
    /// The gradient of the logits.
    logits: ValueId,
    /// The gradient of `x`.
    input: Option<ValueId>,
    /// The gradient of `w`, perhaps transposed.
    weight: Option<ValueId>,
}

impl ChunkedLoss {
    /// Whether a value is computed with this loss.
    pub(super) fn holds(&self, id: ValueId) -> bool {
        let of_gradient =
            |gradient: &Gradient| gradient.logits == id || gradient.input == Some(id) || gradient.weight == Some(id);
        self.logits == id || self.loss == id || self.gradient.as_ref().is_some_and(of_gradient)
    }

    /// The gradient of the weight: a sum over the chunks.
    pub(super) fn weight_gradient(&self) -> Option<ValueId> {
        self.gradient.as_ref()?.weight
    }
}

/// Finds the losses of a graph that can be computed in chunks.
pub(super) fn chunked_losses(flow: &Flow) -> Vec<ChunkedLoss> {
    (0..flow.values.len()).filter_map(|id| chunked_loss(flow, id)).collect()
}

fn chunked_loss(flow: &Flow, loss: ValueId) -> Option<ChunkedLoss> {
    let &Op::CrossEntropy(plan) = flow.op(loss) else { return None };
    let (logits, targets) = (flow.inputs(loss)[0], flow.inputs(loss)[1]);
    let &Op::MatMul { transpose_left: false, transpose_right } = flow.op(logits) else {
        return None;
    };
    let (x, w) = (flow.inputs(logits)[0], flow.inputs(logits)[1]);
    let mut gradient = None;
    for reader in only_readers(flow, logits)? {
        let inputs = flow.inputs(reader);
        match flow.op(reader) {
            Op::CrossEntropy(_) if reader == loss => {}
            Op::CrossEntropyGrad(slope)
                if gradient.is_none()
                    && inputs[1] == targets
                    && *slope == plan
                    && flow.values[reader].ty.dtype == flow.values[logits].ty.dtype =>
            {
                gradient = Some(Gradient { logits: reader, input: None, weight: None });
            }
            _ => return None,
        }
    }
    if let Some(gradient) = &mut gradient {
        let slope = gradient.logits;
        for reader in only_readers(flow, slope)? {
            let &Op::MatMul { transpose_left, transpose_right: transposed } = flow.op(reader) else {
                return None;
            };
            let inputs = flow.inputs(reader);
            let of_input = inputs == [slope, w] && !transpose_left && transposed != transpose_right;
            let of_weight = (inputs == [slope, x] || inputs == [x, slope]) && transpose_left && !transposed;
            let place = if of_input { &mut gradient.input } else { &mut gradient.weight };
            if !(of_input || of_weight) || place.replace(reader).is_some() {
                return None;
            }
        }
    }
    Some(ChunkedLoss { logits, loss, plan, gradient })
}

/// The values that read `id`, unless it is also a result.
fn only_readers(flow: &Flow, id: ValueId) -> Option<Vec<ValueId>> {
    let readers: Vec<ValueId> =
        (id + 1..flow.values.len()).filter(|&reader| flow.inputs(reader).contains(&id)).collect();
    (readers.len() == flow.uses[id]).then_some(readers)
}

/// Rows of a chunk of logits `[rows, vocab]`; the chunks are of one size, but for a shorter last one.
fn chunk_rows(rows: u64, vocab: u64, dtype: DType, hardware: Hardware) -> u64 {
    let (bytes, multiple) = match hardware {
        Hardware::Processor => (CACHED_BYTES, 1),
        Hardware::Card => (CARD_BYTES, CARD_ROWS),
    };
    let fitting = bytes / (dtype.bytes() * vocab);
    let most = FEWEST_ROWS.max(fitting).max(rows.div_ceil(MOST_CHUNKS));
    rows.div_ceil(rows.div_ceil(most)).next_multiple_of(multiple).min(rows)
}

impl Emitter<'_> {
    /// Adds the steps of a member of a chunked loss, unless it exists only chunk by chunk. Where the gradient of the
    /// losses depends on no such loss, one pass gives everything; else the logits are computed a second time.
    pub(super) fn chunked(&mut self, id: ValueId) {
        let Some(loss) = self.losses.iter().find(|loss| loss.holds(id)) else {
            unreachable!("a value with this role belongs to a loss");
        };
        let gradient = loss.gradient.as_ref();
        if id == loss.logits || gradient.is_some_and(|gradient| gradient.logits == id) {
            return;
        }
        if id != loss.loss {
            return self.chunks(loss, false, gradient);
        }
        let needs = gradient.map(|gradient| ancestors(self.flow, self.flow.inputs(gradient.logits)[2]));
        match needs {
            Some(needs) if needs.iter().all(|&other| self.roles[other] != Role::Chunked) => {
                needs.range(id..).for_each(|&other| self.emit(other));
                self.chunks(loss, true, gradient);
            }
            _ => self.chunks(loss, true, None),
        }
    }

    /// Adds the steps of all chunks, one after another on the same memory.
    fn chunks(&mut self, loss: &ChunkedLoss, with_loss: bool, gradient: Option<&Gradient>) {
        let flow = self.flow;
        let product = self.product_operands(loss.logits);
        let (x, w) = (&product[0], &product[1]);
        let targets = self.operand(flow.inputs(loss.loss)[1], Need::Contiguous);
        let slopes = gradient.map(|gradient| self.operand(flow.inputs(gradient.logits)[2], Need::Contiguous));
        let mut reads = vec![x.clone(), w.clone(), targets.clone()];
        reads.extend(slopes.clone());

        let [rows, vocab] = [x.shape[0], w.shape[1]];
        let dtype = flow.values[loss.logits].ty.dtype;
        let chunk = chunk_rows(rows, vocab, dtype, self.hardware);
        let losses = with_loss.then(|| self.result(loss.loss, Need::Contiguous, &reads, false));
        let input = gradient.and_then(|gradient| gradient.input);
        let input = input.map(|id| (id, self.result(id, Need::Any, &reads, false)));
        let weight = gradient.and_then(|gradient| gradient.weight);
        let weight = weight.map(|id| (id, self.weight_gradient(id, &reads)));
        let logits = self.scratch(loss.logits, &[chunk, vocab], dtype);

        for start in (0..rows).step_by(chunk as usize) {
            let count = chunk.min(rows - start);
            let part = |view: &View| view.slice(0, start, count);
            let (x, logits) = (part(x), logits.slice(0, 0, count));
            let overwrite = Kernel::MatMul { accumulate: false };
            self.step(loss.logits, overwrite.clone(), vec![x.clone(), w.clone()], vec![logits.clone()]);
            let mut reads = vec![logits.clone(), part(&targets)];
            let losses = losses.as_ref().map(part);
            let (Some(gradient), Some(slopes)) = (gradient, &slopes) else {
                self.step(loss.loss, Kernel::CrossEntropy(loss.plan), reads, losses.into_iter().collect());
                continue;
            };
            reads.push(part(slopes));
            let kernel = Kernel::CrossEntropyGrad { plan: loss.plan, loss: losses.is_some() };
            let writes = [logits.clone()].into_iter().chain(losses).collect();
            self.step(gradient.logits, kernel, reads, writes);
            if let Some((id, dx)) = &input {
                self.step(*id, overwrite, vec![logits.clone(), w.permute(&[1, 0])], vec![part(dx)]);
            }
            if let Some((id, (dw, accumulate))) = &weight {
                let reads = match flow.inputs(*id)[0] == gradient.logits {
                    true => vec![logits.permute(&[1, 0]), x],
                    false => vec![x.permute(&[1, 0]), logits],
                };
                let kernel = Kernel::MatMul { accumulate: *accumulate || start > 0 };
                self.step(*id, kernel, reads, vec![dw.clone()]);
            }
        }
    }

    /// Where the gradient of the weight goes, and whether it is added to what is there: to an accumulated gradient.
    fn weight_gradient(&mut self, id: ValueId, reads: &[View]) -> (View, bool) {
        let mut roles = self.roles.iter().enumerate();
        let sum = roles.find_map(|(sum, role)| match role {
            Role::Sum(terms) if terms.addend == id => Some((sum, terms.base)),
            _ => None,
        });
        if let Some((sum, base)) = sum {
            self.emit(base);
            let base = self.view(base);
            if let Some(place) = self.place_of_sum(sum, &base, reads) {
                // The sum is all that reads it, so that the two may lie in one place.
                self.views[id] = Some(place.clone());
                return (place, true);
            }
        }
        (self.result(id, Need::Any, reads, false), false)
    }
}

/// Everything that a value is computed from, itself included.
fn ancestors(flow: &Flow, id: ValueId) -> BTreeSet<ValueId> {
    let mut met = BTreeSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if met.insert(id) {
            open.extend(flow.inputs(id));
        }
    }
    met
}
