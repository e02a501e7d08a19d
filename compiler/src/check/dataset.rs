//! `dataset` declarations.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, NO_EFFECT, SOURCE_NOT_FOUND, SOURCE_UNFIT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::mismatch::there_are;
use super::nearest::nearest;
use super::process::{self, Surroundings};
use super::record::{Read, Record};
use crate::plan::{DatasetPlan, SourcePlan};
use crate::world::{SourceFacts, World};

/// A checked data set with what is known of its files.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The plan of it.
    pub plan: DatasetPlan,
    /// Its sources' facts, where the world knows them.
    pub facts: Vec<Option<SourceFacts>>,
    /// Where each source is written.
    pub spans: Vec<Span>,
    /// Its name where it is declared.
    pub name: Name,
}

impl Dataset {
    /// True if it holds token ids, false if it holds text.
    pub fn is_tokens(&self) -> bool {
        self.plan.sources.iter().any(SourcePlan::is_tokens)
    }
}

/// Builds the plan of a data set and compares it with the world; `datasets` are those it may read from. Nothing after
/// a mistake.
pub fn check(
    record: &Record,
    name: &Name,
    datasets: &BTreeMap<String, Option<Dataset>>,
    world: &dyn World,
    diagnostics: &mut Diagnostics,
) -> Option<Dataset> {
    let read = record.optional("source", |read| match read {
        Read::List(items) => Some(items),
        _ => None,
    })??;
    let mut sources = Vec::new();
    let mut facts = Vec::new();
    let mut spans = Vec::new();
    let mut sound = true;
    for (item, span) in read {
        let Some((call, plan)) = item.call().and_then(|call| Some((call, source(call)?))) else {
            sound = false;
            continue;
        };
        match ask(call, &plan, span, name, world) {
            Ok(found) => facts.push(found),
            Err(mistake) => {
                sound &= !mistake.is_error();
                diagnostics.push(*mistake);
                facts.push(None);
            }
        }
        sources.push(plan);
        spans.push(span.clone());
    }
    if let Some(mistake) = mixed(&sources, &spans, name) {
        diagnostics.push(mistake);
        sound = false;
    }
    if let Some(mistake) = beside_random_tokens(record, &sources, &spans, name) {
        diagnostics.push(mistake);
        sound = false;
    }
    let limit_bytes = record.optional("limit", Read::quantity)?.and_then(|quantity| quantity.whole_in_base());
    let process = process::steps(record, &sources, &spans, &mut Surroundings { datasets, world, diagnostics })?;
    let plan = DatasetPlan { sources, holdout: record.quantity("holdout")?.in_base(), limit_bytes, process };
    sound.then(|| Dataset { plan, facts, spans, name: name.clone() })
}

fn source(call: &Record) -> Option<SourcePlan> {
    Some(match call.form.name {
        "files" => SourcePlan::Files { pattern: call.text("pattern")? },
        "text" => SourcePlan::Text { path: call.text("path")? },
        "jsonl" => SourcePlan::Jsonl { path: call.text("path")?, field: call.text("field")? },
        "random_tokens" => SourcePlan::RandomTokens {
            vocab: call.integer("vocab")?,
            count: call.quantity("count")?.whole_in_base()?,
            seed: call.integer("seed")?,
        },
        _ => SourcePlan::Tokens { path: call.text("path")?, tensor: call.optional("tensor", Read::text)? },
    })
}

fn mixed(sources: &[SourcePlan], spans: &[Span], name: &Name) -> Option<Diagnostic> {
    let ids = sources.iter().position(SourcePlan::is_tokens)?;
    let text = sources.iter().position(|source| !source.is_tokens())?;
    Some(
        Diagnostic::error(DATA_KIND, format!("dataset `{}` mixes text and token ids", name.text))
            .label(&spans[ids], "token ids")
            .label(&spans[text], "text")
            .help("declare two datasets"),
    )
}

/// Random tokens are as many as they say, and no other source follows them.
fn beside_random_tokens(record: &Record, sources: &[SourcePlan], spans: &[Span], name: &Name) -> Option<Diagnostic> {
    let random = sources.iter().position(|source| matches!(source, SourcePlan::RandomTokens { .. }))?;
    if let Some(other) = (0..sources.len()).find(|other| *other != random) {
        return Some(
            Diagnostic::error(DATA_KIND, format!("dataset `{}` has another source beside random tokens", name.text))
                .label(&spans[random], "has to be the only source")
                .label(&spans[other], "another one")
                .help("declare two datasets"),
        );
    }
    record.optional("limit", Read::quantity)??;
    Some(
        Diagnostic::error(NO_EFFECT, "`limit` has no effect on random tokens")
            .label(record.place("limit"), "nothing is read")
            .label(&spans[random], "`count` says how many there are")
            .help("remove `limit`"),
    )
}

/// What the world knows of a source, compared with what the recipe says of it.
fn ask(
    call: &Record,
    plan: &SourcePlan,
    span: &Span,
    name: &Name,
    world: &dyn World,
) -> Result<Option<SourceFacts>, Box<Diagnostic>> {
    if let SourcePlan::RandomTokens { count, .. } = plan {
        return Ok(Some(SourceFacts::Tokens { rows: None, row_length: None, tokens: *count, tensors: Vec::new() }));
    }
    let facts = world.source(plan).map_err(|reason| {
        let code = SOURCE_NOT_FOUND;
        let message = format!("dataset `{}` cannot be read here", name.text);
        Box::new(Diagnostic::warning(code, message).label(span, reason).help(
            "the recipe compiles without its data but cannot run; point it elsewhere in the recipe or with `--set`",
        ))
    })?;
    match (plan, &facts) {
        (SourcePlan::Jsonl { path, field }, SourceFacts::Records { text_fields, fields })
            if !text_fields.contains(field) =>
        {
            let texts: Vec<&str> = text_fields.iter().map(String::as_str).collect();
            let (message, label) = match fields.contains(field) {
                true => (format!("`{field}` in `{path}` is not a text"), "another kind of value"),
                false => (format!("`{path}` has no field `{field}`"), "not in the first record"),
            };
            Err(unfit(call.place("field"), message, label, field, &texts))
        }
        (SourcePlan::Tokens { path, tensor: Some(tensor) }, SourceFacts::Tokens { tensors, .. })
            if !tensors.is_empty() && !tensors.contains(tensor) =>
        {
            let known: Vec<&str> = tensors.iter().map(String::as_str).collect();
            let message = format!("`{path}` has no tensor `{tensor}`");
            Err(unfit(call.place("tensor"), message, "not in the file", tensor, &known))
        }
        (SourcePlan::Tokens { path, tensor: None }, SourceFacts::Tokens { tensors, .. }) if tensors.len() > 1 => {
            let known: Vec<&str> = tensors.iter().map(String::as_str).collect();
            Err(Box::new(
                Diagnostic::error(SOURCE_UNFIT, format!("`{path}` has {} tensors", tensors.len()))
                    .label(span, "which of them?")
                    .help(format!("say `tensor: \"...\"`; {}", there_are(&known))),
            ))
        }
        _ => Ok(Some(facts)),
    }
}

fn unfit(span: &Span, message: String, label: &str, name: &str, known: &[&str]) -> Box<Diagnostic> {
    let mistake = Diagnostic::error(SOURCE_UNFIT, message).label(span, label);
    Box::new(match (nearest(name, known.iter().copied()), known) {
        (Some(near), _) => mistake.help(format!("did you mean `{near}`?")),
        (None, []) => mistake.help("no field of the first record is a text"),
        (None, _) => mistake.help(there_are(known)),
    })
}
