//! Sums whose last term is a matrix product, routed or not, or a scatter: its kernel adds straight onto the memory of the other term.
//!
//! This is how gradients accumulate into their states, and how the gradient of a value with several uses is summed up.

use super::chunk::ChunkedLoss;
use super::flow::{Flow, ValueId};
use crate::op::Op;
use crate::plan::BinaryFunction;

/// `base + addend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// What is there already.
    pub(super) base: ValueId,
    /// The matrix product or scatter that is added.
    pub(super) addend: ValueId,
}

/// The sums found.
pub(super) struct Sums {
    /// Which values are such sums.
    pub(super) at: Vec<Option<Sum>>,
    /// Which values are the addend of one.
    pub(super) addend: Vec<bool>,
}

/// Finds the sums of a graph: the base is used nowhere else, or is the very state that the sum is written back to.
pub(super) fn sums(flow: &Flow, losses: &[ChunkedLoss]) -> Sums {
    let count = flow.values.len();
    let mut at: Vec<Option<Sum>> = vec![None; count];
    // The state at the bottom of each sum, if there is one.
    let mut state: Vec<Option<&str>> = vec![None; count];
    for id in 0..count {
        if *flow.op(id) != Op::Binary(BinaryFunction::Add) {
            continue;
        }
        let (first, second) = (flow.inputs(id)[0], flow.inputs(id)[1]);
        let same = |other: ValueId| flow.values[other].ty == flow.values[id].ty;
        if first == second || !same(first) || !same(second) {
            continue;
        }
        for (base, addend) in [(first.min(second), first.max(second)), (first.max(second), first.min(second))] {
            let alone = flow.uses[base] == 1 && (adds(flow.op(base)) || at[base].is_some());
            let bottom = match flow.op(base) {
                Op::State { name, .. } => Some(name.as_str()),
                _ => state[base],
            };
            let is_state = matches!(flow.op(base), Op::State { .. });
            // A chunked loss is computed before most else is there, so that it adds to states alone.
            let adds = match losses.iter().find(|loss| loss.holds(addend)) {
                Some(loss) => is_state && loss.weight_gradient() == Some(addend),
                None => adds(flow.op(addend)),
            };
            if adds && flow.uses[addend] == 1 && (alone || is_state) {
                at[id] = Some(Sum { base, addend });
                state[id] = bottom;
                break;
            }
        }
    }
    keep_those_written_back(flow, &mut at, &state);
    let mut addend = vec![false; count];
    for sum in at.iter().flatten() {
        addend[sum.addend] = true;
    }
    Sums { at, addend }
}

/// Drops the sums that would add onto a state which is not replaced by them.
fn keep_those_written_back(flow: &Flow, at: &mut [Option<Sum>], state: &[Option<&str>]) {
    let targets = flow.state_targets();
    let mut written_back = vec![false; at.len()];
    for id in (0..at.len()).rev() {
        let (Some(sum), Some(name)) = (at[id], state[id]) else {
            continue;
        };
        if written_back[id] || targets.get(name) == Some(&id) {
            written_back[sum.base] = true;
        } else {
            at[id] = None;
        }
    }
    // A sum whose base was such a sum and is a loop now is a loop too.
    for id in 0..at.len() {
        if let Some(sum) = at[id] {
            let base = flow.op(sum.base);
            if !adds(base) && !matches!(base, Op::State { .. }) && at[sum.base].is_none() {
                at[id] = None;
            }
        }
    }
}

/// Kernels that can add to what they write.
fn adds(op: &Op) -> bool {
    matches!(op, Op::MatMul { .. } | Op::ScatterAdd { .. } | Op::RoutedOuter { .. })
}
