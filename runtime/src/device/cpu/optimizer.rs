//! Gradient norm, learning rate, AdamW, dropout and rounding at random.

use llmc_compiler::op::{AdamConstants, RandomFunction};
use llmc_compiler::plan::SchedulePlan;
use llmc_compiler::random::Stream;

use super::lanes;
use super::operand::Operands;
use super::pool::{Pool, Runs};
use super::simd::vectorised;

/// Elements of a task.
const PER_TASK: usize = 1 << 15;

/// `(x) -> scalar`: sums of fixed chunks, added up in order.
pub fn sum_squares(operands: &mut Operands<'_>, pool: &Pool, partial: &mut Vec<f64>) {
    let x = operands.slice(0);
    let tasks = x.len().div_ceil(PER_TASK);
    partial.resize(partial.len().max(tasks), 0.0);
    let partial = &mut partial[..tasks];
    pool.run(tasks, Runs::new(partial, 1), |task, sum, _| {
        let end = x.len().min((task + 1) * PER_TASK);
        sum[0] = squares(&x[task * PER_TASK..end]);
    });
    operands.elements_mut(0).set(0, partial.iter().sum::<f64>() as f32);
}

vectorised! {
    fn squares(x: &[f32]) -> f64 {
        lanes::sum_of(x, |x| x * x)
    }
}

/// `(step) -> learning rate`
pub fn learning_rate(operands: &mut Operands<'_>, peak: f64, schedule: &SchedulePlan) {
    let step = operands.scalar(0) as u64;
    operands.elements_mut(0).set(0, (peak * schedule.factor(step)) as f32);
}

/// The factors of one AdamW step, the same for every element.
#[derive(Debug, Clone, Copy)]
struct Adam {
    gradient_scale: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// `learning_rate / (1 - beta1^t)`
    rate: f32,
    /// `1 / sqrt(1 - beta2^t)`
    correction: f32,
    epsilon: f32,
    /// `1 - learning_rate * weight_decay`
    keep: f32,
}

/// `(gradient, learning_rate, gradient_scale, step) -> (weight, first, second)` in place
/// (Loshchilov and Hutter 2019, algorithm 2).
pub fn adamw(operands: &mut Operands<'_>, pool: &Pool, constants: &AdamConstants) {
    // A step that is left out.
    if operands.scalar(2) == 0.0 {
        return;
    }
    let gradient = operands.slice(0);
    let learning_rate = f64::from(operands.scalar(1));
    let step = f64::from(operands.scalar(3)) + 1.0;
    let adam = Adam {
        gradient_scale: operands.scalar(2),
        beta1: constants.beta1 as f32,
        rest1: (1.0 - constants.beta1) as f32,
        beta2: constants.beta2 as f32,
        rest2: (1.0 - constants.beta2) as f32,
        rate: (learning_rate / (1.0 - constants.beta1.powf(step))) as f32,
        correction: (1.0 / (1.0 - constants.beta2.powf(step)).sqrt()) as f32,
        epsilon: constants.epsilon as f32,
        keep: (1.0 - learning_rate * constants.weight_decay) as f32,
    };
    let [weight, first, second] = [0, 1, 2].map(|write| Runs::new(operands.slice_mut(write), PER_TASK));
    let tasks = gradient.len().div_ceil(PER_TASK);
    pool.run(tasks, (weight, first, second), |task, (weight, first, second), _| {
        let gradient = &gradient[task * PER_TASK..][..weight.len()];
        update(weight, first, second, gradient, adam);
    });
}

vectorised! {
    fn update(weight: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], adam: Adam) {
        for (((weight, first), second), &gradient) in weight.iter_mut().zip(first).zip(second).zip(gradient) {
            let gradient = gradient * adam.gradient_scale;
            *first = adam.beta1.mul_add(*first, adam.rest1 * gradient);
            *second = adam.beta2.mul_add(*second, adam.rest2 * gradient * gradient);
            let denominator = second.sqrt().mul_add(adam.correction, adam.epsilon);
            *weight = weight.mul_add(adam.keep, -adam.rate * *first / denominator);
        }
    }
}

/// `(x, step) -> same shape`: what becomes of an element depends on the stream and its index alone.
pub fn random(operands: &mut Operands<'_>, pool: &Pool, function: RandomFunction, seed: u64, site: u64) {
    let step = operands.scalar(1) as u64;
    let source = (!operands.in_place(0)).then(|| operands.slice(0));
    let stream = Stream::at_step(function, seed, site, step);
    let out = operands.slice_mut(0);
    let tasks = out.len().div_ceil(PER_TASK);
    pool.run(tasks, Runs::new(out, PER_TASK), |task, out, _| {
        let first = task * PER_TASK;
        if let Some(source) = source {
            out.copy_from_slice(&source[first..][..out.len()]);
        }
        match function {
            RandomFunction::Dropout(rate) => drop_some(out, first as u64, stream, rate, (1.0 / (1.0 - rate)) as f32),
            RandomFunction::Round => round_some(out, first as u64, stream),
        }
    });
}

vectorised! {
    /// Zeroes and scales the elements from `first` (a multiple of 4) on, four to a block of random words.
    fn drop_some(values: &mut [f32], first: u64, stream: Stream, rate: f64, factor: f32) {
        for (block, values) in (first / 4..).zip(values.chunks_mut(4)) {
            for (value, word) in values.iter_mut().zip(stream.block(block)) {
                let uniform = (word >> 8) as f32 * (1.0 / 16_777_216.0);
                *value = if f64::from(uniform) >= rate { *value * factor } else { 0.0 };
            }
        }
    }
}

vectorised! {
    /// Takes one of the two bf16 numbers around each element: what is cut off is the chance of the one farther from zero.
    fn round_some(values: &mut [f32], first: u64, stream: Stream) {
        for (block, values) in (first / 4..).zip(values.chunks_mut(4)) {
            for (value, word) in values.iter_mut().zip(stream.block(block)) {
                let rounded = f32::from_bits(value.to_bits().wrapping_add(word >> 16) & 0xffff_0000);
                *value = if value.is_finite() { rounded } else { *value };
            }
        }
    }
}
