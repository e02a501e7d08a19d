//! Near-duplicates: MinHash (Broder 1997), banded locality-sensitive hashing (Leskovec, Rajaraman and Ullman,
//! Mining of Massive Datasets, section 3.4), true Jaccard similarity of every candidate, union-find.
//!
//! In memory lie 4 bytes for each band of a document, and where its text lies in the spool.

mod groups;
mod signature;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use super::Document;
pub use groups::Groups;
use groups::UnionFind;
pub use signature::{Signer, jaccard, runs, shingles};

/// Documents of one bucket that all others of it are compared with, at most. Only buckets of more documents that
/// are alike in one band and yet no near-duplicates of one another can lose a pair by it.
const PIVOTS: usize = 64;

/// Signatures of documents, in order.
#[derive(Debug)]
pub struct NearIndex {
    signer: Signer,
    threshold: f64,
    shingle: usize,
    /// `signer.bands()` values for each document.
    bands: Vec<u32>,
    /// Offset and length of each text in the spool.
    places: Vec<(u64, u32)>,
}

impl NearIndex {
    /// Documents of Jaccard similarity `threshold` and more are sought, over n-grams of `shingle` words,
    /// with at most `hashes` MinHash values.
    pub fn new(threshold: f64, shingle: usize, hashes: usize) -> NearIndex {
        let signer = Signer::new(threshold, hashes);
        NearIndex { signer, threshold, shingle, bands: Vec::new(), places: Vec::new() }
    }

    /// Adds documents whose texts lie at these offsets of the spool.
    pub fn add(&mut self, batch: &[Document], offsets: &[u64]) {
        let (signer, shingle) = (&self.signer, self.shingle);
        let bands: Vec<Vec<u32>> =
            batch.par_iter().map(|document| signer.bands_of(&runs(&document.text, shingle))).collect();
        bands.iter().for_each(|bands| self.bands.extend(bands));
        // A text of 4 GiB and more is compared by its first 4 GiB.
        let length = |document: &Document| u32::try_from(document.text.len()).unwrap_or(u32::MAX);
        self.places.extend(batch.iter().zip(offsets).map(|(document, &offset)| (offset, length(document))));
    }

    /// Groups the documents: those that are near-duplicates, directly or through others, are together.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn resolve(&self, spool: &File) -> io::Result<Groups> {
        let mut groups = UnionFind::new(self.places.len());
        let (mut compared, mut joined) = (0, 0);
        for band in 0..self.signer.bands() {
            let buckets = self.buckets(band);
            for pivot in 0..PIVOTS {
                // Every bucket's pivot is compared with what comes after it and is not of its group yet.
                let tasks: Vec<(u32, Vec<u32>)> = buckets
                    .iter()
                    .filter_map(|bucket| {
                        let (&first, others) = bucket.get(pivot..)?.split_first()?;
                        let group = groups.find(first);
                        let fresh =
                            |&&other: &&u32| groups.find(other) != group && !self.met_before(band, first, other);
                        let others: Vec<u32> = others.iter().filter(fresh).copied().collect();
                        (!others.is_empty()).then_some((first, others))
                    })
                    .collect();
                let found: io::Result<Vec<Vec<u32>>> =
                    tasks.par_iter().map(|(pivot, others)| self.alike(spool, *pivot, others)).collect();
                for ((pivot, others), alike) in tasks.iter().zip(found?) {
                    compared += others.len() as u64;
                    joined += alike.len() as u64;
                    alike.into_iter().for_each(|other| groups.join(*pivot, other));
                }
                if buckets.iter().all(|bucket| bucket.len() <= pivot + 2) {
                    break;
                }
            }
        }
        let notes = vec![
            format!(
                "{} bands of {} rows; a pair of similarity {} is a candidate with probability {:.3}",
                self.signer.bands(),
                self.signer.rows(),
                self.threshold,
                self.signer.recall(self.threshold)
            ),
            format!("{compared} candidates compared, {joined} of them near-duplicates"),
        ];
        Ok(groups.groups(notes))
    }

    /// Documents with equal values in a band, two and more, each list in order.
    fn buckets(&self, band: usize) -> Vec<Vec<u32>> {
        let value = |document: u32| self.bands[document as usize * self.signer.bands() + band];
        let mut order: Vec<u32> = (0..self.places.len() as u32).filter(|&each| !self.is_empty(each)).collect();
        order.par_sort_unstable_by_key(|&document| (value(document), document));
        let equal = order.chunk_by(|&a, &b| value(a) == value(b));
        equal.filter(|bucket| bucket.len() > 1).map(<[u32]>::to_vec).collect()
    }

    /// Documents without words are like no other.
    fn is_empty(&self, document: u32) -> bool {
        let first = document as usize * self.signer.bands();
        self.bands[first..first + self.signer.bands()].iter().all(|&value| value == u32::MAX)
    }

    /// Whether the two were together in a bucket of an earlier band, and so have been compared.
    fn met_before(&self, band: usize, one: u32, other: u32) -> bool {
        let bands = self.signer.bands();
        let (one, other) = (one as usize * bands, other as usize * bands);
        self.bands[one..one + band].iter().zip(&self.bands[other..other + band]).any(|(a, b)| a == b)
    }

    /// Those of `others` whose true similarity to `pivot` reaches the threshold.
    fn alike(&self, spool: &File, pivot: u32, others: &[u32]) -> io::Result<Vec<u32>> {
        let mine = self.shingles_of(spool, pivot)?;
        let compare = |&other: &u32| -> io::Result<Option<u32>> {
            let theirs = self.shingles_of(spool, other)?;
            Ok((jaccard(&mine, &theirs) >= self.threshold).then_some(other))
        };
        let found: io::Result<Vec<Option<u32>>> = others.par_iter().map(compare).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    fn shingles_of(&self, spool: &File, document: u32) -> io::Result<Vec<u64>> {
        let (offset, length) = self.places[document as usize];
        let mut bytes = vec![0; length as usize];
        spool.read_exact_at(&mut bytes, offset)?;
        Ok(shingles(&String::from_utf8_lossy(&bytes), self.shingle))
    }
}
