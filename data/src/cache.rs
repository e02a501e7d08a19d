//! The cache directory: entries are written at once or not at all, and proved whole when read.
//!
//! An entry is its payload followed by a trailer: payload length (8 bytes), [`content_hash`] of the
//! payload (32 bytes), magic (8 bytes).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use rayon::prelude::*;

use super::mapped::Mapped;

const MAGIC: &[u8; 8] = b"llmc-c01";
const TRAILER_BYTES: usize = 8 + 32 + 8;
const HASH_CHUNK_BYTES: usize = 16 << 20;

/// A directory of prepared data.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

/// What the cache holds under a name.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing.
    Missing,
    /// Something that is not what was written.
    Damaged,
    /// The payload.
    Found(Entry),
}

/// The payload of a cache entry, mapped and verified.
#[derive(Debug)]
pub struct Entry {
    bytes: Mapped,
    length: usize,
}

impl Deref for Entry {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Cache {
    /// A cache in `directory`, which is made when first written to.
    pub fn new(directory: impl Into<PathBuf>) -> Cache {
        Cache { directory: directory.into() }
    }

    /// The user's cache: `$LLMC_CACHE`, else `$XDG_CACHE_HOME/llmc`, else `~/.cache/llmc`.
    pub fn of_user() -> Result<Cache, Diagnostic> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("LLMC_CACHE")
            .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("llmc")))
            .or_else(|| Some(variable("HOME")?.join(".cache").join("llmc")))
            .map(Cache::new)
            .ok_or_else(|| {
                Diagnostic::error(codes::CACHE_UNWRITABLE, "no cache directory is known: `HOME` is not set")
                    .help("set `LLMC_CACHE` to a directory")
            })
    }

    /// The path of the entry `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Opens and verifies the entry `name`.
    pub fn open(&self, name: &str) -> Lookup {
        let bytes = match Mapped::open(&self.path(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Lookup::Missing,
            Err(_) => return Lookup::Damaged,
        };
        match verified_length(&bytes) {
            Some(length) => Lookup::Found(Entry { bytes, length }),
            None => Lookup::Damaged,
        }
    }

    /// Writes the entry `name` with the payload that `write` produces: to a temporary file, then
    /// to disk, then under its name.
    ///
    /// `write` may fail with its own diagnostic; failures of the disk become one.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), WriteError>,
    ) -> Result<(), Diagnostic> {
        let temporary = self.temporary_path(name);
        let result = self.write_and_rename(&temporary, &self.path(name), write);
        result.map_err(|error| {
            // The entry was not made; what is left of the attempt is of no use.
            let _ = fs::remove_file(&temporary);
            match error {
                WriteError::Disk(error) => self.unwritable(&error),
                WriteError::Data(diagnostic) => diagnostic,
            }
        })
    }

    fn write_and_rename(
        &self,
        temporary: &Path,
        path: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        fs::create_dir_all(&self.directory)?;
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(temporary)?);
        write(&mut writer)?;
        writer.flush()?;
        let payload = Mapped::open(temporary)?;
        let (length, hash) = (payload.len() as u64, content_hash(&payload));
        drop(payload);
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(hash.as_bytes())?;
        writer.write_all(MAGIC)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(temporary, path)?;
        Ok(())
    }

    /// A path in the cache that no other writer uses.
    pub fn temporary_path(&self, name: &str) -> PathBuf {
        static WRITERS: AtomicU64 = AtomicU64::new(0);
        let number = WRITERS.fetch_add(1, Ordering::Relaxed);
        self.path(&format!(".{name}.{}.{number}.tmp", std::process::id()))
    }

    /// The diagnostic for a disk that does not take an entry.
    fn unwritable(&self, error: &io::Error) -> Diagnostic {
        let message = format!("the cache `{}` cannot be written: {error}", self.directory.display());
        Diagnostic::error(codes::CACHE_UNWRITABLE, message).help("set `LLMC_CACHE` to a directory with space")
    }

    /// The warning for an entry that had to be made again.
    pub fn rebuilt(&self, name: &str) -> Diagnostic {
        let message = format!("`{}` was damaged and has been made anew", self.path(name).display());
        Diagnostic::warning(codes::CACHE_REBUILT, message).help("if this repeats, check the disk")
    }
}

/// Why an entry could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The disk.
    Disk(io::Error),
    /// What was to be written could not be made.
    Data(Diagnostic),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        WriteError::Disk(error)
    }
}

impl From<Diagnostic> for WriteError {
    fn from(diagnostic: Diagnostic) -> Self {
        WriteError::Data(diagnostic)
    }
}

fn verified_length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.len().checked_sub(TRAILER_BYTES)?;
    let (payload, trailer) = bytes.split_at(length);
    let whole = trailer[..8] == (length as u64).to_le_bytes()
        && trailer[40..] == MAGIC[..]
        && trailer[8..40] == content_hash(payload).as_bytes()[..];
    whole.then_some(length)
}

/// The blake3 hash of the blake3 hashes of 16 MiB chunks: computed on all cores.
pub fn content_hash(bytes: &[u8]) -> blake3::Hash {
    let chunks: Vec<blake3::Hash> = bytes.par_chunks(HASH_CHUNK_BYTES).map(blake3::hash).collect();
    let mut hasher = blake3::Hasher::new();
    for chunk in &chunks {
        hasher.update(chunk.as_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lookup: Lookup) -> Option<Vec<u8>> {
        if let Lookup::Found(entry) = lookup { Some(entry.to_vec()) } else { None }
    }

    #[test]
    fn entries_come_back_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path().join("deep/cache"));
        assert!(matches!(cache.open("x"), Lookup::Missing));
        cache.write("x", |file| Ok(file.write_all(b"payload")?)).unwrap();
        assert_eq!(found(cache.open("x")).unwrap(), b"payload");
        let good = fs::read(cache.path("x")).unwrap();
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(cache.path("x"), &bad).unwrap();
            assert!(matches!(cache.open("x"), Lookup::Damaged), "byte {index}");
            fs::write(cache.path("x"), &good[..index]).unwrap();
            assert!(matches!(cache.open("x"), Lookup::Damaged), "length {index}");
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        let failure = Diagnostic::error(codes::TOO_LITTLE_DATA, "none");
        let error = cache.write("x", |file| {
            file.write_all(b"half")?;
            Err(failure.into())
        });
        assert_eq!(error.unwrap_err().code, codes::TOO_LITTLE_DATA);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unwritable_cache_is_diagnosed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let cache = Cache::new(directory.path().join("file/below"));
        let error = cache.write("x", |_| Ok(())).unwrap_err();
        assert_eq!(error.code, codes::CACHE_UNWRITABLE);
    }
}
