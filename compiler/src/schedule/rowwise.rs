//! Joins loops with the normalisations next to them, which work row by row: a residual sum with the normalisation of it, and the
//! gradient of a normalisation with the sum it is a term of.

use super::draft::{Draft, Storage};
use super::merge::{conflicts, meet, memories};
use crate::plan::BinaryFunction;
use crate::program::{BufferId, Instruction, Kernel, LoopBody, Step, View};

/// Joins what can be joined in an ordered draft.
pub(super) fn fuse(draft: &mut Draft) {
    let memory = memories(draft);
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut draft.steps).into_iter().map(Some).collect();
    for now in 0..steps.len() {
        if let Some((before, joined)) = normalised_loop(draft, &memory, &steps, now) {
            steps[before] = None;
            steps[now] = Some(joined);
        } else if let Some((before, sum, term)) = added_gradient(draft, &memory, &steps, now) {
            accumulate(draft, &mut steps, before, now, &sum, term);
        }
    }
    draft.steps = steps.into_iter().flatten().collect();
}

/// The last step before `now` that writes a buffer, and how many steps there are between.
fn writer(steps: &[Option<Step>], now: usize, buffer: BufferId) -> Option<usize> {
    (0..now)
        .rev()
        .find(|&index| steps[index].as_ref().is_some_and(|step| step.writes.iter().any(|write| write.buffer == buffer)))
}

/// Whether `step` may move over all steps between two places.
fn moves(memory: &[BufferId], steps: &[Option<Step>], step: &Step, from: usize, to: usize) -> bool {
    steps[from + 1..to]
        .iter()
        .flatten()
        .all(|between| !conflicts(memory, step, between) && !conflicts(memory, between, step))
}

/// The normalisation at `now` together with the loop that makes its operand, which stands at the place given.
fn normalised_loop(draft: &Draft, memory: &[BufferId], steps: &[Option<Step>], now: usize) -> Option<(usize, Step)> {
    let norm = steps[now].as_ref()?;
    let (centred, eps) = match norm.kernel {
        Kernel::LayerNorm { eps } => (true, eps),
        Kernel::RmsNorm { eps } => (false, eps),
        _ => return None,
    };
    let before = writer(steps, now, norm.reads[0].buffer)?;
    let summed = steps[before].as_ref()?;
    let Kernel::Loop(body) = &summed.kernel else { return None };
    let first = summed.writes.iter().position(|write| *write == norm.reads[0])?;
    let fits = |view: &View| {
        view.has_rows() && view.shape == norm.writes[0].shape && draft.buffers[view.buffer].dtype.is_float()
    };
    let apart = norm.reads[1..].iter().all(|read| summed.writes.iter().all(|write| !meet(memory, read, write)))
        && norm
            .writes
            .iter()
            .all(|write| summed.reads.iter().chain(&summed.writes).all(|other| !meet(memory, write, other)));
    if !summed.writes.iter().all(fits) || !apart || !moves(memory, steps, summed, before, now) {
        return None;
    }
    let mut order: Vec<usize> = (0..summed.writes.len()).collect();
    order.swap(0, first);
    let body = LoopBody {
        instructions: body.instructions.clone(),
        results: order.iter().map(|&write| body.results[write]).collect(),
    };
    let joined = Step {
        kernel: Kernel::LoopNorm { body, centred, eps },
        reads: summed.reads.iter().chain(&norm.reads[1..]).cloned().collect(),
        writes: norm.writes.iter().cloned().chain(order.iter().map(|&write| summed.writes[write].clone())).collect(),
        origin: norm.origin.clone(),
    };
    Some((before, joined))
}

/// Where the gradient of a normalisation stands that the loop at `now` only adds to something that nobody reads afterwards,
/// with the views of the sum and of that other term.
fn added_gradient(
    draft: &Draft,
    memory: &[BufferId],
    steps: &[Option<Step>],
    now: usize,
) -> Option<(usize, View, View)> {
    let add = steps[now].as_ref()?;
    let Kernel::Loop(body) = &add.kernel else { return None };
    let sum = [Instruction::Load(0), Instruction::Load(1), Instruction::Binary(BinaryFunction::Add, 0, 1)];
    let ([result], [left, right]) = (add.writes.as_slice(), add.reads.as_slice()) else { return None };
    // Rounded as the memory of the sum is, or not at all.
    let kept = draft.buffers[result.buffer].dtype;
    let (instructions, rounding) = body.instructions.split_at_checked(sum.len())?;
    let is_sum = instructions == sum
        && match (rounding, body.results.as_slice()) {
            ([], [2]) => true,
            ([Instruction::Round(dtype, 2)], [3]) => *dtype == kept,
            _ => false,
        };
    if !is_sum {
        return None;
    }
    for (gradient, term) in [(left, right), (right, left)] {
        let Some(before) = writer(steps, now, gradient.buffer) else { continue };
        let Some(step) = &steps[before] else { continue };
        let asks = match &step.kernel {
            Kernel::LayerNormGrad { accumulate: false, writes, .. } => writes[0],
            Kernel::RmsNormGrad { accumulate: false, writes, .. } => writes[0],
            _ => false,
        };
        let used_up = |view: &View| {
            let buffer = &draft.buffers[view.buffer];
            let whole = view.is_contiguous() && view.elements() == buffer.elements;
            let later = |step: &Step| step.reads.iter().chain(&step.writes).any(|other| other.buffer == view.buffer);
            whole
                && buffer.storage == Storage::Scratch
                && draft.outputs.iter().all(|(_, output)| output.buffer != view.buffer)
                && !steps[before + 1..now].iter().chain(&steps[now + 1..]).flatten().any(later)
        };
        let fresh = draft.buffers[result.buffer].storage == Storage::Scratch
            && result.is_contiguous()
            && result.elements() == draft.buffers[result.buffer].elements
            && writer(steps, now, result.buffer).is_none();
        let term_buffer = &draft.buffers[term.buffer];
        let same_kind = (kept, draft.buffers[result.buffer].kind) == (term_buffer.dtype, term_buffer.kind);
        let unread = step.reads.iter().all(|read| !meet(memory, read, term));
        if asks && step.writes[0] == *gradient && fresh && same_kind && unread && used_up(gradient) && used_up(term) {
            return Some((before, result.clone(), term.clone()));
        }
    }
    None
}

/// Makes the gradient at `before` add to `term`, which then is the sum that the loop at `now` made.
fn accumulate(draft: &mut Draft, steps: &mut [Option<Step>], before: usize, now: usize, sum: &View, term: View) {
    steps[now] = None;
    for view in steps[now + 1..].iter_mut().flatten().flat_map(|step| step.reads.iter_mut().chain(&mut step.writes)) {
        if view.buffer == sum.buffer {
            view.buffer = term.buffer;
        }
    }
    for (_, view) in &mut draft.outputs {
        if view.buffer == sum.buffer {
            view.buffer = term.buffer;
        }
    }
    if let Some(step) = &mut steps[before] {
        step.writes[0] = term;
        if let Kernel::LayerNormGrad { accumulate, .. } | Kernel::RmsNormGrad { accumulate, .. } = &mut step.kernel {
            *accumulate = true;
        }
    }
}
