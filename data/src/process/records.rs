//! Steps that may change a text, on records of several.

use std::collections::BTreeMap;

use super::{Document, Outcome, Step};
use crate::record::Record;

/// One outcome for each document: a record's texts are decided one by one. If one is dropped, the record is. Steps
/// that add copies decide on whole records instead.
pub fn decide_each(step: &mut dyn Step, batch: &[Document]) -> Vec<Outcome> {
    if batch.iter().all(|document| document.record.is_none()) {
        return step.decide(batch);
    }
    let mut texts = Vec::new();
    for document in batch {
        let single = |text: &str| Document { text: text.to_owned(), record: None, ..document.clone() };
        match &document.record {
            Some(record) => texts.extend(record.texts().into_iter().map(|(_, text)| single(text))),
            None => texts.push(single(&document.text)),
        }
    }
    let mut decided = step.decide(&texts).into_iter().zip(texts);
    let mut outcomes = Vec::with_capacity(batch.len());
    for document in batch {
        let count = document.record.as_ref().map_or(1, |record| record.texts().len());
        let own: Vec<(Outcome, Document)> = decided.by_ref().take(count).collect();
        outcomes.push(match &document.record {
            Some(record) => joined(record, own),
            None => own.into_iter().next().map_or(Outcome::Kept, |(outcome, _)| outcome),
        });
    }
    outcomes
}

fn joined(record: &Record, own: Vec<(Outcome, Document)>) -> Outcome {
    let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut dropped, mut changed) = (None, false);
    let mut texts = Vec::with_capacity(own.len());
    for (outcome, document) in own {
        let found = match outcome {
            Outcome::Kept | Outcome::Joined { .. } => {
                texts.push(document.text);
                continue;
            }
            Outcome::Changed { text, found, .. } => {
                changed = true;
                texts.push(text);
                found
            }
            Outcome::Dropped { reason, found } => {
                dropped = dropped.or(Some(reason));
                found
            }
        };
        found.into_iter().for_each(|(kind, count)| *all.entry(kind).or_default() += count);
    }
    match (dropped, changed) {
        (Some(reason), _) => Outcome::Dropped { reason, found: all },
        (None, false) => Outcome::Kept,
        (None, true) => {
            let mut record = record.clone();
            record.replace(texts);
            Outcome::Changed { text: record.joined(), record: Some(record), found: all }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;
    use crate::record::{Message, Role};

    /// Writes capitals; drops texts that hold a question mark.
    struct Shout;

    impl Step for Shout {
        fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
            let decide = |document: &Document| match document.text.as_str() {
                text if text.contains('?') => Outcome::dropped("question"),
                text if text.to_uppercase() == text => Outcome::Kept,
                text => {
                    Outcome::Changed { text: text.to_uppercase(), record: None, found: BTreeMap::from([("small", 1)]) }
                }
            };
            batch.iter().map(decide).collect()
        }
    }

    #[test]
    fn every_text_of_a_record_is_decided() {
        let document = |texts: &[&str]| {
            let message = |text: &&str| Message { role: Role::User, content: (*text).to_owned() };
            let record = Record::Dialogue { messages: texts.iter().map(message).collect() };
            Document { text: record.joined(), origin: Origin::new("a", 1), done: Vec::new(), record: Some(record) }
        };
        let plain = Document { text: "x".to_owned(), record: None, ..document(&[]) };
        let batch = [document(&["a", "B", "c"]), document(&["D"]), plain, document(&["e", "why?", "F"])];
        let outcomes = decide_each(&mut Shout, &batch);
        let changed = |text: &str, record: Option<&Document>, count| Outcome::Changed {
            text: text.to_owned(),
            record: record.and_then(|document| document.record.clone()),
            found: BTreeMap::from([("small", count)]),
        };
        let dropped = Outcome::Dropped { reason: "question", found: BTreeMap::from([("small", 1)]) };
        let loud = document(&["A", "B", "C"]);
        assert_eq!(outcomes, [changed("A\n\nB\n\nC", Some(&loud), 2), Outcome::Kept, changed("X", None, 1), dropped]);
    }
}
