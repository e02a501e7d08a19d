//! What documents go through between their source and the tokenizer.
//!
//! Documents stream through the steps in batches, in the order of the sources. Each step looks at the documents of a
//! batch on all cores and then decides in order, so that the result depends neither on the number of threads nor on
//! the size of a batch. Between a step that must have seen every document before it can decide ([`near`]) and those
//! before it lies the disk (see `run.rs`).

mod bias;
mod decontaminate;
mod distribution;
mod document;
mod exact;
mod keys;
mod lines;
pub mod models;
pub mod near;
mod normal;
mod part;
pub mod pii;
mod quality;
mod records;
mod report;
mod run;
mod score;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use llmc_compiler::plan::ProcessPlan;

use crate::record::Record;
use bias::{Counterfactual, Terms};
pub use bias::{Pairs, terms_of, words_of};
use decontaminate::Decontamination;
pub use decontaminate::Evaluations;
pub use document::{Document, DocumentReader, DocumentWriter, Origin};
use exact::Exact;
use lines::Lines;
use models::Resources;
use models::quality::{Language, Perplexity, Quality};
use pii::Redaction;
use quality::Filter;
pub use report::{Example, ProcessReport, StepReport};
pub use run::{Finished, PART_BYTES, Place, run};
use score::Score;
pub use source::{Reading, Source};
pub use store::Processed;

/// What a step does to one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It goes on as it is.
    Kept,
    /// It goes on with another text.
    Changed {
        /// The text.
        text: String,
        /// The texts apart, where it is a record that was changed as a whole.
        record: Option<Record>,
        /// What was found or removed in it, by kind.
        found: BTreeMap<&'static str, u64>,
    },
    /// It goes on as it is, and copies of it with these texts right after it.
    Joined {
        /// The copies' texts; of records with the texts apart.
        copies: Vec<(String, Option<Record>)>,
        /// What was changed in them, by kind; nothing where they are the same text.
        found: BTreeMap<&'static str, u64>,
    },
    /// It ends here.
    Dropped {
        /// The rule or reason, as the report names it.
        reason: &'static str,
        /// What was found in it, by kind.
        found: BTreeMap<&'static str, u64>,
    },
}

impl Outcome {
    fn dropped(reason: &'static str) -> Outcome {
        Outcome::Dropped { reason, found: BTreeMap::new() }
    }
}

/// A step that decides document by document, knowing those before.
trait Step {
    /// One outcome for each document, in order.
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome>;

    /// What it must remember of the documents since the last time it was asked, to go on after an interruption.
    fn learned(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes what it has [learned](Step::learned) before; several times in the order it was learned.
    fn remember(&mut self, _learned: &[u8]) {}

    /// Adds what was measured over all documents to the report, when there are no more.
    fn finish(&self, _report: &mut StepReport) {}
}

fn step(plan: &ProcessPlan, resources: &Resources) -> Option<Box<dyn Step>> {
    Some(match plan {
        ProcessPlan::DedupNear { .. } | ProcessPlan::Reweight(_) => return None,
        ProcessPlan::DedupExact => Box::new(Exact::default()),
        ProcessPlan::DedupLines { unit, min_length } => Box::new(Lines::new(*unit, *min_length)),
        ProcessPlan::Filter { lines, short_line, rules, .. } => {
            Box::new(Filter { cleaning: *lines, short_line: *short_line, rules: rules.clone() })
        }
        ProcessPlan::Pii { kinds, replace, seed } => Box::new(Redaction::new(kinds, *replace, *seed)),
        ProcessPlan::Quality(plan) => Box::new(Quality::new(resources.classifier(&plan.model), plan.min)),
        ProcessPlan::Perplexity(plan) => Box::new(Perplexity::new(resources.language_model(&plan.model), plan)),
        ProcessPlan::Language(plan) => Box::new(Language::new(plan)),
        ProcessPlan::Score(plan) => Box::new(Score::new(plan, resources)),
        ProcessPlan::DropTerms(plan) => Box::new(Terms::new(plan, resources)),
        ProcessPlan::Counterfactual(plan) => Box::new(Counterfactual::new(plan, resources)),
        ProcessPlan::Decontaminate(plan) => Box::new(Decontamination::new(resources.evaluations(plan), plan.drop)),
    })
}

fn name(plan: &ProcessPlan) -> &str {
    match plan {
        ProcessPlan::DedupExact => "dedup_exact",
        ProcessPlan::DedupNear { .. } => "dedup_near",
        ProcessPlan::DedupLines { .. } => "dedup_lines",
        ProcessPlan::Filter { name, .. } => name,
        ProcessPlan::Pii { .. } => "pii",
        ProcessPlan::Quality(_) => "quality",
        ProcessPlan::Perplexity(_) => "perplexity",
        ProcessPlan::Language(_) => "language",
        ProcessPlan::Score(_) => "score",
        ProcessPlan::DropTerms(_) => "drop_terms",
        ProcessPlan::Counterfactual(_) => "counterfactual",
        ProcessPlan::Reweight(_) => "reweight",
        ProcessPlan::Decontaminate(_) => "decontaminate",
    }
}

/// A state that a step has learned, whole: what it learned before is part of it.
fn state<T: serde::Serialize>(state: &T) -> Vec<u8> {
    serde_json::to_vec(state).expect("counts are plain data")
}

/// A state from what [`state`] made of it; it comes from a part whose hash is right.
fn recalled<T: serde::de::DeserializeOwned>(learned: &[u8], state: &mut T) {
    if let Ok(found) = serde_json::from_slice(learned) {
        *state = found;
    }
}

/// Carries the outcomes out and counts them.
fn apply(batch: Vec<Document>, outcomes: Vec<Outcome>, report: &mut StepReport) -> Vec<Document> {
    let mut on = Vec::with_capacity(batch.len());
    for (mut document, outcome) in batch.into_iter().zip(outcomes) {
        report.arrived(&document);
        match outcome {
            Outcome::Dropped { reason, found } => {
                found.iter().for_each(|(kind, count)| report.found(kind, *count));
                report.dropped(&document, reason, None);
                continue;
            }
            Outcome::Changed { text, record, found } => {
                found.iter().for_each(|(kind, count)| report.found(kind, *count));
                let counts: Vec<String> = found.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                document.done.push(format!("{}: {}", report.step, counts.join(", ")));
                document.text = text;
                document.record = record;
                report.changed(&document);
            }
            Outcome::Joined { copies, found } => {
                found.iter().for_each(|(kind, count)| report.found(kind, *count));
                report.kept(&document);
                let copied = copies.into_iter().map(|(text, record)| {
                    let mut copy = Document { text, record, ..document.clone() };
                    copy.done.push(format!("{}: copy", report.step));
                    report.added(&copy);
                    copy
                });
                let copied: Vec<Document> = copied.collect();
                on.push(document);
                on.extend(copied);
                continue;
            }
            Outcome::Kept => {}
        }
        report.kept(&document);
        on.push(document);
    }
    on
}
