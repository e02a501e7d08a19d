//! Arithmetic on constants: exact on whole numbers and dimensions, finite on fractions.

use llmc_grammar::codes::{DIVISION_BY_ZERO, NOT_A_NUMBER, NOT_EXACT, OUT_OF_RANGE, WRONG_KIND};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{BinaryOperator, UnaryOperator};

use super::quantities::{quantity_left, quantity_right, units_apart};
use super::value::{Kind, Outcome, Spanned, Value};
use crate::dim::Dim;

/// `left operator right`. `at` is the operator's place. Names must be resolved before.
pub fn binary(operator: BinaryOperator, at: &Span, left: &Spanned, right: &Spanned) -> Outcome<Value> {
    use BinaryOperator as Op;
    if left.value == Value::Unknown || right.value == Value::Unknown {
        return Ok(Value::Unknown);
    }
    match operator {
        Op::And | Op::Or => logic(operator, left, right),
        Op::Equal | Op::NotEqual => equality(operator == Op::Equal, at, left, right),
        Op::Less | Op::LessEqual | Op::Greater | Op::GreaterEqual => order(operator, at, left, right),
        Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Power => match (&left.value, &right.value) {
            (Value::Quantity(a), b) => quantity_left(operator, at, *a, b, right),
            (a, Value::Quantity(b)) => quantity_right(operator, at, a, *b, left, right),
            (Value::Int(a), Value::Int(b)) => whole(operator, at, *a, *b),
            _ => mixed(operator, at, left, right),
        },
    }
}

/// `operator operand`.
pub fn unary(operator: UnaryOperator, operand: &Spanned, at: &Span) -> Outcome<Value> {
    match (operator, &operand.value) {
        (_, Value::Unknown) => Ok(Value::Unknown),
        (UnaryOperator::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
        (UnaryOperator::Not, Value::Open(Kind::Bool)) => Ok(Value::Open(Kind::Bool)),
        (UnaryOperator::Not, _) => Err(operand.wrong_kind("`true` or `false`")),
        (UnaryOperator::Negate, Value::Int(value)) => value.checked_neg().map(Value::Int).ok_or_else(|| overflow(at)),
        (UnaryOperator::Negate, Value::Float(value)) => Ok(Value::Float(-value)),
        (UnaryOperator::Negate, Value::Open(Kind::Float)) => Ok(Value::Open(Kind::Float)),
        (UnaryOperator::Negate, Value::Dim(value)) => {
            Dim::default().subtract(value).map(whole_value).ok_or_else(|| overflow(at))
        }
        (UnaryOperator::Negate, _) => Err(operand.wrong_kind("a number")),
    }
}

fn logic(operator: BinaryOperator, left: &Spanned, right: &Spanned) -> Outcome<Value> {
    let truth = |side: &Spanned| match side.value {
        Value::Bool(value) => Ok(Some(value)),
        Value::Open(Kind::Bool) => Ok(None),
        _ => Err(side.wrong_kind("`true` or `false`")),
    };
    // `false and x` is false whatever x is, likewise `true or x`.
    let decisive = operator == BinaryOperator::Or;
    Ok(match (truth(left)?, truth(right)?) {
        (Some(a), _) if a == decisive => Value::Bool(decisive),
        (_, Some(b)) if b == decisive => Value::Bool(decisive),
        (Some(_), Some(_)) => Value::Bool(!decisive),
        _ => Value::Open(Kind::Bool),
    })
}

fn equality(equal: bool, at: &Span, left: &Spanned, right: &Spanned) -> Outcome<Value> {
    let same = match (&left.value, &right.value) {
        (Value::Open(_), _) | (_, Value::Open(_)) => None,
        (Value::None, Value::None) => Some(true),
        (Value::None, _) | (_, Value::None) => Some(false),
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        (Value::Text(a), Value::Text(b)) => Some(a == b),
        (Value::Quantity(a), Value::Quantity(b)) if a.unit == b.unit => Some(a.value == b.value),
        (Value::Int(a), Value::Int(b)) => Some(a == b),
        (Value::Dim(a), Value::Dim(b)) if a == b => Some(true),
        (Value::Dim(_), Value::Int(_) | Value::Float(_) | Value::Dim(_))
        | (Value::Int(_) | Value::Float(_), Value::Dim(_)) => None,
        (a, b) => match (a.as_float(), b.as_float()) {
            (Some(a), Some(b)) => Some(a == b),
            _ => return Err(mismatch("compared", at, left, right)),
        },
    };
    Ok(match same {
        Some(same) => Value::Bool(same == equal),
        None => Value::Open(Kind::Bool),
    })
}

fn order(operator: BinaryOperator, at: &Span, left: &Spanned, right: &Spanned) -> Outcome<Value> {
    use std::cmp::Ordering;
    let ordering = match (&left.value, &right.value) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Quantity(a), Value::Quantity(b)) if a.unit == b.unit => a.value.partial_cmp(&b.value),
        (a, b) if is_number(a) && is_number(b) => match (a.as_float(), b.as_float()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => return Ok(Value::Open(Kind::Bool)),
        },
        _ => return Err(mismatch("compared", at, left, right)),
    };
    let ordering = ordering.ok_or_else(|| not_finite(at))?;
    Ok(Value::Bool(match operator {
        BinaryOperator::Less => ordering == Ordering::Less,
        BinaryOperator::LessEqual => ordering != Ordering::Greater,
        BinaryOperator::Greater => ordering == Ordering::Greater,
        _ => ordering != Ordering::Less,
    }))
}

fn whole(operator: BinaryOperator, at: &Span, a: i64, b: i64) -> Outcome<Value> {
    let result = match operator {
        BinaryOperator::Add => a.checked_add(b),
        BinaryOperator::Subtract => a.checked_sub(b),
        BinaryOperator::Multiply => a.checked_mul(b),
        BinaryOperator::Power if b < 0 => return fraction(operator, at, a as f64, b as f64),
        // Beyond u32 only 0, 1 and -1 have a power that fits, and parity is all that counts.
        BinaryOperator::Power => a.checked_pow(u32::try_from(b).unwrap_or(u32::MAX - 1 + (b & 1) as u32)),
        _ if b == 0 => return Err(division_by_zero(at)),
        _ => match a.checked_rem(b) {
            Some(0) => a.checked_div(b),
            Some(_) => return Err(not_exact(at, a, b)),
            None => None,
        },
    };
    result.map(Value::Int).ok_or_else(|| overflow(at))
}

pub(super) fn fraction(operator: BinaryOperator, at: &Span, a: f64, b: f64) -> Outcome<Value> {
    let result = match operator {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Power => a.powf(b),
        _ if b == 0.0 => return Err(division_by_zero(at)),
        _ => a / b,
    };
    finite(result, at)
}

/// At least one side is a fraction, a dimension or not known yet.
fn mixed(operator: BinaryOperator, at: &Span, left: &Spanned, right: &Spanned) -> Outcome<Value> {
    for side in [left, right] {
        if !is_number(&side.value) {
            return Err(side.wrong_kind("a number"));
        }
    }
    if let (Some(a), Some(b)) = (left.value.as_float(), right.value.as_float()) {
        return fraction(operator, at, a, b);
    }
    let as_dim = |value: &Value| match value {
        Value::Int(value) => Some(Dim::integer(*value)),
        Value::Dim(dim) => Some(dim.clone()),
        _ => None,
    };
    match (as_dim(&left.value), as_dim(&right.value)) {
        (Some(a), Some(b)) => dimensions(operator, at, &a, &b, &right.value),
        _ => Ok(Value::Open(Kind::Float)),
    }
}

fn dimensions(operator: BinaryOperator, at: &Span, a: &Dim, b: &Dim, exponent: &Value) -> Outcome<Value> {
    let result = match operator {
        BinaryOperator::Add => a.add(b),
        BinaryOperator::Subtract => a.subtract(b),
        BinaryOperator::Multiply => a.multiply(b),
        BinaryOperator::Power => match exponent {
            Value::Int(power @ 0..=16) => (0..*power).try_fold(Dim::integer(1), |product, _| product.multiply(a)),
            _ => return Ok(Value::Open(Kind::Float)),
        },
        _ if *b == Dim::default() => return Err(division_by_zero(at)),
        _ => {
            let exact = a.divide(b);
            if exact.is_none() {
                return Err(Box::new(
                    Diagnostic::error(NOT_EXACT, format!("`{a}` divided by `{b}` need not be whole"))
                        .label(at, "division of dimensions must be exact"),
                ));
            }
            exact
        }
    };
    result.map(whole_value).ok_or_else(|| overflow(at))
}

pub(super) fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_) | Value::Dim(_) | Value::Open(Kind::Float))
}

fn whole_value(dim: Dim) -> Value {
    match dim.as_integer() {
        Some(value) => Value::Int(value),
        None => Value::Dim(dim),
    }
}

pub(super) fn finite(value: f64, at: &Span) -> Outcome<Value> {
    if value.is_finite() { Ok(Value::Float(value)) } else { Err(not_finite(at)) }
}

pub(super) fn overflow(at: &Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(OUT_OF_RANGE, "the result does not fit a 64-bit whole number").label(at, "too large"))
}

fn not_finite(at: &Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(NOT_A_NUMBER, "the result is not a finite number").label(at, "infinite or undefined"))
}

fn division_by_zero(at: &Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(DIVISION_BY_ZERO, "division by zero").label(at, "the divisor is 0"))
}

/// `E0302` for whole numbers, with the divisors of `a` nearest to `b`.
fn not_exact(at: &Span, a: i64, b: i64) -> Box<Diagnostic> {
    let near = nearest_divisors(a.unsigned_abs(), b.unsigned_abs());
    let mut help = match near.as_slice() {
        [] => String::new(),
        [one] => format!("{one} divides {a}; "),
        [below, above, ..] => format!("{below} and {above} divide {a}; "),
    };
    help.push_str(&format!("for a fraction write `{a}.0 / {b}`, to round it `floor({a}.0 / {b})`"));
    Box::new(
        Diagnostic::error(NOT_EXACT, format!("`{a} / {b}` is not a whole number"))
            .label(at, format!("{b} does not divide {a}"))
            .help(help),
    )
}

/// The divisors of `number` next below and above `wanted`, as far as they are near.
pub fn nearest_divisors(number: u64, wanted: u64) -> Vec<u64> {
    const FARTHEST: u64 = 10_000;
    let divides = |candidate: &u64| number.is_multiple_of(*candidate);
    let start = wanted.min(number.saturating_add(1));
    let lowest = start.saturating_sub(FARTHEST).max(1);
    let highest = wanted.saturating_add(FARTHEST).min(number);
    let below = (lowest..start).rev().find(divides);
    let above = (wanted.saturating_add(1)..=highest).find(divides);
    below.into_iter().chain(above).collect()
}

fn mismatch(what: &str, at: &Span, left: &Spanned, right: &Spanned) -> Box<Diagnostic> {
    let (a, b) = (left.value.describe(), right.value.describe());
    if let (Value::Quantity(_), _) | (_, Value::Quantity(_)) = (&left.value, &right.value) {
        return units_apart(at, &a, &b);
    }
    Box::new(
        Diagnostic::error(WRONG_KIND, format!("{a} and {b} cannot be {what}"))
            .label(&left.span, format!("this is {a}"))
            .label(&right.span, format!("this is {b}")),
    )
}
