//! Derivatives of composites.

use super::Step;
use crate::graph::Id;
use crate::op::{AttentionInput, NormInput, Op, Reduction};
use crate::plan::AttentionSettings;

/// The inputs of a normalisation, by operand.
const NORM_INPUTS: [NormInput; 3] = [NormInput::Value, NormInput::Scale, NormInput::Shift];

/// The inputs of attention, by operand.
const ATTENTION_INPUTS: [AttentionInput; 3] = [AttentionInput::Query, AttentionInput::Key, AttentionInput::Value];

impl Step<'_> {
    /// `dA = dY B'` and `dB = A' dY`, each in the layout its operand has.
    pub(super) fn matmul(&mut self, transpose_left: bool, transpose_right: bool, operand: usize) -> Id {
        let (a, b, dy) = (self.inputs[0], self.inputs[1], self.gradient);
        match (operand, transpose_left, transpose_right) {
            (0, false, _) => self.build.matmul(dy, false, b, !transpose_right),
            (0, true, _) => self.build.matmul(b, transpose_right, dy, true),
            (_, _, false) => self.build.matmul(a, !transpose_left, dy, false),
            (_, _, true) => self.build.matmul(dy, true, a, transpose_left),
        }
    }

    /// Rows of the gradient added up by the id they were read with.
    pub(super) fn gather(&mut self) -> Id {
        let rows = self.build.shape(self.inputs[0])[0];
        self.build.add_op(Op::ScatterAdd { rows }, &[self.inputs[1], self.gradient])
    }

    /// The gradient at the places it was picked from.
    pub(super) fn pick(&mut self) -> Id {
        let shape = self.build.shape(self.inputs[0]);
        let size = shape[shape.len() - 1];
        self.build.add_op(Op::Place { size }, &[self.inputs[1], self.gradient])
    }

    /// Of a row: the gradients of its products, each through the matrix that made it, added up. Of the matrices: outer
    /// products of rows and gradients, added up by id.
    pub(super) fn routed_matmul(&mut self, transpose: bool, operand: usize) -> Id {
        let (x, ids, matrices, dy) = (self.inputs[0], self.inputs[1], self.inputs[2], self.gradient);
        if operand == 2 {
            let experts = self.build.shape(matrices)[0];
            let factors = if transpose { [dy, ids, x] } else { [x, ids, dy] };
            return self.build.add_op(Op::RoutedOuter { experts }, &factors);
        }
        let (given, count) = (self.build.shape(x), self.build.shape(ids)[0]);
        let dx = self.build.add_op(Op::RoutedMatMul { transpose: !transpose }, &[dy, ids, matrices]);
        if count == given[0] {
            return dx;
        }
        let each = self.build.reshape(dx, &[given[0], count / given[0], given[1]]);
        let sum = self.build.reduce(Reduction::Sum, vec![1], each);
        self.build.reshape(sum, &given)
    }

    /// `y * (dy - sum(dy * y))`
    pub(super) fn softmax(&mut self) -> Id {
        let build = &mut self.build;
        let product = build.multiply(self.gradient, self.value);
        let sum = build.sum_last(product);
        let centred = build.subtract(self.gradient, sum);
        build.multiply(self.value, centred)
    }

    pub(super) fn layer_norm(&mut self, eps: f64, operand: usize) -> Id {
        let wrt = NORM_INPUTS[operand];
        let inputs = [self.inputs[0], self.inputs[1], self.gradient];
        self.build.add_op(Op::LayerNormGrad { eps, wrt }, &inputs)
    }

    pub(super) fn rms_norm(&mut self, eps: f64, operand: usize) -> Id {
        let wrt = NORM_INPUTS[operand];
        let inputs = [self.inputs[0], self.inputs[1], self.gradient];
        self.build.add_op(Op::RmsNormGrad { eps, wrt }, &inputs)
    }

    /// The gradients of one attention share one [`Op::AttentionStats`]. That of a bias is summed over what it is repeated for.
    pub(super) fn attention(&mut self, settings: AttentionSettings, operand: usize) -> Id {
        let wrt = *ATTENTION_INPUTS.get(operand).unwrap_or(&AttentionInput::Bias);
        let build = &mut self.build;
        let stats =
            *self.attention_stats.get_or_insert_with(|| build.add_op(Op::AttentionStats(settings), self.inputs));
        let mut inputs = self.inputs[..3].to_vec();
        inputs.extend([self.value, stats, self.gradient]);
        inputs.extend(&self.inputs[3..]);
        let gradient = self.build.add_op(Op::AttentionGrad { settings, wrt }, &inputs);
        if wrt != AttentionInput::Bias {
            return gradient;
        }
        let (given, full) = (self.build.shape(self.inputs[operand]), self.build.shape(gradient));
        let repeated: Vec<usize> = (0..full.len()).filter(|&axis| given[axis] != full[axis]).collect();
        if repeated.is_empty() { gradient } else { self.build.reduce(Reduction::Sum, repeated, gradient) }
    }
}
