//! One JSON object a line.

use std::path::PathBuf;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::faults::{Fault, Trouble};
use super::lines::{LineReader, TextLine};
use super::{Bounds, Row, Rows};

/// The lines of a `.jsonl` file; blank ones are left out.
#[derive(Debug)]
pub struct Records(LineReader);

impl Records {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf, bounds: Bounds, replace: bool) -> Result<Records, Trouble> {
        LineReader::open(path, bounds, replace).map(Records)
    }
}

impl Rows for Records {
    fn next_row(&mut self) -> Result<Option<Row>, Trouble> {
        let Some(TextLine { number, text, repaired }) = self.0.next_line(false)? else {
            return Ok(None);
        };
        match parse(&text) {
            Ok(fields) => Ok(Some(Row { position: number, fields, repaired })),
            Err(reason) => {
                let message = format!("{}, line {number}: {reason}", self.0.path().display());
                let diagnostic = Diagnostic::error(codes::RECORD, message)
                    .help("every line is one JSON object, such as `{\"text\": \"...\"}`");
                Err(Trouble::here(Fault::Malformed, diagnostic))
            }
        }
    }
}

fn parse(line: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(line) {
        Ok(Value::Object(record)) => Ok(record),
        Ok(other) => Err(format!("{} instead of an object", kind_of(&other))),
        Err(error) => {
            let end = if error.is_eof() { "; the line ends too early: is the file cut off?" } else { "" };
            Err(format!("not JSON at column {}{end}", error.column()))
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
