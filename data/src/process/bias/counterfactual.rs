//! The step `counterfactual`.

use std::collections::BTreeMap;

use llmc_compiler::plan::CounterfactualPlan;
use rayon::prelude::*;

use super::super::models::Resources;
use super::super::words::{chosen, mixed};
use super::super::{Document, Outcome, Step, StepReport, recalled, state};
use super::company::{Company, Watch};
use super::swap::swapped;
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

    /// What becomes of a text, and its company before and after.
    fn exchange(&self, text: &str) -> (Outcome, Company, Company) {
        let before = self.watch.look(text);
        let key = mixed(document_key(text.as_bytes()) ^ mixed(self.seed));
        if before.terms == [0; 2] || !chosen(key, self.share) {
            return (Outcome::Kept, before.clone(), before);
        }
        let (text, count) = swapped(text, &self.watch.pairs);
        let found = BTreeMap::from([("terms", count)]);
        let mut after = self.watch.look(&text);
        if self.keep_original {
            after.add(&before);
            return (Outcome::Joined { copies: vec![text], found }, before, after);
        }
        (Outcome::Changed { text, found }, before, after)
    }
}

impl Step for Counterfactual {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let exchanged: Vec<_> = batch.par_iter().map(|document| self.exchange(&document.text)).collect();
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
