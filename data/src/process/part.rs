//! Parts of what a pass over documents leaves: the unit of work that is never done twice.
//!
//! A part is a cache entry. Payload: the documents as [`DocumentWriter`] frames them, what each step must remember, and
//! for each document where its text lies (8 bytes) and how long it is (8), its blake3 hash (32), the number of its source
//! (4) and its side (4), its sketch (16) and its bands (4 each, all of the first band, then of the second); then the [`Trailer`] as JSON and its length (8).
//! All numbers are little-endian. Sketches and bands are there only where near-duplicates are sought next, and hashes,
//! sources and sides only where they are not.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::near::Near;
use super::report::StepReport;
use super::source::Progressed;
use super::{Document, DocumentReader, DocumentWriter};
use crate::cache::Cache;

/// What a part holds beside documents, and how far the pass had come when it was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trailer {
    /// Documents in it.
    pub documents: u64,
    /// Whether the input ended with it.
    pub last: bool,
    /// How far the input had been read.
    pub progressed: Progressed,
    /// What the steps had done, one report each.
    pub reports: Vec<StepReport>,
    /// Bytes of the documents.
    frames: u64,
    /// Bytes of what each step must remember of this part.
    memories: Vec<u64>,
}

/// Writes a part.
pub struct PartWriter<'a> {
    writer: DocumentWriter<&'a mut BufWriter<File>>,
    places: Vec<(u64, u64)>,
    hashes: Vec<[u8; 32]>,
    sides: Vec<[u32; 2]>,
    sketches: Vec<u128>,
    /// Document after document.
    bands: Vec<u32>,
}

impl<'a> PartWriter<'a> {
    /// An empty part in `file`.
    pub fn new(file: &'a mut BufWriter<File>) -> PartWriter<'a> {
        let writer = DocumentWriter::new(file);
        PartWriter {
            writer,
            places: Vec::new(),
            hashes: Vec::new(),
            sides: Vec::new(),
            sketches: Vec::new(),
            bands: Vec::new(),
        }
    }

    /// Appends documents; their signatures with them where near-duplicates are sought next.
    ///
    /// # Errors
    /// Of the disk.
    pub fn add(&mut self, batch: &[Document], near: Option<&Near>) -> io::Result<()> {
        let PartWriter { writer, places, hashes, sides, sketches, bands } = self;
        if near.is_none() {
            sides.extend(batch.iter().map(|document| [document.origin.index, side(document.origin.heldout)]));
        }
        let hash = || match near {
            None => batch.par_iter().map(|document| *blake3::hash(document.text.as_bytes()).as_bytes()).collect(),
            Some(near) => {
                near.sign(batch, sketches, bands);
                Vec::new()
            }
        };
        let write = || -> io::Result<()> {
            for document in batch {
                places.push((writer.write(document)?, document.text.len() as u64));
            }
            Ok(())
        };
        let (written, hashed): (io::Result<()>, Vec<[u8; 32]>) = rayon::join(write, hash);
        hashes.extend(hashed);
        written
    }

    /// Ends the part.
    ///
    /// # Errors
    /// Of the disk.
    pub fn finish(self, last: bool, at: Progressed, reports: Vec<StepReport>, memories: &[Vec<u8>]) -> io::Result<()> {
        let documents = self.places.len();
        let frames = self.writer.written();
        let file = self.writer.into_inner();
        memories.iter().try_for_each(|memory| file.write_all(memory))?;
        for (offset, length) in &self.places {
            file.write_all(&offset.to_le_bytes())?;
            file.write_all(&length.to_le_bytes())?;
        }
        self.hashes.iter().try_for_each(|hash| file.write_all(hash))?;
        self.sides.as_flattened().iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))?;
        self.sketches.iter().try_for_each(|sketch| file.write_all(&sketch.to_le_bytes()))?;
        let bands = self.bands.len() / documents.max(1);
        for band in 0..bands {
            for value in self.bands.iter().skip(band).step_by(bands) {
                file.write_all(&value.to_le_bytes())?;
            }
        }
        let memories = memories.iter().map(|memory| memory.len() as u64).collect();
        let trailer = Trailer { documents: documents as u64, last, progressed: at, reports, frames, memories };
        let trailer = serde_json::to_vec(&trailer)?;
        file.write_all(&trailer)?;
        file.write_all(&(trailer.len() as u64).to_le_bytes())
    }
}

/// A finished part.
#[derive(Debug)]
pub struct Part {
    file: File,
    trailer: Trailer,
}

impl Part {
    /// Opens the entry `name`; none where it is missing, damaged, or no part.
    pub fn open(cache: &Cache, name: &str) -> Option<Part> {
        let (file, end) = cache.open_file(name)?;
        Part::parse(file, end)
    }

    /// Opens the entry `name`, which has just been written.
    ///
    /// # Errors
    /// Of the disk.
    pub fn reopen(cache: &Cache, name: &str) -> io::Result<Part> {
        let (file, end) = cache.reopen_file(name)?;
        Part::parse(file, end).ok_or_else(|| io::Error::other("a part cannot be read back after it was written"))
    }

    fn parse(file: File, end: u64) -> Option<Part> {
        let mut length = [0; 8];
        let end = end.checked_sub(8)?;
        file.read_exact_at(&mut length, end).ok()?;
        let length = u64::from_le_bytes(length);
        let start = end.checked_sub(length)?;
        let trailer = serde_json::from_slice(&read(&file, start, length).ok()?).ok()?;
        Some(Part { file, trailer })
    }

    /// Its trailer.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// Its documents in order.
    ///
    /// # Errors
    /// Of the disk.
    pub fn documents(&self) -> impl Iterator<Item = io::Result<Document>> + Send + use<> {
        let at_start = self.file.try_clone().map(|file| Window { file, at: 0, end: self.trailer.frames });
        let (window, error) = match at_start {
            Ok(window) => (Some(window), None),
            Err(error) => (None, Some(Err(error))),
        };
        let documents = window.map(|window| DocumentReader::new(BufReader::with_capacity(1 << 20, window)));
        error.into_iter().chain(documents.into_iter().flatten())
    }

    /// What each step must remember.
    ///
    /// # Errors
    /// Of the disk.
    pub fn memories(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut start = self.trailer.frames;
        let memories = self.trailer.memories.iter().map(|&length| {
            start += length;
            read(&self.file, start - length, length)
        });
        memories.collect()
    }

    /// Offset and length of each text.
    ///
    /// # Errors
    /// Of the disk.
    pub fn places(&self) -> io::Result<Vec<(u64, u64)>> {
        let numbers = self.column::<8>(0, 2)?;
        Ok(numbers.chunks_exact(2).map(|pair| (u64::from_le_bytes(pair[0]), u64::from_le_bytes(pair[1]))).collect())
    }

    /// The blake3 hash of each text, where the part is the last of its documents' way.
    ///
    /// # Errors
    /// Of the disk.
    pub fn hashes(&self) -> io::Result<Vec<[u8; 32]>> {
        self.column(16, 1)
    }

    /// The source of each document and the side that it puts it on, where the part is the last of its documents' way.
    ///
    /// # Errors
    /// Of the disk.
    pub fn sides(&self) -> io::Result<Vec<(usize, Option<bool>)>> {
        let numbers = self.column::<4>(48, 2)?;
        let side = |pair: &[[u8; 4]]| (u32::from_le_bytes(pair[0]) as usize, side_of(u32::from_le_bytes(pair[1])));
        Ok(numbers.chunks_exact(2).map(side).collect())
    }

    /// The sketch of each document, where near-duplicates are sought next.
    ///
    /// # Errors
    /// Of the disk.
    pub fn sketches(&self) -> io::Result<Vec<u128>> {
        Ok(self.column(16, 1)?.into_iter().map(u128::from_le_bytes).collect())
    }

    /// One band of each document, where near-duplicates are sought next.
    ///
    /// # Errors
    /// Of the disk.
    pub fn band(&self, band: usize) -> io::Result<Vec<u32>> {
        Ok(self.column(32 + 4 * band as u64, 1)?.into_iter().map(u32::from_le_bytes).collect())
    }

    /// Reads the text of `length` bytes at `offset` into `bytes`.
    ///
    /// # Errors
    /// Of the disk.
    pub fn text(&self, (offset, length): (u64, u64), bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(length as usize, 0);
        self.file.read_exact_at(bytes, offset)
    }

    /// `each` values of `N` bytes for every document, after `before` bytes for every document.
    fn column<const N: usize>(&self, before: u64, each: u64) -> io::Result<Vec<[u8; N]>> {
        let start = self.trailer.frames + self.trailer.memories.iter().sum::<u64>() + before * self.trailer.documents;
        let bytes = read(&self.file, start, self.trailer.documents * each * N as u64)?;
        Ok(bytes.chunks_exact(N).map(|value| std::array::from_fn(|index| value[index])).collect())
    }
}

/// As a part has it whether a document is held out.
fn side(heldout: Option<bool>) -> u32 {
    match heldout {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn side_of(number: u32) -> Option<bool> {
    (number > 0).then_some(number == 2)
}

fn read(file: &File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// A stretch of a file that others read too.
struct Window {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min((self.end - self.at) as usize);
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
