//! Short names for adding operators: derivatives, decompositions and lowering read like formulas.

use super::{Graph, Id};
use crate::op::{Op, Reduction, Shape};
use crate::plan::{BinaryFunction, Origin, UnaryFunction};

/// `2 sqrt(2 / pi)`
pub const GELU_GATE: f64 = std::f64::consts::SQRT_2 * std::f64::consts::FRAC_2_SQRT_PI;

/// Adds operators of one origin to a graph.
pub struct Builder<'a> {
    /// The graph that grows.
    pub graph: &'a mut Graph,
    /// The origin of every operator added.
    pub origin: Origin,
}

impl<'a> Builder<'a> {
    /// Adds operators of this origin to `graph`.
    pub fn new(graph: &'a mut Graph, origin: Origin) -> Builder<'a> {
        Builder { graph, origin }
    }

    /// Any operator.
    pub fn add_op(&mut self, op: Op, inputs: &[Id]) -> Id {
        self.graph.add(op, inputs, &self.origin)
    }

    /// The shape of a value.
    pub fn shape(&self, value: Id) -> Shape {
        self.graph.ty(value).shape.clone()
    }

    /// A scalar.
    pub fn constant(&mut self, value: f64) -> Id {
        self.add_op(Op::Constant(value as f32), &[])
    }

    /// A function of one value.
    pub fn unary(&mut self, function: UnaryFunction, a: Id) -> Id {
        self.add_op(Op::Unary(function), &[a])
    }

    /// A function of two values, broadcast.
    pub fn binary(&mut self, function: BinaryFunction, a: Id, b: Id) -> Id {
        self.add_op(Op::Binary(function), &[a, b])
    }

    /// `a + b`
    pub fn add(&mut self, a: Id, b: Id) -> Id {
        self.binary(BinaryFunction::Add, a, b)
    }

    /// `a - b`
    pub fn subtract(&mut self, a: Id, b: Id) -> Id {
        self.binary(BinaryFunction::Subtract, a, b)
    }

    /// `a * b`
    pub fn multiply(&mut self, a: Id, b: Id) -> Id {
        self.binary(BinaryFunction::Multiply, a, b)
    }

    /// `a / b`
    pub fn divide(&mut self, a: Id, b: Id) -> Id {
        self.binary(BinaryFunction::Divide, a, b)
    }

    /// `a * factor`
    pub fn scale(&mut self, a: Id, factor: f64) -> Id {
        let factor = self.constant(factor);
        self.multiply(a, factor)
    }

    /// `a + term`
    pub fn shift(&mut self, a: Id, term: f64) -> Id {
        let term = self.constant(term);
        self.add(a, term)
    }

    /// `1 - a`
    pub fn one_minus(&mut self, a: Id) -> Id {
        let one = self.constant(1.0);
        self.subtract(one, a)
    }

    /// `x^2` and `sigmoid(u)` with `u = 2 sqrt(2 / pi) (x + 0.044715 x^3)`: the tanh form of GELU (Hendrycks and Gimpel 2016)
    /// is `x sigmoid(u)`, because `(1 + tanh(v)) / 2 = sigmoid(2 v)`.
    pub fn gelu_gate(&mut self, x: Id) -> (Id, Id) {
        let square = self.unary(UnaryFunction::Square, x);
        let factor = self.scale(square, GELU_GATE * 0.044715);
        let factor = self.shift(factor, GELU_GATE);
        let u = self.multiply(x, factor);
        (square, self.unary(UnaryFunction::Sigmoid, u))
    }

    /// 1 where `a > b`, else 0.
    pub fn greater(&mut self, a: Id, b: Id) -> Id {
        self.add_op(Op::Greater, &[a, b])
    }

    /// `a` where the condition is not 0, else `b`.
    pub fn select(&mut self, condition: Id, a: Id, b: Id) -> Id {
        self.add_op(Op::Select, &[condition, a, b])
    }

    /// Sum or maximum over some axes, which stay with size 1.
    pub fn reduce(&mut self, kind: Reduction, axes: Vec<usize>, a: Id) -> Id {
        self.add_op(Op::Reduce { kind, axes }, &[a])
    }

    /// Sum or maximum over the last axis, which stays with size 1.
    pub fn reduce_last(&mut self, kind: Reduction, a: Id) -> Id {
        let last = self.graph.ty(a).shape.len() - 1;
        self.reduce(kind, vec![last], a)
    }

    /// Sum over the last axis, which stays with size 1.
    pub fn sum_last(&mut self, a: Id) -> Id {
        self.reduce_last(Reduction::Sum, a)
    }

    /// The same elements in another shape; nothing is added if it is the shape already.
    pub fn reshape(&mut self, a: Id, shape: &[u64]) -> Id {
        if self.graph.ty(a).shape[..] == *shape {
            return a;
        }
        self.add_op(Op::Reshape(Shape::from_slice(shape)), &[a])
    }

    /// A value repeated to a shape; nothing is added if it is the shape already.
    pub fn expand(&mut self, a: Id, shape: &[u64]) -> Id {
        if self.graph.ty(a).shape[..] == *shape {
            return a;
        }
        self.add_op(Op::Expand(Shape::from_slice(shape)), &[a])
    }

    /// A matrix product, either operand perhaps transposed.
    pub fn matmul(&mut self, a: Id, transpose_left: bool, b: Id, transpose_right: bool) -> Id {
        self.add_op(Op::MatMul { transpose_left, transpose_right }, &[a, b])
    }

    /// The sum of a gradient over the axes along which a value of shape `shape` was repeated to give it.
    pub fn sum_to(&mut self, gradient: Id, shape: &[u64]) -> Id {
        let from = self.shape(gradient);
        let added = from.len() - shape.len();
        let repeated = |&axis: &usize| axis < added || (shape[axis - added] == 1 && from[axis] != 1);
        let axes: Vec<usize> = (0..from.len()).filter(repeated).collect();
        let sum = if axes.is_empty() { gradient } else { self.reduce(Reduction::Sum, axes, gradient) };
        self.reshape(sum, shape)
    }
}
