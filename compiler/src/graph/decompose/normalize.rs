//! Softmax and normalisations.

use super::Parts;
use crate::graph::Id;
use crate::op::{NormInput, Reduction};
use crate::plan::UnaryFunction;

impl Parts<'_> {
    pub(super) fn softmax(&mut self) -> Id {
        let x = self.inputs[0];
        self.softmax_of(x)
    }

    /// Softmax over the last axis.
    pub(super) fn softmax_of(&mut self, x: Id) -> Id {
        let build = &mut self.build;
        let maximum = build.reduce_last(Reduction::Max, x);
        let distance = build.subtract(x, maximum);
        let exponential = build.unary(UnaryFunction::Exp, distance);
        let sum = build.sum_last(exponential);
        build.divide(exponential, sum)
    }

    pub(super) fn layer_norm(&mut self, eps: f64) -> Id {
        let (scale, shift) = (self.inputs[1], self.inputs[2]);
        let (normal, _) = self.normal(eps, true);
        let scaled = self.build.multiply(normal, scale);
        self.build.add(scaled, shift)
    }

    pub(super) fn rms_norm(&mut self, eps: f64) -> Id {
        let scale = self.inputs[1];
        let (normal, _) = self.normal(eps, false);
        self.build.multiply(normal, scale)
    }

    /// With `n` the normal values and `g = dy * scale`: `dx = (g - mean(g) - n * mean(g * n)) / deviation`.
    pub(super) fn norm_grad(&mut self, eps: f64, wrt: NormInput, centred: bool) -> Id {
        let (scale, dy) = (self.inputs[1], self.inputs[2]);
        let (normal, inverse_deviation) = self.normal(eps, centred);
        match wrt {
            NormInput::Value => {
                let g = self.build.multiply(dy, scale);
                let along = self.build.multiply(g, normal);
                let along = self.mean(along);
                let along = self.build.multiply(normal, along);
                let mut dx = self.build.subtract(g, along);
                if centred {
                    let mean = self.mean(g);
                    dx = self.build.subtract(dx, mean);
                }
                self.build.multiply(dx, inverse_deviation)
            }
            NormInput::Scale => {
                let product = self.build.multiply(dy, normal);
                let shape = self.build.shape(scale);
                self.build.sum_to(product, &shape)
            }
            NormInput::Shift => {
                let shape = self.build.shape(scale);
                self.build.sum_to(dy, &shape)
            }
        }
    }

    /// Operand 0 with mean square 1 over the last axis, and mean 0 if it is centred; and what it was divided by, inverted.
    fn normal(&mut self, eps: f64, centred: bool) -> (Id, Id) {
        let mut x = self.inputs[0];
        if centred {
            let mean = self.mean(x);
            x = self.build.subtract(x, mean);
        }
        let square = self.build.unary(UnaryFunction::Square, x);
        let mean_square = self.mean(square);
        let build = &mut self.build;
        let shifted = build.shift(mean_square, eps);
        let inverse_deviation = build.unary(UnaryFunction::Rsqrt, shifted);
        (build.multiply(x, inverse_deviation), inverse_deviation)
    }

    /// Mean over the last axis, which stays with size 1.
    fn mean(&mut self, x: Id) -> Id {
        let shape = self.build.shape(x);
        let sum = self.build.sum_last(x);
        self.build.scale(sum, 1.0 / shape[shape.len() - 1] as f64)
    }
}
