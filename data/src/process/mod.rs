//! What documents go through between their source and the tokenizer.
//!
//! Documents stream through the steps in batches, in the order of the sources. Each step looks at the documents of a
//! batch on all cores and then decides in order, so that the result depends neither on the number of threads nor on
//! the size of a batch. Between a step that must have seen every document before it can decide ([`near`]) and those
//! before it lies the disk (see [`run`](self::run)).

mod document;
mod exact;
mod keys;
mod lines;
pub mod near;
mod normal;
mod part;
pub mod pii;
mod quality;
mod report;
mod run;
mod source;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use llmc_compiler::plan::ProcessPlan;

pub use document::{Document, DocumentReader, DocumentWriter, Origin};
use exact::Exact;
use lines::Lines;
use pii::Redaction;
use quality::Filter;
pub use report::{Example, ProcessReport, StepReport};
pub use run::{Finished, PART_BYTES, Place, run};
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
        /// What was found or removed in it, by kind.
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
}

fn step(plan: &ProcessPlan) -> Option<Box<dyn Step>> {
    Some(match plan {
        ProcessPlan::DedupNear { .. } => return None,
        ProcessPlan::DedupExact => Box::new(Exact::default()),
        ProcessPlan::DedupLines { unit, min_length } => Box::new(Lines::new(*unit, *min_length)),
        ProcessPlan::Filter { lines, short_line, rules, .. } => {
            Box::new(Filter { cleaning: *lines, short_line: *short_line, rules: rules.clone() })
        }
        ProcessPlan::Pii { kinds, replace, seed } => Box::new(Redaction::new(kinds, *replace, *seed)),
    })
}

fn name(plan: &ProcessPlan) -> &str {
    match plan {
        ProcessPlan::DedupExact => "dedup_exact",
        ProcessPlan::DedupNear { .. } => "dedup_near",
        ProcessPlan::DedupLines { .. } => "dedup_lines",
        ProcessPlan::Filter { name, .. } => name,
        ProcessPlan::Pii { .. } => "pii",
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
            Outcome::Changed { text, found } => {
                found.iter().for_each(|(kind, count)| report.found(kind, *count));
                let counts: Vec<String> = found.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                document.done.push(format!("{}: {}", report.step, counts.join(", ")));
                document.text = text;
                report.changed(&document);
            }
            Outcome::Kept => {}
        }
        report.kept(&document);
        on.push(document);
    }
    on
}
