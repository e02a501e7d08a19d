//! Exact duplicates.

use std::collections::HashSet;

use rayon::prelude::*;

use super::normal::fingerprint;
use super::{Document, Outcome, Step};

/// Drops documents whose [`fingerprint`] was seen before. Keeps 16 bytes in memory for each document.
#[derive(Debug, Default)]
pub struct Exact {
    seen: HashSet<u128>,
}

impl Step for Exact {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let fingerprints: Vec<u128> = batch.par_iter().map(|document| fingerprint(&document.text)).collect();
        let outcome = |fingerprint| match self.seen.insert(fingerprint) {
            true => Outcome::Kept,
            false => Outcome::dropped("duplicate"),
        };
        fingerprints.into_iter().map(outcome).collect()
    }
}
