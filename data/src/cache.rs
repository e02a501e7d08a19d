//! The cache directory: entries are written at once or not at all, and proved whole when read.
//!
//! An entry is its payload followed by a trailer: payload length (8 bytes), [`content_hash`] of the
//! payload (32 bytes), magic (8 bytes).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use rayon::prelude::*;

use super::mapped::Mapped;

const MAGIC: &[u8; 8] = b"llmc-c01";
const TRAILER_BYTES: usize = 8 + 32 + 8;
const HASH_CHUNK_BYTES: u64 = 16 << 20;
/// Bytes of a file in memory while it is hashed, for each core.
const READ_BYTES: usize = 1 << 18;

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
        // What is mapped and read counts as memory; what is only read does not.
        match self.open_file(name) {
            Some((_, length)) if length as usize + TRAILER_BYTES == bytes.len() => {
                Lookup::Found(Entry { bytes, length: length as usize })
            }
            _ => Lookup::Damaged,
        }
    }

    /// The file of the entry `name`, verified, and the length of its payload; none where it is missing or damaged.
    pub fn open_file(&self, name: &str) -> Option<(File, u64)> {
        let file = File::open(self.path(name)).ok()?;
        let length = verified_length(&file).ok()??;
        Some((file, length))
    }

    /// The file of the entry `name`, which has just been written, and the length of its payload.
    ///
    /// # Errors
    /// Of the disk.
    pub fn reopen_file(&self, name: &str) -> io::Result<(File, u64)> {
        let file = File::open(self.path(name))?;
        let length = file.metadata()?.len().checked_sub(TRAILER_BYTES as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((file, length))
    }

    /// Removes the entry `name`, which is of no use any more.
    pub fn remove(&self, name: &str) {
        // One that cannot be removed does no harm but to the disk's space.
        let _ = fs::remove_file(self.path(name));
    }

    /// Writes the entry `name` with the payload that `write` produces: to a temporary file, then under its name.
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
        let payload = File::open(temporary)?;
        let length = payload.metadata()?.len();
        let hash = content_hash(&payload, length)?;
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(hash.as_bytes())?;
        writer.write_all(MAGIC)?;
        writer.flush()?;
        // Not forced to the disk: what a power failure takes is found damaged, and made again.
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
    pub fn unwritable(&self, error: &io::Error) -> Diagnostic {
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

fn verified_length(file: &File) -> io::Result<Option<u64>> {
    let Some(length) = file.metadata()?.len().checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, length)?;
    let framed = trailer[..8] == length.to_le_bytes() && trailer[40..] == MAGIC[..];
    let whole = framed && trailer[8..40] == content_hash(file, length)?.as_bytes()[..];
    Ok(whole.then_some(length))
}

/// The blake3 hash of the blake3 hashes of 16 MiB chunks of the first `length` bytes: computed on all cores.
fn content_hash(file: &File, length: u64) -> io::Result<blake3::Hash> {
    let hash_of_chunk = |buffer: &mut Vec<u8>, chunk: u64| -> io::Result<blake3::Hash> {
        buffer.resize(READ_BYTES, 0);
        let mut hasher = blake3::Hasher::new();
        let mut at = chunk * HASH_CHUNK_BYTES;
        let end = length.min(at + HASH_CHUNK_BYTES);
        while at < end {
            let piece = &mut buffer[..READ_BYTES.min((end - at) as usize)];
            file.read_exact_at(piece, at)?;
            hasher.update(piece);
            at += piece.len() as u64;
        }
        Ok(hasher.finalize())
    };
    let chunks: io::Result<Vec<blake3::Hash>> =
        (0..length.div_ceil(HASH_CHUNK_BYTES)).into_par_iter().map_init(Vec::new, hash_of_chunk).collect();
    let mut hasher = blake3::Hasher::new();
    for chunk in &chunks? {
        hasher.update(chunk.as_bytes());
    }
    Ok(hasher.finalize())
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
