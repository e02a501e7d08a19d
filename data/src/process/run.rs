//! Documents through all steps, part by part.
//!
//! A pass sends documents through steps that decide as they come. Before a step that must have seen every document
//! ([`near`](super::near)) a pass ends, and after it the next begins. Every pass leaves [parts](super::part) in the cache,
//! each of about [`PART_BYTES`] of its input, whose bounds depend on the documents alone. A pass that is interrupted goes
//! on after its last finished part: only its input is read again up to there.

use llmc_compiler::plan::{ProcessPlan, Scope};

use super::bias::Reweighting;
use super::models::Resources;
use super::near::{Groups, Near};
use super::part::{Part, PartWriter};
use super::records::decide_each;
use super::report::{ProcessReport, StepReport};
use super::source::{Reweighted, Source, Survivors};
use super::{Document, Step, apply, name, step};
use crate::cache::{Cache, Lookup, WriteError};
use crate::split::{Survey, SurveyBuilder};

/// Text that one part is made of, about.
pub const PART_BYTES: usize = 64 << 20;

/// Text of one batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// Documents of one batch at most.
const BATCH_DOCUMENTS: usize = 1 << 14;

/// What came through all steps.
#[derive(Debug)]
pub struct Finished {
    /// The pass that left it, from 0: parts bear its number.
    pub(super) pass: usize,
    /// Its parts.
    pub(super) parts: Vec<Part>,
    /// What one pass over the documents finds.
    pub(super) survey: Survey,
    /// What the steps did.
    pub report: ProcessReport,
    /// Entries that are of no use any more.
    pub(super) left_over: Vec<String>,
}

impl Finished {
    /// The documents in order.
    pub fn documents(&self) -> impl Iterator<Item = std::io::Result<Document>> + Send + '_ {
        self.parts.iter().flat_map(Part::documents)
    }
}

/// Where parts are kept.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// They are its entries.
    pub cache: &'a Cache,
    /// What their names begin with.
    pub entry: &'a str,
    /// Text that one part is made of, about: [`PART_BYTES`] but in tests.
    pub part_bytes: usize,
}

/// Sends documents through the steps, which find in the resources what else they read.
///
/// # Errors
/// What the documents fail with, and what the disk refuses.
pub fn run(
    place: Place<'_>,
    (steps, resources): (&[ProcessPlan], &Resources),
    input: &mut dyn Source,
) -> Result<Finished, WriteError> {
    let Place { cache, entry, .. } = place;
    let (mut pass, mut rest) = (0, steps);
    let mut left_over = Vec::new();
    let (mut reports, mut read) = (Vec::new(), None);
    let mut between: Option<Between> = None;
    let mut parts: Vec<Part> = Vec::new();
    loop {
        let immediate = rest.iter().take_while(|plan| !sees_all_first(plan)).count();
        let (now, later) = rest.split_at(immediate);
        let near = match later.first() {
            Some(ProcessPlan::DedupNear { threshold, shingle, hashes }) => {
                Some(Near::new(*threshold, *shingle as usize, *hashes as usize))
            }
            _ => None,
        };
        let this = Pass { place, number: pass, steps: now, resources, near: near.as_ref() };
        let (made, done) = match between.take() {
            None => this.run(input)?,
            Some(Between::Near(groups)) => this.run(&mut Survivors::new(&parts, &groups)?)?,
            Some(Between::Reweight(groups)) => this.run(&mut Reweighted::new(&parts, *groups))?,
        };
        if let Some(end) = made.last().map(Part::trailer) {
            reports.extend(end.progressed.report.clone());
            reports.extend(done);
            read.get_or_insert_with(|| end.progressed.clone());
        }
        parts = made;
        let Some(next) = later.first() else {
            break;
        };
        left_over.extend((0..parts.len()).map(|part| part_name(entry, pass, part)));
        between = match (next, near) {
            (ProcessPlan::Reweight(plan), _) => {
                let mut groups = Reweighting::new(plan, resources);
                for batch in batches(&parts) {
                    groups.add(&batch?);
                }
                Some(Between::Reweight(Box::new(groups)))
            }
            (_, Some(near)) => {
                let name = format!("{entry}.{pass}-groups");
                let groups = grouped(cache, &name, &near, &parts)?;
                left_over.push(name);
                Some(Between::Near(groups))
            }
            (_, None) => None,
        };
        rest = &later[1..];
        pass += 1;
    }
    let read = read.unwrap_or_default();
    let mut survey = SurveyBuilder::default();
    for part in &parts {
        let documents = part.hashes()?.into_iter().zip(part.places()?).zip(part.sides()?);
        for ((hash, (_, length)), (source, heldout)) in documents {
            survey.add_hashed(hash.into(), length, source, heldout);
        }
    }
    let survey = survey.finish(read.read, read.cut);
    let report = ProcessReport {
        documents_read: read.documents,
        bytes_read: read.bytes,
        documents_kept: survey.all.documents,
        bytes_kept: survey.all.bytes,
        steps: reports,
    };
    Ok(Finished { pass, parts, survey, report, left_over })
}

/// Whether a step must have seen every document before it can decide.
fn sees_all_first(plan: &ProcessPlan) -> bool {
    matches!(plan, ProcessPlan::DedupNear { .. } | ProcessPlan::Reweight(_))
}

/// What such a step has found in the parts of the pass before it.
enum Between {
    Near(Groups),
    Reweight(Box<Reweighting>),
}

/// The documents of parts in batches.
fn batches(parts: &[Part]) -> impl Iterator<Item = std::io::Result<Vec<Document>>> + '_ {
    let mut documents = parts.iter().flat_map(Part::documents);
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_DOCUMENTS {
            match documents.next() {
                Some(Ok(document)) => {
                    bytes += document.text.len();
                    batch.push(document);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    })
}

/// The name of a part's entry.
pub fn part_name(entry: &str, pass: usize, part: usize) -> String {
    format!("{entry}.{pass}-{part}")
}

/// The groups of near-duplicates, from the cache where they are there.
fn grouped(cache: &Cache, name: &str, near: &Near, parts: &[Part]) -> Result<Groups, WriteError> {
    if let Lookup::Found(entry) = cache.open(name)
        && let Some(groups) = Groups::from_bytes(&entry)
    {
        return Ok(groups);
    }
    let groups = near.groups(parts)?;
    cache.write(name, |file| Ok(std::io::Write::write_all(file, &groups.to_bytes())?))?;
    Ok(groups)
}

/// A step at work.
struct Working {
    step: Box<dyn Step>,
    report: StepReport,
    scope: Scope,
}

impl Working {
    fn through(&mut self, batch: Vec<Document>) -> Vec<Document> {
        let outcomes = match self.scope {
            Scope::Each => decide_each(self.step.as_mut(), &batch),
            Scope::Whole | Scope::Cleaning => self.step.decide(&batch),
        };
        apply(batch, outcomes, &mut self.report)
    }
}

/// Steps that decide as documents come, and what is done for the step after them.
struct Pass<'a> {
    place: Place<'a>,
    number: usize,
    steps: &'a [ProcessPlan],
    resources: &'a Resources,
    near: Option<&'a Near>,
}

impl Pass<'_> {
    /// The parts, and what each step did.
    fn run(&self, input: &mut dyn Source) -> Result<(Vec<Part>, Vec<StepReport>), WriteError> {
        let new = |plan: &ProcessPlan| {
            Some(Working {
                step: step(plan, self.resources)?,
                report: StepReport::new(name(plan)),
                scope: plan.scope(),
            })
        };
        let mut steps: Vec<Working> = self.steps.iter().filter_map(new).collect();
        let mut parts: Vec<Part> = Vec::new();
        let mut behind = false;
        while parts.last().is_none_or(|part| !part.trailer().last) {
            let name = part_name(self.place.entry, self.number, parts.len());
            if let Some(part) = Part::open(self.place.cache, &name) {
                for (working, (memory, done)) in
                    steps.iter_mut().zip(part.memories()?.iter().zip(&part.trailer().reports))
                {
                    working.step.remember(memory);
                    working.report = done.clone();
                }
                parts.push(part);
                behind = true;
                continue;
            }
            if let Some(part) = parts.last().filter(|_| behind) {
                input.go_on(&part.trailer().progressed)?;
            }
            behind = false;
            self.write(&name, &mut steps, input)?;
            parts.push(Part::reopen(self.place.cache, &name)?);
        }
        let finished = steps.into_iter().map(|Working { step, mut report, .. }| {
            step.finish(&mut report);
            report
        });
        Ok((parts, finished.collect()))
    }

    fn write(&self, name: &str, steps: &mut [Working], input: &mut dyn Source) -> Result<(), WriteError> {
        let written = self.place.cache.write(name, |file| {
            let mut writer = PartWriter::new(file);
            let mut bytes = 0;
            let mut last = false;
            while bytes < self.place.part_bytes && !last {
                let mut batch = next_batch(input, BATCH_BYTES.min(self.place.part_bytes))?;
                last = batch.is_empty();
                bytes += batch.iter().map(|document| document.text.len()).sum::<usize>();
                for working in &mut *steps {
                    batch = working.through(batch);
                }
                writer.add(&batch, self.near)?;
            }
            let memories: Vec<Vec<u8>> = steps.iter_mut().map(|working| working.step.learned()).collect();
            let reports = steps.iter().map(|working| working.report.clone()).collect();
            Ok(writer.finish(last, input.progressed(), reports, &memories)?)
        });
        Ok(written?)
    }
}

fn next_batch(input: &mut dyn Source, most: usize) -> Result<Vec<Document>, WriteError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < most && batch.len() < BATCH_DOCUMENTS {
        let Some(document) = input.next_document()? else {
            break;
        };
        bytes += document.text.len();
        batch.push(document);
    }
    Ok(batch)
}
