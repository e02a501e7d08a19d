//! Rules of rotary scaling: `llama3(factor: 8.0, original: 8192)` as a constant of a recipe.

use std::collections::BTreeMap;

use llmc_grammar::codes::OUT_OF_RANGE;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::names::Names;
use super::reader::Reader;
use super::record::{Read, Record};
use super::table::{Form, SCALINGS};
use super::value::{Call, Outcome, Spanned, Value};
use crate::plan::RotaryScaling;

/// Whether calls of `name` are rules.
pub fn is_rule(name: &str) -> bool {
    SCALINGS.iter().any(|form| form.name == name)
}

/// The rule that a constant is; none where it is not known yet (parameters of a block that is checked alone).
pub fn scaling(value: &Spanned) -> Outcome<Option<RotaryScaling>> {
    let call = match &value.value {
        Value::None => return Ok(Some(RotaryScaling::None)),
        Value::Open(_) | Value::Unknown => return Ok(None),
        Value::Call(call) => call,
        _ => return Err(value.wrong_kind(&expected())),
    };
    let Some(form) = SCALINGS.iter().find(|form| form.name == call.function.text) else {
        return Err(value.wrong_kind(&expected()));
    };
    if call.arguments.iter().any(|argument| is_open(&argument.value.value)) {
        return Ok(None);
    }
    let record = read(form, call)?;
    let rule = rule(&record);
    if let Some((low, high)) = rule.and_then(|rule| misordered(&rule)) {
        return Err(Box::new(
            Diagnostic::error(OUT_OF_RANGE, format!("`{low}` must be below `{high}`"))
                .label(record.place(low), "not below")
                .help("both count the turns of a frequency over the original length"),
        ));
    }
    Ok(rule)
}

/// What can stand for a rule, for messages.
fn expected() -> String {
    let rules: Vec<String> = SCALINGS.iter().map(|form| format!("`{}`", form.name)).collect();
    format!("`none` or a call of {}", super::table::alternatives(&rules))
}

fn is_open(value: &Value) -> bool {
    matches!(value, Value::Open(_) | Value::Dim(_) | Value::Unknown)
}

/// The arguments against the rule's row of the table; the first mistake, if there is one.
fn read(form: &'static Form, call: &Call) -> Outcome<Record> {
    let mut diagnostics = Diagnostics::new();
    let (names, constants) = (Names::default(), BTreeMap::new());
    let mut reader = Reader { names: &names, constants: &constants, diagnostics: &mut diagnostics };
    let record = reader.call(form, &call.function.span, &call.arguments);
    match diagnostics.into_iter().next() {
        Some(mistake) => Err(Box::new(mistake)),
        None => Ok(record),
    }
}

fn rule(record: &Record) -> Option<RotaryScaling> {
    let factor = record.number("factor")?;
    Some(match record.form.name {
        "interpolation" => RotaryScaling::Interpolation { factor },
        "ntk" => RotaryScaling::Ntk { factor },
        "dynamic_ntk" => RotaryScaling::DynamicNtk { factor, original: record.integer("original")? },
        "yarn" => RotaryScaling::Yarn {
            factor,
            original: record.integer("original")?,
            beta_fast: record.number("beta_fast")?,
            beta_slow: record.number("beta_slow")?,
            attention_factor: record.optional("attention_factor", Read::number)?,
            truncate: record.bool("truncate")?,
        },
        _ => RotaryScaling::Llama3 {
            factor,
            low: record.number("low")?,
            high: record.number("high")?,
            original: record.integer("original")?,
        },
    })
}

/// The names of two bounds that stand in the wrong order.
fn misordered(rule: &RotaryScaling) -> Option<(&'static str, &'static str)> {
    match *rule {
        RotaryScaling::Yarn { beta_fast, beta_slow, .. } if beta_slow >= beta_fast => Some(("beta_slow", "beta_fast")),
        RotaryScaling::Llama3 { low, high, .. } if low >= high => Some(("low", "high")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use llmc_grammar::diagnostic::Diagnostics;

    use super::super::evaluate::evaluate;
    use super::super::table::value_of;
    use super::*;

    #[test]
    fn the_numbers_of_the_table_are_the_published_ones() {
        for (text, published) in [
            ("yarn(factor: 4.0, original: 16)", RotaryScaling::yarn(4.0, 16)),
            ("llama3(factor: 4.0, original: 16)", RotaryScaling::llama3(4.0, 16)),
        ] {
            let expr = value_of(text).expect("an expression");
            let mut diagnostics = Diagnostics::new();
            let value = evaluate(&expr, &BTreeMap::new(), &mut diagnostics);
            assert_eq!(scaling(&value).ok().flatten(), Some(published), "{text}");
        }
    }
}
