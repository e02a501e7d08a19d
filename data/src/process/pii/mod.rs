//! Personal data and secrets: found by form and check digits, replaced or dropped. What is found is counted by kind
//! and stands in no report, message or log.

mod contact;
mod fake;
mod numbers;
mod phone;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use llmc_compiler::plan::{PiiKind, Replacement};
use rayon::prelude::*;

use super::{Document, Outcome, Step};
use fake::Fakes;

/// Where one piece of personal data stands in a text (bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: PiiKind,
    /// Where it stands.
    pub range: Range<usize>,
}

/// Everything of these kinds in a text, in order, without overlaps. Where two overlap, the kind that stands first in
/// [`PiiKind::ALL`] counts.
pub fn find(text: &str, kinds: &[PiiKind]) -> Vec<Finding> {
    let mut taken: BTreeMap<usize, Finding> = BTreeMap::new();
    for &kind in PiiKind::ALL.iter().filter(|kind| kinds.contains(kind)) {
        let ranges = match kind {
            PiiKind::PrivateKey => secret::private_keys(text),
            PiiKind::ApiKey => secret::api_keys(text),
            PiiKind::Credentials => secret::credentials(text),
            PiiKind::Email => contact::emails(text),
            PiiKind::Ip => contact::addresses(text),
            PiiKind::Iban => numbers::ibans(text),
            PiiKind::Card => numbers::cards(text),
            PiiKind::Ssn => numbers::ssns(text),
            PiiKind::Phone => phone::phones(text),
        };
        for range in ranges {
            let before = taken.range(..range.end).next_back();
            if before.is_none_or(|(_, other)| other.range.end <= range.start) {
                taken.insert(range.start, Finding { kind, range });
            }
        }
    }
    taken.into_values().collect()
}

/// The text with a tag in place of everything that [`find`] finds.
pub fn tagged(text: &str) -> String {
    replaced(text, &find(text, &PiiKind::ALL), |kind, _| tag(kind).to_owned())
}

/// Where the first tag of a text stands.
pub fn first_tag(text: &str) -> Option<usize> {
    PiiKind::ALL.iter().filter_map(|kind| text.find(tag(*kind))).min()
}

/// What stands in place of personal data of a kind.
pub fn tag(kind: PiiKind) -> &'static str {
    match kind {
        PiiKind::PrivateKey => "[PRIVATE_KEY]",
        PiiKind::ApiKey => "[API_KEY]",
        PiiKind::Credentials => "[CREDENTIALS]",
        PiiKind::Email => "[EMAIL]",
        PiiKind::Ip => "[IP]",
        PiiKind::Iban => "[IBAN]",
        PiiKind::Card => "[CARD]",
        PiiKind::Ssn => "[SSN]",
        PiiKind::Phone => "[PHONE]",
    }
}

fn replaced(text: &str, findings: &[Finding], by: impl Fn(PiiKind, &str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut end = 0;
    for Finding { kind, range } in findings {
        result.push_str(&text[end..range.start]);
        result.push_str(&by(*kind, &text[range.clone()]));
        end = range.end;
    }
    result.push_str(&text[end..]);
    result
}

/// The step `pii`.
#[derive(Debug)]
pub struct Redaction {
    kinds: Vec<PiiKind>,
    replace: Replacement,
    fakes: Fakes,
}

impl Redaction {
    /// Looks for these kinds; `seed` is the key of the fakes.
    pub fn new(kinds: &[PiiKind], replace: Replacement, seed: u64) -> Redaction {
        Redaction { kinds: kinds.to_vec(), replace, fakes: Fakes::new(seed) }
    }

    /// What happens to a document of this text.
    pub fn judge(&self, text: &str) -> Outcome {
        let findings = find(text, &self.kinds);
        let mut found: BTreeMap<&'static str, u64> = BTreeMap::new();
        findings.iter().for_each(|finding| *found.entry(finding.kind.name()).or_default() += 1);
        let Some(first) = findings.first() else {
            return Outcome::Kept;
        };
        match self.replace {
            Replacement::Drop => Outcome::Dropped { reason: first.kind.name(), found },
            Replacement::Tag => Outcome::Changed {
                text: replaced(text, &findings, |kind, _| tag(kind).to_owned()),
                record: None,
                found,
            },
            Replacement::Fake => {
                let fake = |kind, value: &str| self.fakes.of(kind, value);
                Outcome::Changed { text: replaced(text, &findings, fake), record: None, found }
            }
        }
    }
}

impl Step for Redaction {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        batch.par_iter().map(|document| self.judge(&document.text)).collect()
    }
}

/// Whether one of `words` stands, as a word, in the `reach` bytes before `start`.
fn cue_before(text: &str, start: usize, reach: usize, words: &[&str]) -> bool {
    let from = (start.saturating_sub(reach)..=start).find(|&at| text.is_char_boundary(at)).unwrap_or(start);
    let before = text[from..start].to_lowercase();
    let mut parts = before.split(|each: char| !each.is_alphanumeric());
    parts.any(|part| words.contains(&part))
}
