//! Norms, learning rates and the AdamW step.

use super::Parts;
use crate::graph::Id;
use crate::op::{AdamConstants, AdamOutput, Reduction};
use crate::plan::{BinaryFunction, ScheduleKind, SchedulePlan, UnaryFunction};

impl Parts<'_> {
    pub(super) fn sum_squares(&mut self) -> Id {
        let build = &mut self.build;
        let square = build.unary(UnaryFunction::Square, self.inputs[0]);
        let elements = build.graph.ty(square).elements();
        let list = build.reshape(square, &[elements]);
        let sum = build.reduce(Reduction::Sum, vec![0], list);
        build.reshape(sum, &[])
    }

    pub(super) fn add_scalars(&mut self) -> Id {
        let first = self.inputs[0];
        self.inputs[1..].iter().fold(first, |sum, &scalar| self.build.add(sum, scalar))
    }

    pub(super) fn learning_rate(&mut self, peak: f64, schedule: &SchedulePlan) -> Id {
        let step = self.inputs[0];
        let decay_start = match schedule.kind {
            ScheduleKind::WarmupStableDecay => (schedule.steps - schedule.decay).max(schedule.warmup),
            _ => schedule.warmup,
        };
        let build = &mut self.build;
        let (zero, one) = (build.constant(0.0), build.constant(1.0));
        // Share of the decay that is over, within 0..1.
        let since = build.shift(step, -(decay_start as f64));
        let length = schedule.steps.saturating_sub(decay_start).max(1);
        let share = build.scale(since, 1.0 / length as f64);
        let share = build.binary(BinaryFunction::Maximum, share, zero);
        let share = build.binary(BinaryFunction::Minimum, share, one);
        let decay = match schedule.kind {
            ScheduleKind::Constant => zero,
            ScheduleKind::Linear | ScheduleKind::WarmupStableDecay => share,
            ScheduleKind::Cosine => {
                let angle = build.scale(share, std::f64::consts::PI);
                let cosine = build.unary(UnaryFunction::Cos, angle);
                let half = build.scale(cosine, -0.5);
                build.shift(half, 0.5)
            }
        };
        let drop = build.scale(decay, schedule.floor - 1.0);
        let mut factor = build.shift(drop, 1.0);
        if schedule.warmup > 0 {
            let end = build.constant(schedule.warmup as f64);
            let warming = build.greater(end, step);
            let ramp = build.shift(step, 1.0);
            let ramp = build.divide(ramp, end);
            factor = build.select(warming, ramp, factor);
        }
        build.scale(factor, peak)
    }

    pub(super) fn adamw(&mut self, constants: &AdamConstants, output: AdamOutput) -> Id {
        let [weight, first, second, _, _, gradient_scale, _] = self.inputs[..] else {
            unreachable!("the type check asks for seven operands")
        };
        let before = match output {
            AdamOutput::Weight => weight,
            AdamOutput::FirstMoment => first,
            AdamOutput::SecondMoment => second,
        };
        let after = self.adamw_step(constants, output);
        self.build.select(gradient_scale, after, before)
    }

    fn adamw_step(&mut self, constants: &AdamConstants, output: AdamOutput) -> Id {
        let [weight, first, second, gradient, learning_rate, gradient_scale, step] = self.inputs[..] else {
            unreachable!("the type check asks for seven operands")
        };
        let gradient = self.build.multiply(gradient, gradient_scale);
        let square = self.build.unary(UnaryFunction::Square, gradient);
        let first = self.moment(first, gradient, constants.beta1);
        let second = self.moment(second, square, constants.beta2);
        match output {
            AdamOutput::FirstMoment => first,
            AdamOutput::SecondMoment => second,
            AdamOutput::Weight => {
                let first = self.unbiased(first, constants.beta1, step);
                let second = self.unbiased(second, constants.beta2, step);
                let build = &mut self.build;
                let root = build.unary(UnaryFunction::Sqrt, second);
                let root = build.shift(root, constants.epsilon);
                let update = build.divide(first, root);
                let decay = build.scale(weight, constants.weight_decay);
                let update = build.add(update, decay);
                let change = build.multiply(update, learning_rate);
                build.subtract(weight, change)
            }
        }
    }

    /// `beta * moment + (1 - beta) * value`
    fn moment(&mut self, moment: Id, value: Id, beta: f64) -> Id {
        let old = self.build.scale(moment, beta);
        let new = self.build.scale(value, 1.0 - beta);
        self.build.add(old, new)
    }

    /// `moment / (1 - beta^(step + 1))`
    fn unbiased(&mut self, moment: Id, beta: f64, step: Id) -> Id {
        let build = &mut self.build;
        let count = build.shift(step, 1.0);
        let beta = build.constant(beta);
        let power = build.binary(BinaryFunction::Power, beta, count);
        let rest = build.one_minus(power);
        build.divide(moment, rest)
    }
}
