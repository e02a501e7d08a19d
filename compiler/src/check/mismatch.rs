//! One value against one type of the table: the value, or the mistake in words.

use std::collections::BTreeMap;

use llmc_grammar::codes::{
    OUT_OF_RANGE, UNKNOWN_CHOICE, UNKNOWN_NAME, UNKNOWN_VALUE, WRONG_KIND, WRONG_UNIT, WRONG_USE_OF_NAME,
};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind};

use super::names::{Named, Names};
use super::nearest::{nearest, suggestion};
use super::record::Read;
use super::table::{Field, Range, Type, all, alternatives};
use super::units::Dimension;
use super::value::{Spanned, Value};
use crate::plan::LANGUAGES;

type Outcome = Result<Read, Box<Diagnostic>>;

/// A string.
pub fn text(row: &Field, value: &Spanned) -> Outcome {
    match &value.value {
        Value::Text(text) => Ok(Read::Text(text.clone())),
        _ => Err(Box::new(wrong(row, value))),
    }
}

/// `true` or `false`.
pub fn bool(row: &Field, value: &Spanned) -> Outcome {
    match value.value {
        Value::Bool(value) => Ok(Read::Bool(value)),
        _ => Err(Box::new(wrong(row, value))),
    }
}

/// A whole number in a range.
pub fn integer(row: &Field, range: Range, value: &Spanned) -> Outcome {
    match value.value {
        Value::Int(whole) => match u64::try_from(whole) {
            Ok(count) if range.contains(count as f64) => Ok(Read::Integer(count)),
            _ => Err(Box::new(out_of_range(row, &range.to_string(), value))),
        },
        _ => Err(Box::new(wrong(row, value))),
    }
}

/// A number in a range.
pub fn number(row: &Field, range: Range, value: &Spanned) -> Result<f64, Box<Diagnostic>> {
    match value.value.as_float() {
        Some(number) if range.contains(number) => Ok(number),
        Some(_) => Err(Box::new(out_of_range(row, &range.to_string(), value))),
        None => Err(Box::new(wrong(row, value))),
    }
}

/// A list of two numbers in a range.
pub fn pair(row: &Field, range: Range, value: &Spanned) -> Outcome {
    match &value.value {
        Value::List(items) => match items.as_slice() {
            [first, second] => Ok(Read::Pair([number(row, range, first)?, number(row, range, second)?])),
            _ => Err(Box::new(wrong_with(
                row,
                &value.span,
                &format!("a list of {}", items.len()),
                &format!("{} in the list", items.len()),
            ))),
        },
        _ => Err(Box::new(wrong(row, value))),
    }
}

/// A number with a unit, in a range. Whatever is counted one by one must be whole.
pub fn quantity(row: &Field, dimensions: &[Dimension], range: Range, value: &Spanned) -> Outcome {
    let quantity = match &value.value {
        Value::Quantity(quantity) => *quantity,
        Value::Int(_) | Value::Float(_) => return Err(Box::new(no_unit(row, dimensions, value))),
        _ => return Err(Box::new(wrong(row, value))),
    };
    let dimension = quantity.unit.dimension;
    if !dimensions.contains(&dimension) {
        return Err(Box::new(wrong_unit(row, dimensions, value)));
    }
    if !range.contains(quantity.in_base()) {
        let described = match dimension {
            Dimension::Share => range.describe(100.0, "%"),
            _ => range.describe(1.0, ""),
        };
        return Err(Box::new(out_of_range(row, &described, value)));
    }
    let counted = !matches!(dimension, Dimension::Share | Dimension::Epochs);
    if counted && quantity.whole_in_base().is_none() {
        return Err(Box::new(out_of_range(row, "a whole number", value)));
    }
    Ok(Read::Quantity(quantity))
}

/// The name of a declaration of one of these kinds.
pub fn declaration(row: &Field, kinds: &[&str], names: &Names<'_>, value: &Spanned) -> Outcome {
    let Value::Name(name) = &value.value else {
        return Err(Box::new(wrong(row, value)));
    };
    match names.find(name) {
        Some(named) if kinds.contains(&named.kind()) => Ok(Read::Declaration(name.clone())),
        Some(named) => Err(Box::new(other_kind(named, &value.span, kinds, names))),
        None => Err(Box::new(unknown_declaration(name, &value.span, kinds, names))),
    }
}

/// A language's code, as a name or in quotes (`or` is a word of the recipe language).
pub fn language(row: &Field, value: &Spanned) -> Outcome {
    let (Value::Name(code) | Value::Text(code)) = &value.value else {
        return Err(Box::new(wrong(row, value)));
    };
    if LANGUAGES.iter().any(|language| language.code == code) {
        return Ok(Read::Text(code.clone()));
    }
    let mistake = Diagnostic::error(UNKNOWN_CHOICE, format!("`{code}` is not a language that can be told apart"))
        .label(&value.span, "unknown here");
    let meant = LANGUAGES.iter().find(|language| {
        language.long_code == code.to_lowercase() || language.name.to_lowercase().starts_with(&code.to_lowercase())
    });
    let known: Vec<&str> = LANGUAGES.iter().map(|language| language.code).collect();
    Err(Box::new(match meant {
        Some(language) => mistake.help(format!("{} is `{}`", language.name, language.code)),
        None => mistake.help(format!("there are {}", known.join(", "))),
    }))
}

/// A model's name or call.
pub fn model(names: &Names<'_>, expr: &Expr) -> Result<(), Box<Diagnostic>> {
    let (name, span) = match &expr.kind {
        ExprKind::Name(name) => (name.as_str(), &expr.span),
        ExprKind::Call { function, .. } => (function.text.as_str(), &function.span),
        _ => {
            return Err(Box::new(
                Diagnostic::error(WRONG_KIND, "`model` takes a model")
                    .label(&expr.span, "not a model")
                    .help("write its name, or call it with its arguments: `model = gpt2(vocab: 8192)`"),
            ));
        }
    };
    match names.find(name) {
        Some(named) if named.kind() == "model" => Ok(()),
        Some(named) => Err(Box::new(other_kind(named, span, &["model"], names))),
        None => {
            let library = format!("std/{name}");
            let mistake = unknown_declaration(name, span, &["model"], names);
            Err(Box::new(match crate::library::find(&library) {
                Some(_) => mistake.help(format!("write `import \"{library}\"` at the top of the recipe")),
                None => mistake,
            }))
        }
    }
}

/// A value of another type than the field takes.
pub fn wrong(row: &Field, value: &Spanned) -> Diagnostic {
    let found = value.value.describe();
    let mistake = wrong_with(row, &value.span, &found, &format!("this is {found}"));
    match (&value.value, &row.ty) {
        (Value::Name(name), Type::Text) => mistake.help(format!("a text stands in quotes: \"{name}\"")),
        (Value::Quantity(_), Type::Integer(_) | Type::Number(_) | Type::Pair(_)) => {
            mistake.help("write the number without a unit")
        }
        (Value::Text(text), Type::Declaration(_)) => mistake.help(format!("write the name without quotes: {text}")),
        _ => mistake,
    }
}

/// Another type than the field takes, in given words.
pub fn wrong_with(row: &Field, span: &Span, found: &str, label: &str) -> Diagnostic {
    Diagnostic::error(WRONG_KIND, format!("`{}` takes {}, not {found}", row.name, row.ty.describe())).label(span, label)
}

fn no_unit(row: &Field, dimensions: &[Dimension], value: &Spanned) -> Diagnostic {
    let number = value.value.as_float().unwrap_or_default();
    // 0.05 of a whole can only be a share, and 100 of several things hardly is one.
    let likely = |dimension: &Dimension| {
        dimensions.len() == 1 || (*dimension == Dimension::Share) == (number.fract() != 0.0 && number < 1.0)
    };
    let written: Vec<String> = dimensions
        .iter()
        .filter(|dimension| likely(dimension))
        .map(|dimension| match dimension {
            Dimension::Share if number <= 1.0 => format!("`{}%`", rounded(number * 100.0)),
            Dimension::Share => format!("`{}%`", value.value),
            Dimension::Bytes => format!("`{} MB`", value.value),
            other => format!("`{} {}`", value.value, other.units().first().copied().unwrap_or_default()),
        })
        .collect();
    let question = if written.len() > 1 { "of what?" } else { "no unit" };
    Diagnostic::error(WRONG_UNIT, format!("`{}` needs a unit", row.name))
        .label(&value.span, question)
        .help(format!("write {}", alternatives(&written)))
}

/// Without the noise of binary fractions: 7.000000000000001 is 7.
fn rounded(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

fn wrong_unit(row: &Field, dimensions: &[Dimension], value: &Spanned) -> Diagnostic {
    let found = value.value.describe();
    let units: Vec<String> =
        dimensions.iter().flat_map(|dimension| dimension.units()).map(|unit| format!("`{unit}`")).collect();
    Diagnostic::error(WRONG_UNIT, format!("`{}` is {}, not {found}", row.name, row.ty.describe()))
        .label(&value.span, format!("this is {found}"))
        .help(format!("write it in {}", alternatives(&units)))
}

fn out_of_range(row: &Field, range: &str, value: &Spanned) -> Diagnostic {
    Diagnostic::error(OUT_OF_RANGE, format!("`{}` must be {range}", row.name))
        .label(&value.span, format!("{} is not", value.value))
}

fn other_kind(named: Named<'_>, span: &Span, kinds: &[&str], names: &Names<'_>) -> Diagnostic {
    let name = &named.name().text;
    let kind = kinds.join(" or ");
    let mistake = Diagnostic::error(WRONG_USE_OF_NAME, format!("`{name}` is a {}, not a {kind}", named.kind()))
        .label(span, format!("a {kind} is needed here"))
        .label(&named.name().span, "declared here");
    match of_kinds(kinds, names).as_slice() {
        [] => mistake,
        known => mistake.help(there_are(known)),
    }
}

fn of_kinds<'t>(kinds: &[&str], names: &Names<'t>) -> Vec<&'t str> {
    kinds.iter().flat_map(|kind| names.of_kind(kind)).collect()
}

fn unknown_declaration(name: &str, span: &Span, kinds: &[&str], names: &Names<'_>) -> Diagnostic {
    let known = of_kinds(kinds, names);
    let kind = kinds.join(" or ");
    let mistake = Diagnostic::error(UNKNOWN_NAME, format!("there is no {kind} called `{name}`")).label(span, "unknown");
    match nearest(name, known.iter().copied()) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => mistake.help(format!("declare one: `{} {name} {{ ... }}`", kinds[0])),
        None => mistake.help(there_are(&known)),
    }
}

/// A bare name that is neither a constant nor declared.
pub fn unknown_name(
    name: &str,
    span: &Span,
    constants: &BTreeMap<String, Value>,
    row: &Field,
    example: &str,
) -> Diagnostic {
    let mistake = Diagnostic::error(UNKNOWN_VALUE, format!("unknown name `{name}`")).label(span, "not known here");
    let known: Vec<&str> = constants.keys().map(String::as_str).collect();
    match (nearest(name, known.iter().copied()), &row.ty) {
        (Some(near), _) => mistake.help(format!("did you mean `{near}`?")),
        (None, Type::Text | Type::TextOrCall(_)) => mistake.help(format!("a text stands in quotes: \"{name}\"")),
        (None, _) => match suggestion(name, &known) {
            Some(help) => mistake.help(help),
            None => mistake.help(format!("for example `{example}`")),
        },
    }
}

/// `` there are `a`, `b` and `c` ``
pub fn there_are(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("there {verb} {}", all(&quoted))
}
