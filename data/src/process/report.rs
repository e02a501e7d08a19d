//! What the steps did: counts, and a few examples without personal data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{Document, Origin};
use super::pii;
use llmc_grammar::number::grouped;

/// Examples kept for each reason.
const EXAMPLES: u64 = 3;

/// Characters of an example.
const EXCERPT: usize = 160;

/// What all steps of a data set did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// Documents read.
    pub documents_read: u64,
    /// UTF-8 bytes of text read.
    pub bytes_read: u64,
    /// Documents that came through.
    pub documents_kept: u64,
    /// UTF-8 bytes of text that came through.
    pub bytes_kept: u64,
    /// One entry a step, in order.
    pub steps: Vec<StepReport>,
}

/// What one step did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its name in the recipe.
    pub step: String,
    /// Documents that reached it.
    pub documents_in: u64,
    /// UTF-8 bytes of text that reached it.
    pub bytes_in: u64,
    /// Documents that it let through.
    pub documents_kept: u64,
    /// UTF-8 bytes of text that it let through.
    pub bytes_kept: u64,
    /// Documents that it changed and let through.
    pub changed: u64,
    /// Documents that it dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// What it found or removed within documents, by kind.
    pub found: BTreeMap<String, u64>,
    /// Copies that it added.
    #[serde(default)]
    pub added: u64,
    /// What it measured over all documents, by name.
    #[serde(default)]
    pub measures: BTreeMap<String, f64>,
    /// How it was set up, and what it could not do.
    pub notes: Vec<String>,
    /// The first few documents for each reason.
    pub examples: Vec<Example>,
}

/// One document that a step dropped or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// `dropped: REASON` or `changed`.
    pub what: String,
    /// Where the document was read.
    pub origin: Origin,
    /// The start of its text after the step, personal data replaced by tags whatever the step is.
    pub excerpt: String,
    /// The document that stays in its place, for duplicates.
    pub like: Option<Origin>,
}

impl StepReport {
    /// A report of nothing yet.
    pub fn new(step: &str) -> StepReport {
        StepReport { step: step.to_owned(), ..StepReport::default() }
    }

    /// Counts a document that arrives.
    pub fn arrived(&mut self, document: &Document) {
        self.documents_in += 1;
        self.bytes_in += document.text.len() as u64;
    }

    /// Counts a document that goes on.
    pub fn kept(&mut self, document: &Document) {
        self.documents_kept += 1;
        self.bytes_kept += document.text.len() as u64;
    }

    /// Counts a document that was changed: its text is the new one.
    pub fn changed(&mut self, document: &Document) {
        self.changed += 1;
        if self.changed <= EXAMPLES {
            self.example("changed".to_owned(), document, None);
        }
    }

    /// Counts a document that ends here, in favour of `like`.
    pub fn dropped(&mut self, document: &Document, reason: &str, like: Option<&Origin>) {
        let count = self.dropped.entry(reason.to_owned()).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            self.example(format!("dropped: {reason}"), document, like);
        }
    }

    /// Counts a copy that goes on beside the document it was made from.
    pub fn added(&mut self, copy: &Document) {
        self.added += 1;
        self.kept(copy);
        if self.added <= EXAMPLES {
            self.example("added".to_owned(), copy, None);
        }
    }

    /// Adds to what was found within documents.
    pub fn found(&mut self, kind: &str, count: u64) {
        if count > 0 {
            *self.found.entry(kind.to_owned()).or_default() += count;
        }
    }

    /// Documents that it dropped for any reason.
    pub fn dropped_documents(&self) -> u64 {
        self.dropped.values().sum()
    }

    fn example(&mut self, what: String, document: &Document, like: Option<&Origin>) {
        let excerpt = excerpt(&document.text);
        self.examples.push(Example { what, origin: document.origin.clone(), excerpt, like: like.cloned() });
    }
}

/// The start of a text on one line, from the first tag on if it lies further in; personal data replaced by tags.
fn excerpt(text: &str) -> String {
    let redacted = pii::tagged(text);
    let first_tag = pii::first_tag(&redacted).unwrap_or(0);
    let start = if first_tag > EXCERPT / 2 { first_tag - EXCERPT / 4 } else { 0 };
    let start = (0..=start).rev().find(|&at| redacted.is_char_boundary(at)).unwrap_or(0);
    // From the middle of a text on, the first word may be a part of one.
    let words = redacted[start..].split_whitespace().skip(usize::from(start > 0));
    let mut line = if start > 0 { "…".to_owned() } else { String::new() };
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * EXCERPT {
            break;
        }
    }
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl ProcessReport {
    /// In one line: what came in, what stayed, and which step dropped how much.
    pub fn line(&self) -> String {
        let steps: Vec<String> = self
            .steps
            .iter()
            .filter_map(|step| {
                let dropped = match step.dropped_documents() {
                    0 => None,
                    dropped => Some(format!("-{}", grouped(dropped))),
                };
                let changed = (step.changed > 0).then(|| format!("{} changed", grouped(step.changed)));
                let added = (step.added > 0).then(|| format!("+{}", grouped(step.added)));
                let parts: Vec<String> = dropped.into_iter().chain(changed).chain(added).collect();
                (!parts.is_empty()).then(|| format!("{} {}", step.step, parts.join(" ")))
            })
            .collect();
        let done = if steps.is_empty() { String::new() } else { format!(" ({})", steps.join(", ")) };
        format!("process: {} of {} documents kept{done}", grouped(self.documents_kept), grouped(self.documents_read))
    }
}
