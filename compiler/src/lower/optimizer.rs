//! The optimizer step: global-norm clipping (Pascanu et al. 2013), learning rate and AdamW as operators.

use super::scaler::Scaler;
use crate::graph::{Builder, Graph, Id, Target};
use crate::op::{AdamConstants, AdamOutput, Op, Type};
use crate::plan::{BinaryFunction, OptimizerPlan, Origin, StagePlan, UnaryFunction, WeightPlan};

/// Scalars that one [`Op::AddScalars`] adds.
const SCALARS_AT_ONCE: usize = 64;
/// Added to the norm before the bound is divided by it, as PyTorch's `clip_grad_norm_` does.
const NORM_EPSILON: f64 = 1e-6;

/// One state `PREFIX/PATH` for each of the weights.
pub(super) fn states<'a>(
    graph: &mut Graph,
    prefix: &str,
    weights: impl IntoIterator<Item = &'a WeightPlan>,
) -> Vec<Id> {
    let weights = weights.into_iter();
    weights.map(|weight| state(graph, prefix, &weight.path, &weight.shape)).collect()
}

fn state(graph: &mut Graph, prefix: &str, path: &str, shape: &[u64]) -> Id {
    let name = format!("{prefix}/{path}");
    let origin = Origin { path: path.to_owned(), place: String::new() };
    graph.add(Op::State { name, ty: Type::f32(shape) }, &[], &origin)
}

/// Adds the step that updates every trained weight with its gradient, and the results `grad_norm` and `learning_rate`. Gradients of
/// a scaled loss are brought back to size; where they are not all finite the step is left out.
pub(super) fn update(graph: &mut Graph, stage: &StagePlan, weights: &[Id], gradients: &[Id]) {
    let OptimizerPlan::Adamw { learning_rate, betas, epsilon, weight_decay, decay_all, clip_norm } = stage.optimizer;
    let place = format!("stage {}", stage.name);
    let origin = Origin { path: "optimizer".to_owned(), place: place.clone() };
    let mut build = Builder::new(graph, origin);
    let step = build.add_op(Op::Input { name: "step".to_owned(), ty: Type::f32(&[]) }, &[]);
    let mut norm = global_norm(&mut build, gradients);
    let scaler = stage.precision.scaling().map(|scaling| Scaler::new(&mut build, scaling, norm));
    if let Some(scaler) = &scaler {
        norm = build.divide(norm, scaler.scale);
    }
    let mut scale = match clip_norm {
        Some(bound) => {
            let shifted = build.shift(norm, NORM_EPSILON);
            let bound = build.constant(bound);
            let ratio = build.divide(bound, shifted);
            let one = build.constant(1.0);
            build.binary(BinaryFunction::Minimum, ratio, one)
        }
        None => build.constant(1.0),
    };
    let mut count = step;
    if let Some(scaler) = &scaler {
        scale = scaler.gradient_scale(&mut build, scale);
        // Steps that were left out do not count for the moments.
        count = build.subtract(step, scaler.skipped);
        scaler.finish(&mut build);
    }
    let schedule = stage.schedule.clone();
    let rate = build.add_op(Op::LearningRate { peak: learning_rate, schedule }, &[step]);
    for ((plan, &weight), &gradient) in stage.trained().zip(weights).zip(gradients) {
        let decays = decay_all || plan.stored_shape().len() >= 2;
        let constants = AdamConstants {
            beta1: betas[0],
            beta2: betas[1],
            epsilon,
            weight_decay: if decays { weight_decay } else { 0.0 },
        };
        let first = state(graph, "first", &plan.path, &plan.shape);
        let second = state(graph, "second", &plan.path, &plan.shape);
        let origin = Origin { path: plan.path.clone(), place: place.clone() };
        let results =
            [("weight", AdamOutput::Weight), ("first", AdamOutput::FirstMoment), ("second", AdamOutput::SecondMoment)];
        for (prefix, output) in results {
            let inputs = [weight, first, second, gradient, rate, scale, count];
            let value = graph.add(Op::AdamW { constants, output }, &inputs, &origin);
            graph.output(Target::State(format!("{prefix}/{}", plan.path)), value);
        }
    }
    graph.output(Target::Result("grad_norm".to_owned()), norm);
    graph.output(Target::Result("learning_rate".to_owned()), rate);
}

/// The Euclidean norm of all gradients together.
fn global_norm(build: &mut Builder<'_>, gradients: &[Id]) -> Id {
    let mut sums: Vec<Id> = gradients.iter().map(|&gradient| build.add_op(Op::SumSquares, &[gradient])).collect();
    if sums.is_empty() {
        return build.constant(0.0);
    }
    while sums.len() > 1 {
        sums = sums.chunks(SCALARS_AT_ONCE).map(|group| build.add_op(Op::AddScalars, group)).collect();
    }
    build.unary(UnaryFunction::Sqrt, sums[0])
}
