//! Files of documents, opened and read row by row within bounded memory.
//!
//! What cannot be read comes up as a [`Trouble`]: a diagnostic for who wants it, and what is to be counted for who
//! goes on. Nothing here panics on any file: library code that may is called under `panics::caught`.

pub mod csv;
pub mod expand;
pub mod faults;
pub mod folder;
pub mod jsonl;
pub mod lines;
mod panics;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod text;

use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

pub use faults::{Fault, Faults, Trouble};
pub use panics::caught;

/// How much is read at once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a line, a record, or a text that is one document.
    pub largest: usize,
    /// Bytes of the documents that a larger text is cut into, about.
    pub piece: usize,
    /// Bytes that a compressed file may always expand to.
    pub expanded: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { largest: 64 << 20, piece: 1 << 20, expanded: 1 << 30 }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line or number of the record in its file, from 1.
    pub position: u64,
    /// Its columns in order.
    pub fields: Map<String, Value>,
    /// Whether something in it was replaced.
    pub repaired: bool,
}

/// The records of one file.
pub trait Rows: Send {
    /// The next record, none at the end. After a [`Trouble`] that does not end the file, the next call goes on.
    fn next_row(&mut self) -> Result<Option<Row>, Trouble>;
}

/// Formats of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Values between delimiters, a heading line.
    Csv {
        /// None: by the file's name.
        delimiter: Option<char>,
    },
    /// Apache Parquet.
    Parquet,
    /// Each line is a record with the one column `text`.
    Lines,
}

impl Format {
    /// By the end of a file's name; `.gz` and `.zst` do not count.
    pub fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            "csv" | "tsv" => Some(Format::Csv { delimiter: None }),
            "parquet" => Some(Format::Parquet),
            "txt" => Some(Format::Lines),
            _ => None,
        }
    }

    /// Opens the file at `path`; with `replace`, what can be read of a damaged record is kept.
    pub fn open(self, path: &Path, bounds: Bounds, replace: bool) -> Result<Box<dyn Rows>, Trouble> {
        let path = path.to_owned();
        Ok(match self {
            Format::Jsonl => Box::new(jsonl::Records::open(path, bounds, replace)?),
            Format::Csv { delimiter } => Box::new(csv::Table::open(path, delimiter, bounds, replace)?),
            Format::Lines => Box::new(text::TextLines::open(path, bounds, replace)?),
            Format::Parquet => open_parquet(path)?,
        })
    }
}

/// The cargo feature that a build needs to read this format.
pub fn missing_feature(format: Format) -> Option<&'static str> {
    (format == Format::Parquet && !cfg!(feature = "parquet")).then_some("parquet")
}

#[cfg(feature = "parquet")]
fn open_parquet(path: PathBuf) -> Result<Box<dyn Rows>, Trouble> {
    Ok(Box::new(parquet::Table::open(path)?))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(path: PathBuf) -> Result<Box<dyn Rows>, Trouble> {
    let message = format!("`{}` cannot be read: this build of llmc has no reader for Parquet", path.display());
    let diagnostic = Diagnostic::error(codes::FEATURE_MISSING, message)
        .help("build it in: `cargo install --path runtime --features parquet`; or turn the file into `.jsonl`");
    Err(Trouble { fault: Fault::Unreadable, diagnostic, ends_file: true })
}

/// The first record of a file.
pub fn first_row(path: &Path, format: Format) -> Result<Map<String, Value>, Diagnostic> {
    let row = format.open(path, Bounds::default(), false).and_then(|mut rows| rows.next_row());
    row.map_err(|trouble| trouble.diagnostic)?.map(|row| row.fields).ok_or_else(|| {
        Diagnostic::error(codes::RECORD, format!("`{}` holds no record", path.display()))
            .help("a file of records has at least one")
    })
}
