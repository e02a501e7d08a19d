//! A document on its way, and how documents lie in files between steps.
//!
//! A frame is the length of its header (4 bytes) and of its text (8 bytes), the header as JSON, and the text.
//! All numbers are little-endian.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// Most bytes that the header of a frame may hold; more was not written by us.
const LARGEST_HEADER: u32 = 16 << 20;

/// A text and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// UTF-8 text; of a record, all its texts [joined](Record::joined).
    pub text: String,
    /// Where it was read.
    pub origin: Origin,
    /// What was done to it, one entry for each step that changed it.
    pub done: Vec<String>,
    /// Its texts apart, where the data set holds records of several.
    pub record: Option<Record>,
}

/// Where a document was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file's path.
    pub source: String,
    /// The line of the record, or the piece of a large text, from 1; 0 where the file is the document.
    pub position: u64,
    /// The source's number in the data set.
    #[serde(default, skip_serializing_if = "is_first")]
    pub index: u32,
    /// The side it is on, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heldout: Option<bool>,
}

impl Origin {
    /// A place in a file of the first source.
    pub fn new(source: impl Into<String>, position: u64) -> Origin {
        Origin { source: source.into(), position, index: 0, heldout: None }
    }
}

fn is_first(index: &u32) -> bool {
    *index == 0
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    origin: Cow<'a, Origin>,
    done: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<Cow<'a, Record>>,
}

/// Writes documents one after another.
#[derive(Debug)]
pub struct DocumentWriter<W> {
    writer: W,
    written: u64,
}

impl<W: Write> DocumentWriter<W> {
    /// Writes to `writer`, from its present place on.
    pub fn new(writer: W) -> DocumentWriter<W> {
        DocumentWriter { writer, written: 0 }
    }

    /// Appends a document. Gives the offset of its text from where this writer began.
    pub fn write(&mut self, document: &Document) -> io::Result<u64> {
        let header = Header {
            origin: Cow::Borrowed(&document.origin),
            done: Cow::Borrowed(&document.done),
            record: document.record.as_ref().map(Cow::Borrowed),
        };
        let header = serde_json::to_vec(&header)?;
        self.writer.write_all(&(header.len() as u32).to_le_bytes())?;
        self.writer.write_all(&(document.text.len() as u64).to_le_bytes())?;
        self.writer.write_all(&header)?;
        self.writer.write_all(document.text.as_bytes())?;
        let text = self.written + 12 + header.len() as u64;
        self.written = text + document.text.len() as u64;
        Ok(text)
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Hands the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

/// Reads what a [`DocumentWriter`] wrote, to the end of `reader`.
#[derive(Debug)]
pub struct DocumentReader<R> {
    reader: R,
}

impl<R: Read> DocumentReader<R> {
    /// Reads from `reader`'s present place on.
    pub fn new(reader: R) -> DocumentReader<R> {
        DocumentReader { reader }
    }

    fn next_document(&mut self) -> io::Result<Option<Document>> {
        let mut lengths = [0; 12];
        if self.reader.read(&mut lengths[..1])? == 0 {
            return Ok(None);
        }
        self.reader.read_exact(&mut lengths[1..])?;
        let [a, b, c, d, text @ ..] = lengths;
        let header_length = u32::from_le_bytes([a, b, c, d]);
        if header_length > LARGEST_HEADER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a document"));
        }
        let mut header = vec![0; header_length as usize];
        self.reader.read_exact(&mut header)?;
        let Header { origin, done, record } = serde_json::from_slice(&header)?;
        let mut text_bytes = Vec::new();
        let length = u64::from_le_bytes(text);
        if (&mut self.reader).take(length).read_to_end(&mut text_bytes)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8(text_bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let record = record.map(Cow::into_owned);
        Ok(Some(Document { text, origin: origin.into_owned(), done: done.into_owned(), record }))
    }
}

impl<R: Read> Iterator for DocumentReader<R> {
    type Item = io::Result<Document>;

    fn next(&mut self) -> Option<io::Result<Document>> {
        self.next_document().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_and_damage_is_told() {
        let document = |text: &str, position| Document {
            text: text.to_owned(),
            origin: Origin { index: 3, heldout: Some(true), ..Origin::new("a.jsonl", position) },
            done: vec!["pii: 1 email".to_owned()],
            record: Some(Record::Scored { prompt: Vec::new(), text: text.to_owned(), score: 0.25 }),
        };
        let documents = [document("first", 1), document("", 2), document("zwölf", 3)];
        let mut writer = DocumentWriter::new(Vec::new());
        let places: Vec<u64> = documents.iter().map(|document| writer.write(document).unwrap()).collect();
        assert_eq!(writer.written(), writer.writer.len() as u64);
        let bytes = writer.into_inner();
        assert_eq!(&bytes[places[0] as usize..][..5], b"first");
        assert_eq!(&bytes[places[2] as usize..][..6], "zwölf".as_bytes());
        let read: io::Result<Vec<Document>> = DocumentReader::new(&bytes[..]).collect();
        assert_eq!(read.unwrap(), documents);
        for end in 1..bytes.len() {
            let whole = DocumentReader::new(&bytes[..end]).all(|document| document.is_ok());
            assert_eq!(
                whole,
                places.iter().zip(&documents).any(|(place, each)| *place as usize + each.text.len() == end)
            );
        }
    }
}
