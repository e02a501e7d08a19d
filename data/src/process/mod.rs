//! What documents go through between their source and the tokenizer.
//!
//! Documents stream through the steps in batches, in the order of the sources. Each step looks at the documents of a
//! batch on all cores and then decides in order, so that the result depends neither on the number of threads nor on
//! the size of a batch. A step that must have seen every document before it can decide ([`near`]) puts them into a
//! temporary file and keeps only signatures in memory.

mod document;
mod exact;
mod lines;
pub mod near;
mod normal;
pub mod pii;
mod quality;
mod records;
mod report;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use llmc_compiler::plan::{ProcessPlan, Scope};
use llmc_grammar::diagnostic::Diagnostic;

use super::cache::WriteError;
use super::{Phase, Progress};
pub use document::{Document, DocumentReader, DocumentWriter, Origin};
use exact::Exact;
use lines::Lines;
use near::NearIndex;
use pii::Redaction;
use quality::Filter;
pub use report::{Example, ProcessReport, StepReport};
pub use store::Processed;

/// Text of one batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// Documents of one batch at most.
const BATCH_DOCUMENTS: usize = 1 << 14;

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

type Input<'a> = dyn Iterator<Item = Result<Document, WriteError>> + 'a;
type Output<'a> = dyn FnMut(Document) -> Result<(), WriteError> + 'a;

/// Sends documents through the steps, one of which may need `temporary`, a path that nobody else uses, for a while.
///
/// # Errors
/// What the documents or `output` fail with, and what the disk refuses.
pub fn run(
    steps: &[ProcessPlan],
    documents: &mut dyn Iterator<Item = Result<Document, Diagnostic>>,
    temporary: &dyn Fn() -> PathBuf,
    progress: &dyn Fn(Progress),
    output: &mut Output<'_>,
) -> Result<ProcessReport, WriteError> {
    let mut report = ProcessReport::default();
    let mut counted = documents.map(|document| {
        let document = document?;
        report.documents_read += 1;
        report.bytes_read += document.text.len() as u64;
        progress(Progress { phase: Phase::Processing, done: report.bytes_read, total: None });
        Ok(document)
    });
    let (mut documents_kept, mut bytes_kept) = (0, 0);
    let mut last = |document: Document| {
        documents_kept += 1;
        bytes_kept += document.text.len() as u64;
        output(document)
    };
    let mut reports = Vec::new();
    run_from(steps, &mut counted, temporary, &mut last, &mut reports)?;
    Ok(ProcessReport { documents_kept, bytes_kept, steps: reports, ..report })
}

fn run_from(
    plans: &[ProcessPlan],
    input: &mut Input<'_>,
    temporary: &dyn Fn() -> PathBuf,
    output: &mut Output<'_>,
    reports: &mut Vec<StepReport>,
) -> Result<(), WriteError> {
    let immediate = plans.iter().take_while(|plan| !matches!(plan, ProcessPlan::DedupNear { .. })).count();
    let (now, later) = plans.split_at(immediate);
    let mut steps: Vec<(Box<dyn Step>, StepReport, Scope)> =
        now.iter().filter_map(|plan| Some((step(plan)?, StepReport::new(name(plan)), plan.scope()))).collect();
    let mut through = |deliver: &mut dyn FnMut(Vec<Document>) -> Result<(), WriteError>| -> Result<(), WriteError> {
        loop {
            let mut batch = next_batch(input)?;
            if batch.is_empty() {
                return Ok(());
            }
            for (step, report, scope) in &mut steps {
                let outcomes = match scope {
                    Scope::Each => records::decide_each(step.as_mut(), &mut batch),
                    Scope::Whole | Scope::Cleaning => step.decide(&batch),
                };
                batch = apply(batch, outcomes, report);
            }
            deliver(batch)?;
        }
    };
    let Some((ProcessPlan::DedupNear { threshold, shingle, hashes }, rest)) = later.split_first() else {
        through(&mut |batch| batch.into_iter().try_for_each(&mut *output))?;
        reports.extend(steps.into_iter().map(|(_, report, _)| report));
        return Ok(());
    };
    let mut index = NearIndex::new(*threshold, *shingle as usize, *hashes as usize);
    let spool = Spool { path: temporary() };
    let mut writer = DocumentWriter::new(BufWriter::with_capacity(1 << 20, File::create(&spool.path)?));
    through(&mut |batch| {
        let places: Result<Vec<u64>, _> = batch.iter().map(|document| writer.write(document)).collect();
        index.add(&batch, &places?);
        Ok(())
    })?;
    reports.extend(steps.into_iter().map(|(_, report, _)| report));
    writer.into_inner().flush()?;
    let mut report = StepReport::new("dedup_near");
    let groups = index.resolve(&File::open(&spool.path)?)?;
    report.notes = groups.notes.clone();
    let origins = origins_of(&spool.path, &groups.examples())?;
    let mut number = 0;
    let survivors = DocumentReader::new(BufReader::with_capacity(1 << 20, File::open(&spool.path)?));
    let mut survivors = survivors.filter_map(|document| {
        let document = match document {
            Ok(document) => document,
            Err(error) => return Some(Err(error.into())),
        };
        let first = groups.first_of(number);
        number += 1;
        report.arrived(&document);
        if first + 1 != number {
            report.dropped(&document, "near_duplicate", origins.get(&first));
            return None;
        }
        report.kept(&document);
        Some(Ok(document))
    });
    let mut later = Vec::new();
    run_from(rest, &mut survivors, temporary, output, &mut later)?;
    reports.push(report);
    reports.append(&mut later);
    Ok(())
}

/// Where these documents of a spool, by number in ascending order, were read.
fn origins_of(spool: &Path, numbers: &[usize]) -> Result<BTreeMap<usize, Origin>, WriteError> {
    let mut origins = BTreeMap::new();
    let last = numbers.last().map_or(0, |last| last + 1);
    let documents = DocumentReader::new(BufReader::with_capacity(1 << 20, File::open(spool)?));
    for (number, document) in documents.take(last).enumerate() {
        if numbers.binary_search(&number).is_ok() {
            origins.insert(number, document?.origin);
        }
    }
    Ok(origins)
}

fn next_batch(input: &mut Input<'_>) -> Result<Vec<Document>, WriteError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES && batch.len() < BATCH_DOCUMENTS {
        let Some(document) = input.next().transpose()? else {
            break;
        };
        bytes += document.text.len();
        batch.push(document);
    }
    Ok(batch)
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

/// A temporary file that is removed when it is of no use any more.
struct Spool {
    path: PathBuf,
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Nothing reads it again; a file that cannot be removed does no harm but to the disk's space.
        let _ = fs::remove_file(&self.path);
    }
}
