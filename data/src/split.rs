//! What is trained on and what is held out.

use serde::{Deserialize, Serialize};

use super::documents::Documents;
use super::{Phase, Progress};
use llmc_grammar::diagnostic::Diagnostic;

/// What one pass over all documents finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Hash of the documents' hashes, in order.
    pub content: [u8; 32],
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text.
    pub bytes: u64,
    /// Files or records left out: not text, or empty.
    pub skipped: u64,
    /// Whether the data set's limit left text out.
    pub cut: bool,
    /// The smallest [`document_key`].
    pub lowest: u64,
    /// The largest [`document_key`].
    pub highest: u64,
}

impl Survey {
    /// Reads every document once.
    pub fn take(mut documents: Documents, progress: &dyn Fn(Progress)) -> Result<Survey, Diagnostic> {
        let mut survey = SurveyBuilder::default();
        for document in documents.by_ref() {
            survey.add(document?.text.as_bytes());
            progress(Progress { phase: Phase::Reading, done: survey.bytes, total: None });
        }
        Ok(survey.finish(documents.skipped(), documents.was_cut()))
    }
}

/// Collects a [`Survey`] document by document.
#[derive(Debug, Default)]
pub struct SurveyBuilder {
    hasher: blake3::Hasher,
    documents: u64,
    bytes: u64,
    range: Option<(u64, u64)>,
}

impl SurveyBuilder {
    /// Counts one document.
    pub fn add(&mut self, document: &[u8]) {
        self.add_hashed(blake3::hash(document), document.len() as u64);
    }

    /// Counts one document of this hash and length in bytes.
    pub fn add_hashed(&mut self, hash: blake3::Hash, length: u64) {
        let key = key_of(&hash);
        self.hasher.update(hash.as_bytes());
        self.documents += 1;
        self.bytes += length;
        let (lowest, highest) = self.range.unwrap_or((key, key));
        self.range = Some((lowest.min(key), highest.max(key)));
    }

    /// The survey of all documents added.
    pub fn finish(self, skipped: u64, cut: bool) -> Survey {
        let (lowest, highest) = self.range.unwrap_or((0, 0));
        let content = *self.hasher.finalize().as_bytes();
        Survey { content, documents: self.documents, bytes: self.bytes, skipped, cut, lowest, highest }
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
    /// The rule for a corpus of which `share` is to be held out.
    pub fn new(share: f64, survey: &Survey) -> Holdout {
        if share <= 0.0 {
            Holdout::Nothing
        } else if survey.documents <= 1 {
            Holdout::Tail { share }
        } else {
            Holdout::Documents { share, lowest: survey.lowest, highest: survey.highest }
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
        documents.iter().for_each(|document| builder.add(document.as_bytes()));
        builder.finish(0, false)
    }

    fn held_out(documents: &[String], share: f64) -> Vec<&str> {
        let holdout = Holdout::new(share, &survey(documents));
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
