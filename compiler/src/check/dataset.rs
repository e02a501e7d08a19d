//! `dataset` declarations.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, LICENSE_NOT_ALLOWED, NO_EFFECT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::process::{self, Surroundings};
use super::record::{Read, Record};
use super::source;
use super::table::all;
use crate::plan::{ContentType, DatasetPlan, OnError, Source, SourcePlan};
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
        self.plan.is_tokens()
    }

    /// True if it holds records of several texts.
    pub fn is_record(&self) -> bool {
        self.plan.content.is_record()
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
    let mut calls = Vec::new();
    let mut sources = Vec::new();
    let mut spans = Vec::new();
    let mut sound = true;
    for (item, span) in read {
        let Some(call) = item.call() else {
            sound = false;
            continue;
        };
        match source::plan(call) {
            Ok(Some(plan)) => {
                calls.push(call);
                sources.push(plan);
                spans.push(span.clone());
            }
            Ok(None) => sound = false,
            Err(mistake) => {
                diagnostics.push(*mistake);
                sound = false;
            }
        }
    }
    let written = record.optional("type", Read::call)?;
    let content = content(written, &sources);
    let places: Vec<SourcePlan> = sources.iter().map(|source| source.place.clone()).collect();
    let mistakes = [
        mixed(&places, &spans, name),
        beside_random_tokens(record, &places, &spans, name),
        another_type(record, content, &sources, &spans, name),
        licence(record, &sources, &spans, name),
        no_effect(record, content, &sources, &spans),
    ];
    for mistake in mistakes.into_iter().flatten() {
        diagnostics.push(mistake);
        sound = false;
    }
    let mut facts = Vec::new();
    for ((call, plan), span) in calls.iter().zip(&sources).zip(&spans) {
        let found = source::ask(call, plan, content, span, name, world);
        facts.push(found.unwrap_or_else(|mistake| {
            sound &= !mistake.is_error();
            diagnostics.push(*mistake);
            None
        }));
    }
    let limit_bytes = record.optional("limit", Read::quantity)?.and_then(|quantity| quantity.whole_in_base());
    let process = process::steps(record, content, &spans, &mut Surroundings { datasets, world, diagnostics })?;
    let on_error = record.optional("on_error", Read::call)?.map(|call| match call.form.name {
        "reject" => OnError::Reject,
        "skip" => OnError::Skip,
        _ => OnError::Replace,
    });
    let holdout = record.quantity("holdout")?.in_base();
    let plan = DatasetPlan { content, sources, holdout, limit_bytes, on_error, process };
    sound.then(|| Dataset { plan, facts, spans, name: name.clone() })
}

fn content(written: Option<&Record>, sources: &[Source]) -> ContentType {
    match written {
        Some(call) => ContentType::ALL.into_iter().find(|content| content.name() == call.form.name).unwrap_or_default(),
        None if sources.iter().any(|source| source.place.is_tokens()) => ContentType::Tokens,
        None => ContentType::Text,
    }
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

/// A source that cannot hold what the dataset's `type` says.
fn another_type(
    record: &Record,
    content: ContentType,
    sources: &[Source],
    spans: &[Span],
    name: &Name,
) -> Option<Diagnostic> {
    let unfit = |source: &Source| match content {
        ContentType::Tokens => !source.place.is_tokens(),
        ContentType::Text => source.place.is_tokens(),
        _ => !source.place.has_columns(),
    };
    let index = sources.iter().position(unfit).filter(|_| record.is_written("type"))?;
    let (label, help) = match (content, sources[index].place.is_tokens()) {
        (ContentType::Tokens, _) => ("text", "token ids come from `tokens(...)`; without `type`, this is text"),
        (_, true) => ("token ids", "without `type`, these are token ids"),
        (_, false) => ("has no columns", "records come from `jsonl(...)`, `csv(...)`, `parquet(...)` or `folder(...)`"),
    };
    let message = format!("dataset `{}` is said to be `{}`", name.text, content.name());
    Some(
        Diagnostic::error(DATA_KIND, message)
            .label(&spans[index], label)
            .label(record.place("type"), "the type")
            .help(help),
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

/// A source without one of the licences that the data set requires.
fn licence(record: &Record, sources: &[Source], spans: &[Span], name: &Name) -> Option<Diagnostic> {
    let allowed: Vec<String> = record
        .optional("require_license", |read| match read {
            Read::List(items) => Some(items),
            _ => None,
        })??
        .iter()
        .filter_map(|(item, _)| item.text())
        .collect();
    let outside = |source: &Source| source.about.license.as_ref().is_none_or(|license| !allowed.contains(license));
    let index = sources.iter().position(outside)?;
    let quoted: Vec<String> = allowed.iter().map(|license| format!("`{license}`")).collect();
    let label = match &sources[index].about.license {
        Some(license) => format!("has the licence `{license}`"),
        None => "says no licence".to_owned(),
    };
    let message = format!("a source of `{}` has none of the licences that it requires", name.text);
    Some(
        Diagnostic::error(LICENSE_NOT_ALLOWED, message)
            .label(&spans[index], label)
            .label(record.place("require_license"), format!("allows {}", all(&quoted)))
            .help("leave the source out, or write `license: \"...\"` if it has one of them"),
    )
}

/// Fields of the data set that its sources make meaningless.
fn no_effect(record: &Record, content: ContentType, sources: &[Source], spans: &[Span]) -> Option<Diagnostic> {
    if content == ContentType::Tokens && record.is_written("on_error") {
        return Some(
            Diagnostic::error(NO_EFFECT, "`on_error` has no effect on token ids")
                .label(record.place("on_error"), "a file of token ids is read whole or not at all")
                .help("remove `on_error`"),
        );
    }
    let [only] = sources else { return None };
    only.about.weight?;
    Some(
        Diagnostic::error(NO_EFFECT, "`weight` has no effect: there is no other source")
            .label(&spans[0], "the only source")
            .help("remove `weight`; a dataset's place in a `mixture` is the weight of its `part`"),
    )
}
