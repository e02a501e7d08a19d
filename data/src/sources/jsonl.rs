//! One JSON object a line.

use std::io::BufReader;
use std::path::PathBuf;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::expand::{Content, broken, unreadable};
use super::faults::{Fault, Trouble};
use super::lines::{Line, read_line};
use super::text::{not_text, too_long};
use super::{Bounds, Row, Rows};

/// The lines of a `.jsonl` file; blank ones are left out.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    reader: BufReader<Content>,
    bytes: Vec<u8>,
    line: u64,
    largest: usize,
    replace: bool,
}

impl Records {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf, bounds: Bounds, replace: bool) -> Result<Records, Trouble> {
        let file = Content::open(&path, bounds.expanded).map_err(|error| unreadable(&path, &error))?;
        let reader = BufReader::with_capacity(1 << 20, file);
        Ok(Records { path, reader, bytes: Vec::new(), line: 0, largest: bounds.largest, replace })
    }

    fn parse(&self, line: &str) -> Result<Map<String, Value>, Trouble> {
        let wrong = |reason: String| {
            let message = format!("{}, line {}: {reason}", self.path.display(), self.line);
            let diagnostic = Diagnostic::error(codes::RECORD, message)
                .help("every line is one JSON object, such as `{\"text\": \"...\"}`");
            Trouble::here(Fault::Malformed, diagnostic)
        };
        match serde_json::from_str(line) {
            Ok(Value::Object(record)) => Ok(record),
            Ok(other) => Err(wrong(format!("{} instead of an object", kind_of(&other)))),
            Err(error) => {
                let end = if error.is_eof() { "; the line ends too early: is the file cut off?" } else { "" };
                Err(wrong(format!("not JSON at column {}{end}", error.column())))
            }
        }
    }
}

impl Rows for Records {
    fn next_row(&mut self) -> Result<Option<Row>, Trouble> {
        loop {
            self.line += 1;
            let mut bytes = std::mem::take(&mut self.bytes);
            let state = read_line(&mut self.reader, &mut bytes, self.largest);
            self.bytes = bytes;
            match state.map_err(|error| broken(&self.path, &error))? {
                Line::End => return Ok(None),
                Line::Cut => return Err(too_long(&self.path, &format!("line {}", self.line), self.largest, false)),
                Line::Whole => {}
            }
            let (fields, repaired) = match std::str::from_utf8(&self.bytes) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => (self.parse(line)?, false),
                Err(_) if self.replace => (self.parse(&String::from_utf8_lossy(&self.bytes))?, true),
                Err(error) => {
                    let place = format!("line {}, ", self.line);
                    return Err(Trouble::here(Fault::NotText, not_text(&self.path, &place, error.valid_up_to())));
                }
            };
            return Ok(Some(Row { position: self.line, fields, repaired }));
        }
    }
}

/// What a value is, in words.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jsonl(content: &[u8], replace: bool) -> Result<Vec<String>, Trouble> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        std::fs::write(&path, content).unwrap();
        let mut records = Records::open(path, Bounds { largest: 30, ..Bounds::default() }, replace)?;
        std::iter::from_fn(|| records.next_row().transpose())
            .map(|row| row.map(|row| format!("{} {}", row.position, row.fields["t"].as_str().unwrap_or("?"))))
            .collect()
    }

    #[test]
    fn records_yield_their_fields() {
        let texts = jsonl(b"{\"t\": \"a\", \"n\": 1}\n\n{\"t\": \"\\u00e4\"}", false).unwrap();
        assert_eq!(texts, ["1 a", "3 ä"]);
        assert_eq!(jsonl(b"{\"t\": \"\xff\"}", true).unwrap(), ["1 \u{fffd}"]);
    }

    #[test]
    fn malformed_records_are_diagnosed() {
        let fail = |content: &[u8]| jsonl(content, false).unwrap_err();
        let cut = fail(b"{\"t\": \"a\"}\n{\"t\": \"b");
        assert_eq!((cut.diagnostic.code, cut.fault), (codes::RECORD, Fault::Malformed));
        let message = cut.diagnostic.message;
        assert!(message.contains("line 2") && message.contains("cut off"), "{message}");
        assert_eq!(fail(b"[1]").diagnostic.code, codes::RECORD);
        let invalid = fail(b"{\"t\": \"a\"}\n{\"t\": \"\xff\"}");
        assert_eq!((invalid.diagnostic.code, invalid.fault), (codes::NOT_TEXT, Fault::NotText));
        assert!(invalid.diagnostic.message.contains("line 2, byte 7"), "{}", invalid.diagnostic.message);
        let long = fail(&[b"{\"t\": \"".as_slice(), &[b'x'; 40], b"\"}"].concat());
        assert_eq!((long.diagnostic.code, long.fault), (codes::LINE_TOO_LONG, Fault::TooLong));
    }
}
