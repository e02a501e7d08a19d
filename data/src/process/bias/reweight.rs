//! The step `reweight`: documents about two groups are left out or repeated until they have their ratio.

use std::io;

use llmc_compiler::plan::{Balancing, ReweightPlan};
use rayon::prelude::*;

use super::super::models::Resources;
use super::super::words::mixed;
use super::super::{Document, StepReport};
use super::company::{Company, Watch};
use crate::split::document_key;

/// What is known of the documents after the first pass: a group each, and the order in which its documents are chosen.
#[derive(Debug)]
pub struct Reweighting {
    watch: Watch,
    plan: ReweightPlan,
    groups: Vec<Option<usize>>,
    /// By group: a hash of each document, and its number.
    members: [Vec<(u64, usize)>; 2],
    before: Company,
}

impl Reweighting {
    /// As the plan says; no documents yet.
    pub fn new(plan: &ReweightPlan, resources: &Resources) -> Reweighting {
        let watch = Watch::new(plan.pairs.as_deref(), plan.attributes.as_deref(), resources);
        Reweighting {
            watch,
            plan: plan.clone(),
            groups: Vec::new(),
            members: [Vec::new(), Vec::new()],
            before: Company::default(),
        }
    }

    /// Adds documents in order.
    pub fn add(&mut self, batch: &[Document]) {
        let look = |document: &Document| (document_key(document.text.as_bytes()), self.watch.look(&document.text));
        let looked: Vec<(u64, Company)> = batch.par_iter().map(look).collect();
        for (key, company) in looked {
            let number = self.groups.len();
            let group = company.group();
            if let Some(group) = group {
                self.members[group].push((mixed(key ^ mixed(self.plan.seed ^ mixed(number as u64))), number));
            }
            self.groups.push(group);
            self.before.add(&company);
        }
    }

    /// How often each document stands in the result, by its number.
    fn copies(&mut self) -> Vec<u32> {
        let mut copies = vec![1; self.groups.len()];
        let counts = [self.members[0].len() as f64, self.members[1].len() as f64];
        if counts.contains(&0.0) {
            return copies;
        }
        // What each group would have if the other stayed as it is.
        let wanted = [counts[1] * self.plan.ratio, counts[0] / self.plan.ratio];
        let large = usize::from(counts[0] <= wanted[0]);
        let (group, target) = match self.plan.by {
            Balancing::Drop => (large, wanted[large]),
            Balancing::Copy => (1 - large, wanted[1 - large].min(counts[1 - large] * self.plan.max_repeat as f64)),
        };
        // At least one document of a group stays.
        let target = (target.round() as usize).max(1);
        let members = &mut self.members[group];
        members.sort_unstable();
        let (each, more) = (target / members.len(), target % members.len());
        for (rank, (_, number)) in members.iter().enumerate() {
            copies[*number] = (each + usize::from(rank < more)) as u32;
        }
        copies
    }

    /// The documents, read once more in the same order, each as often as it is to stand in the result.
    pub fn balanced<I: Iterator<Item = io::Result<Document>>>(mut self, documents: I) -> Balanced<I> {
        let copies = self.copies();
        let report = StepReport::new("reweight");
        Balanced { groups: self, copies, documents, number: 0, waiting: None, after: Company::default(), report }
    }
}

/// The documents of a [`Reweighting`] on their way out.
#[derive(Debug)]
pub struct Balanced<I> {
    groups: Reweighting,
    copies: Vec<u32>,
    documents: I,
    number: usize,
    /// A document that is to come as many times again.
    waiting: Option<(Document, u32)>,
    after: Company,
    report: StepReport,
}

impl<I: Iterator<Item = io::Result<Document>>> Iterator for Balanced<I> {
    type Item = io::Result<Document>;

    fn next(&mut self) -> Option<io::Result<Document>> {
        if let Some((copy, left)) = self.waiting.take() {
            self.report.added(&copy);
            if left > 1 {
                self.waiting = Some((copy.clone(), left - 1));
            }
            return Some(Ok(copy));
        }
        loop {
            let document = match self.documents.next()? {
                Ok(document) => document,
                Err(error) => return Some(Err(error)),
            };
            let times = self.copies.get(self.number).copied().unwrap_or(1);
            let group = self.groups.groups.get(self.number).copied().flatten();
            self.number += 1;
            self.report.arrived(&document);
            if times == 0 {
                self.report.dropped(
                    &document,
                    &format!("more_{}", self.groups.watch.pairs.groups[group.unwrap_or(0)]),
                    None,
                );
                continue;
            }
            self.report.kept(&document);
            let company = self.groups.watch.look(&document.text);
            (0..times).for_each(|_| self.after.add(&company));
            if times > 1 {
                let mut copy = document.clone();
                copy.done.push("reweight: copy".to_owned());
                self.waiting = Some((copy, times - 1));
            }
            return Some(Ok(document));
        }
    }
}

impl<I> Balanced<I> {
    /// What was done to the documents that have come so far.
    pub fn report(&self) -> StepReport {
        let mut report = self.report.clone();
        let [first, second] = &self.groups.watch.pairs.groups;
        let plan = &self.groups.plan;
        let [one, other] = self.after.documents;
        let reached = if other == 0 { "none".to_owned() } else { format!("{:.3}", one as f64 / other as f64) };
        report.notes.push(format!("documents {first} for each {second}: {reached}, asked for {}", plan.ratio));
        if other > 0 {
            report.measures.insert("ratio".to_owned(), one as f64 / other as f64);
        }
        let notes = self.groups.watch.report(&self.groups.before, &self.after, &mut report.measures);
        report.notes.extend(notes);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Origin;

    fn balanced(by: Balancing, ratio: f64, max_repeat: u64) -> (Vec<String>, StepReport) {
        let plan = ReweightPlan { pairs: None, ratio, by, max_repeat, attributes: None, seed: 0 };
        let text = |number: u64| match number % 10 {
            0..=5 => format!("He is doctor number {number}."),
            6 | 7 => format!("She is doctor number {number}."),
            _ => format!("It is number {number}."),
        };
        let origin = |position| Origin::new("a", position);
        let document = |number| Document { text: text(number), origin: origin(number), done: Vec::new(), record: None };
        let documents: Vec<Document> = (0..1000).map(document).collect();
        let mut groups = Reweighting::new(&plan, &Resources::default());
        documents.chunks(7).for_each(|batch| groups.add(batch));
        let mut balanced = groups.balanced(documents.into_iter().map(Ok));
        let texts = balanced.by_ref().map(|document| document.unwrap().text).collect();
        (texts, balanced.report())
    }

    fn counts(texts: &[String]) -> [usize; 3] {
        ["He", "She", "It"].map(|start| texts.iter().filter(|text| text.starts_with(start)).count())
    }

    #[test]
    fn ratios_are_met_and_the_others_stay() {
        let (texts, report) = balanced(Balancing::Drop, 1.0, 4);
        assert_eq!(counts(&texts), [200, 200, 200]);
        assert_eq!((report.dropped["more_male"], report.documents_kept), (400, 600));
        assert_eq!((report.measures["before.doctor.male"], report.measures["after.doctor.male"]), (600.0, 200.0));
        let (texts, report) = balanced(Balancing::Copy, 1.0, 4);
        assert_eq!(counts(&texts), [600, 600, 200]);
        assert_eq!((report.added, report.documents_kept, report.measures["ratio"]), (400, 1400, 1.0));
        assert_eq!(counts(&balanced(Balancing::Copy, 1.0, 2).0), [600, 400, 200]);
        assert_eq!(counts(&balanced(Balancing::Copy, 6.0, 4).0), [1200, 200, 200]);
        assert_eq!(counts(&balanced(Balancing::Drop, 6.0, 4).0), [600, 100, 200]);
        assert_eq!(counts(&balanced(Balancing::Drop, 2.0, 4).0), [400, 200, 200]);
    }
}
