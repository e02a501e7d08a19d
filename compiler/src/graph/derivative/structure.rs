//! Derivatives of reductions and movement.

use super::Step;
use crate::graph::Id;
use crate::op::{Op, Reduction, Shape};

impl Step<'_> {
    /// A sum hands its gradient to every element, a maximum shares it among the elements that attain it.
    pub(super) fn reduce(&mut self, kind: Reduction) -> Id {
        let x = self.inputs[0];
        let shape = self.build.shape(x);
        match kind {
            Reduction::Sum => self.build.expand(self.gradient, &shape),
            Reduction::Max => {
                let build = &mut self.build;
                let below = build.greater(self.value, x);
                let attained = build.one_minus(below);
                let reduced = build.shape(self.value);
                let count = build.sum_to(attained, &reduced);
                let share = build.divide(self.gradient, count);
                build.multiply(attained, share)
            }
        }
    }

    /// The inverse movement.
    pub(super) fn movement(&mut self, op: &Op, operand: usize) -> Id {
        let shape = self.build.shape(self.inputs[operand]);
        match op {
            Op::Reshape(_) => self.build.reshape(self.gradient, &shape),
            Op::Expand(_) => self.build.sum_to(self.gradient, &shape),
            Op::Permute(axes) => {
                let mut inverse = vec![0; axes.len()];
                for (to, &from) in axes.iter().enumerate() {
                    inverse[from] = to;
                }
                self.build.add_op(Op::Permute(inverse), &[self.gradient])
            }
            Op::Pad { axis, before, .. } => self.slice(*axis, *before, &shape),
            Op::Concat { axis } => {
                let before = self.inputs[..operand].iter().map(|&input| self.build.graph.ty(input).shape[*axis]).sum();
                self.slice(*axis, before, &shape)
            }
            _ => unreachable!("the table passes movement only"),
        }
    }

    /// The part of the gradient along `axis` that belongs to an operand of shape `shape`.
    fn slice(&mut self, axis: usize, start: u64, shape: &Shape) -> Id {
        let slice = Op::Slice { axis, start, length: shape[axis] };
        self.build.add_op(slice, &[self.gradient])
    }
}
