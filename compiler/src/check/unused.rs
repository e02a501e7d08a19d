//! Warnings about what nothing needs.

use std::collections::BTreeSet;

use llmc_grammar::codes::UNUSED;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Source;
use llmc_grammar::tree::{Item, Tree};

use super::mentions::{in_expression, in_function};
use super::names::Names;
use crate::plan::{Plan, ProcessPlan, TokenizerSource};

/// Data sets, mixtures and tokenizers that no stage reads, and `let`s and `param`s that nothing mentions, all of the recipe
/// itself, not of its imports. A recipe without stages is a library: nothing in it is unused.
pub fn warn(
    plan: &Plan,
    names: &Names<'_>,
    mentioned: &BTreeSet<String>,
    recipe: &Source,
    diagnostics: &mut Diagnostics,
) {
    if plan.stages.is_empty() {
        return;
    }
    let (datasets, tokenizers) = read_by_stages(plan);
    let mixtures: BTreeSet<&str> = plan.stages.iter().map(|stage| stage.data.as_str()).collect();
    for name in &names.order {
        let Some(named) = names.find(name) else {
            continue;
        };
        let (used, message) = match named.kind() {
            "dataset" => (datasets.contains(name), format!("no stage needs the dataset `{name}`")),
            "mixture" => (mixtures.contains(name), format!("no stage needs the mixture `{name}`")),
            "tokenizer" => (tokenizers.contains(name), format!("no stage needs the tokenizer `{name}`")),
            "let" | "param" => (mentioned.contains(*name), format!("nothing needs `{name}`")),
            _ => continue,
        };
        let place = &named.name().span;
        if !used && place.source == *recipe {
            diagnostics.push(Diagnostic::warning(UNUSED, message).label(place, "not used"));
        }
    }
}

fn read_by_stages(plan: &Plan) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let tokenizers: BTreeSet<&str> = plan.stages.iter().filter_map(|stage| stage.tokenizer.as_deref()).collect();
    let mut datasets: BTreeSet<&str> = plan.stages.iter().map(|stage| stage.data.as_str()).collect();
    let mixed = datasets.iter().filter_map(|data| plan.mixtures.get(*data)).flat_map(|mixture| &mixture.parts);
    datasets.extend(mixed.map(|part| part.dataset.as_str()).collect::<Vec<_>>());
    for tokenizer in &tokenizers {
        if let Some(TokenizerSource::Trained(trained)) = plan.tokenizers.get(*tokenizer).map(|it| &it.source) {
            datasets.insert(&trained.dataset);
        }
    }
    let mut waiting: Vec<&str> = datasets.iter().copied().collect();
    while let Some(dataset) = waiting.pop().and_then(|name| plan.datasets.get(name)) {
        for name in dataset.process.iter().flat_map(ProcessPlan::datasets) {
            if datasets.insert(name) {
                waiting.push(name);
            }
        }
    }
    (datasets, tokenizers)
}

/// Every name that the recipe and its imports mention somewhere, as they are written, before any `--set`.
pub fn mentioned(trees: &[Tree]) -> BTreeSet<String> {
    let mut mentions = Vec::new();
    for item in trees.iter().flat_map(|tree| &tree.items) {
        match item {
            Item::Import(_) => {}
            Item::Let(item) => in_expression(&item.value, &mut mentions),
            Item::Param(item) => {
                if let Some(default) = &item.default {
                    in_expression(default, &mut mentions);
                }
            }
            Item::Declaration(item) => {
                for field in &item.fields {
                    in_expression(&field.value, &mut mentions);
                }
            }
            Item::Function(item) => in_function(item, &mut mentions),
        }
    }
    mentions.into_iter().map(|(name, _)| name.to_owned()).collect()
}
