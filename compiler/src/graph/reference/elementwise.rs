//! Elementwise operators, each scalar function computed in f64.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::{count, floats, movement, scalar};
use crate::graph::Tensor;
use crate::op::Op;
use crate::plan::{BinaryFunction, UnaryFunction};
use crate::random::Stream;

pub(super) fn evaluate(op: &Op, shape: &[u64], inputs: &[&Tensor]) -> Result<Vec<f32>, String> {
    if let Op::Dropout { rate, seed, site } = op {
        let step = count(scalar(inputs[1]), "the step")?;
        return Ok(dropout(floats(inputs[0]), *rate, Stream::dropout(*seed, *site, step)));
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
