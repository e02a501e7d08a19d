//! What the table of functions says of each: parameters, defaults, shape rule, documentation.

use super::inputs::{Inputs, Made, Stop};
use super::table::FUNCTIONS;
use crate::plan::{BinaryFunction, DType, ReduceFunction, UnaryFunction};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Takes {
    /// A tensor, of this element type if one is given.
    Tensor(Option<DType>),
    /// A tensor of floats or a number.
    TensorOrNumber,
    /// A list of tensors.
    Tensors,
    /// A size: a whole number or a dimension.
    Size,
    /// A list of sizes.
    Sizes,
    /// A number of parts, or a list of sizes.
    Parts,
    /// An axis, from the end if negative.
    Axis,
    /// A list of axes.
    Axes,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `zeros`, `ones`, `normal(std)` or `uniform(bound)`.
    Initializer,
    /// A rule of rotary scaling.
    Scaling,
    /// `halves` or `interleaved`.
    Layout,
    /// The names of dimensions before and after an operation.
    Equation,
}

impl Takes {
    /// In words, with an article.
    pub fn describe(self) -> &'static str {
        match self {
            Takes::Tensor(None) => "a tensor",
            Takes::Tensor(Some(DType::I32)) => "a tensor of whole numbers",
            Takes::Tensor(Some(_)) => "a tensor of floats",
            Takes::TensorOrNumber => "a tensor or a number",
            Takes::Tensors => "a list of tensors",
            Takes::Size => "a size",
            Takes::Sizes => "a list of sizes",
            Takes::Parts => "a number of parts or a list of sizes",
            Takes::Axis => "an axis",
            Takes::Axes => "a list of axes",
            Takes::Number => "a number",
            Takes::Bool => "`true` or `false`",
            Takes::Initializer => "`zeros`, `ones`, `normal(std)` or `uniform(bound)`",
            Takes::Scaling => "a rule of rotary scaling or `none`",
            Takes::Layout => "`halves` or `interleaved`",
            Takes::Equation => "an equation in quotes",
        }
    }
}

/// A parameter's value when a call gives none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Default {
    /// The call must give it.
    Required,
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Nothing: the parameter is left out.
    Absent,
    /// What the rule computes, as the reference page shows it.
    Computed(&'static str),
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub name: &'static str,
    pub takes: Takes,
    pub default: Default,
}

/// How a call becomes nodes.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Nodes from inputs, by shape.
    Shape(fn(&Inputs) -> Result<Vec<Made>, Stop>),
    /// An elementwise function of one tensor.
    Unary(UnaryFunction),
    /// An elementwise function of two tensors or numbers.
    Binary(BinaryFunction),
    /// A reduction over one axis.
    Reduce(ReduceFunction),
    /// A new weight.
    Weight,
}

/// One function of the language.
pub(super) struct Function {
    pub name: &'static str,
    pub parameters: &'static [Taken],
    /// The shape rule in words.
    pub result: &'static str,
    pub doc: &'static str,
    pub example: &'static str,
    pub rule: Rule,
}

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}
