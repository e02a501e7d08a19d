//! Repeated lines and paragraphs.

use std::collections::BTreeMap;
use std::ops::Range;

use llmc_compiler::plan::TextUnit;
use rayon::prelude::*;

use super::keys::Keys;
use super::normal::fingerprint;
use super::{Document, Outcome, Step};

/// Removes lines or paragraphs that were seen before. Keeps 8 bytes in memory for each different one, 10 to 21 with the
/// room of its table: this grows with the data.
#[derive(Debug)]
pub struct Lines {
    unit: TextUnit,
    min_length: usize,
    seen: Keys,
}

impl Lines {
    /// Compares units of at least `min_length` characters.
    pub fn new(unit: TextUnit, min_length: u64) -> Lines {
        Lines { unit, min_length: min_length as usize, seen: Keys::default() }
    }

    fn settle(&mut self, text: &str, units: Vec<(Range<usize>, Option<u64>)>) -> Outcome {
        let mut removed = 0;
        let mut rest = String::new();
        for (range, key) in units {
            if key.is_none_or(|key| self.seen.insert(key)) {
                rest.push_str(&text[range]);
            } else {
                removed += 1;
            }
        }
        let name = match self.unit {
            TextUnit::Line => "lines",
            TextUnit::Paragraph => "paragraphs",
        };
        let found = BTreeMap::from([(name, removed)]);
        match (removed, rest.trim().is_empty()) {
            (0, _) => Outcome::Kept,
            (_, true) => Outcome::Dropped { reason: "nothing_left", found },
            (_, false) => Outcome::Changed { text: rest, record: None, found },
        }
    }
}

impl Step for Lines {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let keyed: Vec<_> = batch.par_iter().map(|document| keys(&document.text, self.unit, self.min_length)).collect();
        batch.iter().zip(keyed).map(|(document, units)| self.settle(&document.text, units)).collect()
    }

    fn learned(&mut self) -> Vec<u8> {
        self.seen.learned()
    }

    fn remember(&mut self, learned: &[u8]) {
        self.seen.remember(learned);
    }
}

/// Every unit with what follows it up to the next, and its key if it is long enough to be compared.
fn keys(text: &str, unit: TextUnit, min_length: usize) -> Vec<(Range<usize>, Option<u64>)> {
    let key = |range: Range<usize>| {
        let content = text[range.clone()].trim();
        let compared = !content.is_empty() && content.chars().count() >= min_length;
        (range, compared.then(|| fingerprint(content) as u64))
    };
    units(text, unit).into_iter().map(key).collect()
}

fn units(text: &str, unit: TextUnit) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut end = 0;
    let mut blank_before = false;
    for line in text.split_inclusive('\n') {
        let blank = line.trim().is_empty();
        let begins = unit == TextUnit::Line || (blank_before && !blank);
        if begins && end > start {
            ranges.push(start..end);
            start = end;
        }
        end += line.len();
        blank_before = blank;
    }
    if end > start {
        ranges.push(start..end);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Origin;

    fn texts(step: &mut Lines, texts: &[&str]) -> Vec<Option<String>> {
        let origin = Origin::new("", 0);
        let document =
            |text: &&str| Document { text: (*text).to_owned(), origin: origin.clone(), done: Vec::new(), record: None };
        let batch: Vec<Document> = texts.iter().map(document).collect();
        let after = |(outcome, text): (Outcome, &&str)| match outcome {
            Outcome::Kept | Outcome::Joined { .. } => Some((*text).to_owned()),
            Outcome::Changed { text, .. } => Some(text),
            Outcome::Dropped { .. } => None,
        };
        step.decide(&batch).into_iter().zip(texts).map(after).collect()
    }

    #[test]
    fn repeated_lines_go_within_and_across() {
        let mut lines = Lines::new(TextUnit::Line, 3);
        let left = texts(&mut lines, &["one\ntwo\none\nab\nab\n", "Two \n one\n", "three\nTWO\nfour"]);
        assert_eq!(left, [Some("one\ntwo\nab\nab\n".to_owned()), None, Some("three\nfour".to_owned())]);
        assert_eq!(texts(&mut lines, &["ab\n", "five\nfour"]), [Some("ab\n".to_owned()), Some("five\n".to_owned())]);
    }

    #[test]
    fn repeated_paragraphs_go_whole() {
        let mut paragraphs = Lines::new(TextUnit::Paragraph, 1);
        let left = texts(&mut paragraphs, &["a\nb\n\nc\n\n\na\nb\n", "b\n\nc\nd\n\nC"]);
        assert_eq!(left, [Some("a\nb\n\nc\n\n\n".to_owned()), Some("b\n\nc\nd\n\n".to_owned())]);
    }
}
