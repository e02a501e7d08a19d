//! `mixture` declarations.

use std::collections::BTreeMap;

use llmc_grammar::codes::{DATA_KIND, NO_EFFECT, PART_WEIGHTS};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::dataset::Dataset;
use super::record::{Read, Record};
use crate::plan::{MixturePart, MixturePlan};

/// A checked mixture.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// The plan of it.
    pub plan: MixturePlan,
    /// Its name where it is declared.
    pub name: Name,
}

/// Builds the plan of a mixture. Nothing after a mistake, also in one of its data sets.
pub fn check(
    record: &Record,
    name: &Name,
    datasets: &BTreeMap<String, Option<Dataset>>,
    diagnostics: &mut Diagnostics,
) -> Option<Mixture> {
    let read = record.optional("parts", |read| match read {
        Read::List(items) => Some(items),
        _ => None,
    })??;
    let mut parts: Vec<MixturePart> = Vec::new();
    let mut spans: Vec<&Span> = Vec::new();
    for (item, span) in read {
        let call = item.call()?;
        parts.push(MixturePart {
            dataset: call.declaration("dataset")?.to_owned(),
            weight: call.optional("weight", Read::number)?,
            epochs: call.optional("epochs", Read::number)?,
        });
        spans.push(span);
    }
    let mistakes = [
        alone(record, &parts, &spans),
        unequal(&parts, &spans),
        twice(&parts, &spans),
        kinds(&parts, &spans, name, datasets),
    ];
    let mut sound = true;
    for mistake in mistakes.into_iter().flatten() {
        diagnostics.push(mistake);
        sound = false;
    }
    let known = parts.iter().all(|part| matches!(datasets.get(&part.dataset), Some(Some(_))));
    let plan = MixturePlan { parts, temperature: record.number("temperature")? };
    (sound && known).then(|| Mixture { plan, name: name.clone() })
}

/// A weight or temperature among no others.
fn alone(record: &Record, parts: &[MixturePart], spans: &[&Span]) -> Option<Diagnostic> {
    let [only] = parts else { return None };
    let (name, place) = match (only.weight, record.is_written("temperature")) {
        (Some(_), _) => ("weight", spans[0]),
        (None, true) => ("temperature", record.place("temperature")),
        (None, false) => return None,
    };
    Some(
        Diagnostic::error(NO_EFFECT, format!("`{name}` has no effect: the mixture has one part"))
            .label(place, "nothing to share the rows with")
            .help(format!("add a part, or remove `{name}`")),
    )
}

/// Weights for some parts only.
fn unequal(parts: &[MixturePart], spans: &[&Span]) -> Option<Diagnostic> {
    let with = parts.iter().position(|part| part.weight.is_some())?;
    let without = parts.iter().position(|part| part.weight.is_none())?;
    Some(
        Diagnostic::error(PART_WEIGHTS, "some parts of the mixture have a weight and some have none")
            .label(spans[without], "has no weight")
            .label(spans[with], "has one")
            .help("write `weight:` for all parts, or for none: then their sizes are their weights"),
    )
}

fn twice(parts: &[MixturePart], spans: &[&Span]) -> Option<Diagnostic> {
    let again =
        (1..parts.len()).find(|index| parts[..*index].iter().any(|part| part.dataset == parts[*index].dataset))?;
    let first = parts.iter().position(|part| part.dataset == parts[again].dataset)?;
    let message = format!("`{}` is in the mixture twice", parts[again].dataset);
    Some(
        Diagnostic::error(NO_EFFECT, message)
            .label(spans[again], "again")
            .label(spans[first], "first here")
            .help("one part with the sum of the weights does the same"),
    )
}

/// Data of two types.
fn kinds(
    parts: &[MixturePart],
    spans: &[&Span],
    name: &Name,
    datasets: &BTreeMap<String, Option<Dataset>>,
) -> Option<Diagnostic> {
    let content = |index: usize| Some(datasets.get(&parts[index].dataset)?.as_ref()?.plan.content);
    let first = content(0)?;
    let other = (1..parts.len()).find(|index| content(*index).is_some_and(|other| other != first))?;
    Some(
        Diagnostic::error(DATA_KIND, format!("mixture `{}` mixes data of two types", name.text))
            .label(spans[0], first.name())
            .label(spans[other], content(other)?.name())
            .help("make two stages, each with its own objective"),
    )
}
