//! From the `config.json` of a Hugging Face directory to a model's arguments: the inverse of a `huggingface` declaration.

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostics;
use llmc_grammar::tree::{Argument, Declaration, Expr, ExprKind, Function, ParameterKind};
use serde_json::{Map, Value as Json};

use super::super::evaluate::evaluate;
use super::super::value::{Kind, Spanned, Value};
use super::Library;
use super::config::{CHECKED, IGNORED, ModelScope, NONZERO, OBJECT};
use super::rope_config::{self, ROPE};

/// The model whose `huggingface` declaration has the config's `model_type`.
pub fn model_for_config(library: &Library<'_>, config: &Json) -> Option<String> {
    let wanted = config.get("model_type")?.as_str()?;
    let known = library.huggingface.iter().find(|(_, declaration)| {
        declaration.fields.iter().any(|field| {
            field.name.text == "model_type" && matches!(&field.value.kind, ExprKind::String(text) if text == wanted)
        })
    });
    known.map(|(name, _)| (*name).to_owned())
}

/// The arguments that a config gives a model. A field that is just a parameter's name is read; every other one must say
/// what the model computes, unless the config leaves it out or says null. An error is one sentence with the key.
pub fn arguments_from_config(
    library: &Library<'_>,
    model: &str,
    config: &Json,
) -> Result<BTreeMap<String, Value>, String> {
    let function = library.model(model).ok_or_else(|| format!("there is no model `{model}`"))?;
    let declaration = library
        .huggingface
        .get(model)
        .ok_or_else(|| format!("the model `{model}` has no `huggingface` declaration"))?;
    let config = config.as_object().ok_or("config.json does not hold an object")?;
    let mut reading = Reading {
        library,
        function,
        values: BTreeMap::new(),
        keys: BTreeMap::new(),
        context: config.get("max_position_embeddings").and_then(Json::as_u64),
        rest: Vec::new(),
    };
    reading.fields(declaration, config)?;
    let given = reading.values.clone();
    reading.fill_defaults()?;
    reading.compare()?;
    Ok(given)
}

/// A config that is being read.
struct Reading<'a> {
    library: &'a Library<'a>,
    function: &'a Function,
    /// Parameters that have a value.
    values: BTreeMap<String, Value>,
    /// The key that each parameter was read from.
    keys: BTreeMap<String, String>,
    /// Positions that the config gives, where a rule of rotary scaling does not say its own.
    context: Option<u64>,
    /// Keys whose value must equal an expression, once all parameters are known.
    rest: Vec<(String, &'a Expr, &'a Json)>,
}

impl<'a> Reading<'a> {
    fn fields(&mut self, declaration: &'a Declaration, config: &'a Map<String, Json>) -> Result<(), String> {
        for field in &declaration.fields {
            let key = &field.name.text;
            self.field(key, &field.value, config.get(key))?;
        }
        Ok(())
    }

    fn field(&mut self, key: &str, expr: &'a Expr, found: Option<&'a Json>) -> Result<(), String> {
        // Null is how Hugging Face writes "as by default".
        let Some(found) = found.filter(|json| !json.is_null()) else {
            return Ok(());
        };
        match &expr.kind {
            ExprKind::Call { function, arguments } => match (function.text.as_str(), arguments.as_slice()) {
                (IGNORED, _) => Ok(()),
                (CHECKED | NONZERO, [inner]) => self.field(key, &inner.value, Some(found)),
                (OBJECT, arguments) => self.object(key, arguments, found),
                (ROPE, [theta, scaling, ..]) => self.rope(key, &theta.value, &scaling.value, found),
                _ => self.later(key, expr, found),
            },
            ExprKind::Name(name) => match self.kind_of(name) {
                Some(kind) => self.parameter(key, name, kind, found),
                None => self.later(key, expr, found),
            },
            _ => self.later(key, expr, found),
        }
    }

    fn later(&mut self, key: &str, expr: &'a Expr, found: &'a Json) -> Result<(), String> {
        self.rest.push((key.to_owned(), expr, found));
        Ok(())
    }

    /// Nested keys: all of them must be known, since each may change what is computed.
    fn object(&mut self, key: &str, arguments: &'a [Argument], found: &'a Json) -> Result<(), String> {
        let Some(object) = found.as_object() else {
            return Err(format!("config.json: `{key}` is {found}, not an object"));
        };
        let named = |name: &str| {
            let mut names = arguments.iter().filter_map(|argument| argument.name.as_ref());
            names.any(|known| known.text == name)
        };
        if let Some((inner, value)) = object.iter().find(|(inner, value)| !named(inner) && !value.is_null()) {
            let model = &self.function.name.text;
            return Err(format!("config.json: `{key}.{inner}` is {value}, which the model `{model}` does not know"));
        }
        for argument in arguments {
            if let Some(name) = &argument.name {
                let path = format!("{key}.{}", name.text);
                self.field(&path, &argument.value, object.get(&name.text))?;
            }
        }
        Ok(())
    }

    /// The base and the rule of rotary embedding, whichever of them `key` holds.
    fn rope(&mut self, key: &str, theta: &Expr, scaling: &Expr, found: &Json) -> Result<(), String> {
        let (ExprKind::Name(theta), ExprKind::Name(scaling)) = (&theta.kind, &scaling.kind) else {
            return Err(format!("config.json: `{key}` can be read only into parameters of the model"));
        };
        if key == rope_config::THETA {
            return self.parameter(key, theta, Kind::Float, found);
        }
        let Some(object) = found.as_object() else {
            return Err(format!("config.json: `{key}` is {found}, not an object"));
        };
        if let Some(base) = object.get(rope_config::THETA).filter(|json| !json.is_null()) {
            self.parameter(&format!("{key}.{}", rope_config::THETA), theta, Kind::Float, base)?;
        }
        let rule = rope_config::read(key, object, self.context)?;
        self.known(key, scaling, rope_config::value(&rule, &self.function.name.span), found)
    }

    fn kind_of(&self, name: &str) -> Option<Kind> {
        let parameter = self.function.parameters.iter().find(|each| each.name.text == name)?;
        match &parameter.kind {
            ParameterKind::Constant(kind) => Kind::find(&kind.text),
            ParameterKind::Tensor { .. } => None,
        }
    }

    fn parameter(&mut self, key: &str, name: &str, kind: Kind, found: &Json) -> Result<(), String> {
        let value = match kind {
            Kind::Int => found.as_i64().map(Value::Int),
            Kind::Float => found.as_f64().map(Value::Float),
            Kind::Bool => found.as_bool().map(Value::Bool),
            Kind::Text => found.as_str().map(|text| Value::Text(text.to_owned())),
            Kind::Function => found.as_str().map(|text| Value::Name(text.to_owned())),
            // Only `rope` reads rules.
            Kind::RopeScaling => None,
        };
        let value = value.ok_or_else(|| format!("config.json: `{key}` is {found}, expected {}", kind.describe()))?;
        self.known(key, name, value, found)
    }

    /// Keeps a parameter's value; two keys must not say different things of it.
    fn known(&mut self, key: &str, name: &str, value: Value, found: &Json) -> Result<(), String> {
        if let (Some(earlier), Some(other)) = (self.values.get(name), self.keys.get(name))
            && *earlier != value
        {
            return Err(format!("config.json: `{other}` is {earlier}, but `{key}` is {found}"));
        }
        self.values.insert(name.to_owned(), value);
        self.keys.insert(name.to_owned(), key.to_owned());
        Ok(())
    }

    /// Parameters that the config does not give take their defaults, in order.
    fn fill_defaults(&mut self) -> Result<(), String> {
        let model = &self.function.name.text;
        for parameter in &self.function.parameters {
            let name = &parameter.name.text;
            let Some(kind) = self.kind_of(name).filter(|_| !self.values.contains_key(name)) else {
                continue;
            };
            let Some(default) = &parameter.default else {
                return Err(format!("config.json does not give `{name}` of the model `{model}`"));
            };
            let value = self.evaluate(default)?;
            let value = kind.accept(&value).map_err(|mistake| mistake.message)?;
            self.values.insert(name.clone(), value);
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), String> {
        for (key, expr, found) in &self.rest {
            let expected = self.evaluate(expr)?;
            if !agrees(&expected.value, found) {
                return Err(format!(
                    "config.json: `{key}` is {found}, but the model `{}` computes {}",
                    self.function.name.text, expected.value
                ));
            }
        }
        Ok(())
    }

    fn evaluate(&self, expr: &Expr) -> Result<Spanned, String> {
        let scope = ModelScope { library: self.library, values: &self.values };
        let mut mistakes = Diagnostics::new();
        let value = evaluate(expr, &scope, &mut mistakes);
        match mistakes.into_iter().next() {
            Some(mistake) => Err(format!("{} ({})", mistake.message, expr.span.place())),
            None => Ok(value),
        }
    }
}

/// Whether a config's value says the same as a constant. `found` is not null.
fn agrees(expected: &Value, found: &Json) -> bool {
    match expected {
        Value::Int(_) | Value::Float(_) => expected.as_float() == found.as_f64(),
        Value::Bool(value) => found.as_bool() == Some(*value),
        Value::Text(value) => found.as_str() == Some(value),
        Value::List(items) => found.as_array().is_some_and(|found| {
            found.len() == items.len() && items.iter().zip(found).all(|(item, found)| agrees(&item.value, found))
        }),
        _ => false,
    }
}
