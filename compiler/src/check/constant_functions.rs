//! Functions of constants: `min max floor ceil round sqrt`.

use llmc_grammar::codes::WRONG_ARGUMENTS;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::arithmetic::{finite, is_number, overflow};
use super::value::{Kind, Outcome, Spanned, Value};
use crate::dim::Dim;

/// Whether `name` is a function on constants.
pub fn is_constant_function(name: &str) -> bool {
    matches!(name, "min" | "max" | "floor" | "ceil" | "round" | "sqrt")
}

/// `min max floor ceil round sqrt` of numbers. On whole numbers that still have symbols the result is a symbol of its own.
pub fn constant_function(name: &str, arguments: &[Spanned], at: &Span) -> Outcome<Value> {
    let several = matches!(name, "min" | "max");
    if arguments.is_empty() || (!several && arguments.len() > 1) {
        let count = if several { "one or more numbers" } else { "one number" };
        return Err(Box::new(
            Diagnostic::error(WRONG_ARGUMENTS, format!("`{name}` takes {count}"))
                .label(at, format!("{} given", arguments.len())),
        ));
    }
    if arguments.iter().any(|each| each.value == Value::Unknown) {
        return Ok(Value::Unknown);
    }
    if let Some(other) = arguments.iter().find(|each| !is_number(&each.value)) {
        return Err(other.wrong_kind("a number"));
    }
    let whole: Option<Vec<i64>> = arguments.iter().map(|each| each.int().ok()).collect();
    let numbers: Option<Vec<f64>> = arguments.iter().map(|each| each.float().ok()).collect();
    let fraction_in = arguments.iter().any(|each| matches!(each.value, Value::Float(_) | Value::Open(_)));
    match (name, whole.as_deref(), numbers.as_deref()) {
        ("min", Some(values), _) => Ok(Value::Int(values.iter().copied().fold(i64::MAX, i64::min))),
        ("max", Some(values), _) => Ok(Value::Int(values.iter().copied().fold(i64::MIN, i64::max))),
        ("min", _, Some(values)) => finite(values.iter().copied().fold(f64::INFINITY, f64::min), at),
        ("max", _, Some(values)) => finite(values.iter().copied().fold(f64::NEG_INFINITY, f64::max), at),
        ("sqrt", _, Some(values)) => finite(values[0].sqrt(), at),
        ("floor" | "ceil" | "round", Some(values), _) => Ok(Value::Int(values[0])),
        ("floor", _, Some(values)) => rounded(values[0].floor(), at),
        ("ceil", _, Some(values)) => rounded(values[0].ceil(), at),
        ("round", _, Some(values)) => rounded(values[0].round(), at),
        ("sqrt", ..) => Ok(Value::Open(Kind::Float)),
        ("min" | "max", ..) if fraction_in => Ok(Value::Open(Kind::Float)),
        _ => Ok(Value::Dim(Dim::symbol(at.text()))),
    }
}

fn rounded(value: f64, at: &Span) -> Outcome<Value> {
    // Every whole f64 strictly between these bounds is an i64.
    if value.abs() < 9.2e18 { Ok(Value::Int(value as i64)) } else { Err(overflow(at)) }
}
