//! `0.3 * grammar + 0.5 * content - 0.2 * spam > 0.7`: a weighted sum of components and its limit.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DIVISION_BY_ZERO, NO_EFFECT, NOT_A_NUMBER, OUT_OF_RANGE, UNKNOWN_VALUE, WRONG_KIND};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{BinaryOperator, Expr, ExprKind, UnaryOperator};

use super::evaluate::{DEEPEST, evaluate, too_deep};
use super::nearest::suggestion;
use super::value::Value;
use crate::plan::{Component, Formula};

type Outcome<T> = Result<T, Vec<Diagnostic>>;

/// `constant + weights . components`
#[derive(Debug, Default)]
struct Linear {
    constant: f64,
    weights: BTreeMap<Component, f64>,
}

impl Linear {
    fn plus(mut self, other: Linear, sign: f64) -> Linear {
        self.constant += sign * other.constant;
        for (component, weight) in other.weights {
            *self.weights.entry(component).or_default() += sign * weight;
        }
        self
    }

    fn times(mut self, factor: f64) -> Linear {
        self.constant *= factor;
        self.weights.values_mut().for_each(|weight| *weight *= factor);
        self
    }
}

/// Reads a comparison of two weighted sums, of which at least one holds a component. Names that are no components
/// are looked up in `constants`.
pub fn read(expr: &Expr, constants: &BTreeMap<String, Value>) -> Outcome<Formula> {
    let ExprKind::Binary { operator, left, right, .. } = &expr.kind else {
        return wrong(&expr.span, "a score is compared with a number", "no `>` or `<` here");
    };
    let (sign, inclusive) = match operator {
        BinaryOperator::Greater => (1.0, false),
        BinaryOperator::GreaterEqual => (1.0, true),
        BinaryOperator::Less => (-1.0, false),
        BinaryOperator::LessEqual => (-1.0, true),
        _ => return wrong(&expr.span, "a score is compared with a number", "no `>` or `<` here"),
    };
    let (left, right) = (linear(left, constants, 1), linear(right, constants, 1));
    let (left, right) = match (left, right) {
        (Ok(left), Ok(right)) => (left, right),
        (left, right) => return Err([left.err(), right.err()].into_iter().flatten().flatten().collect()),
    };
    let all = left.plus(right, -1.0).times(sign);
    if !all.constant.is_finite() || all.weights.values().any(|weight| !weight.is_finite()) {
        let mistake = Diagnostic::error(NOT_A_NUMBER, "the weights of this score are no finite numbers");
        return Err(vec![mistake.label(&expr.span, "too large")]);
    }
    let weights = all.weights.into_iter().filter(|(_, weight)| *weight != 0.0).collect();
    // Without the sign of a zero.
    let formula = Formula { weights, threshold: 0.0 - all.constant, inclusive };
    match never_or_always(&formula, expr) {
        Some(mistake) => Err(vec![mistake]),
        None => Ok(formula),
    }
}

fn never_or_always(formula: &Formula, expr: &Expr) -> Option<Diagnostic> {
    if formula.weights.is_empty() {
        let mistake = Diagnostic::error(NO_EFFECT, "this score measures nothing").label(&expr.span, "no component");
        return Some(mistake.help(EXAMPLE));
    }
    let (least, most) = formula.range();
    if formula.lets_through(least) {
        let mistake = Diagnostic::error(NO_EFFECT, "every document passes this score");
        return Some(mistake.label(&expr.span, "always true").help("components lie between 0 and 1; raise the limit"));
    }
    (!formula.lets_through(most)).then(|| {
        let mistake = Diagnostic::error(OUT_OF_RANGE, "no document can pass this score");
        mistake.label(&expr.span, "never true").help("components lie between 0 and 1; lower the limit")
    })
}

const EXAMPLE: &str = "for example `score(0.3 * grammar + 0.5 * content - 0.2 * spam > 0.5)`";

fn linear(expr: &Expr, constants: &BTreeMap<String, Value>, depth: usize) -> Outcome<Linear> {
    if depth > DEEPEST {
        return Err(vec![too_deep(&expr.span)]);
    }
    match &expr.kind {
        ExprKind::Name(name) => name_of(name, &expr.span, constants),
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => {
            Ok(linear(operand, constants, depth + 1)?.times(-1.0))
        }
        ExprKind::Binary { operator, operator_span, left, right } => {
            let (left, right) = match (linear(left, constants, depth + 1), linear(right, constants, depth + 1)) {
                (Ok(left), Ok(right)) => (left, right),
                (left, right) => return Err([left.err(), right.err()].into_iter().flatten().flatten().collect()),
            };
            combined(*operator, operator_span, left, right)
        }
        _ => {
            let mut diagnostics = Diagnostics::new();
            let value = evaluate(expr, constants, &mut diagnostics);
            match value.float() {
                Ok(constant) => Ok(Linear { constant, ..Linear::default() }),
                Err(_) if !diagnostics.is_empty() => Err(diagnostics.into_iter().collect()),
                Err(mistake) => Err(vec![*mistake]),
            }
        }
    }
}

fn combined(operator: BinaryOperator, at: &Span, left: Linear, right: Linear) -> Outcome<Linear> {
    match operator {
        BinaryOperator::Add => Ok(left.plus(right, 1.0)),
        BinaryOperator::Subtract => Ok(left.plus(right, -1.0)),
        BinaryOperator::Multiply if right.weights.is_empty() => Ok(left.times(right.constant)),
        BinaryOperator::Multiply if left.weights.is_empty() => Ok(right.times(left.constant)),
        BinaryOperator::Divide if right.weights.is_empty() && right.constant == 0.0 => {
            Err(vec![Diagnostic::error(DIVISION_BY_ZERO, "division by zero").label(at, "the right side is 0")])
        }
        BinaryOperator::Divide if right.weights.is_empty() => Ok(left.times(1.0 / right.constant)),
        _ => wrong(at, "a score is a sum of components, each times a number", "more than a weighted sum"),
    }
}

fn name_of(name: &str, span: &Span, constants: &BTreeMap<String, Value>) -> Outcome<Linear> {
    if let Some(component) = Component::ALL.iter().find(|component| component.name() == name) {
        return Ok(Linear { weights: BTreeMap::from([(*component, 1.0)]), ..Linear::default() });
    }
    match constants.get(name) {
        Some(Value::Unknown) => Err(Vec::new()),
        Some(value) => match value.as_float() {
            Some(constant) => Ok(Linear { constant, ..Linear::default() }),
            None => wrong(span, "a weight is a number", &format!("this is {}", value.describe())),
        },
        None => {
            let known: Vec<&str> = Component::ALL.iter().map(|component| component.name()).collect();
            let mistake = Diagnostic::error(UNKNOWN_VALUE, format!("there is no component `{name}` of a score"))
                .label(span, "not known here");
            Err(vec![match suggestion(name, &known) {
                Some(help) => mistake.help(help),
                None => mistake,
            }])
        }
    }
}

fn wrong<T>(span: &Span, message: &str, label: &str) -> Outcome<T> {
    Err(vec![Diagnostic::error(WRONG_KIND, message).label(span, label).help(EXAMPLE)])
}
