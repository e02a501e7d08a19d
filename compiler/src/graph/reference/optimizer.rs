//! Gradient norm, learning rate and the AdamW step.

use super::{dot, floats, scalar};
use crate::graph::Tensor;
use crate::op::{AdamConstants, AdamOutput, Op};

pub(super) fn evaluate(op: &Op, inputs: &[&Tensor]) -> Vec<f32> {
    match op {
        Op::SumSquares => vec![dot(floats(inputs[0]), floats(inputs[0])) as f32],
        Op::AddScalars => vec![inputs.iter().map(|tensor| scalar(tensor)).sum::<f64>() as f32],
        Op::LearningRate { peak, schedule } => {
            vec![(peak * schedule.factor(scalar(inputs[0]) as u64)) as f32]
        }
        Op::AdamW { constants, output } => adamw(constants, *output, inputs),
        _ => unreachable!("the caller passes the optimizer's operators only"),
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).
fn adamw(constants: &AdamConstants, output: AdamOutput, inputs: &[&Tensor]) -> Vec<f32> {
    let AdamConstants { beta1, beta2, epsilon, weight_decay } = *constants;
    let (learning_rate, gradient_scale, step) = (scalar(inputs[4]), scalar(inputs[5]), scalar(inputs[6]) + 1.0);
    if gradient_scale == 0.0 {
        let operand = match output {
            AdamOutput::Weight => 0,
            AdamOutput::FirstMoment => 1,
            AdamOutput::SecondMoment => 2,
        };
        return floats(inputs[operand]).to_vec();
    }
    let value = |i: usize| {
        let [weight, first, second, gradient] = [0, 1, 2, 3].map(|operand| f64::from(floats(inputs[operand])[i]));
        let gradient = gradient * gradient_scale;
        let first = beta1 * first + (1.0 - beta1) * gradient;
        let second = beta2 * second + (1.0 - beta2) * gradient * gradient;
        match output {
            AdamOutput::FirstMoment => first as f32,
            AdamOutput::SecondMoment => second as f32,
            AdamOutput::Weight => {
                let unbiased_first = first / (1.0 - beta1.powf(step));
                let unbiased_second = second / (1.0 - beta2.powf(step));
                let update = unbiased_first / (unbiased_second.sqrt() + epsilon) + weight_decay * weight;
                (weight - learning_rate * update) as f32
            }
        }
    };
    (0..floats(inputs[0]).len()).map(value).collect()
}
