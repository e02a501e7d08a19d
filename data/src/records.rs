//! Files of records: one JSON object a line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::documents::{not_text, unreadable};
use super::expand::Content;

/// The lines of a `.jsonl` file; blank ones are left out.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    field: String,
    reader: BufReader<Content>,
    line: u64,
}

impl Records {
    /// Opens the file at `path`, of whose records `field` is asked for.
    pub fn open(path: PathBuf, field: String) -> Result<Records, Diagnostic> {
        let file = Content::open(&path).map_err(|error| unreadable(&path, &error))?;
        Ok(Records { path, field, reader: BufReader::with_capacity(1 << 20, file), line: 0 })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line of the last record, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The field of the next record, none at the end.
    pub fn next_text(&mut self) -> Result<Option<String>, Diagnostic> {
        let Some(mut record) = self.next_record()? else {
            return Ok(None);
        };
        let field = &self.field;
        let place = format!("{}, line {}", self.path.display(), self.line);
        match record.get_mut(field) {
            Some(Value::String(text)) => Ok(Some(std::mem::take(text))),
            Some(other) => {
                let message = format!("{place}: the field `{field}` is {} instead of a string", kind_of(other));
                Err(Diagnostic::error(codes::RECORD_FIELD, message).help("name a field that holds text"))
            }
            None => {
                let fields: Vec<String> = record.keys().map(|name| format!("`{name}`")).collect();
                let holds = if fields.is_empty() { "no field".to_owned() } else { fields.join(", ") };
                let message = format!("{place}: there is no field `{field}`");
                Err(Diagnostic::error(codes::RECORD_FIELD, message).help(format!("the record holds {holds}")))
            }
        }
    }

    /// The next record, none at the end.
    pub fn next_record(&mut self) -> Result<Option<Map<String, Value>>, Diagnostic> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.line += 1;
            let read = self.reader.read_until(b'\n', &mut bytes);
            if read.map_err(|error| unreadable(&self.path, &error))? == 0 {
                return Ok(None);
            }
            let line = std::str::from_utf8(&bytes)
                .map_err(|error| not_text(&self.path, &format!("line {}, ", self.line), error.valid_up_to()))?;
            if !line.trim().is_empty() {
                return self.parse(line).map(Some);
            }
        }
    }

    fn parse(&self, line: &str) -> Result<Map<String, Value>, Diagnostic> {
        let wrong = |reason: String| {
            let message = format!("{}, line {}: {reason}", self.path.display(), self.line);
            Diagnostic::error(codes::RECORD, message)
                .help("every line is one JSON object, such as `{\"text\": \"...\"}`")
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

/// The first record of a `.jsonl` file.
pub fn first_record(path: &Path) -> Result<Map<String, Value>, Diagnostic> {
    let record = Records::open(path.to_owned(), String::new())?.next_record()?;
    record.ok_or_else(|| {
        Diagnostic::error(codes::RECORD, format!("`{}` holds no record", path.display()))
            .help("every line is one JSON object, such as `{\"text\": \"...\"}`")
    })
}

fn kind_of(value: &Value) -> &'static str {
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

    fn jsonl(content: &[u8], field: &str) -> Result<Vec<String>, Diagnostic> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        std::fs::write(&path, content).unwrap();
        let mut records = Records::open(path, field.to_owned())?;
        std::iter::from_fn(|| records.next_text().transpose()).collect()
    }

    #[test]
    fn records_yield_their_field() {
        let texts = jsonl(b"{\"t\": \"a\", \"n\": 1}\n\n{\"t\": \"\\u00e4\"}", "t").unwrap();
        assert_eq!(texts, ["a", "ä"]);
    }

    #[test]
    fn malformed_records_are_diagnosed() {
        let fail = |content: &[u8]| jsonl(content, "t").unwrap_err();
        let cut = fail(b"{\"t\": \"a\"}\n{\"t\": \"b");
        assert_eq!(cut.code, codes::RECORD);
        assert!(cut.message.contains("line 2") && cut.message.contains("cut off"), "{}", cut.message);
        assert_eq!(fail(b"[1]").code, codes::RECORD);
        assert_eq!(fail(b"{\"t\": 3}").code, codes::RECORD_FIELD);
        let missing = fail(b"{\"x\": \"a\", \"y\": 0}");
        assert_eq!(missing.code, codes::RECORD_FIELD);
        assert_eq!(missing.help.as_deref(), Some("the record holds `x`, `y`"));
        let invalid = fail(b"{\"t\": \"a\"}\n{\"t\": \"\xff\"}");
        assert_eq!(invalid.code, codes::NOT_TEXT);
        assert!(invalid.message.contains("line 2, byte 7"), "{}", invalid.message);
    }
}
