//! The checked arguments of one call of a function of the language, as the shape rules see them.

use llmc_grammar::codes::{OUTSIDE_RANGE, WRONG_AXIS, WRONG_RANK};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::tensor::{Tensor, show};
use crate::dim::Dim;
use crate::plan::{DType, Initializer, ModelOp, RotaryLayout, RotaryScaling};

/// Why there is no result.
#[derive(Debug)]
pub(super) enum Stop {
    /// A mistake of the user.
    Mistake(Box<Diagnostic>),
    /// Reported already, or not known while a block is checked alone.
    Undetermined,
}

impl From<Box<Diagnostic>> for Stop {
    fn from(mistake: Box<Diagnostic>) -> Self {
        Stop::Mistake(mistake)
    }
}

impl From<Diagnostic> for Stop {
    fn from(mistake: Diagnostic) -> Self {
        Stop::Mistake(Box::new(mistake))
    }
}

/// A node that a rule asks for.
#[derive(Debug)]
pub(super) struct Made {
    pub op: ModelOp,
    pub inputs: Vec<usize>,
    pub shape: Vec<Dim>,
    pub dtype: Option<DType>,
}

/// A checked argument.
#[derive(Debug, Clone)]
pub(super) enum Given {
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    /// A whole number, perhaps negative, perhaps with symbols.
    Size(Dim),
    Sizes(Vec<Dim>),
    Axis(i64),
    Axes(Vec<i64>),
    /// None: not known while a block is checked alone.
    Number(Option<f64>),
    Bool(Option<bool>),
    Initializer(Option<Initializer>),
    /// None: not known while a block is checked alone.
    Scaling(Option<RotaryScaling>),
    Layout(RotaryLayout),
    Equation(String),
    Absent,
}

/// The arguments of a call, one for each parameter of the function.
#[derive(Debug)]
pub(super) struct Inputs {
    /// What is called.
    pub function: &'static str,
    /// One for each parameter, in order.
    pub given: Vec<Given>,
    /// The place of each argument that the call gives.
    pub spans: Vec<Option<Span>>,
    /// The whole call.
    pub call: Span,
    /// A block is checked alone: what cannot be decided is no mistake.
    pub alone: bool,
}

/// The table's kind checks make sure that each accessor meets its variant; what is left is undetermined.
impl Inputs {
    /// The place of argument `index`, or of the call.
    pub fn span(&self, index: usize) -> &Span {
        self.spans.get(index).and_then(Option::as_ref).unwrap_or(&self.call)
    }

    pub fn tensor(&self, index: usize) -> Result<&Tensor, Stop> {
        self.optional(index).ok_or(Stop::Undetermined)
    }

    pub fn optional(&self, index: usize) -> Option<&Tensor> {
        match self.given.get(index) {
            Some(Given::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    pub fn tensors(&self, index: usize) -> Result<&[Tensor], Stop> {
        match self.given.get(index) {
            Some(Given::Tensors(tensors)) => Ok(tensors),
            _ => Err(Stop::Undetermined),
        }
    }

    pub fn size(&self, index: usize) -> Result<&Dim, Stop> {
        match self.given.get(index) {
            Some(Given::Size(size)) => Ok(size),
            _ => Err(Stop::Undetermined),
        }
    }

    pub fn sizes(&self, index: usize) -> Result<&[Dim], Stop> {
        match self.given.get(index) {
            Some(Given::Sizes(sizes)) => Ok(sizes),
            _ => Err(Stop::Undetermined),
        }
    }

    pub fn equation(&self, index: usize) -> Result<&str, Stop> {
        match self.given.get(index) {
            Some(Given::Equation(text)) => Ok(text),
            _ => Err(Stop::Undetermined),
        }
    }

    pub fn number(&self, index: usize) -> Option<f64> {
        match self.given.get(index) {
            Some(Given::Number(value)) => *value,
            _ => None,
        }
    }

    pub fn bool(&self, index: usize) -> Result<bool, Stop> {
        match self.given.get(index) {
            Some(Given::Bool(Some(value))) => Ok(*value),
            _ => Err(Stop::Undetermined),
        }
    }

    /// The axis of argument `index` in a tensor of `rank` dimensions, counted from the front.
    pub fn axis(&self, index: usize, rank: usize) -> Result<usize, Stop> {
        match self.given.get(index) {
            Some(Given::Axis(axis)) => self.resolve_axis(index, *axis, rank),
            _ => Err(Stop::Undetermined),
        }
    }

    /// The axes of argument `index`, likewise.
    pub fn axes(&self, index: usize, rank: usize) -> Result<Vec<usize>, Stop> {
        match self.given.get(index) {
            Some(Given::Axes(axes)) => axes.iter().map(|axis| self.resolve_axis(index, *axis, rank)).collect(),
            _ => Err(Stop::Undetermined),
        }
    }

    fn resolve_axis(&self, index: usize, axis: i64, rank: usize) -> Result<usize, Stop> {
        // A rank is the length of a list in a recipe, far below 2^63.
        let count = rank as i64;
        let from_front = if axis < 0 { axis + count } else { axis };
        if (0..count).contains(&from_front) {
            return Ok(from_front as usize);
        }
        let mistake = Diagnostic::error(WRONG_AXIS, format!("there is no axis {axis}"))
            .label(self.span(index), format!("of {rank} dimensions"));
        Err(match rank {
            0 => mistake.into(),
            _ => mistake.help(format!("axes are 0 to {}, or -1 to -{rank} from the end", rank - 1)).into(),
        })
    }

    /// `E0510` unless tensor `index` has `rank` dimensions; `pattern` shows them.
    pub fn need_rank(&self, index: usize, rank: usize, pattern: &str) -> Result<&Tensor, Stop> {
        let tensor = self.tensor(index)?;
        if tensor.shape.len() == rank {
            return Ok(tensor);
        }
        Err(self.wrong_rank(index, tensor, pattern))
    }

    /// `E0510` unless tensor `index` has at least `rank` dimensions.
    pub fn need_at_least(&self, index: usize, rank: usize, pattern: &str) -> Result<&Tensor, Stop> {
        let tensor = self.tensor(index)?;
        if tensor.shape.len() >= rank {
            return Ok(tensor);
        }
        Err(self.wrong_rank(index, tensor, pattern))
    }

    fn wrong_rank(&self, index: usize, tensor: &Tensor, pattern: &str) -> Stop {
        let shape = show(&tensor.shape);
        Diagnostic::error(WRONG_RANK, format!("`{}` needs a tensor {pattern} here, found {shape}", self.function))
            .label(self.span(index), format!("this is {shape}"))
            .help("`reshape` gives a tensor other dimensions")
            .into()
    }

    /// `E0526` about argument `index`.
    pub fn outside(&self, index: usize, message: String, label: &str, help: &str) -> Stop {
        let mistake = Diagnostic::error(OUTSIDE_RANGE, message).label(self.span(index), label);
        if help.is_empty() { mistake.into() } else { mistake.help(help).into() }
    }

    /// A number that must be above zero; 1 where it is not known.
    pub fn positive(&self, index: usize, name: &str) -> Result<f64, Stop> {
        match self.number(index) {
            Some(value) if value <= 0.0 => {
                Err(self.outside(index, format!("`{name}` must be above 0"), "not above 0", ""))
            }
            value => Ok(value.unwrap_or(1.0)),
        }
    }
}
