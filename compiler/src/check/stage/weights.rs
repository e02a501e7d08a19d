//! The model of a stage and where its weights start.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DIRECTORY_UNFIT, INIT_CONTRADICTS, NO_EFFECT, WEIGHTS_DIFFER};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Argument, Declaration, Expr, ExprKind, Name, Number, UnaryOperator};

use super::super::evaluate::evaluate;
use super::super::model::{arguments_from_config, constant_parameters, elaborate, positions_looked_up, rows_looked_up};
use super::super::record::{Read, Record};
use super::super::scaling::scaling;
use super::super::value::{CallArgument, Spanned, Value};
use super::Checking;
use super::extend::Extension;
use crate::plan::{Align, ExtendPlan, InitPlan, ModelPlan, StagePlan};

/// Elaborates the stage's model. With `init = hf(...)`, arguments that are not written come from the directory; with `extend`,
/// those of the longer context from there.
pub fn model(
    item: &Declaration,
    record: &Record,
    parent: Option<&StagePlan>,
    checking: &mut Checking<'_, '_>,
) -> Option<(ModelPlan, Option<ExtendPlan>)> {
    let Read::Model(expr) = &record.entry("model")?.read else {
        return None;
    };
    let (name, mut arguments) = match &expr.kind {
        ExprKind::Call { function, arguments } => (function.clone(), arguments.clone()),
        ExprKind::Name(text) => (Name { text: text.clone(), span: expr.span.clone() }, Vec::new()),
        _ => return None,
    };
    if !checking.sound_functions {
        return None;
    }
    if let Some(init) = record.optional("init", Read::call)? {
        let field = path_field(init);
        let directory = init.text(field)?;
        let place = init.place(field).clone();
        arguments.extend(from_directory(&directory, &place, &name, &arguments, checking)?);
    }
    let Some(call) = record.optional("extend", Read::call)? else {
        return Some((elaborate(checking.library, &name, &arguments, checking.diagnostics)?, None));
    };
    let before = match (parent, &item.from) {
        (Some(parent), _) => parent.model.clone(),
        (None, None) if record.is_written("init") => {
            elaborate(checking.library, &name, &arguments, checking.diagnostics)?
        }
        (None, None) => {
            checking.diagnostics.push(
                Diagnostic::error(NO_EFFECT, "`extend` has no effect: the weights are new")
                    .label(&call.span, "nothing is trained yet")
                    .help("continue a stage with `from`, start with `init = hf(\"...\")`, or write `context` in the model's arguments"),
            );
            return None;
        }
        // The stage that it continues has mistakes.
        (None, Some(_)) => return None,
    };
    let writes = |field: &str| item.fields.iter().any(|written| written.name.text == field);
    let extension =
        Extension { call, before: &before, own: writes("extend"), own_model: writes("model") && item.from.is_some() };
    let arguments = extension.arguments(&name, arguments, checking)?;
    let after = elaborate(checking.library, &name, &arguments, checking.diagnostics)?;
    let plan = extension.plan(&after);
    Some((after, plan))
}

/// Which argument of `hf` or `gguf` is the path.
fn path_field(init: &Record) -> &'static str {
    if init.form.name == "gguf" { "file" } else { "directory" }
}

/// The arguments of model `name` that `directory` (or GGUF file) gives and `written` does not.
fn from_directory(
    directory: &str,
    place: &Span,
    name: &Name,
    written: &[Argument],
    checking: &mut Checking<'_, '_>,
) -> Option<Vec<Argument>> {
    let found = checking
        .world
        .huggingface_config(directory)
        .and_then(|config| arguments_from_config(checking.library, &name.text, &config));
    let found = match found {
        Ok(found) => found,
        Err(reason) => {
            checking.diagnostics.push(
                Diagnostic::error(DIRECTORY_UNFIT, format!("`{}` cannot start from `{directory}`", name.text))
                    .label(place, reason),
            );
            return None;
        }
    };
    let positional = constant_parameters(checking.library, &name.text);
    let mut given: BTreeMap<&str, &Expr> = BTreeMap::new();
    for (index, argument) in written.iter().enumerate() {
        let parameter = match &argument.name {
            Some(name) => Some(name.text.as_str()),
            None => positional.get(index).copied(),
        };
        if let Some(parameter) = parameter {
            given.insert(parameter, &argument.value);
        }
    }
    let mut arguments = Vec::new();
    let mut sound = true;
    for (parameter, value) in found {
        match given.get(parameter.as_str()) {
            Some(expr) => {
                let own = evaluate(expr, &checking.library.constants, checking.diagnostics);
                if own.value != Value::Unknown && !same(&own, &value) {
                    checking.diagnostics.push(contradiction(&parameter, &own.value, &value, &own.span, place));
                    sound = false;
                }
            }
            None => arguments.extend(argument(&parameter, &value, place)),
        }
    }
    sound.then_some(arguments)
}

/// Whether two constants say the same, wherever and however they are written.
pub(super) fn same(own: &Spanned, found: &Value) -> bool {
    match (own.value.as_float(), found.as_float(), &own.value) {
        (Some(own), Some(found), _) => own == found,
        (_, _, Value::Call(_)) => {
            let rule = |value: &Spanned| scaling(value).ok().flatten();
            let own_rule = rule(own);
            own_rule.is_some() && own_rule == rule(&Spanned::new(found.clone(), &own.span))
        }
        _ => own.value == *found,
    }
}

fn contradiction(parameter: &str, own: &Value, found: &Value, span: &Span, place: &Span) -> Diagnostic {
    Diagnostic::error(INIT_CONTRADICTS, format!("`{parameter}` is {own} here but {found} in the directory"))
        .label(span, format!("{own} here"))
        .label(place, format!("its config.json says {found}"))
        .help(format!("leave `{parameter}` out: it is taken from the directory"))
}

/// A constant as an argument that stands where the directory is named.
fn argument(parameter: &str, value: &Value, place: &Span) -> Option<Argument> {
    let value = expression(value, place)?;
    let name = Name { text: parameter.to_owned(), span: place.clone() };
    Some(Argument { name: Some(name), value })
}

/// A constant as an expression that stands there.
pub(super) fn expression(value: &Value, place: &Span) -> Option<Expr> {
    let number = |value: f64, integer: Option<u64>| ExprKind::Number(Number { value, integer, unit: None });
    let expr = |kind| Expr { kind, span: place.clone() };
    let (kind, negative) = match value {
        Value::Int(whole) => {
            let size = whole.unsigned_abs();
            (number(size as f64, Some(size)), *whole < 0)
        }
        Value::Float(value) => (number(value.abs(), None), *value < 0.0),
        Value::Bool(value) => (ExprKind::Bool(*value), false),
        Value::Text(text) => (ExprKind::String(text.clone()), false),
        Value::Name(name) => (ExprKind::Name(name.clone()), false),
        Value::None => (ExprKind::None, false),
        Value::Call(call) => {
            let given = |each: &CallArgument| argument(&each.name.as_ref()?.text, &each.value.value, place);
            let arguments = call.arguments.iter().map(given).collect::<Option<_>>()?;
            let function = Name { text: call.function.text.clone(), span: place.clone() };
            (ExprKind::Call { function, arguments }, false)
        }
        _ => return None,
    };
    Some(match negative {
        true => expr(ExprKind::Unary { operator: UnaryOperator::Negate, operand: Box::new(expr(kind)) }),
        false => expr(kind),
    })
}

/// Where the weights start. Weights of the stage that is continued must be those of this stage.
pub fn init(
    record: &Record,
    parent: Option<&StagePlan>,
    model: &ModelPlan,
    extend: Option<&ExtendPlan>,
    checking: &mut Checking<'_, '_>,
) -> Option<InitPlan> {
    let written = record.optional("init", Read::call)?;
    match (parent, written) {
        (Some(parent), None) => {
            if let Some(reason) = difference(&parent.model, model, extend) {
                checking.diagnostics.push(
                    Diagnostic::error(
                        WEIGHTS_DIFFER,
                        format!("this stage cannot start from the weights of `{}`", parent.name),
                    )
                    .label(record.place("model"), reason)
                    .label(&record.span, format!("continues `{}`", parent.name))
                    .help(match reason_is_length(&parent.model, model) {
                        true => "`extend = interpolate(to: ...)` makes learned positions more".to_owned(),
                        false => format!("keep the model of `{}`, or start without `from`", parent.name),
                    }),
                );
                return None;
            }
            Some(InitPlan::Stage(parent.name.clone()))
        }
        (None, Some(call)) => {
            let path = call.text(path_field(call))?;
            Some(if call.form.name == "gguf" { InitPlan::Gguf(path) } else { InitPlan::HuggingFace(path) })
        }
        (None, None) => Some(InitPlan::Random),
        (Some(_), Some(_)) => None,
    }
}

/// Whether the models differ in nothing but the number of their learned positions, which become more.
fn reason_is_length(before: &ModelPlan, after: &ModelPlan) -> bool {
    let tables = positions_looked_up(after).into_iter().map(str::to_owned).collect();
    let longer = |model: &ModelPlan| rows_looked_up(model, "positions");
    difference(before, after, Some(&ExtendPlan { tables, align: Align::Corners })).is_none()
        && longer(before) < longer(after)
}

/// The first difference between two models' weights, in words.
fn difference(before: &ModelPlan, after: &ModelPlan, extend: Option<&ExtendPlan>) -> Option<String> {
    let extended = |path: &str| extend.is_some_and(|extend| extend.tables.iter().any(|table| table == path));
    let shapes: BTreeMap<&str, &[u64]> =
        before.weights.iter().map(|weight| (weight.path.as_str(), weight.shape.as_slice())).collect();
    for weight in &after.weights {
        match shapes.get(weight.path.as_str()) {
            None => return Some(format!("`{}` is new", weight.path)),
            Some(shape) if extended(&weight.path) && shape.get(1..) == weight.shape.get(1..) => {}
            Some(shape) if *shape != weight.shape.as_slice() => {
                return Some(format!("`{}` was {shape:?} and is {:?}", weight.path, weight.shape));
            }
            Some(_) => {}
        }
    }
    let kept: BTreeMap<&str, ()> = after.weights.iter().map(|weight| (weight.path.as_str(), ())).collect();
    let lost = before.weights.iter().find(|weight| !kept.contains_key(weight.path.as_str()))?;
    Some(format!("`{}` is gone", lost.path))
}
