//! `tokenizer` declarations.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, EXCLUSIVE_FIELDS, TOKENIZER_UNFIT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::dataset::Dataset;
use super::mismatch::there_are;
use super::record::{Read, Record};
use crate::plan::{TokenizerPlan, TokenizerSource};
use crate::world::World;

/// Builds the plan of a tokenizer. Nothing after a mistake.
pub fn check(
    record: &Record,
    name: &Name,
    datasets: &BTreeMap<String, Option<Dataset>>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let train = record.optional("train", Read::call);
    let load = record.optional("load", Some);
    let end_of_text = record.optional("end_of_text", Read::text);
    if record.is_written("train") && record.is_written("load") {
        diagnostics.push(
            Diagnostic::error(EXCLUSIVE_FIELDS, format!("tokenizer `{}` is both trained and loaded", name.text))
                .label(record.place("load"), "loaded")
                .label(record.place("train"), "trained")
                .help("keep one of `train` and `load`"),
        );
        return None;
    }
    match (train?, load?) {
        (Some(call), _) => trained(call, end_of_text?, datasets, diagnostics),
        (None, Some(Read::Text(path))) => {
            let place = record.entry("end_of_text").filter(|entry| entry.written).map(|entry| &entry.span);
            loaded(path, record.place("load"), end_of_text?, place, world, diagnostics)
        }
        (None, Some(_)) => {
            let end_of_text = end_of_text?;
            Some(TokenizerPlan {
                source: TokenizerSource::Bytes,
                vocab: if end_of_text.is_some() { 257 } else { 256 },
                end_of_text,
            })
        }
        (None, None) => {
            diagnostics.push(
                Diagnostic::error(EXCLUSIVE_FIELDS, format!("tokenizer `{}` is neither trained nor loaded", name.text))
                    .label(&name.span, "needs `train` or `load`")
                    .help("for example `train = byte_bpe(vocab: 8192, on: DATASET)` or `load = \"tokenizer.json\"`"),
            );
            None
        }
    }
}

fn trained(
    call: &Record,
    end_of_text: Option<String>,
    datasets: &BTreeMap<String, Option<Dataset>>,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let dataset = call.declaration("on")?.to_owned();
    if let Some(Some(data)) = datasets.get(&dataset).filter(|data| data.as_ref().is_some_and(Dataset::is_tokens)) {
        diagnostics.push(
            Diagnostic::error(DATA_KIND, format!("a tokenizer is trained on text, but `{dataset}` is token ids"))
                .label(call.place("on"), "token ids")
                .label(&data.name.span, "declared here"),
        );
        return None;
    }
    if let Some(Some(data)) = datasets.get(&dataset).filter(|data| data.as_ref().is_some_and(Dataset::is_record)) {
        let content = data.plan.content.name();
        diagnostics.push(
            Diagnostic::error(DATA_KIND, format!("a tokenizer is trained on text, but `{dataset}` is `{content}`"))
                .label(call.place("on"), "records of several texts")
                .label(&data.name.span, "declared here")
                .help("declare a dataset of the same files as text: `field: \"...\"` and no `type`"),
        );
        return None;
    }
    Some(TokenizerPlan {
        source: TokenizerSource::ByteBpe { dataset, limit_bytes: call.quantity("sample")?.whole_in_base()? },
        vocab: call.integer("vocab")?,
        end_of_text,
    })
}

fn loaded(
    path: &str,
    load: &Span,
    end_of_text: Option<String>,
    end_written: Option<&Span>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<TokenizerPlan> {
    let facts = match world.tokenizer(path) {
        Ok(facts) => facts,
        Err(reason) => {
            diagnostics.push(
                Diagnostic::error(TOKENIZER_UNFIT, format!("cannot load the tokenizer `{path}`"))
                    .label(load, reason)
                    .help("the path of a Hugging Face `tokenizer.json`, relative to the recipe"),
            );
            return None;
        }
    };
    if let Some(end) = end_of_text.as_ref().filter(|end| !facts.special.contains(end)) {
        let known: Vec<String> = facts.special.iter().map(|each| format!("{each:?}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).take(8).collect();
        let mistake = Diagnostic::error(TOKENIZER_UNFIT, format!("`{path}` has no special token `{end}`"));
        let mistake = match end_written {
            Some(span) => mistake.label(span, "not in the file"),
            None => mistake.label(load, format!("`end_of_text` is {end:?} unless it is written")),
        };
        diagnostics.push(match known.is_empty() {
            true => mistake.help("it has no special tokens: write `end_of_text = none`"),
            false => mistake.help(format!(
                "{}; write one, as in `end_of_text = {}`, or `end_of_text = none`",
                there_are(&known),
                known.last().copied().unwrap_or_default()
            )),
        });
        return None;
    }
    Some(TokenizerPlan { source: TokenizerSource::File { path: path.to_owned() }, vocab: facts.vocab, end_of_text })
}
