//! Which company the terms of two groups keep: in how many sentences they stand with attributes such as occupations
//! (the counts behind the co-occurrence measures of Zhao et al. 2017, arXiv:1707.09457, and Bordia and Bowman 2019,
//! arXiv:1904.03035).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use llmc_grammar::number::grouped;
use serde::{Deserialize, Serialize};

use super::super::models::Resources;
use super::super::words::words;
use super::occupations::OCCUPATIONS;
use super::pairs::Pairs;

/// Attributes named in reports, the most frequent ones.
const SHOWN: usize = 10;

/// What is looked for.
#[derive(Debug)]
pub struct Watch {
    /// The groups' terms.
    pub pairs: Arc<Pairs>,
    attributes: Vec<String>,
    places: HashMap<u64, usize>,
}

/// What was found in some documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Company {
    /// Documents about either group: those with more of its terms.
    pub documents: [u64; 2],
    /// Terms of either group.
    pub terms: [u64; 2],
    /// By attribute, the sentences where it stands with terms of either group.
    together: BTreeMap<usize, [u64; 2]>,
}

impl Watch {
    /// Looks for the pairs and attributes of these files, or the built-in ones.
    pub fn new(pairs: Option<&str>, attributes: Option<&str>, resources: &Resources) -> Watch {
        let attributes: Vec<String> = match attributes {
            Some(path) => resources.terms(path).to_vec(),
            None => OCCUPATIONS.map(str::to_owned).to_vec(),
        };
        let hash = |(place, attribute): (usize, &String)| Some((words(attribute).first()?.hash, place));
        let places = attributes.iter().enumerate().filter_map(hash).collect();
        Watch { pairs: resources.pairs(pairs), attributes, places }
    }

    /// What a text holds.
    pub fn look(&self, text: &str) -> Company {
        let mut company = Company::default();
        let (mut terms, mut attributes) = ([0u64; 2], Vec::new());
        let mut end = 0;
        let mut close = |terms: &mut [u64; 2], attributes: &mut Vec<usize>| {
            for (group, count) in terms.iter().enumerate() {
                company.terms[group] += count;
                if *count > 0 {
                    attributes.iter().for_each(|place| company.together.entry(*place).or_default()[group] += 1);
                }
            }
            *terms = [0; 2];
            attributes.clear();
        };
        for word in words(text) {
            if text[end..word.start].contains(['.', '!', '?', '\n']) {
                close(&mut terms, &mut attributes);
            }
            end = word.end;
            if let Some((group, _)) = self.pairs.terms.get(&word.hash) {
                terms[*group] += 1;
            }
            if let Some(place) = self.places.get(&word.hash).filter(|place| !attributes.contains(*place)) {
                attributes.push(*place);
            }
        }
        close(&mut terms, &mut attributes);
        if let Some(group) = company.group() {
            company.documents[group] = 1;
        }
        company
    }

    /// Before and after in numbers and words.
    pub fn report(&self, before: &Company, after: &Company, measures: &mut BTreeMap<String, f64>) -> Vec<String> {
        let [first, second] = &self.pairs.groups;
        let mut notes = Vec::new();
        for (when, company) in [("before", before), ("after", after)] {
            for (group, name) in self.pairs.groups.iter().enumerate() {
                measures.insert(format!("{when}.documents.{name}"), company.documents[group] as f64);
                measures.insert(format!("{when}.terms.{name}"), company.terms[group] as f64);
            }
            measures.insert(format!("{when}.imbalance"), company.imbalance());
            for (place, counts) in &company.together {
                for (name, count) in self.pairs.groups.iter().zip(counts) {
                    measures.insert(format!("{when}.{}.{name}", self.attributes[*place]), *count as f64);
                }
            }
            notes.push(format!(
                "{when}: {} documents {first}, {} {second}; {} terms {first}, {} {second}; imbalance of attributes {:.3}",
                grouped(company.documents[0]),
                grouped(company.documents[1]),
                grouped(company.terms[0]),
                grouped(company.terms[1]),
                company.imbalance()
            ));
        }
        let mut frequent: Vec<(usize, [u64; 2])> =
            before.together.iter().map(|(place, counts)| (*place, *counts)).collect();
        frequent.sort_by_key(|(place, counts)| (std::cmp::Reverse(counts[0] + counts[1]), *place));
        for (place, [one, other]) in frequent.into_iter().take(SHOWN) {
            let [one_after, other_after] = after.together.get(&place).copied().unwrap_or_default();
            notes.push(format!(
                "  {}: with {first} {one}, {second} {other}; after: {one_after}, {other_after}",
                self.attributes[place]
            ));
        }
        notes
    }
}

impl Company {
    /// The group that has more terms; none where both have as many.
    pub fn group(&self) -> Option<usize> {
        match self.terms {
            [one, other] if one > other => Some(0),
            [one, other] if one < other => Some(1),
            _ => None,
        }
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Company) {
        for group in 0..2 {
            self.documents[group] += other.documents[group];
            self.terms[group] += other.terms[group];
        }
        for (place, counts) in &other.together {
            let mine = self.together.entry(*place).or_default();
            (0..2).for_each(|group| mine[group] += counts[group]);
        }
    }

    /// 0 where every attribute stands as often with either group, 1 where each stands with one alone.
    fn imbalance(&self) -> f64 {
        let (mut apart, mut all) = (0, 0);
        for [one, other] in self.together.values() {
            apart += one.abs_diff(*other);
            all += one + other;
        }
        if all == 0 { 0.0 } else { apart as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_is_kept_within_sentences() {
        let watch = Watch::new(None, None, &Resources::default());
        let company =
            watch.look("He is a doctor and she is a nurse. The doctor left. His nurse, he said!\nShe is a nurse");
        assert_eq!((company.terms, company.documents), ([3, 2], [1, 0]));
        let mut measures = BTreeMap::new();
        let notes = watch.report(&company, &Company::default(), &mut measures);
        let of = |name: &str| measures.get(name).copied();
        assert_eq!((of("before.doctor.male"), of("before.doctor.female")), (Some(1.0), Some(1.0)));
        assert_eq!((of("before.nurse.male"), of("before.nurse.female")), (Some(2.0), Some(2.0)));
        assert_eq!((of("before.imbalance"), of("after.documents.male")), (Some(0.0), Some(0.0)));
        assert_eq!(notes[2], "  nurse: with male 2, female 2; after: 0, 0");
        assert_eq!(watch.look("She is a nurse. He is a pilot.").imbalance(), 1.0);
    }

    #[test]
    fn attributes_are_sixty_different_words() {
        let mut sorted = OCCUPATIONS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 60);
        assert!(OCCUPATIONS.iter().all(|word| words(word).len() == 1));
    }
}
