//! Numbers stay in range: nothing is divided by what can be exactly 0.
//!
//! The least and the largest value of every operation are followed. What nothing bounds, such as the product of a weight, is
//! taken for harmless: a warning must mean something.

use llmc_grammar::codes::{NUMBERS_BREAK, NUMBERS_MAY_BREAK};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::record::Record;
use super::training::place;
use crate::plan::{BinaryFunction, ModelNode, ModelOp, ModelPlan, ReduceFunction, UnaryFunction};

/// Reports operations that give no number, always or for certain values.
pub fn check(record: &Record, model: &ModelPlan, diagnostics: &mut Diagnostics) {
    let ranges = follow(model);
    let mut told: Vec<(&'static str, &str)> = Vec::new();
    for node in &model.nodes {
        let operand = |index: usize| node.inputs.get(index).map_or(Range::ANY, |&input| ranges[input]);
        let Some((certain, what)) = breaks(&node.op, operand) else { continue };
        // Once for each place in the recipe's text.
        if told.contains(&(what, node.origin.place.as_str())) {
            continue;
        }
        told.push((what, &node.origin.place));
        diagnostics.push(report(record, model, node, certain, what));
    }
}

fn report(record: &Record, model: &ModelPlan, node: &ModelNode, certain: bool, what: &'static str) -> Diagnostic {
    let mistake = if certain {
        Diagnostic::error(NUMBERS_BREAK, format!("`{}` computes no number", model.name))
    } else {
        Diagnostic::warning(NUMBERS_MAY_BREAK, format!("`{}` can compute what is no number", model.name))
    };
    mistake
        .label(record.place("model"), format!("{what} at {}", place(node)))
        .help("add a small constant first, as `+ 1e-6`, or bound it with `maximum(x, 1e-6)`")
}

/// All values lie between the two; an open end is approached and never reached.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
    open_low: bool,
    open_high: bool,
}

impl Range {
    const ANY: Range = Range::open(f64::NEG_INFINITY, f64::INFINITY);
    const FROM_ZERO: Range = Range { low: 0.0, high: f64::INFINITY, open_low: false, open_high: true };

    const fn open(low: f64, high: f64) -> Range {
        Range { low, high, open_low: true, open_high: true }
    }

    const fn closed(low: f64, high: f64) -> Range {
        Range { low, high, open_low: false, open_high: false }
    }

    /// Never below 0, or never above, and 0 for certain inputs.
    fn reaches_zero(self) -> bool {
        self.low == 0.0 && !self.open_low || self.high == 0.0 && !self.open_high
    }

    fn is_zero(self) -> bool {
        self.low == 0.0 && self.high == 0.0
    }

    fn negated(self) -> Range {
        Range { low: -self.high, high: -self.low, open_low: self.open_high, open_high: self.open_low }
    }

    fn plus(self, other: Range) -> Range {
        Range {
            low: self.low + other.low,
            high: self.high + other.high,
            open_low: self.open_low || other.open_low,
            open_high: self.open_high || other.open_high,
        }
    }

    fn times(self, other: Range) -> Range {
        let not_negative = self.low >= 0.0 && other.low >= 0.0;
        match (self.low == self.high, other.low == other.high) {
            (true, _) if self.low >= 0.0 => other.scaled(self.low),
            (_, true) if other.low >= 0.0 => self.scaled(other.low),
            (true, _) => other.scaled(-self.low).negated(),
            (_, true) => self.scaled(-other.low).negated(),
            _ if not_negative => Range {
                low: self.low * other.low,
                high: self.high * other.high,
                open_low: (self.open_low || self.low > 0.0) && (other.open_low || other.low > 0.0),
                open_high: self.open_high || other.open_high,
            },
            _ => Range::ANY,
        }
    }

    /// Times a number that is not negative.
    fn scaled(self, factor: f64) -> Range {
        if factor == 0.0 {
            return Range::closed(0.0, 0.0);
        }
        Range { low: self.low * factor, high: self.high * factor, ..self }
    }

    fn not_below(self, other: Range) -> Range {
        let (low, open_low) = match self.low.total_cmp(&other.low) {
            std::cmp::Ordering::Less => (other.low, other.open_low),
            std::cmp::Ordering::Greater => (self.low, self.open_low),
            std::cmp::Ordering::Equal => (self.low, self.open_low && other.open_low),
        };
        Range { low, open_low, high: self.high.max(other.high), open_high: self.open_high || other.open_high }
    }
}

fn follow(model: &ModelPlan) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::with_capacity(model.nodes.len());
    for node in &model.nodes {
        let of = |operand: usize| node.inputs.get(operand).map_or(Range::ANY, |&input| ranges[input]);
        ranges.push(range(&node.op, &of));
    }
    ranges
}

/// The range of an operation's value, given those of its operands.
fn range(op: &ModelOp, of: &dyn Fn(usize) -> Range) -> Range {
    match op {
        ModelOp::Constant(value) | ModelOp::Fill(value) => Range::closed(*value, *value),
        ModelOp::Input(_) | ModelOp::RelativeBuckets(_) => Range::FROM_ZERO,
        ModelOp::Sinusoids { .. } => Range::closed(-1.0, 1.0),
        ModelOp::Softmax => Range::open(0.0, 1.0),
        ModelOp::Unary(function) => unary(*function, of(0)),
        ModelOp::Binary(function) => binary(*function, of(0), of(1)),
        ModelOp::Reshape(_)
        | ModelOp::Permute(_)
        | ModelOp::Slice { .. }
        | ModelOp::RelativeShift
        | ModelOp::StopGradient
        | ModelOp::Lookup
        | ModelOp::Reduce { kind: ReduceFunction::Mean | ReduceFunction::Max, .. } => of(0),
        // A sum of numbers of one sign keeps it.
        ModelOp::Reduce { kind: ReduceFunction::Sum, .. } => match of(0) {
            range if range.low >= 0.0 => Range { high: f64::INFINITY, ..range },
            range if range.high <= 0.0 => Range { low: f64::NEG_INFINITY, ..range },
            _ => Range::ANY,
        },
        _ => Range::ANY,
    }
}

fn unary(function: UnaryFunction, x: Range) -> Range {
    let infinity = f64::INFINITY;
    match function {
        UnaryFunction::Negate => x.negated(),
        UnaryFunction::Exp => Range::open(0.0, infinity),
        UnaryFunction::Sqrt if x.low >= 0.0 => {
            Range { low: x.low.sqrt(), high: x.high.sqrt(), open_low: x.open_low, open_high: x.open_high }
        }
        UnaryFunction::Sqrt => Range::FROM_ZERO,
        UnaryFunction::Rsqrt => Range::open(0.0, infinity),
        UnaryFunction::Square | UnaryFunction::Abs => {
            let above = x.low > 0.0 || x.high < 0.0 || (x.low == 0.0 && x.open_low) || (x.high == 0.0 && x.open_high);
            let least = if x.low > 0.0 { x.low } else { (-x.high).max(0.0) };
            let low = if function == UnaryFunction::Square { least * least } else { least };
            Range { low, high: infinity, open_low: above && low == 0.0, open_high: true }
        }
        UnaryFunction::Sin | UnaryFunction::Cos => Range::closed(-1.0, 1.0),
        UnaryFunction::Tanh | UnaryFunction::Erf if x.low >= 0.0 => {
            Range { low: 0.0, high: 1.0, open_low: x.open_low || x.low > 0.0, open_high: true }
        }
        UnaryFunction::Tanh | UnaryFunction::Erf => Range::open(-1.0, 1.0),
        UnaryFunction::Sigmoid => Range::open(0.0, 1.0),
        UnaryFunction::Relu => x.not_below(Range::closed(0.0, 0.0)),
        UnaryFunction::Reciprocal if x.low >= 0.0 => Range::open(0.0, infinity),
        UnaryFunction::Log
        | UnaryFunction::Reciprocal
        | UnaryFunction::Silu
        | UnaryFunction::Gelu
        | UnaryFunction::GeluTanh => Range::ANY,
    }
}

fn binary(function: BinaryFunction, a: Range, b: Range) -> Range {
    match function {
        BinaryFunction::Add => a.plus(b),
        BinaryFunction::Subtract => a.plus(b.negated()),
        BinaryFunction::Multiply => a.times(b),
        BinaryFunction::Divide if b.low == b.high && b.low != 0.0 => a.times(Range::closed(1.0 / b.low, 1.0 / b.low)),
        BinaryFunction::Maximum => a.not_below(b),
        BinaryFunction::Minimum => a.negated().not_below(b.negated()).negated(),
        BinaryFunction::Divide | BinaryFunction::Power => Range::ANY,
    }
}

/// Whether the operation gives what is no number, always or for certain values, and how.
fn breaks(op: &ModelOp, operand: impl Fn(usize) -> Range) -> Option<(bool, &'static str)> {
    let divides = |by: Range| match (by.is_zero(), by.reaches_zero()) {
        (true, _) => Some((true, "a division by 0")),
        (_, true) => Some((false, "a division by what can be 0")),
        _ => None,
    };
    match op {
        ModelOp::Unary(UnaryFunction::Reciprocal) => divides(operand(0)),
        ModelOp::Binary(BinaryFunction::Divide) => divides(operand(1)),
        ModelOp::Unary(UnaryFunction::Log) => match operand(0) {
            x if x.high <= 0.0 => Some((true, "the logarithm of what is never positive")),
            x if x.low == 0.0 && !x.open_low => Some((false, "the logarithm of what can be 0")),
            _ => None,
        },
        ModelOp::Unary(UnaryFunction::Rsqrt) => match operand(0) {
            x if x.high <= 0.0 => Some((true, "a division by the root of what is never positive")),
            x if x.low == 0.0 && !x.open_low => Some((false, "a division by the root of what can be 0")),
            _ => None,
        },
        ModelOp::Unary(UnaryFunction::Sqrt) => match operand(0) {
            x if x.high < 0.0 => Some((true, "the root of what is negative")),
            x if x.low == 0.0 && x.high > 0.0 && !x.open_low => {
                Some((false, "the root of what can be 0, where its slope is infinite"))
            }
            _ => None,
        },
        _ => None,
    }
}
