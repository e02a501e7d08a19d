//! Derivatives of elementwise operators.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::Step;
use crate::graph::Id;
use crate::graph::build::GELU_GATE;
use crate::plan::{BinaryFunction, UnaryFunction};

impl Step<'_> {
    /// The gradient times the function's slope.
    pub(super) fn unary(&mut self, function: UnaryFunction) -> Id {
        let (x, y, dy) = (self.inputs[0], self.value, self.gradient);
        let build = &mut self.build;
        let slope = match function {
            UnaryFunction::Negate => return build.unary(UnaryFunction::Negate, dy),
            UnaryFunction::Log => return build.divide(dy, x),
            UnaryFunction::Relu => {
                let zero = build.constant(0.0);
                let positive = build.greater(x, zero);
                return build.select(positive, dy, zero);
            }
            UnaryFunction::Exp => y,
            UnaryFunction::Sqrt => {
                let half = build.constant(0.5);
                build.divide(half, y)
            }
            UnaryFunction::Rsqrt => {
                let square = build.unary(UnaryFunction::Square, y);
                let cube = build.multiply(square, y);
                build.scale(cube, -0.5)
            }
            UnaryFunction::Reciprocal => {
                let square = build.unary(UnaryFunction::Square, y);
                build.unary(UnaryFunction::Negate, square)
            }
            UnaryFunction::Square => build.scale(x, 2.0),
            UnaryFunction::Abs => {
                let zero = build.constant(0.0);
                let positive = build.greater(x, zero);
                let negative = build.greater(zero, x);
                build.subtract(positive, negative)
            }
            UnaryFunction::Sin => build.unary(UnaryFunction::Cos, x),
            UnaryFunction::Cos => {
                let sine = build.unary(UnaryFunction::Sin, x);
                build.unary(UnaryFunction::Negate, sine)
            }
            UnaryFunction::Tanh => {
                let square = build.unary(UnaryFunction::Square, y);
                build.one_minus(square)
            }
            UnaryFunction::Sigmoid => {
                let rest = build.one_minus(y);
                build.multiply(y, rest)
            }
            UnaryFunction::Erf => self.bell(1.0, FRAC_2_SQRT_PI),
            UnaryFunction::Silu => self.silu(),
            UnaryFunction::Gelu => self.gelu(),
            UnaryFunction::GeluTanh => self.gelu_tanh(),
        };
        self.build.multiply(dy, slope)
    }

    /// `height * exp(-sharpness * x^2)`
    fn bell(&mut self, sharpness: f64, height: f64) -> Id {
        let square = self.build.unary(UnaryFunction::Square, self.inputs[0]);
        let exponent = self.build.scale(square, -sharpness);
        let bell = self.build.unary(UnaryFunction::Exp, exponent);
        self.build.scale(bell, height)
    }

    /// `s * (1 + x * (1 - s))` with `s = sigmoid(x)`
    fn silu(&mut self) -> Id {
        let x = self.inputs[0];
        let build = &mut self.build;
        let sigmoid = build.unary(UnaryFunction::Sigmoid, x);
        let rest = build.one_minus(sigmoid);
        let product = build.multiply(x, rest);
        let sum = build.shift(product, 1.0);
        build.multiply(sigmoid, sum)
    }

    /// `P(x) + x * p(x)` with the standard normal's distribution `P` and density `p`
    fn gelu(&mut self) -> Id {
        let x = self.inputs[0];
        let density = self.bell(0.5, 1.0 / (2.0 * PI).sqrt());
        let build = &mut self.build;
        let argument = build.scale(x, FRAC_1_SQRT_2);
        let erf = build.unary(UnaryFunction::Erf, argument);
        let half = build.scale(erf, 0.5);
        let distribution = build.shift(half, 0.5);
        let product = build.multiply(x, density);
        build.add(distribution, product)
    }

    /// `s + x * s * (1 - s) * u'` with `s = sigmoid(u)`, `u = c * (x + 0.044715 x^3)`, `c = 2 sqrt(2 / pi)`; the function
    /// itself is `x * s`
    fn gelu_tanh(&mut self) -> Id {
        let x = self.inputs[0];
        let build = &mut self.build;
        let (square, s) = build.gelu_gate(x);
        let c = GELU_GATE;
        let rest = build.one_minus(s);
        let s_slope = build.multiply(s, rest);
        let u_slope = build.scale(square, c * 3.0 * 0.044715);
        let u_slope = build.shift(u_slope, c);
        let product = build.multiply(x, s_slope);
        let product = build.multiply(product, u_slope);
        build.add(s, product)
    }

    /// The part of one operand, summed over the axes it was repeated along.
    pub(super) fn binary(&mut self, function: BinaryFunction, operand: usize) -> Id {
        let (a, b, y, dy) = (self.inputs[0], self.inputs[1], self.value, self.gradient);
        let build = &mut self.build;
        let first = operand == 0;
        let full = match function {
            BinaryFunction::Add => dy,
            BinaryFunction::Subtract if first => dy,
            BinaryFunction::Subtract => build.unary(UnaryFunction::Negate, dy),
            BinaryFunction::Multiply => build.multiply(dy, if first { b } else { a }),
            BinaryFunction::Divide if first => build.divide(dy, b),
            BinaryFunction::Divide => {
                let quotient = build.divide(y, b);
                let product = build.multiply(dy, quotient);
                build.unary(UnaryFunction::Negate, product)
            }
            BinaryFunction::Maximum => self.chosen(if first { (a, b) } else { (b, a) }),
            BinaryFunction::Minimum => self.chosen(if first { (b, a) } else { (a, b) }),
            BinaryFunction::Power if first => {
                // b * a^(b - 1), and 0 where b is 0 whatever a is.
                let less = build.shift(b, -1.0);
                let power = build.binary(BinaryFunction::Power, a, less);
                let slope = build.multiply(b, power);
                let product = build.multiply(dy, slope);
                build.select(b, product, b)
            }
            BinaryFunction::Power => {
                // a^b * log(a), and 0 where a is 0.
                let logarithm = build.unary(UnaryFunction::Log, a);
                let slope = build.multiply(y, logarithm);
                let product = build.multiply(dy, slope);
                build.select(a, product, a)
            }
        };
        let shape = self.build.shape(self.inputs[operand]);
        self.build.sum_to(full, &shape)
    }

    /// The gradient where `larger > smaller`, half of it where they are equal.
    fn chosen(&mut self, (larger, smaller): (Id, Id)) -> Id {
        let build = &mut self.build;
        let above = build.greater(larger, smaller);
        let below = build.greater(smaller, larger);
        let difference = build.subtract(above, below);
        let half = build.scale(difference, 0.5);
        let share = build.shift(half, 0.5);
        build.multiply(self.gradient, share)
    }

    /// The gradient where the operand was selected; a condition has none.
    pub(super) fn select(&mut self, operand: usize) -> Option<Id> {
        if operand == 0 {
            return None;
        }
        let zero = self.build.constant(0.0);
        let (a, b) = if operand == 1 { (self.gradient, zero) } else { (zero, self.gradient) };
        let full = self.build.select(self.inputs[0], a, b);
        let shape = self.build.shape(self.inputs[operand]);
        Some(self.build.sum_to(full, &shape))
    }
}
