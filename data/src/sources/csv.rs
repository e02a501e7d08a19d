//! Comma-separated values (RFC 4180) with a heading line.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::expand::{Content, broken, unreadable};
use super::faults::{Fault, Trouble};
use super::text::{not_text, too_long};
use super::{Bounds, Row, Rows};

/// The records of a `.csv` or `.tsv` file. Every value is a string.
pub struct Table {
    path: PathBuf,
    reader: Reader<Counted>,
    heading: Vec<String>,
    record: ByteRecord,
    /// Bytes that may be read before the next record must end.
    left: Arc<AtomicUsize>,
    largest: usize,
    replace: bool,
}

impl Table {
    /// Opens the file at `path` and reads its heading.
    pub fn open(path: PathBuf, delimiter: Option<char>, bounds: Bounds, replace: bool) -> Result<Table, Trouble> {
        let content = Content::open(&path, bounds.expanded).map_err(|error| unreadable(&path, &error))?;
        let left = Arc::new(AtomicUsize::new(bounds.largest));
        let name = path.to_string_lossy().to_ascii_lowercase();
        let tabs = name.ends_with(".tsv") || name.ends_with(".tsv.gz") || name.ends_with(".tsv.zst");
        let delimiter = delimiter.map_or(if tabs { b'\t' } else { b',' }, |delimiter| delimiter as u8);
        let counted = Counted { content, left: left.clone() };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(counted);
        let heading = match reader.byte_headers() {
            Ok(heading) => heading.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
            Err(error) => return Err(trouble(&path, error, &left, bounds.largest)),
        };
        // A mark that some editors put before the text is no part of the first name.
        let mut heading: Vec<String> = heading;
        if let Some(name) = heading.first_mut().filter(|name| name.starts_with('\u{feff}')) {
            name.remove(0);
        }
        Ok(Table { path, reader, heading, record: ByteRecord::new(), left, largest: bounds.largest, replace })
    }
}

impl Rows for Table {
    fn next_row(&mut self) -> Result<Option<Row>, Trouble> {
        self.left.store(self.largest, Ordering::Relaxed);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(trouble(&self.path, error, &self.left, self.largest)),
        }
        let position = self.record.position().map_or(0, |position| position.line());
        let mut fields = Map::new();
        let mut repaired = false;
        for (name, value) in self.heading.iter().zip(&self.record) {
            let text = match std::str::from_utf8(value) {
                Ok(text) => text.to_owned(),
                Err(_) if self.replace => {
                    repaired = true;
                    String::from_utf8_lossy(value).into_owned()
                }
                Err(error) => {
                    let place = format!("line {position}, column `{name}`, ");
                    return Err(Trouble::here(Fault::NotText, not_text(&self.path, &place, error.valid_up_to())));
                }
            };
            fields.insert(name.clone(), Value::String(text));
        }
        Ok(Some(Row { position, fields, repaired }))
    }
}

fn trouble(path: &std::path::Path, error: csv::Error, left: &AtomicUsize, largest: usize) -> Trouble {
    let position = error.position().map_or(0, |position| position.line());
    match error.into_kind() {
        ErrorKind::Io(_) if left.load(Ordering::Relaxed) == 0 => {
            too_long(path, "a record (is a quote not closed?)", largest, true)
        }
        ErrorKind::Io(error) => broken(path, &error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            let message = format!("{}, line {position}: {len} values under {expected_len} headings", path.display());
            let diagnostic = Diagnostic::error(codes::RECORD, message)
                .help("a value that holds the delimiter, a quote or an end of line stands in quotes; `delimiter:` names another");
            Trouble::here(Fault::Malformed, diagnostic)
        }
        other => {
            let message = format!("`{}` is no table of values: {other:?}", path.display());
            Trouble::end(Fault::Damaged, Diagnostic::error(codes::DAMAGED_SOURCE, message))
        }
    }
}

/// Fails when too much is read before somebody sets the count back: the reader's own buffers have no bound.
struct Counted {
    content: Content,
    left: Arc<AtomicUsize>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record without end"));
        }
        let bound = left.min(buffer.len());
        let read = self.content.read(&mut buffer[..bound])?;
        self.left.store(left - read, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, content: &[u8], largest: usize, replace: bool) -> Vec<Result<String, Fault>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut rows = match Table::open(path, None, Bounds { largest, ..Bounds::default() }, replace) {
            Ok(rows) => rows,
            Err(trouble) => return vec![Err(trouble.fault)],
        };
        let mut found = Vec::new();
        loop {
            match rows.next_row() {
                Ok(None) => return found,
                Ok(Some(row)) => found.push(Ok(format!("{} {}", row.position, Value::Object(row.fields)))),
                Err(trouble) => {
                    found.push(Err(trouble.fault));
                    if trouble.ends_file {
                        return found;
                    }
                }
            }
        }
    }

    #[test]
    fn values_stand_under_their_headings() {
        let rows = table("a.csv", b"\xef\xbb\xbfid,text\n1,\"a, \"\"b\"\"\nc\"\n2,d\n", 1 << 20, false);
        let expected = [r#"2 {"id":"1","text":"a, \"b\"\nc"}"#, r#"4 {"id":"2","text":"d"}"#];
        assert_eq!(rows, expected.map(|row| Ok(row.to_owned())));
        assert_eq!(
            table("a.tsv", b"id\ttext\n1\tx, y\n", 1 << 20, false),
            [Ok(r#"2 {"id":"1","text":"x, y"}"#.to_owned())]
        );
    }

    #[test]
    fn wrong_records_are_told_and_the_rest_is_read() {
        let rows = table("a.csv", b"id,text\n1,2,3\n4,\xff\n5,e\n", 1 << 20, false);
        assert_eq!(rows, [Err(Fault::Malformed), Err(Fault::NotText), Ok(r#"4 {"id":"5","text":"e"}"#.to_owned())]);
        let mended = table("a.csv", b"text\n\xff\n", 1 << 20, true);
        assert_eq!(mended, [Ok("2 {\"text\":\"\u{fffd}\"}".to_owned())]);
    }

    #[test]
    fn a_quote_that_is_never_closed_takes_no_more_than_the_bound() {
        let content = [b"text\n\"".as_slice(), &vec![b'x'; 300_000]].concat();
        assert_eq!(table("a.csv", &content, 100_000, false), [Err(Fault::TooLong)]);
        assert_eq!(table("a.csv", b"", 100, false), []);
    }
}
