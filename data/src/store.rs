//! Prepared tokens: one cache entry that holds both splits of a data set.
//!
//! Payload: the ids of the training split, of the held-out split (2 or 4 bytes each), the ends of the
//! documents of both (8 bytes each, counted in tokens), then the [`Header`] as JSON and its length (8 bytes).
//! All numbers are little-endian.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::PathBuf;

use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Entry, Lookup, WriteError};

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Kept for evaluation.
    Heldout,
}

/// What the payload holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    wide: bool,
    row_length: Option<u64>,
    train: Section,
    heldout: Section,
}

/// One split's facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Section {
    tokens: u64,
    documents: u64,
    text_bytes: u64,
    /// How often each id occurs, up to the largest that does.
    counts: Vec<u64>,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    payload: Entry,
    header: Header,
}

impl Store {
    /// Opens the store `name`: missing, damaged, or found.
    pub fn open(cache: &Cache, name: &str) -> Result<Store, Unopened> {
        match cache.open(name) {
            Lookup::Missing => Err(Unopened::Missing),
            Lookup::Damaged => Err(Unopened::Damaged),
            Lookup::Found(payload) => Store::parse(payload).ok_or(Unopened::Damaged),
        }
    }

    /// None where the sections do not fill the payload exactly: then it was not written by [`StoreWriter`].
    fn parse(payload: Entry) -> Option<Store> {
        let end = payload.len().checked_sub(8)?;
        let length = u64::from_le_bytes(payload[end..].try_into().ok()?);
        let start = end.checked_sub(usize::try_from(length).ok()?)?;
        let header: Header = serde_json::from_slice(&payload[start..end]).ok()?;
        let width = if header.wide { 4 } else { 2 };
        let ids = header.train.tokens.checked_add(header.heldout.tokens)?.checked_mul(width)?;
        let ends = header.train.documents.checked_add(header.heldout.documents)?.checked_mul(8)?;
        (ids.checked_add(ends)? == start as u64).then_some(Store { payload, header })
    }

    /// Bytes of the whole store.
    pub fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// Number of tokens of a split.
    pub fn tokens(&self, split: Split) -> u64 {
        self.section(split).tokens
    }

    /// Number of documents of a split.
    pub fn documents(&self, split: Split) -> u64 {
        self.section(split).documents
    }

    /// UTF-8 bytes of the text that a split's tokens stand for; 0 where the data came as token ids.
    pub fn text_bytes(&self, split: Split) -> u64 {
        self.section(split).text_bytes
    }

    /// How often each id occurs in a split, from id 0 to the largest that does.
    pub fn counts(&self, split: Split) -> &[u64] {
        &self.section(split).counts
    }

    /// The length of a row, where the data came as rows rather than as a stream.
    pub fn row_length(&self) -> Option<u64> {
        self.header.row_length
    }

    /// Appends the ids of `range`, which must lie in the split, to `ids`.
    pub fn read(&self, split: Split, range: Range<u64>, ids: &mut Vec<i32>) {
        let (width, first) = (self.id_width(), self.first_id(split));
        let bytes = &self.payload[first + range.start as usize * width..first + range.end as usize * width];
        if width == 2 {
            ids.extend(bytes.chunks_exact(2).map(|id| i32::from(u16::from_le_bytes([id[0], id[1]]))));
        } else {
            ids.extend(bytes.chunks_exact(4).map(|id| i32::from_le_bytes([id[0], id[1], id[2], id[3]])));
        }
    }

    /// One past the last token of a split's document, which must be there.
    pub fn document_end(&self, split: Split, document: u64) -> u64 {
        let first = self.first_end(split) + document as usize * 8;
        let end = &self.payload[first..first + 8];
        u64::from_le_bytes([end[0], end[1], end[2], end[3], end[4], end[5], end[6], end[7]])
    }

    fn section(&self, split: Split) -> &Section {
        match split {
            Split::Train => &self.header.train,
            Split::Heldout => &self.header.heldout,
        }
    }

    fn id_width(&self) -> usize {
        if self.header.wide { 4 } else { 2 }
    }

    fn first_id(&self, split: Split) -> usize {
        if split == Split::Train { 0 } else { self.header.train.tokens as usize * self.id_width() }
    }

    fn first_end(&self, split: Split) -> usize {
        let ids = self.first_id(Split::Heldout) + self.header.heldout.tokens as usize * self.id_width();
        if split == Split::Train { ids } else { ids + self.header.train.documents as usize * 8 }
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

/// Writes a store document by document.
#[derive(Debug)]
pub struct StoreWriter<'a> {
    train: &'a mut BufWriter<File>,
    heldout: BufWriter<File>,
    heldout_path: PathBuf,
    ends: [Vec<u64>; 2],
    header: Header,
}

impl<'a> StoreWriter<'a> {
    /// Writes the store `name` of `cache`: ids under `vocab`, as rows where `row_length` is given.
    /// `fill` adds the documents; every id must be under `vocab`.
    pub fn write(
        cache: &Cache,
        name: &str,
        vocab: u64,
        row_length: Option<u64>,
        fill: impl FnOnce(&mut StoreWriter<'_>) -> Result<(), WriteError>,
    ) -> Result<(), Diagnostic> {
        let heldout_path = cache.temporary_path(name);
        let result = cache.write(name, |train| {
            let heldout = BufWriter::with_capacity(1 << 20, File::create(&heldout_path)?);
            let wide = vocab > 1 << 16;
            let header = Header { wide, row_length, train: Section::default(), heldout: Section::default() };
            let ends = [Vec::new(), Vec::new()];
            let mut writer = StoreWriter { train, heldout, heldout_path: heldout_path.clone(), ends, header };
            fill(&mut writer)?;
            Ok(writer.finish()?)
        });
        // It is of no use any more, whether the store was made or not.
        let _ = fs::remove_file(&heldout_path);
        result
    }

    /// Appends ids, which stand for `text_bytes` bytes of text, to the last document of a split.
    pub fn append(&mut self, split: Split, ids: &[u32], text_bytes: u64) -> io::Result<()> {
        let wide = self.header.wide;
        let (section, writer) = match split {
            Split::Train => (&mut self.header.train, &mut *self.train),
            Split::Heldout => (&mut self.header.heldout, &mut self.heldout),
        };
        for &id in ids {
            if wide {
                writer.write_all(&id.to_le_bytes())?;
            } else {
                writer.write_all(&(id as u16).to_le_bytes())?;
            }
            let id = id as usize;
            if id >= section.counts.len() {
                section.counts.resize(id + 1, 0);
            }
            section.counts[id] += 1;
        }
        section.tokens += ids.len() as u64;
        section.text_bytes += text_bytes;
        Ok(())
    }

    /// Ends the document that has been appended to a split.
    pub fn end_document(&mut self, split: Split) {
        let (section, ends) = match split {
            Split::Train => (&mut self.header.train, &mut self.ends[0]),
            Split::Heldout => (&mut self.header.heldout, &mut self.ends[1]),
        };
        section.documents += 1;
        ends.push(section.tokens);
    }

    fn finish(mut self) -> io::Result<()> {
        self.heldout.flush()?;
        io::copy(&mut File::open(&self.heldout_path)?, self.train)?;
        for end in self.ends.iter().flatten() {
            self.train.write_all(&end.to_le_bytes())?;
        }
        let header = serde_json::to_vec(&self.header)?;
        self.train.write_all(&header)?;
        self.train.write_all(&(header.len() as u64).to_le_bytes())
    }
}
