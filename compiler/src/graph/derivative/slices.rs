//! The sum of what the readers of a value contribute to its gradient.
//!
//! A slice contributes to a part of an axis only. Parts that lie end to end become one concatenation (the queries,
//! keys and values of one projection, say) instead of a sum of padded copies.

use crate::graph::{Builder, Graph, Id, MOST_OPERANDS};
use crate::op::Op;

/// What one reader contributes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// To the whole value.
    Whole(Id),
    /// To the elements from `start` on along `axis`.
    Slice { axis: usize, start: u64, gradient: Id },
}

/// The gradient of `value`, none without parts. The parts are added in the order they come; slices first.
pub(super) fn join(graph: &mut Graph, value: Id, parts: Vec<Part>) -> Option<Id> {
    let origin = graph.origin(value).clone();
    let mut build = Builder::new(graph, origin);
    let mut slices = Vec::new();
    let mut whole = Vec::new();
    for part in parts {
        match part {
            Part::Whole(gradient) => whole.push(gradient),
            Part::Slice { axis, start, gradient } => slices.push((axis, start, gradient)),
        }
    }
    let runs = runs(&mut build, slices);
    runs.into_iter()
        .map(|run| run.into_whole(&mut build, value))
        .collect::<Vec<_>>()
        .into_iter()
        .chain(whole)
        .reduce(|sum, gradient| build.add(sum, gradient))
}

/// Slices of one axis, each beginning where the one before ends.
struct Run {
    axis: usize,
    start: u64,
    end: u64,
    gradients: Vec<Id>,
}

/// Puts slices end to end where they meet; slices of the very same part are added first.
fn runs(build: &mut Builder<'_>, mut slices: Vec<(usize, u64, Id)>) -> Vec<Run> {
    let length = |build: &Builder<'_>, axis: usize, gradient: Id| build.graph.ty(gradient).shape[axis];
    slices.sort_by_key(|&(axis, start, gradient)| (axis, start, length(build, axis, gradient)));
    let mut distinct: Vec<(usize, u64, Id)> = Vec::new();
    for (axis, start, gradient) in slices {
        match distinct.last_mut() {
            Some((last_axis, last_start, sum))
                if (*last_axis, *last_start) == (axis, start)
                    && length(build, axis, *sum) == length(build, axis, gradient) =>
            {
                *sum = build.add(*sum, gradient);
            }
            _ => distinct.push((axis, start, gradient)),
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    for (axis, start, gradient) in distinct {
        let end = start + length(build, axis, gradient);
        let open = |run: &&mut Run| run.axis == axis && run.end == start && run.gradients.len() < MOST_OPERANDS;
        match runs.iter_mut().find(open) {
            Some(run) => {
                run.gradients.push(gradient);
                run.end = end;
            }
            None => runs.push(Run { axis, start, end, gradients: vec![gradient] }),
        }
    }
    runs
}

impl Run {
    /// The contribution to the whole value: zero outside the run.
    fn into_whole(self, build: &mut Builder<'_>, value: Id) -> Id {
        let size = build.graph.ty(value).shape[self.axis];
        let joined = match self.gradients[..] {
            [only] => only,
            _ => build.add_op(Op::Concat { axis: self.axis }, &self.gradients),
        };
        if (self.start, self.end) == (0, size) {
            return joined;
        }
        let pad = Op::Pad { axis: self.axis, before: self.start, after: size - self.end };
        build.add_op(pad, &[joined])
    }
}
