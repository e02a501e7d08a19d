//! Arithmetic on numbers with units: sums of equal units, products with plain numbers.

use llmc_grammar::codes::UNIT_MISMATCH;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::BinaryOperator;

use super::arithmetic::{fraction, overflow};
use super::value::{Outcome, Quantity, Spanned, Value};

/// `a operator b`, where `right` is `b` with its place.
pub(super) fn quantity_left(
    operator: BinaryOperator,
    at: &Span,
    a: Quantity,
    b: &Value,
    right: &Spanned,
) -> Outcome<Value> {
    match (operator, b) {
        (BinaryOperator::Add | BinaryOperator::Subtract, Value::Quantity(b)) if a.unit == b.unit => {
            combine(operator, at, a, b.value, b.integer)
        }
        (BinaryOperator::Divide, Value::Quantity(b)) if a.unit == b.unit => match (a.integer, b.integer) {
            (Some(a), Some(b)) if b != 0 && a % b == 0 => {
                i64::try_from(a / b).map(Value::Int).map_err(|_| overflow(at))
            }
            _ => fraction(operator, at, a.value, b.value),
        },
        (BinaryOperator::Multiply | BinaryOperator::Divide, Value::Int(b)) => {
            combine(operator, at, a, *b as f64, u64::try_from(*b).ok())
        }
        (BinaryOperator::Multiply | BinaryOperator::Divide, Value::Float(b)) => combine(operator, at, a, *b, None),
        _ => Err(units_apart(at, a.unit.dimension.describe(), &right.value.describe())),
    }
}

/// `a operator b`, where only `b` is known to be a quantity.
pub(super) fn quantity_right(
    operator: BinaryOperator,
    at: &Span,
    a: &Value,
    b: Quantity,
    left: &Spanned,
    right: &Spanned,
) -> Outcome<Value> {
    match (operator, a) {
        (BinaryOperator::Multiply, Value::Int(_) | Value::Float(_)) => quantity_left(operator, at, b, a, left),
        _ => Err(units_apart(at, &left.value.describe(), &right.value.describe())),
    }
}

/// `a operator b` in the unit of `a`, exact where both are whole and the result is.
fn combine(operator: BinaryOperator, at: &Span, a: Quantity, value: f64, integer: Option<u64>) -> Outcome<Value> {
    let Value::Float(value) = fraction(operator, at, a.value, value)? else {
        return Ok(Value::Unknown);
    };
    let exact = a.integer.zip(integer).and_then(|(a, b)| match operator {
        BinaryOperator::Add => a.checked_add(b),
        BinaryOperator::Subtract => a.checked_sub(b),
        BinaryOperator::Multiply => a.checked_mul(b),
        _ => (a.checked_rem(b) == Some(0)).then(|| a / b),
    });
    Ok(Value::Quantity(Quantity { value, integer: exact, unit: a.unit }))
}

/// `E0308`: no arithmetic joins these two.
pub(super) fn units_apart(at: &Span, left: &str, right: &str) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(UNIT_MISMATCH, format!("{left} and {right} do not go together"))
            .label(at, "units differ")
            .help("add and compare equal units; multiply and divide by plain numbers"),
    )
}
