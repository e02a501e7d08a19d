//! What is trained on and what is held out.

use serde::{Deserialize, Serialize};

use super::documents::{Documents, SourceCount};
use super::process::Document;
use super::sources::Faults;
use super::{Phase, Progress};
use llmc_compiler::plan::DatasetPlan;
use llmc_grammar::diagnostic::Diagnostic;

/// What one pass over all documents finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Hash of the documents' hashes, in order.
    pub content: [u8; 32],
    /// All documents.
    pub all: Extent,
    /// Whether the data set's limit left text out.
    pub cut: bool,
    /// The documents of each source, after the steps.
    pub sources: Vec<Extent>,
    /// What was read of each source, before the steps.
    pub read: Vec<SourceCount>,
}

/// Some of the documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// How many.
    pub documents: u64,
    /// UTF-8 bytes of text, or bytes of ids.
    pub bytes: u64,
    /// The smallest and largest [`document_key`], where there is a document.
    pub keys: Option<(u64, u64)>,
}

impl Extent {
    fn add(&mut self, key: u64, bytes: u64) {
        self.documents += 1;
        self.bytes += bytes;
        let (lowest, highest) = self.keys.unwrap_or((key, key));
        self.keys = Some((lowest.min(key), highest.max(key)));
    }
}

impl Survey {
    /// Reads every document once.
    pub fn take(mut documents: Documents, progress: &dyn Fn(Progress)) -> Result<Survey, Diagnostic> {
        let mut survey = SurveyBuilder::default();
        for document in documents.by_ref() {
            let document = document?;
            survey.add(document.text.as_bytes(), document.origin.index as usize, document.origin.heldout);
            progress(Progress { phase: Phase::Reading, done: survey.all.bytes, total: None });
        }
        Ok(survey.finish(documents.counts().to_vec(), documents.was_cut()))
    }

    /// Files and records left out: not text, empty, damaged.
    pub fn faults(&self) -> Faults {
        self.read.iter().fold(Faults::default(), |sum, count| sum + count.faults)
    }
}

/// Collects a [`Survey`] document by document.
#[derive(Debug, Default)]
pub struct SurveyBuilder {
    hasher: blake3::Hasher,
    all: Extent,
    sources: Vec<Extent>,
}

impl SurveyBuilder {
    /// Counts one document of the source with this number, and the side that the source puts it on.
    pub fn add(&mut self, document: &[u8], source: usize, heldout: Option<bool>) {
        self.add_hashed(blake3::hash(document), document.len() as u64, source, heldout);
    }

    /// Counts one document of this hash and length in bytes; otherwise as [`add`](SurveyBuilder::add).
    pub fn add_hashed(&mut self, hash: blake3::Hash, length: u64, source: usize, heldout: Option<bool>) {
        let key = key_of(&hash);
        self.hasher.update(hash.as_bytes());
        if source > 0 || heldout.is_some() {
            self.hasher.update(format!("{source} {heldout:?}").as_bytes());
        }
        self.all.add(key, length);
        if self.sources.len() <= source {
            self.sources.resize(source + 1, Extent::default());
        }
        self.sources[source].add(key, length);
    }

    /// The survey of all documents added.
    pub fn finish(self, read: Vec<SourceCount>, cut: bool) -> Survey {
        let mut sources = self.sources;
        sources.resize(sources.len().max(read.len()), Extent::default());
        Survey { content: *self.hasher.finalize().as_bytes(), all: self.all, cut, sources, read }
    }
}

/// The first eight bytes of a document's blake3 hash: decides its side, wherever the document lies.
pub fn document_key(document: &[u8]) -> u64 {
    key_of(&blake3::hash(document))
}

fn key_of(hash: &blake3::Hash) -> u64 {
    let bytes = hash.as_bytes();
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// The rule that divides a corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Holdout {
    /// Everything is trained on.
    Nothing,
    /// A corpus of one document: its last share, from the start of a line on.
    Tail {
        /// Share of the text.
        share: f64,
    },
    /// Whole documents by their [`document_key`], so equal documents fall on the same side. Of two
    /// different documents at least one is held out and one is not, however small the share.
    Documents {
        /// Share of the documents.
        share: f64,
        /// The smallest key: always held out.
        lowest: u64,
        /// The largest key: never held out.
        highest: u64,
    },
}

impl Holdout {
    /// The rule for documents of which `share` is to be held out.
    pub fn new(share: f64, documents: &Extent) -> Holdout {
        match documents.keys {
            _ if share <= 0.0 => Holdout::Nothing,
            Some((lowest, highest)) if documents.documents > 1 => Holdout::Documents { share, lowest, highest },
            _ => Holdout::Tail { share },
        }
    }

    /// The parts of a document that are trained on and held out.
    pub fn split<'a>(&self, text: &'a str) -> (Option<&'a str>, Option<&'a str>) {
        match *self {
            Holdout::Tail { share } => {
                let (head, tail) = text.split_at(tail_start(text, share));
                ((!head.is_empty()).then_some(head), (!tail.is_empty()).then_some(tail))
            }
            _ if self.holds_out(document_key(text.as_bytes())) => (None, Some(text)),
            _ => (Some(text), None),
        }
    }

    /// Whether a document with this key is held out as a whole.
    pub fn holds_out(&self, key: u64) -> bool {
        match *self {
            Holdout::Nothing | Holdout::Tail { .. } => false,
            Holdout::Documents { share, lowest, highest } => {
                let below = (key as f64) < share * (u64::MAX as f64);
                key != highest && (key == lowest || below)
            }
        }
    }
}

/// The rules of a data set: one for all its documents, or, where its sources stand side by side, one for each source.
#[derive(Debug, Clone, PartialEq)]
pub struct Division(Vec<Holdout>);

impl Division {
    /// Holds out what the data set asks for.
    pub fn new(dataset: &DatasetPlan, survey: &Survey) -> Division {
        let one = |extent: &Extent| Holdout::new(dataset.holdout, extent);
        Division(match dataset.is_weighted() {
            true => survey.sources.iter().map(one).collect(),
            false => vec![one(&survey.all)],
        })
    }

    /// The parts of a document that are trained on and held out. Where its source says which side it is on, it is.
    pub fn split<'a>(&self, document: &'a Document) -> (Option<&'a str>, Option<&'a str>) {
        let text = document.text.as_str();
        let source = (document.origin.index as usize).min(self.0.len().saturating_sub(1));
        match (document.origin.heldout, self.0.get(source)) {
            (Some(true), _) => (None, Some(text)),
            (Some(false), _) | (None, None) => (Some(text), None),
            (None, Some(rule)) => rule.split(text),
        }
    }
}

/// Where the last `share` of `text` begins: at the next start of a line, else at the one before, else
/// at the next character.
fn tail_start(text: &str, share: f64) -> usize {
    let wanted = (text.len() as f64 * (1.0 - share)) as usize;
    let wanted = (wanted..text.len()).find(|&start| text.is_char_boundary(start)).unwrap_or(text.len());
    let after = text[wanted..].find('\n').map(|newline| wanted + newline + 1);
    let before = text[..wanted].rfind('\n').map(|newline| newline + 1);
    after.filter(|&start| start < text.len()).or(before).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(documents: &[String]) -> Survey {
        let mut builder = SurveyBuilder::default();
        documents.iter().for_each(|document| builder.add(document.as_bytes(), 0, None));
        builder.finish(Vec::new(), false)
    }

    fn held_out(documents: &[String], share: f64) -> Vec<&str> {
        let holdout = Holdout::new(share, &survey(documents).all);
        let mut held: Vec<&str> = documents.iter().filter_map(|text| holdout.split(text).1).collect();
        held.sort_unstable();
        held
    }

    #[test]
    fn the_order_of_documents_does_not_matter() {
        let documents: Vec<String> = (0..1000).map(|number| format!("document {number}")).collect();
        let mut reversed = documents.clone();
        reversed.reverse();
        assert_eq!(held_out(&documents, 0.1), held_out(&reversed, 0.1));
        let held = held_out(&documents, 0.1).len();
        assert!((70..130).contains(&held), "{held} of 1000");
    }

    #[test]
    fn both_sides_hold_a_document() {
        let documents: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(held_out(&documents, 1e-9).len(), 1);
        assert_eq!(held_out(&documents, 1.0 - 1e-9).len(), 2);
        assert_eq!(held_out(&documents, 0.0).len(), 0);
    }

    #[test]
    fn equal_documents_stay_together() {
        let documents: Vec<String> = (0..100).map(|number| format!("{}", number % 10)).collect();
        assert_eq!(held_out(&documents, 0.3).len() % 10, 0);
    }

    #[test]
    fn one_document_is_cut_at_a_line() {
        let tail = |text, share| Holdout::Tail { share }.split(text);
        assert_eq!(tail("ab\ncd\nef\ngh\n", 0.5), (Some("ab\ncd\nef\n"), Some("gh\n")));
        assert_eq!(tail("ab\ncdefghijkl\n", 0.1), (Some("ab\n"), Some("cdefghijkl\n")));
        assert_eq!(tail("abcdefghij", 0.2), (Some("abcdefgh"), Some("ij")));
        assert_eq!(tail("ääää", 0.3), (Some("äää"), Some("ä")));
        assert_eq!(tail("", 0.3), (None, None));
    }
}
