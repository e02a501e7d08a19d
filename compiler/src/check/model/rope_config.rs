//! Rotary embedding in a `config.json`: `rope(theta, scaling, head_dim, context)` in a `huggingface` declaration.
//!
//! transformers 4 keeps the base in `rope_theta` and the rule in `rope_scaling`, transformers 5 both in `rope_parameters`;
//! all three keys are written and read.

use llmc_grammar::codes::CONFIG_FIELD;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;
use serde_json::{Map, Value as Json, json};

use super::super::scaling::scaling;
use super::super::value::{Call, CallArgument, Outcome, Spanned, Value};
use crate::plan::{RotaryScaling, stretched_base};

/// The function's name.
pub(super) const ROPE: &str = "rope";
/// The key of the base, in any of these objects and beside them.
pub(super) const THETA: &str = "rope_theta";
/// Where transformers 4 keeps the rule.
const SCALING: &str = "rope_scaling";
/// Keys whose value [`ROPE`] can be.
const KEYS: [&str; 3] = [THETA, SCALING, "rope_parameters"];
/// The original length, where a rule has one.
const ORIGINAL: &str = "original_max_position_embeddings";

/// What stands under `key`; none if nothing does.
pub(super) fn write(key: &str, call: &Call, span: &Span) -> Outcome<Option<Json>> {
    let wrong = |message: &str, help: &str| {
        Box::new(Diagnostic::error(CONFIG_FIELD, message.to_owned()).label(span, "cannot be written").help(help))
    };
    let [theta, rule_given, width, context] = call.arguments.as_slice() else {
        return Err(wrong("`rope` takes four values", "`rope(theta, scaling, head_dim, context)`"));
    };
    if !KEYS.contains(&key) {
        return Err(wrong(&format!("`rope` is no value of `{key}`"), &format!("it is one of {}", KEYS.join(", "))));
    }
    let numbers = [&theta.value, &width.value, &context.value].map(|number| number.value.as_float());
    let ([Some(theta), Some(width), Some(context)], Some(rule)) = (numbers, scaling(&rule_given.value)?) else {
        // Open constants stand for any value while a declaration is checked alone.
        return Ok(Some(Json::Null));
    };
    let (theta, rule) = match rule {
        RotaryScaling::Ntk { factor } => (stretched_base(theta, factor, width as u64), RotaryScaling::None),
        // Told once, at the recipe's own call of the rule.
        RotaryScaling::DynamicNtk { original, .. } if key == SCALING && original as f64 != context => {
            let place = match &rule_given.value.value {
                Value::Call(call) => &call.function.span,
                _ => span,
            };
            return Err(Box::new(
                Diagnostic::error(CONFIG_FIELD, "Hugging Face's dynamic rule stretches from `max_position_embeddings`")
                    .label(place, format!("from {original}, but the model's `context` is {context}"))
                    .help(format!("write `context: {original}`; rows may be longer")),
            ));
        }
        other => (theta, other),
    };
    if key == THETA {
        return Ok(Some(json!(theta)));
    }
    if key == SCALING && rule.is_none() {
        return Ok(None);
    }
    let mut object = parameters(&rule);
    if key != SCALING {
        object.insert(THETA.to_owned(), json!(theta));
    }
    Ok(Some(Json::Object(object)))
}

/// The keys of a rule.
fn parameters(rule: &RotaryScaling) -> Map<String, Json> {
    let keys = match *rule {
        RotaryScaling::None | RotaryScaling::Ntk { .. } => json!({ "rope_type": "default" }),
        RotaryScaling::Interpolation { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RotaryScaling::DynamicNtk { factor, .. } => json!({ "rope_type": "dynamic", "factor": factor }),
        RotaryScaling::Yarn { factor, original, beta_fast, beta_slow, attention_factor, truncate } => {
            let mut keys = json!({
                "rope_type": "yarn", "factor": factor, ORIGINAL: original,
                "beta_fast": beta_fast, "beta_slow": beta_slow, "truncate": truncate,
            });
            if let Some(attention_factor) = attention_factor {
                keys["attention_factor"] = json!(attention_factor);
            }
            keys
        }
        RotaryScaling::Llama3 { factor, low, high, original } => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            ORIGINAL: original,
        }),
    };
    match keys {
        Json::Object(keys) => keys,
        _ => Map::new(),
    }
}

/// The rule in an object of a config (`rope_theta` in it aside). `context` is the config's `max_position_embeddings`.
///
/// # Errors
/// A sentence about a key that is missing, unknown or of another kind.
pub(super) fn read(key: &str, object: &Map<String, Json>, context: Option<u64>) -> Result<RotaryScaling, String> {
    let keys = Keys { key, object };
    let name = ["rope_type", "type"].iter().find_map(|name| object.get(*name).filter(|json| !json.is_null()));
    let name = name.map_or(Ok("default"), |json| json.as_str().ok_or_else(|| keys.wrong("rope_type", json)))?;
    let original = || keys.whole(ORIGINAL)?.or(context).ok_or_else(|| keys.lacks(ORIGINAL));
    let factor = || keys.number("factor")?.ok_or_else(|| keys.lacks("factor"));
    let (known, rule): (&[&str], _) = match name {
        "default" => (&[], RotaryScaling::None),
        "linear" => (&["factor"], RotaryScaling::Interpolation { factor: factor()? }),
        // The length of the first training is always `max_position_embeddings`, whatever else is said.
        "dynamic" => {
            let original = context.ok_or("config.json does not give `max_position_embeddings`")?;
            (&["factor", ORIGINAL], RotaryScaling::DynamicNtk { factor: factor()?, original })
        }
        "yarn" => {
            let original = original()?;
            let factor = match (keys.number("factor")?, context) {
                (Some(factor), _) => factor,
                (None, Some(context)) => context as f64 / original as f64,
                (None, None) => return Err(keys.lacks("factor")),
            };
            let rule = RotaryScaling::Yarn {
                factor,
                original,
                beta_fast: keys.number("beta_fast")?.unwrap_or(32.0),
                beta_slow: keys.number("beta_slow")?.unwrap_or(1.0),
                attention_factor: keys.attention_factor(factor)?,
                truncate: keys.truth("truncate")?.unwrap_or(true),
            };
            (
                &[
                    "factor",
                    ORIGINAL,
                    "beta_fast",
                    "beta_slow",
                    "attention_factor",
                    "mscale",
                    "mscale_all_dim",
                    "truncate",
                ],
                rule,
            )
        }
        "llama3" => {
            let bound = |name: &str| keys.number(name)?.ok_or_else(|| keys.lacks(name));
            let rule = RotaryScaling::Llama3 {
                factor: factor()?,
                low: bound("low_freq_factor")?,
                high: bound("high_freq_factor")?,
                original: original()?,
            };
            (&["factor", "low_freq_factor", "high_freq_factor", ORIGINAL], rule)
        }
        other => {
            return Err(format!(
                "config.json: `{key}.rope_type` is \"{other}\"; known are default, linear, dynamic, yarn and llama3"
            ));
        }
    };
    let always = ["rope_type", "type", THETA];
    match object
        .iter()
        .find(|(name, value)| !known.contains(&name.as_str()) && !always.contains(&name.as_str()) && !value.is_null())
    {
        // Everything is turned, as without the key.
        Some((name, value)) if name == "partial_rotary_factor" && value.as_f64() == Some(1.0) => Ok(rule),
        Some((name, value)) => {
            Err(format!("config.json: `{key}.{name}` is {value}, which the rule `{}` does not know", name_of(&rule)))
        }
        None => Ok(rule),
    }
}

fn name_of(rule: &RotaryScaling) -> String {
    parameters(rule).get("rope_type").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Keys of an object of a config, each absent or of one kind.
struct Keys<'a> {
    key: &'a str,
    object: &'a Map<String, Json>,
}

impl Keys<'_> {
    fn get<T>(&self, name: &str, take: impl Fn(&Json) -> Option<T>) -> Result<Option<T>, String> {
        match self.object.get(name).filter(|json| !json.is_null()) {
            None => Ok(None),
            Some(json) => take(json).map(Some).ok_or_else(|| self.wrong(name, json)),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, String> {
        self.get(name, Json::as_f64)
    }

    fn whole(&self, name: &str) -> Result<Option<u64>, String> {
        self.get(name, Json::as_u64)
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, String> {
        self.get(name, Json::as_bool)
    }

    /// YaRN's factor on turned vectors: given, or from DeepSeek's `mscale` and `mscale_all_dim`.
    fn attention_factor(&self, factor: f64) -> Result<Option<f64>, String> {
        let scale = |by: f64| 0.1 * by * factor.max(1.0).ln() + 1.0;
        let given = self.number("attention_factor")?;
        Ok(match (given, self.number("mscale")?, self.number("mscale_all_dim")?) {
            (None, Some(above), Some(below)) if above != 0.0 && below != 0.0 => Some(scale(above) / scale(below)),
            _ => given,
        })
    }

    fn wrong(&self, name: &str, found: &Json) -> String {
        format!("config.json: `{}.{name}` is {found}, which is of another kind", self.key)
    }

    fn lacks(&self, name: &str) -> String {
        format!("config.json: `{}` does not give `{name}`", self.key)
    }
}

/// The rule as a constant of the language.
pub(in crate::check) fn value(rule: &RotaryScaling, span: &Span) -> Value {
    let float = Value::Float;
    // The length of a row fits 63 bits, or the checker refuses it.
    let whole = |value: u64| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let (name, arguments) = match *rule {
        RotaryScaling::None => return Value::None,
        RotaryScaling::Interpolation { factor } => ("interpolation", vec![("factor", float(factor))]),
        RotaryScaling::Ntk { factor } => ("ntk", vec![("factor", float(factor))]),
        RotaryScaling::DynamicNtk { factor, original } => {
            ("dynamic_ntk", vec![("factor", float(factor)), ("original", whole(original))])
        }
        RotaryScaling::Yarn { factor, original, beta_fast, beta_slow, attention_factor, truncate } => {
            let mut arguments = vec![
                ("factor", float(factor)),
                ("original", whole(original)),
                ("beta_fast", float(beta_fast)),
                ("beta_slow", float(beta_slow)),
            ];
            arguments.extend(attention_factor.map(|value| ("attention_factor", float(value))));
            arguments.push(("truncate", Value::Bool(truncate)));
            ("yarn", arguments)
        }
        RotaryScaling::Llama3 { factor, low, high, original } => (
            "llama3",
            vec![("factor", float(factor)), ("low", float(low)), ("high", float(high)), ("original", whole(original))],
        ),
    };
    let named = |text: &str| Name { text: text.to_owned(), span: span.clone() };
    let arguments = arguments
        .into_iter()
        .map(|(name, value)| CallArgument { name: Some(named(name)), value: Spanned::new(value, span) })
        .collect();
    Value::Call(Call { function: named(name), arguments })
}
