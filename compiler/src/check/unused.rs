//! Warnings about declarations that nothing needs.

use llmc_grammar::codes::UNUSED;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Source;

use super::names::Names;
use crate::plan::{Plan, TokenizerSource};

/// Data sets and tokenizers of the recipe itself (not of its imports) that no stage reads. A recipe without
/// stages is a library: nothing in it is unused.
pub fn warn(plan: &Plan, names: &Names<'_>, recipe: &Source, diagnostics: &mut Diagnostics) {
    if plan.stages.is_empty() {
        return;
    }
    let tokenizers: Vec<&str> = plan
        .stages
        .iter()
        .filter_map(|stage| stage.tokenizer.as_deref())
        .collect();
    let mut datasets: Vec<&str> = plan
        .stages
        .iter()
        .map(|stage| stage.data.as_str())
        .collect();
    for tokenizer in &tokenizers {
        if let Some(TokenizerSource::ByteBpe { dataset, .. }) =
            plan.tokenizers.get(*tokenizer).map(|it| &it.source)
        {
            datasets.push(dataset);
        }
    }
    for (kind, used) in [("dataset", &datasets), ("tokenizer", &tokenizers)] {
        for name in names.of_kind(kind) {
            let own = names
                .declaration(kind, name)
                .filter(|item| item.span.source == *recipe);
            if let Some(item) = own.filter(|_| !used.contains(&name)) {
                diagnostics.push(
                    Diagnostic::warning(UNUSED, format!("no stage needs the {kind} `{name}`"))
                        .label(&item.name.span, "not used"),
                );
            }
        }
    }
}
