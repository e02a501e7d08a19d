//! The step `counterfactual`.

use std::collections::BTreeMap;

use llmc_compiler::plan::CounterfactualPlan;
use rayon::prelude::*;

use super::super::models::Resources;
use super::super::words::{chosen, mixed};
use super::super::{Document, Outcome, Step, StepReport, recalled, state};
use super::company::{Company, Watch};
use super::swap::swapped;
use crate::record::Record;
use crate::split::document_key;

/// Exchanges terms in a share of the documents.
#[derive(Debug)]
pub struct Counterfactual {
    watch: Watch,
    share: f64,
    keep_original: bool,
    seed: u64,
    before: Company,
    after: Company,
}

impl Counterfactual {
    /// As the plan says.
    pub fn new(plan: &CounterfactualPlan, resources: &Resources) -> Counterfactual {
        Counterfactual {
            watch: Watch::new(plan.pairs.as_deref(), plan.attributes.as_deref(), resources),
            share: plan.share,
            keep_original: plan.keep_original,
            seed: plan.seed,
            before: Company::default(),
            after: Company::default(),
        }
    }

    /// What becomes of a document, and its company before and after.
    fn exchange(&self, document: &Document) -> (Outcome, Company, Company) {
        let text = document.text.as_str();
        let before = self.watch.look(text);
        let key = mixed(document_key(text.as_bytes()) ^ mixed(self.seed));
        if before.terms == [0; 2] || !chosen(key, self.share) {
            return (Outcome::Kept, before.clone(), before);
        }
        let (text, record, count) = self.counterpart(document);
        let found = BTreeMap::from([("terms", count)]);
        let mut after = self.watch.look(&text);
        if self.keep_original {
            after.add(&before);
            return (Outcome::Joined { copies: vec![(text, record)], found }, before, after);
        }
        (Outcome::Changed { text, record, found }, before, after)
    }

    /// The text with its terms exchanged, of a record all its texts, and how many terms there were.
    fn counterpart(&self, document: &Document) -> (String, Option<Record>, u64) {
        let Some(record) = &document.record else {
            let (text, count) = swapped(&document.text, &self.watch.pairs);
            return (text, None, count);
        };
        let exchanged = record.texts().into_iter().map(|(_, text)| swapped(text, &self.watch.pairs));
        let (texts, counts): (Vec<String>, Vec<u64>) = exchanged.unzip();
        let mut record = record.clone();
        record.replace(texts);
        (record.joined(), Some(record), counts.iter().sum())
    }
}

impl Step for Counterfactual {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let exchanged: Vec<_> = batch.par_iter().map(|document| self.exchange(document)).collect();
        let count = |(outcome, before, after): (Outcome, Company, Company)| {
            self.before.add(&before);
            self.after.add(&after);
            outcome
        };
        exchanged.into_iter().map(count).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        state(&[&self.before, &self.after])
    }

    fn remember(&mut self, learned: &[u8]) {
        let mut found = [Company::default(), Company::default()];
        recalled(learned, &mut found);
        [self.before, self.after] = found;
    }

    fn finish(&self, report: &mut StepReport) {
        let notes = self.watch.report(&self.before, &self.after, &mut report.measures);
        report.notes.extend(notes);
    }
}
