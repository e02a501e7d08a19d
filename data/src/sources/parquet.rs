//! Apache Parquet, row by row.
//!
//! The library checks little of what a file promises: what it panics on is caught, and a footer that promises more
//! than its file can hold is refused before anything is allocated for it.

use std::fs::File;
use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row as Values};
use serde_json::{Map, Number, Value};

use super::expand::unreadable;
use super::faults::{Fault, Trouble};
use super::panics::caught;
use super::{Row, Rows};

/// Most that a compressed value can expand to, as with other archives.
const LARGEST_RATIO: u64 = 1000;

/// Bytes that a small file may always promise.
const ALWAYS_ALLOWED: u64 = 1 << 26;

/// The rows of a `.parquet` file.
pub struct Table {
    path: PathBuf,
    rows: RowIter<'static>,
    number: u64,
}

impl Table {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf) -> Result<Table, Trouble> {
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let size = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
        let rows = caught(|| {
            let reader = SerializedFileReader::new(file)?;
            plausible(&reader, size)?;
            Ok::<_, ParquetError>(reader.into_iter())
        });
        match rows {
            Some(Ok(rows)) => Ok(Table { path, rows, number: 0 }),
            Some(Err(error)) => Err(damaged(&path, &error.to_string())),
            None => Err(damaged(&path, "its footer makes no sense")),
        }
    }
}

/// Refuses what cannot be true of a file of `size` bytes.
fn plausible(reader: &SerializedFileReader<File>, size: u64) -> Result<(), ParquetError> {
    let wrong = |reason: &str| Err(ParquetError::General(reason.to_owned()));
    let largest = ALWAYS_ALLOWED.max(size.saturating_mul(LARGEST_RATIO));
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            let (start, length) = column.byte_range();
            if start.checked_add(length).is_none_or(|end| end > size) {
                return wrong("a column lies beyond the end of the file");
            }
            if u64::try_from(column.num_values()).map_or(true, |values| values > largest) {
                return wrong("a column promises more values than the file can hold");
            }
            if u64::try_from(column.uncompressed_size()).map_or(true, |bytes| bytes > largest) {
                return wrong("a column promises more bytes than the file can hold");
            }
        }
    }
    Ok(())
}

impl Rows for Table {
    fn next_row(&mut self) -> Result<Option<Row>, Trouble> {
        self.number += 1;
        let next = caught(|| self.rows.next().map(|row| row.map(|row| fields(&row))));
        match next {
            Some(None) => Ok(None),
            Some(Some(Ok(fields))) => Ok(Some(Row { position: self.number, fields, repaired: false })),
            Some(Some(Err(error))) => Err(damaged(&self.path, &format!("row {}: {error}", self.number))),
            None => Err(damaged(&self.path, &format!("row {} makes no sense", self.number))),
        }
    }
}

fn damaged(path: &Path, reason: &str) -> Trouble {
    let diagnostic = Diagnostic::error(codes::DAMAGED_SOURCE, format!("`{}` is damaged: {reason}", path.display()))
        .help("copy it again; uncompressed, Snappy and gzip columns are read; or write `on_error = skip`");
    Trouble::end(Fault::Damaged, diagnostic)
}

fn fields(row: &Values) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

/// A value as JSON would hold it. Dates, decimals and bytes that are no text become text.
fn value(field: &Field) -> Value {
    let number = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => Value::Bool(*truth),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        Field::Float(value) => number(f64::from(*value)),
        Field::Double(value) => number(*value),
        Field::Str(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => Value::String(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::Group(group) => Value::Object(fields(group)),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => {
            let entries = map.entries().iter();
            Value::Object(
                entries.map(|(key, field)| (key.to_string().trim_matches('"').to_owned(), value(field))).collect(),
            )
        }
        other => Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
