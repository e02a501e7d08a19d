//! Look-ups as products with one-hot matrices, cross-entropy, and rotary embedding.

use super::Parts;
use crate::graph::Id;
use crate::op::Op;
use crate::plan::{LossPlan, Rotary, RotaryLayout, UnaryFunction};

impl Parts<'_> {
    /// `[N, classes]` with a 1 at each of the N ids; a row of zeros for an id outside.
    pub(super) fn one_hot(&mut self, ids: Id, classes: u64) -> Id {
        let count = self.build.graph.ty(ids).elements();
        let column = self.build.reshape(ids, &[count, 1]);
        let numbers = self.count_up(classes);
        self.equal(column, numbers)
    }

    pub(super) fn gather(&mut self) -> Id {
        let (table, ids) = (self.inputs[0], self.inputs[1]);
        let size = self.build.shape(table);
        let one_hot = self.one_hot(ids, size[0]);
        let rows = self.build.matmul(one_hot, false, table, false);
        let mut shape = self.build.shape(ids);
        shape.push(size[1]);
        self.build.reshape(rows, &shape)
    }

    pub(super) fn scatter_add(&mut self, rows: u64) -> Id {
        let (ids, updates) = (self.inputs[0], self.inputs[1]);
        let one_hot = self.one_hot(ids, rows);
        let count = self.build.graph.ty(ids).elements();
        let shape = self.build.shape(updates);
        let updates = self.build.reshape(updates, &[count, shape[shape.len() - 1]]);
        self.build.matmul(one_hot, true, updates, false)
    }

    /// Operand 1 as a one-hot matrix `[N, V]`, and `[N, 1]`: 1 where it is a class, 0 where it is negative.
    fn targets(&mut self) -> (Id, Id) {
        let (logits, targets) = (self.inputs[0], self.inputs[1]);
        let shape = self.build.shape(logits);
        let one_hot = self.one_hot(targets, shape[1]);
        let column = self.build.reshape(targets, &[shape[0], 1]);
        let below_zero = self.build.constant(-0.5);
        (one_hot, self.build.greater(column, below_zero))
    }

    pub(super) fn cross_entropy(&mut self, plan: &LossPlan) -> Id {
        let logits = self.inputs[0];
        let (one_hot, counts) = self.targets();
        let normalizer = self.log_sum_exp(logits);
        let build = &mut self.build;
        let picked = build.multiply(logits, one_hot);
        let picked = build.sum_last(picked);
        let picked = build.scale(picked, 1.0 - plan.label_smoothing);
        let mut loss = build.subtract(normalizer, picked);
        if plan.label_smoothing > 0.0 {
            let classes = build.shape(logits)[1] as f64;
            let sum = build.sum_last(logits);
            let spread = build.scale(sum, plan.label_smoothing / classes);
            loss = build.subtract(loss, spread);
        }
        if plan.z_loss > 0.0 {
            let square = build.multiply(normalizer, normalizer);
            let bound = build.scale(square, plan.z_loss);
            loss = build.add(loss, bound);
        }
        let zero = build.constant(0.0);
        let loss = build.select(counts, loss, zero);
        let rows = build.shape(logits)[0];
        build.reshape(loss, &[rows])
    }

    pub(super) fn cross_entropy_grad(&mut self, plan: &LossPlan) -> Id {
        let (logits, dloss) = (self.inputs[0], self.inputs[2]);
        let (one_hot, counts) = self.targets();
        let mut probabilities = self.softmax_of(logits);
        if plan.z_loss > 0.0 {
            let normalizer = self.log_sum_exp(logits);
            let slope = self.build.scale(normalizer, 2.0 * plan.z_loss);
            let slope = self.build.shift(slope, 1.0);
            probabilities = self.build.multiply(probabilities, slope);
        }
        let build = &mut self.build;
        let classes = build.shape(logits)[1] as f64;
        let expected = build.scale(one_hot, 1.0 - plan.label_smoothing);
        let expected = build.shift(expected, plan.label_smoothing / classes);
        let difference = build.subtract(probabilities, expected);
        let rows = build.shape(logits)[0];
        let dloss = build.reshape(dloss, &[rows, 1]);
        let gradient = build.multiply(difference, dloss);
        let zero = build.constant(0.0);
        build.select(counts, gradient, zero)
    }

    pub(super) fn rotate(&mut self, rotary: &Rotary, inverse: bool) -> Id {
        let (x, positions) = (self.inputs[0], self.inputs[1]);
        let shape = self.build.shape(x);
        let (width, half) = (shape[3], shape[3] / 2);
        let build = &mut self.build;
        // The elements of a pair along a last axis of their own: `[.., 2, half]`, or `[.., half, 2]` where they are neighbours.
        let (pairs, axis) = match rotary.layout {
            RotaryLayout::Halves => ([shape[0], shape[1], shape[2], 2, half], 3),
            RotaryLayout::Interleaved => ([shape[0], shape[1], shape[2], half, 2], 4),
        };
        let frequencies: Vec<Id> = rotary.frequencies(width).into_iter().map(|f| build.constant(f)).collect();
        let frequencies: Vec<Id> = frequencies.into_iter().map(|f| build.reshape(f, &[1])).collect();
        let frequencies = build.add_op(Op::Concat { axis: 0 }, &frequencies);
        let positions = build.reshape(positions, &[shape[0], shape[1], 1, 1]);
        let angles = build.multiply(positions, frequencies);
        let cosine = build.unary(UnaryFunction::Cos, angles);
        let mut sine = build.unary(UnaryFunction::Sin, angles);
        if inverse {
            sine = build.unary(UnaryFunction::Negate, sine);
        }
        let cosine = build.scale(cosine, rotary.amplitude());
        let sine = build.scale(sine, rotary.amplitude());
        let paired = build.reshape(x, &pairs);
        let [a, b] = [0, 1].map(|start| {
            let element = build.add_op(Op::Slice { axis, start, length: 1 }, &[paired]);
            build.reshape(element, &[shape[0], shape[1], shape[2], half])
        });
        let (a_cosine, b_sine) = (build.multiply(a, cosine), build.multiply(b, sine));
        let (b_cosine, a_sine) = (build.multiply(b, cosine), build.multiply(a, sine));
        let first = build.subtract(a_cosine, b_sine);
        let second = build.add(b_cosine, a_sine);
        let mut element = pairs;
        element[axis] = 1;
        let turned = [first, second].map(|value| build.reshape(value, &element));
        let turned = build.add_op(Op::Concat { axis }, &turned);
        build.reshape(turned, &shape)
    }
}
