//! The reference page of the language's functions, made from their table.

use super::functions::{Default, Function};
use super::table::FUNCTIONS;

/// Markdown: every function a model can be made of, with its parameters, shape rule and an example.
pub fn reference() -> String {
    let mut page = String::from(
        "# Functions of models\n\n\
         Arguments are given by position or by name. Axes count from 0, or from the end if negative. \
         `+ - * / ^` work on tensors elementwise, with broadcasting as in NumPy.\n",
    );
    for function in FUNCTIONS {
        page.push_str(&entry(function));
    }
    page
}

fn entry(function: &Function) -> String {
    let parameters: Vec<String> = function
        .parameters
        .iter()
        .map(|parameter| match default_text(parameter.default) {
            Some(default) => format!("{}: {default}", parameter.name),
            None => parameter.name.to_owned(),
        })
        .collect();
    let mut entry = format!("\n## `{}({})`\n\n{}\n\n", function.name, parameters.join(", "), function.doc);
    for parameter in function.parameters {
        entry.push_str(&format!("- `{}`: {}\n", parameter.name, parameter.takes.describe()));
    }
    entry.push_str(&format!("- shape: {}\n\n```\n{}\n```\n", function.result, function.example));
    entry
}

fn default_text(default: Default) -> Option<String> {
    match default {
        Default::Required => None,
        Default::Int(value) => Some(value.to_string()),
        Default::Float(value) => Some(format!("{value:?}")),
        Default::Bool(value) => Some(value.to_string()),
        Default::Absent => Some("none".to_owned()),
        Default::Computed(text) => Some(text.to_owned()),
    }
}
