//! Warnings about what nothing needs.

use std::collections::BTreeSet;

use llmc_grammar::codes::UNUSED;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Source;

use super::mentions::{in_expression, in_function};
use super::names::{Named, Names};
use crate::plan::{Plan, TokenizerSource};

/// Data sets and tokenizers that no stage reads, and `let`s and `param`s that nothing mentions, all of the recipe
/// itself, not of its imports. A recipe without stages is a library: nothing in it is unused.
pub fn warn(plan: &Plan, names: &Names<'_>, recipe: &Source, diagnostics: &mut Diagnostics) {
    if plan.stages.is_empty() {
        return;
    }
    let (datasets, tokenizers) = read_by_stages(plan);
    let mentioned = mentioned(names);
    for name in &names.order {
        let Some(named) = names.find(name) else {
            continue;
        };
        let (used, message) = match named.kind() {
            "dataset" => (
                datasets.contains(name),
                format!("no stage needs the dataset `{name}`"),
            ),
            "tokenizer" => (
                tokenizers.contains(name),
                format!("no stage needs the tokenizer `{name}`"),
            ),
            "let" | "param" => (mentioned.contains(name), format!("nothing needs `{name}`")),
            _ => continue,
        };
        let place = &named.name().span;
        if !used && place.source == *recipe {
            diagnostics.push(Diagnostic::warning(UNUSED, message).label(place, "not used"));
        }
    }
}

fn read_by_stages(plan: &Plan) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let tokenizers: BTreeSet<&str> = plan
        .stages
        .iter()
        .filter_map(|stage| stage.tokenizer.as_deref())
        .collect();
    let mut datasets: BTreeSet<&str> = plan
        .stages
        .iter()
        .map(|stage| stage.data.as_str())
        .collect();
    for tokenizer in &tokenizers {
        if let Some(TokenizerSource::ByteBpe { dataset, .. }) =
            plan.tokenizers.get(*tokenizer).map(|it| &it.source)
        {
            datasets.insert(dataset);
        }
    }
    (datasets, tokenizers)
}

fn mentioned<'t>(names: &Names<'t>) -> BTreeSet<&'t str> {
    let mut mentions = Vec::new();
    for named in names.order.iter().filter_map(|name| names.find(name)) {
        for expr in named.expressions() {
            in_expression(expr, &mut mentions);
        }
        if let Named::Function(function) = named {
            in_function(function, &mut mentions);
        }
    }
    for declaration in names.huggingface.values() {
        for field in &declaration.fields {
            in_expression(&field.value, &mut mentions);
        }
    }
    mentions.into_iter().map(|(name, _)| name).collect()
}
