//! `huggingface` declarations: a model's constants as the `config.json` of its checkpoints.

use std::collections::BTreeMap;

use llmc_grammar::codes::CONFIG_FIELD;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Declaration, Function, ParameterKind};
use serde_json::{Map, Number, Value as Json};

use super::super::evaluate::{Scope, evaluate, unknown_value};
use super::super::nearest::suggestion;
use super::super::value::{Call, Kind, Spanned, Value};
use super::Library;
use super::rope_config::{self, ROPE};
use crate::dim::Dim;

/// Keys that are nested: `object(key: value)`.
pub(super) const OBJECT: &str = "object";
/// Values that are written, whatever a config that is read says.
pub(super) const IGNORED: &str = "ignored";
/// Values that a config that is read must not contradict, and that are not written.
pub(super) const CHECKED: &str = "checked";

/// Sizes that are 0 where the model has no such thing, which a config says as null.
pub(super) const NONZERO: &str = "nonzero";

/// Constants of a model, then those of the recipe.
pub(super) struct ModelScope<'a> {
    pub library: &'a Library<'a>,
    pub values: &'a BTreeMap<String, Value>,
}

impl Scope for ModelScope<'_> {
    fn constant(&self, name: &str) -> Option<Value> {
        let own = self.values.get(name);
        own.or_else(|| self.library.constants.get(name)).cloned()
    }

    fn member(&self, base: &str, field: &str) -> Option<Value> {
        self.library.constants.member(base, field)
    }

    fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }
}

/// The config of a model with these constants, its keys in the declaration's order; none after a mistake.
pub(super) fn export(
    library: &Library<'_>,
    declaration: &Declaration,
    values: &BTreeMap<String, Value>,
    diagnostics: &mut Diagnostics,
) -> Option<Json> {
    let before = diagnostics.len();
    let scope = ModelScope { library, values };
    let mut config = Map::new();
    for field in &declaration.fields {
        let value = evaluate(&field.value, &scope, diagnostics);
        match field_json(&field.name.text, &value, &scope) {
            Ok(Some(json)) => {
                config.insert(field.name.text.clone(), json);
            }
            Ok(None) => {}
            Err(mistake) => diagnostics.push(*mistake),
        }
    }
    (diagnostics.len() == before).then_some(Json::Object(config))
}

/// Checks a declaration by itself, the model's constants standing for any value.
pub(super) fn check(
    library: &Library<'_>,
    function: &Function,
    declaration: &Declaration,
    diagnostics: &mut Diagnostics,
) {
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    for field in &declaration.fields {
        let name = &field.name;
        if let Some(first) = seen.insert(&name.text, &name.span) {
            diagnostics.push(
                Diagnostic::error(CONFIG_FIELD, format!("`{}` is given twice", name.text))
                    .label(&name.span, "given again")
                    .label(first, "given first")
                    .help("remove one of the two"),
            );
        }
    }
    let open = function.parameters.iter().filter_map(|parameter| {
        let ParameterKind::Constant(kind) = &parameter.kind else {
            return None;
        };
        let name = &parameter.name.text;
        let value = match Kind::find(&kind.text)? {
            Kind::Int => Value::Dim(Dim::symbol(name)),
            other => Value::Open(other),
        };
        Some((name.clone(), value))
    });
    export(library, declaration, &open.collect(), diagnostics);
}

/// What stands under `key`; none for what is not written.
fn field_json(key: &str, value: &Spanned, scope: &ModelScope<'_>) -> Result<Option<Json>, Box<Diagnostic>> {
    match &value.value {
        Value::Call(call) if call.function.text == ROPE => rope_config::write(key, call, &value.span),
        _ => json(value, scope),
    }
}

/// A constant as JSON; none for what is not written.
fn json(constant: &Spanned, scope: &ModelScope<'_>) -> Result<Option<Json>, Box<Diagnostic>> {
    Ok(Some(match &constant.value {
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::Bool(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_str()),
        // Symbols and open constants stand for any value while a declaration is checked alone.
        Value::None | Value::Unknown | Value::Dim(_) | Value::Open(_) => Json::Null,
        Value::List(items) => {
            let mut list = Vec::new();
            for item in items {
                list.extend(json(item, scope)?);
            }
            Json::Array(list)
        }
        Value::Call(call) => return call_json(call, &constant.span, scope),
        Value::Name(name) => return Err(unknown_value(name, &constant.span, &scope.names())),
        Value::Quantity(_) => return Err(wrong_field(&constant.span, "a number with a unit")),
        Value::Formula(_) => return Err(wrong_field(&constant.span, "an expression")),
    }))
}

fn call_json(call: &Call, span: &Span, scope: &ModelScope<'_>) -> Result<Option<Json>, Box<Diagnostic>> {
    match (call.function.text.as_str(), call.arguments.as_slice()) {
        (OBJECT, arguments) => {
            let mut object = Map::new();
            for argument in arguments {
                let Some(name) = &argument.name else {
                    return Err(wrong_field(&argument.value.span, "a value without a key"));
                };
                if let Some(value) = json(&argument.value, scope)? {
                    object.insert(name.text.clone(), value);
                }
            }
            Ok(Some(Json::Object(object)))
        }
        (IGNORED, [only]) if only.name.is_none() => json(&only.value, scope),
        (CHECKED, [only]) if only.name.is_none() => json(&only.value, scope).map(|_| None),
        (NONZERO, [only]) if only.name.is_none() => match only.value.value {
            Value::Int(0) => Ok(Some(Json::Null)),
            _ => json(&only.value, scope),
        },
        (IGNORED | CHECKED | NONZERO, _) => Err(wrong_field(span, "not exactly one value")),
        (name, _) => {
            let mistake = wrong_field(&call.function.span, &format!("a call of `{name}`"));
            Err(match suggestion(name, &[OBJECT, IGNORED, CHECKED, NONZERO, ROPE]) {
                Some(help) => Box::new(mistake.help(help)),
                None => mistake,
            })
        }
    }
}

fn wrong_field(span: &Span, found: &str) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(CONFIG_FIELD, format!("{found} cannot stand in a config"))
            .label(span, format!("this is {found}"))
            .help(
                "texts, numbers, lists, `object(key: value)`, `rope(...)`, `nonzero(value)`, `ignored(value)` and `checked(value)` can",
            ),
    )
}
