//! Training documents that hold texts of evaluations: word n-grams in common (Brown et al. 2020, arXiv:2005.14165,
//! appendix C). Memory is bounded by the evaluations.

use std::collections::{BTreeMap, BTreeSet};
use std::collections::{HashMap, hash_map};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::number::grouped;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{runs, words};
use super::{Document, Outcome, Step, StepReport, pii, recalled, state};
use crate::sources::text::read_whole;
use crate::sources::{Bounds, Format};

/// Examples shown of each evaluation.
const EXAMPLES: usize = 3;

/// The n-grams of the evaluations.
#[derive(Debug)]
pub struct Evaluations {
    ngram: usize,
    min_words: usize,
    sets: Vec<Set>,
    /// Lengths of n-grams that are sought: `ngram`, and those of shorter texts.
    lengths: BTreeSet<usize>,
    /// For each n-gram the first set and record that hold it.
    grams: HashMap<u64, (u32, u64)>,
}

/// One evaluation.
#[derive(Debug, Default)]
struct Set {
    name: String,
    texts: u64,
    /// Texts of too few words.
    short: u64,
}

/// One n-gram of a document that an evaluation holds.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    set: u32,
    record: u64,
    place: Range<usize>,
}

impl Evaluations {
    /// No evaluations yet. N-grams have `ngram` words; shorter texts of at least `min_words` are sought whole.
    pub fn new(ngram: usize, min_words: usize) -> Evaluations {
        Evaluations { ngram, min_words, sets: Vec::new(), lengths: BTreeSet::new(), grams: HashMap::new() }
    }

    /// Begins the next evaluation.
    pub fn begin(&mut self, name: &str) {
        self.sets.push(Set { name: name.to_owned(), ..Set::default() });
    }

    /// Adds a text of the evaluation begun last, from this record.
    pub fn add(&mut self, text: &str, record: u64) {
        let Some(set) = self.sets.last_mut() else {
            return;
        };
        set.texts += 1;
        let words = words(text);
        let length = self.ngram.min(words.len());
        if length < self.min_words {
            set.short += 1;
            return;
        }
        self.lengths.insert(length);
        let number = self.sets.len() as u32 - 1;
        for (hash, _) in runs(&words, length) {
            if let hash_map::Entry::Vacant(place) = self.grams.entry(hash) {
                place.insert((number, record));
            }
        }
    }

    /// Adds every text in a file: of JSON lines and JSON each string, of anything else the whole.
    ///
    /// # Errors
    /// If it cannot be read, or is not what the end of its name says.
    pub fn add_file(&mut self, path: &Path) -> Result<(), Diagnostic> {
        let name = path.to_string_lossy();
        let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        if plain.ends_with(".jsonl") {
            let mut rows = Format::Jsonl.open(path, Bounds::default(), false).map_err(|trouble| trouble.diagnostic)?;
            while let Some(row) = rows.next_row().map_err(|trouble| trouble.diagnostic)? {
                row.fields.values().for_each(|value| strings(value, &mut |text| self.add(text, row.position)));
            }
            return Ok(());
        }
        let text = read_whole(path)?;
        if plain.ends_with(".json") {
            let value: Value = serde_json::from_str(&text).map_err(|error| {
                Diagnostic::error(codes::RECORD, format!("`{}` is not JSON: {error}", path.display()))
                    .help("lines of JSON stand in a file whose name ends in `.jsonl`")
            })?;
            strings(&value, &mut |text| self.add(text, 0));
        } else {
            self.add(&text, 0);
        }
        Ok(())
    }

    /// What a document shares with evaluations: for each record the first n-gram.
    fn matches(&self, text: &str) -> Vec<Match> {
        let words = words(text);
        let mut found = BTreeMap::new();
        for &length in &self.lengths {
            for (hash, place) in runs(&words, length) {
                if let Some(&record) = self.grams.get(&hash) {
                    found.entry(record).or_insert(place);
                }
            }
        }
        found.into_iter().map(|((set, record), place)| Match { set, record, place }).collect()
    }
}

/// Every string inside a value.
fn strings(value: &Value, take: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, take)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The step `decontaminate`.
#[derive(Debug)]
pub struct Decontamination {
    evaluations: Arc<Evaluations>,
    drop: bool,
    /// For each evaluation.
    found: Vec<Overlap>,
}

/// What is found of one evaluation.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Overlap {
    documents: u64,
    records: BTreeSet<u64>,
    examples: Vec<String>,
}

impl Decontamination {
    /// Seeks these evaluations, and drops documents that hold parts of them if asked.
    pub fn new(evaluations: Arc<Evaluations>, drop: bool) -> Decontamination {
        let found = vec![Overlap::default(); evaluations.sets.len()];
        Decontamination { evaluations, drop, found }
    }

    fn note(&mut self, document: &Document, matches: &[Match]) {
        for (set, of_set) in matches.chunk_by(|one, other| one.set == other.set).map(|chunk| (chunk[0].set, chunk)) {
            let overlap = &mut self.found[set as usize];
            overlap.documents += 1;
            overlap.records.extend(of_set.iter().map(|each| each.record));
            if overlap.examples.len() < EXAMPLES {
                let Match { record, place, .. } = &of_set[0];
                let origin = &document.origin;
                let shared: Vec<&str> = document.text[place.clone()].split_whitespace().collect();
                overlap.examples.push(format!(
                    "{}:{} shares \"{}\" with {}:{record}",
                    origin.source,
                    origin.position,
                    pii::tagged(&shared.join(" ")),
                    self.evaluations.sets[set as usize].name,
                ));
            }
        }
    }
}

impl Step for Decontamination {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let evaluations = &self.evaluations;
        let matches: Vec<_> = batch.par_iter().map(|document| evaluations.matches(&document.text)).collect();
        let outcome = |(document, matches): (&Document, Vec<Match>)| {
            self.note(document, &matches);
            if matches.is_empty() || !self.drop { Outcome::Kept } else { Outcome::dropped("contaminated") }
        };
        batch.iter().zip(matches).map(outcome).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        state(&self.found)
    }

    fn remember(&mut self, learned: &[u8]) {
        recalled(learned, &mut self.found);
    }

    fn finish(&self, report: &mut StepReport) {
        for (set, overlap) in self.evaluations.sets.iter().zip(&self.found) {
            let name = &set.name;
            let counts = [
                ("texts", set.texts),
                ("texts_too_short", set.short),
                ("documents", overlap.documents),
                ("records_found", overlap.records.len() as u64),
            ];
            report.measures.extend(counts.map(|(what, count)| (format!("{name}.{what}"), count as f64)));
            report.notes.push(format!(
                "{name}: {} documents hold parts of {} records ({} texts sought, {} of fewer than {} words left out)",
                grouped(overlap.documents),
                grouped(overlap.records.len() as u64),
                grouped(set.texts - set.short),
                grouped(set.short),
                self.evaluations.min_words
            ));
            report.notes.extend(overlap.examples.iter().map(|example| format!("  {example}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Origin;

    fn sequence(range: Range<u32>) -> String {
        range.map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ")
    }

    fn document(text: &str) -> Document {
        let origin = Origin::new("a.txt", 0);
        Document { text: text.to_owned(), origin, done: Vec::new(), record: None }
    }

    #[test]
    fn shared_runs_are_found_whatever_case_and_punctuation() {
        let mut evaluations = Evaluations::new(13, 8);
        evaluations.begin("long");
        evaluations.add(&sequence(0..40), 1);
        evaluations.begin("short");
        evaluations.add("One two three, four five six seven eight nine.", 1);
        evaluations.add("too short to be sought", 2);
        let documents = [
            document(&format!("Before. {} after", sequence(20..33).to_uppercase().replace(' ', ", "))),
            document(&sequence(20..32)),
            document("x one two three four five six seven eight nine y"),
            document("one two three four five six seven eight ten"),
            document("too short to be sought"),
        ];
        let dropped = |drop| {
            let evaluations = Evaluations {
                sets: Vec::new(),
                grams: evaluations.grams.clone(),
                lengths: evaluations.lengths.clone(),
                ..evaluations
            };
            let sets = [("long", 1, 0), ("short", 2, 1)];
            let sets = sets.map(|(name, texts, short)| Set { name: name.to_owned(), texts, short }).into();
            let mut step = Decontamination::new(Arc::new(Evaluations { sets, ..evaluations }), drop);
            let outcomes = step.decide(&documents);
            let mut report = StepReport::new("decontaminate");
            step.finish(&mut report);
            (outcomes.iter().map(|outcome| *outcome != Outcome::Kept).collect::<Vec<_>>(), report)
        };
        let (outcomes, report) = dropped(true);
        assert_eq!(outcomes, [true, false, true, false, false]);
        let measure = |name: &str| report.measures[name];
        assert_eq!((measure("long.documents"), measure("long.records_found")), (1.0, 1.0));
        assert_eq!((measure("short.documents"), measure("short.texts_too_short")), (1.0, 1.0));
        assert!(report.notes.iter().any(|note| note.contains("a.txt:0 shares \"WORD20, WORD21")), "{report:?}");
        assert_eq!(dropped(false).0, [false; 5]);
        assert_eq!(dropped(false).1, report);
    }

    #[test]
    fn files_give_every_string() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        let record = serde_json::json!({ "question": sequence(0..9), "choices": [sequence(10..19), "no"], "n": 3 });
        std::fs::write(&path, format!("\n{record}\n")).unwrap();
        let mut evaluations = Evaluations::new(13, 8);
        evaluations.begin("x");
        evaluations.add_file(&path).unwrap();
        assert_eq!((evaluations.sets[0].texts, evaluations.sets[0].short), (3, 1));
        let found = evaluations.matches(&format!("a {} b", sequence(10..19)));
        assert_eq!(found.iter().map(|each| (each.set, each.record)).collect::<Vec<_>>(), [(0, 2)]);
        let json = directory.path().join("x.json");
        std::fs::write(&json, "{").unwrap();
        assert_eq!(evaluations.add_file(&json).unwrap_err().code, codes::RECORD);
    }
}
