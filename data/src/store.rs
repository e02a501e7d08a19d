//! Prepared tokens: both splits of a data set in [shards](super::shard), memory-mapped.
//!
//! The entry of a store is a [`Manifest`] as JSON; each shard is an entry of its own.

use std::io;
use std::ops::Range;

use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Lookup, WriteError};
use super::shard::{IdWidth, Section, Shard, ShardEnd, ShardWriter, Split};

/// What makes up a store.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    shards: usize,
    row_length: Option<u64>,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    shards: Vec<Shard>,
    row_length: Option<u64>,
    splits: [Whole; 2],
}

/// One split of all shards.
#[derive(Debug, Default)]
struct Whole {
    section: Section,
    /// Tokens before each shard.
    tokens: Vec<u64>,
    /// Documents before each shard.
    documents: Vec<u64>,
}

fn shard_name(name: &str, shard: usize) -> String {
    format!("{name}.{shard}")
}

impl Store {
    /// Opens the store `name`: missing, damaged, or found.
    pub fn open(cache: &Cache, name: &str) -> Result<Store, Unopened> {
        let manifest = match cache.open(name) {
            Lookup::Missing => return Err(Unopened::Missing),
            Lookup::Damaged => return Err(Unopened::Damaged),
            Lookup::Found(manifest) => manifest,
        };
        let Manifest { shards, row_length } = serde_json::from_slice(&manifest).map_err(|_| Unopened::Damaged)?;
        let shards: Option<Vec<Shard>> =
            (0..shards).map(|shard| Shard::open(cache, &shard_name(name, shard))).collect();
        let shards = shards.ok_or(Unopened::Damaged)?;
        let splits = Split::ALL.map(|split| {
            let mut whole = Whole::default();
            for shard in &shards {
                whole.tokens.push(whole.section.tokens);
                whole.documents.push(whole.section.documents);
                whole.section.add(shard.section(split));
            }
            whole
        });
        Ok(Store { shards, row_length, splits })
    }

    /// Bytes of the whole store.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(Shard::bytes).sum()
    }

    /// Number of tokens of a split.
    pub fn tokens(&self, split: Split) -> u64 {
        self.whole(split).section.tokens
    }

    /// Number of documents of a split.
    pub fn documents(&self, split: Split) -> u64 {
        self.whole(split).section.documents
    }

    /// UTF-8 bytes of the text that a split's tokens stand for; 0 where the data came as token ids.
    pub fn text_bytes(&self, split: Split) -> u64 {
        self.whole(split).section.text_bytes
    }

    /// How often each id occurs in a split, from id 0 to the largest that does.
    pub fn counts(&self, split: Split) -> &[u64] {
        &self.whole(split).section.counts
    }

    /// The length of a row, where the data came as rows rather than as a stream.
    pub fn row_length(&self) -> Option<u64> {
        self.row_length
    }

    /// Appends the ids of `range`, which must lie in the split, to `ids`.
    pub fn read(&self, split: Split, range: Range<u64>, ids: &mut Vec<i32>) {
        self.in_shards(split, range, |shard, range| shard.read(split, range, ids));
    }

    /// Appends how much the losses of these tokens count.
    pub fn read_weights(&self, split: Split, range: Range<u64>, weights: &mut Vec<f32>) {
        self.in_shards(split, range, |shard, range| shard.read_weights(split, range, weights));
    }

    /// The shards that hold a range, each with its part.
    fn in_shards(&self, split: Split, range: Range<u64>, mut each: impl FnMut(&Shard, Range<u64>)) {
        let firsts = &self.whole(split).tokens;
        let mut at = range.start;
        while at < range.end {
            // Of shards without tokens the last that begins here has them.
            let number = firsts.partition_point(|&first| first <= at) - 1;
            let shard = &self.shards[number];
            let (first, held) = (firsts[number], shard.section(split).tokens);
            let end = range.end.min(first + held);
            each(shard, at - first..end - first);
            at = end;
        }
    }

    /// One past the last token of a split's document, which must be there.
    pub fn document_end(&self, split: Split, document: u64) -> u64 {
        let Whole { tokens, documents, .. } = self.whole(split);
        let number = documents.partition_point(|&first| first <= document) - 1;
        tokens[number] + self.shards[number].document_end(split, document - documents[number])
    }

    fn whole(&self, split: Split) -> &Whole {
        &self.splits[split as usize]
    }
}

/// Why a store is not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// It does not exist.
    Missing,
    /// It is not what was written.
    Damaged,
}

/// Writes a store shard by shard.
#[derive(Debug)]
pub struct StoreWriter<'a> {
    cache: &'a Cache,
    name: &'a str,
    ids: IdWidth,
    shards: usize,
}

impl<'a> StoreWriter<'a> {
    /// A store `name` of `cache` of no shards yet, whose ids are all under `vocab` and may have weights.
    pub fn new(cache: &'a Cache, name: &'a str, vocab: u64, weighted: bool) -> StoreWriter<'a> {
        let ids = match weighted {
            true => IdWidth::Weighted,
            false if vocab > 1 << 16 => IdWidth::Wide,
            false => IdWidth::Narrow,
        };
        StoreWriter { cache, name, ids, shards: 0 }
    }

    /// Takes over the next shard where an interrupted run has finished it.
    pub fn finished(&mut self) -> Option<ShardEnd> {
        let shard = Shard::open(self.cache, &shard_name(self.name, self.shards))?;
        self.shards += 1;
        Some(shard.end())
    }

    /// Writes the next shard: `fill` adds documents and says how far it came.
    ///
    /// # Errors
    /// What `fill` fails with, and what the disk refuses.
    pub fn shard(
        &mut self,
        fill: impl FnOnce(&mut ShardWriter<'_>) -> Result<ShardEnd, WriteError>,
    ) -> Result<ShardEnd, Diagnostic> {
        let name = shard_name(self.name, self.shards);
        self.shards += 1;
        ShardWriter::write(self.cache, &name, self.ids, fill)
    }

    /// Ends the store, which holds rows where `row_length` is given.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn finish(self, row_length: Option<u64>) -> Result<(), Diagnostic> {
        let manifest = Manifest { shards: self.shards, row_length };
        self.cache.write(self.name, |file| Ok(serde_json::to_writer(file, &manifest).map_err(io::Error::from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a document of these tokens to the training split, and its first token to the other.
    fn add(shard: &mut ShardWriter<'_>, ids: &[u32]) {
        for (split, ids) in [(Split::Train, ids), (Split::Heldout, &ids[..1])] {
            shard.append(split, ids, ids.len() as u64).unwrap();
            shard.end_document(split);
        }
    }

    #[test]
    fn shards_are_one_stream_and_finished_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        let documents: Vec<Vec<u32>> = (1..9).map(|length| (0..length).map(|at| length * 10 + at).collect()).collect();
        // Three documents, none, five; interrupted after each shard.
        let shards = [&documents[..3], &[], &documents[3..]];
        for (attempt, documents) in shards.iter().enumerate() {
            let mut writer = StoreWriter::new(&cache, "store", 100, false);
            for _ in 0..attempt {
                assert!(writer.finished().is_some());
            }
            assert_eq!(writer.finished(), None);
            let end = ShardEnd { documents: documents.len() as u64, bytes: 7, last: attempt == 2 };
            writer
                .shard(|shard| {
                    documents.iter().for_each(|document| add(shard, document));
                    Ok(end)
                })
                .unwrap();
            if attempt == 2 {
                writer.finish(None).unwrap();
            } else {
                assert!(matches!(Store::open(&cache, "store"), Err(Unopened::Missing)));
            }
        }
        let store = Store::open(&cache, "store").unwrap();
        let all: Vec<i32> = documents.iter().flatten().map(|&id| id as i32).collect();
        assert_eq!((store.tokens(Split::Train), store.documents(Split::Train)), (36, 8));
        assert_eq!((store.tokens(Split::Heldout), store.text_bytes(Split::Train)), (8, 36));
        for start in 0..36 {
            for end in start..=36 {
                let mut ids = Vec::new();
                store.read(Split::Train, start..end, &mut ids);
                assert_eq!(ids, all[start as usize..end as usize]);
            }
        }
        let mut sum = 0;
        for (document, tokens) in documents.iter().enumerate() {
            sum += tokens.len() as u64;
            assert_eq!(store.document_end(Split::Train, document as u64), sum);
            assert_eq!(store.document_end(Split::Heldout, document as u64), document as u64 + 1);
        }
        assert_eq!(store.counts(Split::Train).iter().sum::<u64>(), 36);
        cache.remove("store.1");
        assert!(matches!(Store::open(&cache, "store"), Err(Unopened::Damaged)));
    }
}
