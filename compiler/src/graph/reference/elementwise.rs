//! Elementwise operators, each scalar function computed in f64.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::{count, floats, movement, scalar};
use crate::graph::Tensor;
use crate::op::{Op, RandomFunction};
use crate::plan::{BinaryFunction, UnaryFunction};
use crate::random::Stream;

pub(super) fn evaluate(op: &Op, shape: &[u64], inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    if let Op::Random { function, seed, site } = op {
        let step = count(scalar(inputs[1]), "the step")?;
        let stream = Stream::at_step(*function, *seed, *site, step);
        return Ok(match function {
            RandomFunction::Dropout(rate) => dropout(floats(inputs[0]), *rate, stream),
            RandomFunction::Round => round(floats(inputs[0]), stream),
        });
    }
    let operands: Vec<Vec<f32>> =
        inputs.iter().map(|tensor| movement::broadcast(&tensor.to_f32(), &tensor.shape, shape)).collect();
    let value = |i: usize| match op {
        Op::Unary(function) => unary(*function, operands[0][i].into()) as f32,
        Op::Binary(function) => binary(*function, operands[0][i].into(), operands[1][i].into()) as f32,
        Op::Greater => f32::from(operands[0][i] > operands[1][i]),
        Op::Select if operands[0][i] != 0.0 => operands[1][i],
        Op::Select => operands[2][i],
        _ => unreachable!("the caller passes elementwise operators only"),
    };
    Ok((0..operands[0].len()).map(value).collect())
}

fn dropout(values: &[f32], rate: f64, stream: Stream) -> Vec<f32> {
    let kept = |i: usize| f64::from(stream.uniform(i as u64)) >= rate;
    let scaled = |value: f32| (f64::from(value) / (1.0 - rate)) as f32;
    values.iter().enumerate().map(|(i, &value)| if kept(i) { scaled(value) } else { 0.0 }).collect()
}

/// The nearer to zero of the two bf16 numbers around each, or with the probability of its place between them the other.
fn round(values: &[f32], stream: Stream) -> Vec<f32> {
    let one = |(i, &value): (usize, &f32)| {
        let near = f32::from_bits(value.to_bits() & 0xffff_0000);
        let far = f32::from_bits((value.to_bits() & 0xffff_0000).wrapping_add(0x1_0000));
        if !value.is_finite() || near == value {
            return value;
        }
        // Above the largest bf16 number the next one would be twice its power of two.
        let gap =
            if far.is_finite() { f64::from(far) - f64::from(near) } else { f64::from(near).signum() * 120f64.exp2() };
        let place = (f64::from(value) - f64::from(near)) / gap;
        let chance = f64::from(stream.word(i as u64) >> 16) / 65_536.0;
        if chance + place >= 1.0 { far } else { near }
    };
    values.iter().enumerate().map(one).collect()
}

/// A function of one number.
pub fn unary(function: UnaryFunction, x: f64) -> f64 {
    match function {
        UnaryFunction::Negate => -x,
        UnaryFunction::Exp => x.exp(),
        UnaryFunction::Log => x.ln(),
        UnaryFunction::Sqrt => x.sqrt(),
        UnaryFunction::Rsqrt => 1.0 / x.sqrt(),
        UnaryFunction::Reciprocal => 1.0 / x,
        UnaryFunction::Square => x * x,
        UnaryFunction::Abs => x.abs(),
        UnaryFunction::Sin => x.sin(),
        UnaryFunction::Cos => x.cos(),
        UnaryFunction::Tanh => x.tanh(),
        UnaryFunction::Sigmoid => sigmoid(x),
        UnaryFunction::Erf => erf(x),
        UnaryFunction::Relu => binary(BinaryFunction::Maximum, x, 0.0),
        UnaryFunction::Silu => x * sigmoid(x),
        UnaryFunction::Gelu => x * (1.0 + erf(x * FRAC_1_SQRT_2)) / 2.0,
        UnaryFunction::GeluTanh => x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()) / 2.0,
    }
}

/// A function of two numbers. A maximum or minimum with not-a-number is not a number.
pub fn binary(function: BinaryFunction, a: f64, b: f64) -> f64 {
    match function {
        BinaryFunction::Add => a + b,
        BinaryFunction::Subtract => a - b,
        BinaryFunction::Multiply => a * b,
        BinaryFunction::Divide => a / b,
        BinaryFunction::Maximum if a > b || a.is_nan() => a,
        BinaryFunction::Maximum => b,
        BinaryFunction::Minimum if a < b || a.is_nan() => a,
        BinaryFunction::Minimum => b,
        BinaryFunction::Power => a.powf(b),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function, by a series of positive terms (Abramowitz and Stegun 1964, 7.1.6).
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        // Nearer to 1 than f64 can tell.
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    let mut odd = 1.0;
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
