//! Scalar functions in luminal's elementwise primitives.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, FRAC_PI_2, LN_2, LOG2_E, PI};

use luminal::op::{Add, Exp2, LessThan, Log2, Mul, Operator, Recip, Sin, Sqrt};

use super::{Primitives, Value};
use crate::plan::{BinaryFunction, UnaryFunction};

impl Primitives {
    pub(super) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.apply(Add, &[a, b], a.sizes.clone())
    }

    pub(super) fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.apply(Mul, &[a, b], a.sizes.clone())
    }

    pub(super) fn less(&mut self, a: &Value, b: &Value) -> Value {
        self.apply(LessThan, &[a, b], a.sizes.clone())
    }

    fn same(&mut self, operator: impl Operator + 'static, x: &Value) -> Value {
        self.apply(operator, &[x], x.sizes.clone())
    }

    /// `factor * x + term`
    fn affine(&mut self, x: &Value, factor: f64, term: f64) -> Value {
        let (factor, term) = (self.filled(factor, &x.sizes), self.filled(term, &x.sizes));
        let product = self.mul(x, &factor);
        self.add(&product, &term)
    }

    /// `a` where the choice is 1, `b` where it is 0.
    pub(super) fn choose(&mut self, choice: &Value, a: &Value, b: &Value) -> Value {
        let other = self.affine(choice, -1.0, 1.0);
        let (a, b) = (self.mul(a, choice), self.mul(b, &other));
        self.add(&a, &b)
    }

    pub(super) fn binary(&mut self, function: BinaryFunction, a: &Value, b: &Value) -> Value {
        match function {
            BinaryFunction::Add => self.add(a, b),
            BinaryFunction::Subtract => {
                let negative = self.affine(b, -1.0, 0.0);
                self.add(a, &negative)
            }
            BinaryFunction::Multiply => self.mul(a, b),
            BinaryFunction::Divide => {
                let inverse = self.same(Recip, b);
                self.mul(a, &inverse)
            }
            BinaryFunction::Maximum => {
                let choice = self.less(b, a);
                self.choose(&choice, a, b)
            }
            BinaryFunction::Minimum => {
                let choice = self.less(a, b);
                self.choose(&choice, a, b)
            }
            BinaryFunction::Power => {
                let logarithm = self.same(Log2, a);
                let exponent = self.mul(&logarithm, b);
                self.same(Exp2, &exponent)
            }
        }
    }

    pub(super) fn function(&mut self, function: UnaryFunction, x: &Value) -> Value {
        match function {
            UnaryFunction::Negate => self.affine(x, -1.0, 0.0),
            UnaryFunction::Exp => {
                let exponent = self.affine(x, LOG2_E, 0.0);
                self.same(Exp2, &exponent)
            }
            UnaryFunction::Log => {
                let logarithm = self.same(Log2, x);
                self.affine(&logarithm, LN_2, 0.0)
            }
            UnaryFunction::Sqrt => self.same(Sqrt, x),
            UnaryFunction::Rsqrt => {
                let root = self.same(Sqrt, x);
                self.same(Recip, &root)
            }
            UnaryFunction::Reciprocal => self.same(Recip, x),
            UnaryFunction::Square => self.mul(x, x),
            UnaryFunction::Abs => {
                let negative = self.affine(x, -1.0, 0.0);
                self.binary(BinaryFunction::Maximum, x, &negative)
            }
            UnaryFunction::Sin => self.same(Sin, x),
            UnaryFunction::Cos => {
                let turned = self.affine(x, 1.0, FRAC_PI_2);
                self.same(Sin, &turned)
            }
            UnaryFunction::Tanh => {
                let double = self.affine(x, 2.0, 0.0);
                let sigmoid = self.function(UnaryFunction::Sigmoid, &double);
                self.affine(&sigmoid, 2.0, -1.0)
            }
            UnaryFunction::Sigmoid => {
                let negative = self.affine(x, -1.0, 0.0);
                let exponential = self.function(UnaryFunction::Exp, &negative);
                let sum = self.affine(&exponential, 1.0, 1.0);
                self.same(Recip, &sum)
            }
            UnaryFunction::Erf => self.erf(x),
            UnaryFunction::Relu => {
                let zero = self.filled(0.0, &x.sizes);
                self.binary(BinaryFunction::Maximum, x, &zero)
            }
            UnaryFunction::Silu => {
                let sigmoid = self.function(UnaryFunction::Sigmoid, x);
                self.mul(x, &sigmoid)
            }
            UnaryFunction::Gelu => {
                let argument = self.affine(x, FRAC_1_SQRT_2, 0.0);
                let erf = self.erf(&argument);
                let share = self.affine(&erf, 0.5, 0.5);
                self.mul(x, &share)
            }
            UnaryFunction::GeluTanh => {
                let square = self.mul(x, x);
                let c = (2.0 / PI).sqrt();
                let factor = self.affine(&square, 0.044715 * c, c);
                let argument = self.mul(x, &factor);
                let tanh = self.function(UnaryFunction::Tanh, &argument);
                let share = self.affine(&tanh, 0.5, 0.5);
                self.mul(x, &share)
            }
        }
    }

    /// The Taylor series around 0 (Abramowitz and Stegun 1964, 7.1.5), another than the reference sums.
    fn erf(&mut self, x: &Value) -> Value {
        let negative_square = self.mul(x, x);
        let negative_square = self.affine(&negative_square, -1.0, 0.0);
        // The n-th term is x (-x^2)^n / (n! (2n + 1)).
        let mut power = x.clone();
        let mut sum = x.clone();
        for n in 1..20 {
            let next = self.mul(&power, &negative_square);
            power = self.affine(&next, 1.0 / f64::from(n), 0.0);
            let term = self.affine(&power, 1.0 / f64::from(2 * n + 1), 0.0);
            sum = self.add(&sum, &term);
        }
        self.affine(&sum, FRAC_2_SQRT_PI, 0.0)
    }
}
