//! Quality filters: lines cleaned, then rules asked one by one.

mod clean;
mod grams;
mod measure;

use std::collections::BTreeMap;

use llmc_compiler::plan::{LineCleaning, RuleLimit};
use rayon::prelude::*;

use super::{Document, Outcome, Step};
use measure::Measures;

/// One filter of a data set.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What happens to lines first.
    pub cleaning: LineCleaning,
    /// Characters under which a line is short.
    pub short_line: u64,
    /// The rules in order; the first that a document breaks is the reason why it goes.
    pub rules: Vec<RuleLimit>,
}

impl Filter {
    /// What happens to a document of this text.
    pub fn judge(&self, text: &str) -> Outcome {
        let (cleaned, found) = clean::clean(text, &self.cleaning);
        let left = cleaned.as_deref().unwrap_or(text);
        let measures = Measures::new(left, self.short_line as usize);
        for rule in &self.rules {
            let value = measures.value(rule.rule);
            let lets_through = if rule.rule.is_minimum() { value >= rule.limit } else { value <= rule.limit };
            if !lets_through {
                return Outcome::dropped(rule.rule.name());
            }
        }
        match cleaned {
            None => Outcome::Kept,
            Some(text) if text.trim().is_empty() => Outcome::Dropped { reason: "nothing_left", found: BTreeMap::new() },
            Some(text) => Outcome::Changed { text, record: None, found },
        }
    }
}

impl Step for Filter {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        batch.par_iter().map(|document| self.judge(&document.text)).collect()
    }
}

#[cfg(test)]
mod tests;
