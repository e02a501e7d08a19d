//! Files as they are read: `.gz` and `.zst` are expanded on the way.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::faults::{Fault, Trouble};

/// A compressed file may always expand to this many times its own size. Text seldom exceeds 20, and what exceeds both this and
/// [`Bounds::expanded`](super::Bounds) is a decompression bomb.
const LARGEST_RATIO: u64 = 200;

/// The content of a file.
pub struct Content {
    reader: Box<dyn Read + Send>,
    /// Bytes that may still come.
    allowed: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Content").finish_non_exhaustive()
    }
}

impl Content {
    /// Opens a file; the end of its name says how it is compressed. It may always expand to `expanded` bytes.
    pub fn open(path: &Path, expanded: u64) -> io::Result<Content> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let allowed = expanded.max(size.saturating_mul(LARGEST_RATIO));
        let buffered = BufReader::with_capacity(1 << 16, file);
        Ok(match compression(path) {
            None => Content { reader: Box::new(buffered), allowed: u64::MAX },
            Some(Compression::Gzip) => Content { reader: Box::new(MultiGzDecoder::new(buffered)), allowed },
            Some(Compression::Zstd) => Content { reader: Box::new(Frames::Between(Some(buffered))), allowed },
        })
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.allowed = self.allowed.checked_sub(count as u64).ok_or_else(|| {
            let reason = format!("it expands to more than {LARGEST_RATIO} times its size");
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        Ok(count)
    }
}

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
}

fn compression(path: &Path) -> Option<Compression> {
    let extension = path.extension()?.to_str()?;
    match extension.to_ascii_lowercase().as_str() {
        "gz" => Some(Compression::Gzip),
        "zst" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Whether the file's name says that it is compressed.
pub fn is_compressed(path: &Path) -> bool {
    compression(path).is_some()
}

/// A file that cannot be opened.
pub fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::end(Fault::Unreadable, diagnostic(path, error))
}

/// A file that can be read no further.
pub fn broken(path: &Path, error: &io::Error) -> Trouble {
    Trouble::end(Fault::Damaged, diagnostic(path, error))
}

/// The diagnostic for a file that cannot be read.
pub fn diagnostic(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("`{shown}` does not exist"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            if is_compressed(path) =>
        {
            let message = format!("`{shown}` cannot be expanded: {error}");
            return Diagnostic::error(codes::DATA_UNREADABLE, message)
                .help("the archive is cut off, damaged or not one at all: copy it again; or write `on_error = skip`");
        }
        _ => format!("`{shown}` cannot be read: {error}"),
    };
    Diagnostic::error(codes::DATA_UNREADABLE, message)
        .help("relative paths start at the recipe's directory; `--set` can point the recipe at another file")
}

type Decoder = StreamingDecoder<BufReader<File>, FrameDecoder>;

/// The frames of a zstd file one after another.
enum Frames {
    /// None after an error.
    Between(Option<BufReader<File>>),
    Within(Box<Decoder>),
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Frames::Within(decoder) => {
                    let count = decoder.read(buffer)?;
                    if count > 0 || buffer.is_empty() {
                        return Ok(count);
                    }
                    let Frames::Within(decoder) = std::mem::replace(self, Frames::Between(None)) else {
                        return Ok(0);
                    };
                    *self = Frames::Between(Some(decoder.into_inner()));
                }
                Frames::Between(reader) => {
                    let Some(mut file) = reader.take() else {
                        return Ok(0);
                    };
                    if file.fill_buf()?.is_empty() {
                        *reader = Some(file);
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(file)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                    *self = Frames::Within(Box::new(decoder));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn read(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut content = Vec::new();
        Content::open(&path, 1 << 30)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn compressed_files_read_as_their_content() {
        let content: Vec<u8> = (0..50_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        for (name, pack) in [("x.jsonl.gz", gzip as fn(&[u8]) -> Vec<u8>), ("x.ZST", zstd)] {
            assert_eq!(read(name, &pack(&content)).unwrap(), content, "{name}");
            let twice = [pack(&content), pack(b"end")].concat();
            assert_eq!(read(name, &twice).unwrap(), [&content[..], b"end"].concat(), "{name} of two members");
            let whole = pack(&content);
            for end in [whole.len() - 1, whole.len() / 2, 5] {
                assert!(read(name, &whole[..end]).is_err(), "{name} cut at {end}");
            }
            assert!(read(name, b"not an archive").is_err(), "{name}");
        }
        assert_eq!(read("x.txt", b"plain").unwrap(), b"plain");
    }

    #[test]
    fn a_decompression_bomb_ends_early() {
        let bomb = gzip(&vec![0; 4 << 20]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.gz");
        let expand = |members: usize| {
            fs::write(&path, bomb.repeat(members)).unwrap();
            io::copy(&mut Content::open(&path, 16 << 20).unwrap(), &mut io::sink())
        };
        // Three members of 4 MiB stay under the bound; twenty do not.
        assert_eq!(expand(3).unwrap(), 12 << 20);
        let error = expand(20).unwrap_err();
        assert!(error.to_string().contains("200 times"), "{error}");
    }
}
