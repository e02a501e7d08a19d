//! Dynamic loss scaling (Micikevicius et al. 2018, section 3.2), in the graph: the scale and its counters are states, so that no
//! step waits for the host. The rules are those of PyTorch's `GradScaler`.

use crate::graph::{Builder, Graph, Id, Target};
use crate::op::{Op, Type};
use crate::plan::{LossScaling, Origin};

/// The state that the loss is multiplied with before gradients are taken.
pub const LOSS_SCALE: &str = "scaler/scale";
/// Steps since the scale last changed.
const GOOD_STEPS: &str = "scaler/good_steps";
/// Steps that were left out.
const SKIPPED: &str = "scaler/skipped";

/// The states of loss scaling, all scalars.
pub const SCALER_STATES: [&str; 3] = [LOSS_SCALE, GOOD_STEPS, SKIPPED];

fn state(build: &mut Builder<'_>, name: &str) -> Id {
    build.add_op(Op::State { name: name.to_owned(), ty: Type::f32(&[]) }, &[])
}

fn origin() -> Origin {
    Origin { path: "loss_scale".to_owned(), place: String::new() }
}

/// The loss times the scale.
pub(super) fn scaled(graph: &mut Graph, loss: Id) -> Id {
    let mut build = Builder::new(graph, origin());
    let scale = state(&mut build, LOSS_SCALE);
    build.multiply(loss, scale)
}

/// What one step knows of its loss scale.
pub(super) struct Scaler {
    scaling: LossScaling,
    /// The scale that the gradients have.
    pub(super) scale: Id,
    /// Steps left out before this one.
    pub(super) skipped: Id,
    /// 1 where every gradient is finite, else 0.
    finite: Id,
}

impl Scaler {
    /// Judges the norm of the scaled gradients.
    pub(super) fn new(build: &mut Builder<'_>, scaling: LossScaling, scaled_norm: Id) -> Scaler {
        let scale = state(build, LOSS_SCALE);
        let skipped = state(build, SKIPPED);
        let largest = build.constant(f32::MAX.into());
        // What is not a number is not smaller either.
        let finite = build.greater(largest, scaled_norm);
        Scaler { scaling, scale, skipped, finite }
    }

    /// The factor that brings scaled gradients to a step of `factor`: 0, which leaves the step out, where they are not finite.
    pub(super) fn gradient_scale(&self, build: &mut Builder<'_>, factor: Id) -> Id {
        let unscaled = build.divide(factor, self.scale);
        let none = build.constant(0.0);
        build.select(self.finite, unscaled, none)
    }

    /// The states after the step, and the results `loss_scale` (of this step) and `skipped` (1 where it is left out).
    pub(super) fn finish(&self, build: &mut Builder<'_>) {
        let LossScaling { growth, backoff, interval, .. } = self.scaling;
        let before = state(build, GOOD_STEPS);
        let zero = build.constant(0.0);
        let counted = build.shift(before, 1.0);
        let good = build.select(self.finite, counted, zero);
        // Counts are whole: half a step apart from every one of them.
        let bound = build.constant(interval as f64 - 0.5);
        let grows = build.greater(good, bound);
        let good = build.select(grows, zero, good);
        let larger = build.scale(self.scale, growth);
        let smaller = build.scale(self.scale, backoff);
        let kept = build.select(grows, larger, self.scale);
        let scale = build.select(self.finite, kept, smaller);
        let left_out = build.one_minus(self.finite);
        let skipped = build.add(self.skipped, left_out);
        for (name, value) in [(LOSS_SCALE, scale), (GOOD_STEPS, good), (SKIPPED, skipped)] {
            build.graph.output(Target::State(name.to_owned()), value);
        }
        build.graph.output(Target::Result("loss_scale".to_owned()), self.scale);
        build.graph.output(Target::Result("skipped".to_owned()), left_out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::graph::Tensor;

    /// `(scale after, good steps after)` of PyTorch 2.15's `GradScaler` for a sequence of steps, 1 where a gradient overflowed.
    type Trajectory = (LossScaling, &'static [u8], &'static [(f32, f32)]);

    fn scaling(initial: f64, interval: u64) -> LossScaling {
        LossScaling { initial, growth: 2.0, backoff: 0.5, interval }
    }

    #[test]
    fn the_scale_follows_pytorch() {
        let trajectories: [Trajectory; 2] = [
            (
                scaling(65536.0, 4),
                &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
                &[
                    (32768.0, 0.0),
                    (16384.0, 0.0),
                    (16384.0, 1.0),
                    (16384.0, 2.0),
                    (16384.0, 3.0),
                    (32768.0, 0.0),
                    (32768.0, 1.0),
                    (16384.0, 0.0),
                    (16384.0, 1.0),
                    (16384.0, 2.0),
                    (16384.0, 3.0),
                    (32768.0, 0.0),
                ],
            ),
            (
                scaling(4.0, 3),
                &[1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0],
                &[
                    (2.0, 0.0),
                    (2.0, 1.0),
                    (1.0, 0.0),
                    (1.0, 1.0),
                    (1.0, 2.0),
                    (2.0, 0.0),
                    (1.0, 0.0),
                    (0.5, 0.0),
                    (0.5, 1.0),
                    (0.5, 2.0),
                    (1.0, 0.0),
                ],
            ),
        ];
        for (scaling, overflows, expected) in trajectories {
            let mut graph = Graph::new();
            let mut build = Builder::new(&mut graph, origin());
            let norm = build.add_op(Op::Input { name: "norm".to_owned(), ty: Type::f32(&[]) }, &[]);
            let scaler = Scaler::new(&mut build, scaling, norm);
            let one = build.constant(1.0);
            let factor = scaler.gradient_scale(&mut build, one);
            scaler.finish(&mut build);
            graph.output(Target::Result("factor".to_owned()), factor);
            let mut states: BTreeMap<String, Tensor> =
                SCALER_STATES.iter().map(|name| ((*name).to_owned(), Tensor::scalar(0.0))).collect();
            states.insert(LOSS_SCALE.to_owned(), Tensor::scalar(scaling.initial as f32));
            let mut skipped = 0.0;
            for (step, (&overflow, expected)) in overflows.iter().zip(expected).enumerate() {
                let before = states[LOSS_SCALE].to_f32()[0];
                let norm = if overflow == 0 { 3.0 } else { [f32::INFINITY, f32::NAN][step % 2] };
                let inputs = BTreeMap::from([("norm".to_owned(), Tensor::scalar(norm))]);
                let results = graph.execute(&inputs, &mut states).unwrap();
                skipped += f32::from(overflow);
                let now = |name: &str| states[name].to_f32()[0];
                assert_eq!((now(LOSS_SCALE), now(GOOD_STEPS)), *expected, "step {step}");
                assert_eq!(now(SKIPPED), skipped);
                let factor = if overflow == 0 { 1.0 / before } else { 0.0 };
                assert_eq!(results["factor"].to_f32(), [factor]);
                assert_eq!(results["skipped"].to_f32(), [f32::from(overflow)]);
            }
        }
    }
}
