//! One shard of prepared tokens: some documents of both splits, memory-mapped.
//!
//! A shard is an entry of the cache. Payload: the ids of the training split, of the held-out split (2 or 4 bytes each),
//! the ends of the documents of both (8 bytes each, counted in tokens of the shard), then the [`Header`] as JSON and its
//! length (8 bytes). In weighted shards each id has 4 bytes and its weight, a 32-bit float, follows it. All numbers are
//! little-endian.

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

impl Split {
    /// Both.
    pub const ALL: [Split; 2] = [Split::Train, Split::Heldout];
}

/// What a shard holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    ids: IdWidth,
    end: ShardEnd,
    train: Section,
    heldout: Section,
}

/// What a shard keeps of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdWidth {
    /// Its id in 16 bits.
    Narrow,
    /// Its id in 32 bits.
    Wide,
    /// Its id in 32 bits, and how much its loss counts.
    Weighted,
}

impl IdWidth {
    fn bytes(self) -> usize {
        match self {
            IdWidth::Narrow => 2,
            IdWidth::Wide => 4,
            IdWidth::Weighted => 8,
        }
    }
}

/// How far the documents had been read when a shard was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEnd {
    /// Documents that the shard is made of.
    pub documents: u64,
    /// UTF-8 bytes of their texts.
    pub bytes: u64,
    /// Whether no more follow.
    pub last: bool,
}

/// One split's facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text; 0 where the data came as ids.
    pub text_bytes: u64,
    /// How often each id occurs, up to the largest that does.
    pub counts: Vec<u64>,
}

impl Section {
    /// The facts of both.
    pub fn add(&mut self, other: &Section) {
        self.tokens += other.tokens;
        self.documents += other.documents;
        self.text_bytes += other.text_bytes;
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }
}

/// An open shard.
#[derive(Debug)]
pub struct Shard {
    payload: Entry,
    header: Header,
}

impl Shard {
    /// Bytes of the shard.
    pub fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    /// How far the documents had been read when it was done.
    pub fn end(&self) -> ShardEnd {
        self.header.end
    }

    /// Opens the entry `name`; none where it is missing or damaged.
    pub fn open(cache: &Cache, name: &str) -> Option<Shard> {
        match cache.open(name) {
            Lookup::Found(payload) => Shard::parse(payload),
            Lookup::Missing | Lookup::Damaged => None,
        }
    }

    /// None where the sections do not fill the payload exactly: then it was not written by [`ShardWriter`].
    fn parse(payload: Entry) -> Option<Shard> {
        let end = payload.len().checked_sub(8)?;
        let length = u64::from_le_bytes(payload[end..].try_into().ok()?);
        let start = end.checked_sub(usize::try_from(length).ok()?)?;
        let header: Header = serde_json::from_slice(&payload[start..end]).ok()?;
        let width = header.ids.bytes() as u64;
        let ids = header.train.tokens.checked_add(header.heldout.tokens)?.checked_mul(width)?;
        let ends = header.train.documents.checked_add(header.heldout.documents)?.checked_mul(8)?;
        (ids.checked_add(ends)? == start as u64).then_some(Shard { payload, header })
    }

    /// Appends the ids of `range`, which must lie in the split of the shard, to `ids`.
    pub fn read(&self, split: Split, range: Range<u64>, ids: &mut Vec<i32>) {
        let bytes = self.tokens(split, range);
        match self.header.ids {
            IdWidth::Narrow => ids.extend(bytes.as_chunks().0.iter().map(|id| i32::from(u16::from_le_bytes(*id)))),
            IdWidth::Wide => ids.extend(bytes.as_chunks().0.iter().map(|id| i32::from_le_bytes(*id))),
            IdWidth::Weighted => {
                let pairs = bytes.as_chunks::<8>().0.iter();
                ids.extend(pairs.map(|[a, b, c, d, ..]| i32::from_le_bytes([*a, *b, *c, *d])));
            }
        }
    }

    /// Appends how much the losses of these tokens count.
    pub fn read_weights(&self, split: Split, range: Range<u64>, weights: &mut Vec<f32>) {
        if self.header.ids != IdWidth::Weighted {
            weights.extend(range.map(|_| 1.0));
            return;
        }
        let pairs = self.tokens(split, range).as_chunks::<8>().0.iter();
        weights.extend(pairs.map(|[.., a, b, c, d]| f32::from_le_bytes([*a, *b, *c, *d])));
    }

    fn tokens(&self, split: Split, range: Range<u64>) -> &[u8] {
        let (width, first) = (self.header.ids.bytes(), self.first_id(split));
        &self.payload[first + range.start as usize * width..first + range.end as usize * width]
    }

    /// One past the last token of a split's document, which must be in the shard.
    pub fn document_end(&self, split: Split, document: u64) -> u64 {
        let first = self.first_end(split) + document as usize * 8;
        let end = &self.payload[first..first + 8];
        u64::from_le_bytes([end[0], end[1], end[2], end[3], end[4], end[5], end[6], end[7]])
    }

    /// A split's facts.
    pub fn section(&self, split: Split) -> &Section {
        match split {
            Split::Train => &self.header.train,
            Split::Heldout => &self.header.heldout,
        }
    }

    fn first_id(&self, split: Split) -> usize {
        if split == Split::Train { 0 } else { self.header.train.tokens as usize * self.header.ids.bytes() }
    }

    fn first_end(&self, split: Split) -> usize {
        let ids = self.first_id(Split::Heldout) + self.header.heldout.tokens as usize * self.header.ids.bytes();
        if split == Split::Train { ids } else { ids + self.header.train.documents as usize * 8 }
    }
}

/// Writes a shard document by document.
#[derive(Debug)]
pub struct ShardWriter<'a> {
    train: &'a mut BufWriter<File>,
    heldout: BufWriter<File>,
    heldout_path: PathBuf,
    ends: [Vec<u64>; 2],
    header: Header,
}

impl ShardWriter<'_> {
    /// Writes the shard `name` of `cache`. `fill` adds documents and says how far it came.
    ///
    /// # Errors
    /// What `fill` fails with, and what the disk refuses.
    pub fn write(
        cache: &Cache,
        name: &str,
        ids: IdWidth,
        fill: impl FnOnce(&mut ShardWriter<'_>) -> Result<ShardEnd, WriteError>,
    ) -> Result<ShardEnd, Diagnostic> {
        let heldout_path = cache.temporary_path(name);
        let mut end = ShardEnd::default();
        let result = cache.write(name, |train| {
            let heldout = BufWriter::with_capacity(1 << 20, File::create(&heldout_path)?);
            let header = Header { ids, end, train: Section::default(), heldout: Section::default() };
            let ends = [Vec::new(), Vec::new()];
            let mut writer = ShardWriter { train, heldout, heldout_path: heldout_path.clone(), ends, header };
            end = fill(&mut writer)?;
            writer.header.end = end;
            Ok(writer.finish()?)
        });
        // It is of no use any more, whether the shard was made or not.
        let _ = fs::remove_file(&heldout_path);
        result.map(|()| end)
    }

    /// Appends ids, which stand for `text_bytes` bytes of text, to the last document of a split.
    pub fn append(&mut self, split: Split, ids: &[u32], text_bytes: u64) -> io::Result<()> {
        self.append_weighted(split, ids, &[], text_bytes)
    }

    /// As [`ShardWriter::append`], with how much the loss of each token counts; where nothing is said, 1.
    pub fn append_weighted(&mut self, split: Split, ids: &[u32], weights: &[f32], text_bytes: u64) -> io::Result<()> {
        let width = self.header.ids;
        let (section, writer) = match split {
            Split::Train => (&mut self.header.train, &mut *self.train),
            Split::Heldout => (&mut self.header.heldout, &mut self.heldout),
        };
        for (index, &id) in ids.iter().enumerate() {
            match width {
                IdWidth::Narrow => writer.write_all(&(id as u16).to_le_bytes())?,
                IdWidth::Wide => writer.write_all(&id.to_le_bytes())?,
                IdWidth::Weighted => {
                    writer.write_all(&id.to_le_bytes())?;
                    writer.write_all(&weights.get(index).unwrap_or(&1.0).to_le_bytes())?;
                }
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
