//! Near-duplicates: MinHash (Broder 1997), banded locality-sensitive hashing (Leskovec, Rajaraman and Ullman,
//! Mining of Massive Datasets, section 3.4), true Jaccard similarity of every candidate, union-find.
//!
//! In memory lie 4 bytes for each band of a document, 16 of a sketch that tells most candidates apart without their
//! texts, 16 of where its text lies in the spool, and 4 of its group.

mod groups;
mod overlap;
mod sketch;
mod words;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;

use super::Document;
pub use groups::Groups;
use groups::UnionFind;
use overlap::HashedSet;
pub use sketch::Signer;
use words::Words;

/// Documents of one bucket that all others of it are compared with, at most. Only buckets of more documents that
/// are alike in one band and yet no near-duplicates of one another can lose a pair by it.
const PIVOTS: usize = 64;

/// Documents that one core compares with another before it takes the next task.
const COMPARED: usize = 64;

/// Pairs remembered as no near-duplicates, at most: what is forgotten is compared again in another band.
const REMEMBERED: usize = 1 << 20;

/// Signatures of documents, in order.
#[derive(Debug)]
pub struct NearIndex {
    signer: Signer,
    threshold: f64,
    shingle: usize,
    signed: Signed,
    /// Offset and length of each text in the spool.
    places: Vec<(u64, u32)>,
}

/// Signatures of documents.
#[derive(Debug, Default)]
pub struct Signed {
    /// As many values as there are bands for each document.
    bands: Vec<u32>,
    /// Of each document.
    sketches: Vec<u128>,
}

/// Memory of one core that is used again.
#[derive(Default)]
struct Scratch {
    words: Words,
    bins: Vec<u64>,
    bytes: Vec<u8>,
    pivot: HashedSet,
    other: HashedSet,
}

impl NearIndex {
    /// Documents of Jaccard similarity `threshold` and more are sought, over n-grams of `shingle` words,
    /// with at most `hashes` MinHash values.
    pub fn new(threshold: f64, shingle: usize, hashes: usize) -> NearIndex {
        let signer = Signer::new(threshold, hashes);
        NearIndex { signer, threshold, shingle, signed: Signed::default(), places: Vec::new() }
    }

    /// The signatures of documents.
    pub fn sign(&self, batch: &[Document]) -> Signed {
        let mut bands = vec![0; batch.len() * self.signer.bands()];
        let pieces = batch.par_iter().zip(bands.par_chunks_exact_mut(self.signer.bands()));
        let sign = |scratch: &mut Scratch, (document, bands): (&Document, &mut [u32])| {
            self.signer.sign(scratch.words.runs(&document.text, self.shingle), &mut scratch.bins, bands)
        };
        let sketches = pieces.map_init(Scratch::default, sign).collect();
        Signed { bands, sketches }
    }

    /// Adds documents of these signatures whose texts lie at these offsets of the spool.
    pub fn add(&mut self, batch: &[Document], signed: &Signed, offsets: &[u64]) {
        self.signed.bands.extend_from_slice(&signed.bands);
        self.signed.sketches.extend_from_slice(&signed.sketches);
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
        let mut unlike = HashSet::new();
        let (mut compared, mut joined) = (0, 0);
        for band in 0..self.signer.bands() {
            let sorted = self.sorted(band);
            let equal = sorted.chunk_by(|one, other| one >> 32 == other >> 32);
            let mut buckets: Vec<&[u64]> = equal.filter(|bucket| bucket.len() > 1).collect();
            for pivot in 0..PIVOTS {
                // Every bucket's pivot is compared with what comes after it and is not of its group yet.
                buckets.retain(|bucket| bucket.len() > pivot + 1);
                let mut tasks: Vec<(u32, Vec<u32>)> = Vec::new();
                for bucket in &buckets {
                    let first = bucket[pivot] as u32;
                    let group = groups.find(first);
                    let fresh = |&other: &u32| {
                        groups.find(other) != group
                            && self.may_be_alike(first, other)
                            && !unlike.contains(&pair(first, other))
                    };
                    let fresh: Vec<u32> = bucket[pivot + 1..].iter().map(|&key| key as u32).filter(fresh).collect();
                    tasks.extend(fresh.chunks(COMPARED).map(|others| (first, others.to_vec())));
                }
                let compare = |scratch: &mut Scratch, (pivot, others): &(u32, Vec<u32>)| {
                    self.alike(spool, *pivot, others, scratch)
                };
                let found: io::Result<Vec<Vec<bool>>> = tasks.par_iter().map_init(Scratch::default, compare).collect();
                for ((pivot, others), alike) in tasks.iter().zip(found?) {
                    compared += others.len();
                    for (&other, alike) in others.iter().zip(alike) {
                        if alike {
                            joined += 1;
                            groups.join(*pivot, other);
                        } else if unlike.len() < REMEMBERED {
                            unlike.insert(pair(*pivot, other));
                        }
                    }
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

    /// `value << 32 | document` of every document with words, sorted.
    fn sorted(&self, band: usize) -> Vec<u64> {
        let values = self.signed.bands.iter().skip(band).step_by(self.signer.bands());
        let keys = values.zip(0..).filter(|(value, _)| **value != sketch::EMPTY);
        let mut keys: Vec<u64> = keys.map(|(&value, document)| u64::from(value) << 32 | document).collect();
        keys.par_sort_unstable();
        keys
    }

    fn may_be_alike(&self, one: u32, other: u32) -> bool {
        let sketch = |document: u32| self.signed.sketches[document as usize];
        self.signer.may_be_alike(sketch(one), sketch(other))
    }

    /// Whether two documents share a band, and their sketches do not tell them apart.
    #[cfg(test)]
    pub fn are_candidates(&self, one: u32, other: u32) -> bool {
        let bands = |document: u32| self.signed.bands.chunks_exact(self.signer.bands()).nth(document as usize);
        let pairs = bands(one).into_iter().flatten().zip(bands(other).into_iter().flatten());
        pairs.into_iter().any(|(a, b)| a == b) && self.may_be_alike(one, other)
    }

    /// Whether the true similarity of each of `others` to `pivot` reaches the threshold.
    fn alike(&self, spool: &File, pivot: u32, others: &[u32], scratch: &mut Scratch) -> io::Result<Vec<bool>> {
        let Scratch { words, bytes, pivot: mine, other: theirs, .. } = scratch;
        let mut runs_of = |document: u32, take: &mut dyn FnMut(&[u64])| -> io::Result<()> {
            let (offset, length) = self.places[document as usize];
            bytes.resize(length as usize, 0);
            spool.read_exact_at(bytes, offset)?;
            // A text that was cut may end within a character.
            let text = str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
            take(words.runs(&text, self.shingle));
            Ok(())
        };
        runs_of(pivot, &mut |runs| mine.fill(runs))?;
        let mut alike = Vec::with_capacity(others.len());
        for &other in others {
            runs_of(other, &mut |runs| alike.push(mine.jaccard(runs, theirs) >= self.threshold))?;
        }
        Ok(alike)
    }
}

/// One number for two documents in order.
fn pair(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}
