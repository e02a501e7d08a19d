//! Near-duplicates: MinHash (Broder 1997), banded locality-sensitive hashing (Leskovec, Rajaraman and Ullman,
//! Mining of Massive Datasets, section 3.4), true Jaccard similarity of every candidate, union-find.
//!
//! In memory lie 44 bytes for each document: a sketch that tells most candidates apart without their texts, where its
//! text lies, its group, and its value of one band at a time.

mod groups;
mod overlap;
mod sketch;
mod words;

use std::collections::HashSet;
use std::io;

use rayon::prelude::*;

use super::Document;
use super::part::Part;
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

/// What near-duplicates are.
#[derive(Debug)]
pub struct Near {
    signer: Signer,
    threshold: f64,
    shingle: usize,
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

impl Near {
    /// Documents of Jaccard similarity `threshold` and more are sought, over n-grams of `shingle` words,
    /// with at most `hashes` MinHash values.
    pub fn new(threshold: f64, shingle: usize, hashes: usize) -> Near {
        Near { signer: Signer::new(threshold, hashes), threshold, shingle }
    }

    /// Appends the sketch and the bands of every document.
    pub fn sign(&self, batch: &[Document], sketches: &mut Vec<u128>, bands: &mut Vec<u32>) {
        let before = bands.len();
        bands.resize(before + batch.len() * self.signer.bands(), 0);
        let pieces = batch.par_iter().zip(bands[before..].par_chunks_exact_mut(self.signer.bands()));
        let sign = |scratch: &mut Scratch, (document, bands): (&Document, &mut [u32])| {
            self.signer.sign(scratch.words.runs(&document.text, self.shingle), &mut scratch.bins, bands)
        };
        sketches.par_extend(pieces.map_init(Scratch::default, sign));
    }

    /// Groups the documents of parts: those that are near-duplicates, directly or through others, are together.
    ///
    /// # Errors
    /// If the parts cannot be read.
    pub fn groups(&self, parts: &[Part]) -> io::Result<Groups> {
        let index = Index::open(self, parts)?;
        let mut groups = UnionFind::new(index.places.len());
        let mut unlike = HashSet::new();
        let (mut compared, mut joined) = (0, 0);
        for band in 0..self.signer.bands() {
            let sorted = index.sorted(band)?;
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
                            && index.may_be_alike(first, other)
                            && !unlike.contains(&pair(first, other))
                    };
                    let fresh: Vec<u32> = bucket[pivot + 1..].iter().map(|&key| key as u32).filter(fresh).collect();
                    tasks.extend(fresh.chunks(COMPARED).map(|others| (first, others.to_vec())));
                }
                let compare =
                    |scratch: &mut Scratch, (pivot, others): &(u32, Vec<u32>)| index.alike(*pivot, others, scratch);
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
}

/// Documents of parts, by number.
struct Index<'a> {
    near: &'a Near,
    parts: &'a [Part],
    /// The number of each part's first document.
    firsts: Vec<usize>,
    sketches: Vec<u128>,
    places: Vec<(u64, u64)>,
}

impl<'a> Index<'a> {
    fn open(near: &'a Near, parts: &'a [Part]) -> io::Result<Index<'a>> {
        let mut index = Index { near, parts, firsts: Vec::new(), sketches: Vec::new(), places: Vec::new() };
        for part in parts {
            index.firsts.push(index.places.len());
            index.places.extend(part.places()?);
            index.sketches.extend(part.sketches()?);
        }
        Ok(index)
    }

    /// `value << 32 | document` of every document with words, sorted.
    fn sorted(&self, band: usize) -> io::Result<Vec<u64>> {
        let mut keys = Vec::with_capacity(self.places.len());
        for (part, &first) in self.parts.iter().zip(&self.firsts) {
            let values = part.band(band)?;
            let values = values.into_iter().zip(first as u64..).filter(|(value, _)| *value != sketch::EMPTY);
            keys.extend(values.map(|(value, document)| u64::from(value) << 32 | document));
        }
        keys.par_sort_unstable();
        Ok(keys)
    }

    fn may_be_alike(&self, one: u32, other: u32) -> bool {
        self.near.signer.may_be_alike(self.sketches[one as usize], self.sketches[other as usize])
    }

    /// Whether the true similarity of each of `others` to `pivot` reaches the threshold.
    fn alike(&self, pivot: u32, others: &[u32], scratch: &mut Scratch) -> io::Result<Vec<bool>> {
        let Scratch { words, bytes, pivot: mine, other: theirs, .. } = scratch;
        let mut runs_of = |document: u32, take: &mut dyn FnMut(&[u64])| -> io::Result<()> {
            let document = document as usize;
            let part = self.firsts.partition_point(|&first| first <= document) - 1;
            self.parts[part].text(self.places[document], bytes)?;
            let text = str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            take(words.runs(text, self.near.shingle));
            Ok(())
        };
        runs_of(pivot, &mut |runs| mine.fill(runs))?;
        let mut alike = Vec::with_capacity(others.len());
        for &other in others {
            runs_of(other, &mut |runs| alike.push(mine.jaccard(runs, theirs) >= self.near.threshold))?;
        }
        Ok(alike)
    }
}

/// One number for two documents in order.
fn pair(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}
