//! Text sources as one stream of documents.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use llmc_compiler::plan::{Columns, ContentType, DatasetPlan, Layout, OnError};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::locate::{Form, locate};
use super::process::{Document, Origin};
use super::record::Record;
use super::sources::expand::{diagnostic, is_compressed};
use super::sources::jsonl::kind_of;
use super::sources::text::TextFile;
use super::sources::{Bounds, Fault, Faults, Row, Rows, Trouble};

/// A data set's text sources with every file found.
#[derive(Debug, Clone)]
pub struct Corpus {
    files: Vec<SourceFile>,
    /// What is read of each source's records.
    readings: Vec<Reading>,
    limit_bytes: u64,
    on_error: Option<OnError>,
    bounds: Bounds,
}

#[derive(Debug, Clone)]
struct SourceFile {
    path: PathBuf,
    form: Form,
    /// Its source's number in the data set.
    source: usize,
    /// Which side its documents are on, where the file's name says so.
    heldout: Option<bool>,
}

/// Which columns make a document.
#[derive(Debug, Clone)]
struct Reading {
    content: ContentType,
    columns: Columns,
    field: String,
}

/// What was read of one source so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text.
    pub bytes: u64,
    /// What could not be read.
    pub faults: Faults,
}

impl Corpus {
    /// Finds the files of `dataset`; relative paths start at `base`.
    pub fn locate(dataset: &DatasetPlan, base: &Path) -> Result<Corpus, Diagnostic> {
        let mut files = Vec::new();
        let mut readings = Vec::new();
        for (source, plan) in dataset.sources.iter().enumerate() {
            let found = locate(&plan.place, base)?;
            files.extend(found.into_iter().map(|(path, form, heldout)| SourceFile { path, form, source, heldout }));
            readings.push(Reading {
                content: dataset.content,
                columns: plan.columns.clone(),
                field: plan.place.field().unwrap_or_default().to_owned(),
            });
        }
        let limit_bytes = dataset.limit_bytes.unwrap_or(u64::MAX);
        Ok(Corpus { files, readings, limit_bytes, on_error: dataset.on_error, bounds: Bounds::default() })
    }

    /// The same files, of which less is read at once.
    #[cfg(test)]
    pub(crate) fn bounded(self, bounds: Bounds) -> Corpus {
        Corpus { bounds, ..self }
    }

    /// The documents in order. Nothing is read before it is asked for.
    pub fn documents(&self) -> Documents {
        Documents {
            files: self.files.iter().cloned().collect(),
            readings: self.readings.clone(),
            open: None,
            remaining: self.limit_bytes,
            on_error: self.on_error,
            bounds: self.bounds,
            counts: vec![SourceCount::default(); self.readings.len()],
            cut: false,
        }
    }

    /// A hash that changes when a file is added, removed, renamed, resized or written to, or read in another way.
    pub fn listing_hash(&self) -> Result<blake3::Hash, Diagnostic> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.limit_bytes.to_le_bytes());
        hasher.update(format!("{:?}{:?}{:?}", self.on_error, self.bounds, self.readings).as_bytes());
        for file in &self.files {
            let facts = match file_facts(&file.path) {
                Ok(facts) => facts,
                // It is counted when it is read.
                Err(_) if matches!(self.on_error, Some(OnError::Skip | OnError::Replace)) => {
                    format!("{:?} unreadable", file.path)
                }
                Err(diagnostic) => return Err(diagnostic),
            };
            hasher.update(format!("{facts}\0{:?}{}{:?}\n", file.form, file.source, file.heldout).as_bytes());
        }
        Ok(hasher.finalize())
    }
}

/// An iterator over the documents of a [`Corpus`]; it ends after the first mistake that is not to be passed over.
pub struct Documents {
    files: VecDeque<SourceFile>,
    readings: Vec<Reading>,
    open: Option<(SourceFile, Reader)>,
    remaining: u64,
    on_error: Option<OnError>,
    bounds: Bounds,
    counts: Vec<SourceCount>,
    cut: bool,
}

enum Reader {
    Text(Box<TextFile>),
    Rows(Box<dyn Rows>),
}

impl Documents {
    /// What was read of each source so far.
    pub fn counts(&self) -> &[SourceCount] {
        &self.counts
    }

    /// Files and records left out so far.
    pub fn skipped(&self) -> u64 {
        self.counts.iter().map(|count| count.faults.left_out()).sum()
    }

    /// Whether the data set's limit left text out.
    pub fn was_cut(&self) -> bool {
        self.cut
    }

    fn read_next(&mut self) -> Result<Option<Document>, Diagnostic> {
        loop {
            if self.open.is_none() {
                let Some(file) = self.files.pop_front() else {
                    return Ok(None);
                };
                match self.open_file(&file) {
                    Ok(reader) => self.open = Some((file, reader)),
                    Err(trouble) => self.pass_over(&file, trouble)?,
                }
            }
            let Some((file, reader)) = &mut self.open else {
                continue;
            };
            let source = file.source;
            let next = match reader {
                Reader::Text(text) => next_text(text, file),
                Reader::Rows(rows) => next_record(rows.as_mut(), file, &self.readings[source]),
            };
            let faults = &mut self.counts[source].faults;
            match next {
                Ok(Some((document, repaired))) if !document.text.is_empty() => {
                    faults.replaced += u64::from(repaired);
                    return Ok(Some(document));
                }
                Ok(Some(_)) => faults.count(Fault::Empty),
                Ok(None) => {
                    let untouched = matches!(reader, Reader::Text(text) if text.is_untouched());
                    if untouched {
                        faults.count(Fault::Empty);
                    }
                    self.open = None;
                }
                Err(trouble) => {
                    let file = file.clone();
                    if trouble.ends_file {
                        self.open = None;
                    }
                    self.pass_over(&file, trouble)?;
                }
            }
        }
    }

    fn open_file(&self, file: &SourceFile) -> Result<Reader, Trouble> {
        let replace = self.on_error == Some(OnError::Replace);
        Ok(match file.form {
            Form::Matched | Form::Named => {
                let refuse_nul = file.form == Form::Matched;
                Reader::Text(Box::new(TextFile::open(file.path.clone(), self.bounds, replace, refuse_nul)?))
            }
            Form::Records(format) => Reader::Rows(format.open(&file.path, self.bounds, replace)?),
        })
    }

    /// Counts what cannot be read, or gives up.
    fn pass_over(&mut self, file: &SourceFile, trouble: Trouble) -> Result<(), Diagnostic> {
        let passes = match self.on_error {
            Some(OnError::Reject) => false,
            Some(OnError::Skip | OnError::Replace) => true,
            // What a pattern finds may be anything; what is named is meant.
            None => {
                let is_data = match trouble.fault {
                    Fault::NotText | Fault::Empty => true,
                    Fault::Damaged => is_compressed(&file.path),
                    Fault::TooLong | Fault::Malformed | Fault::Unreadable => false,
                };
                file.form == Form::Matched && is_data
            }
        };
        if !passes {
            return Err(trouble.diagnostic);
        }
        self.counts[file.source].faults.count(trouble.fault);
        Ok(())
    }

    /// The document within the limit; none where nothing of it is left.
    fn limited(&mut self, mut document: Document) -> Option<Document> {
        let length = document.text.len() as u64;
        if length > self.remaining {
            self.cut = true;
            if document.record.is_some() {
                // A record is whole or not at all.
                document.text.clear();
            } else {
                document.text.truncate(cut_point(&document.text, self.remaining as usize));
            }
            self.remaining = 0;
        }
        self.remaining = self.remaining.saturating_sub(document.text.len() as u64);
        if document.text.is_empty() {
            return None;
        }
        let count = &mut self.counts[document.origin.index as usize];
        count.documents += 1;
        count.bytes += document.text.len() as u64;
        Some(document)
    }
}

fn next_text(text: &mut TextFile, file: &SourceFile) -> Result<Option<(Document, bool)>, Trouble> {
    let piece = text.next_piece()?;
    Ok(piece.map(|piece| (document(piece.text, file, piece.number), piece.repaired)))
}

fn next_record(rows: &mut dyn Rows, file: &SourceFile, reading: &Reading) -> Result<Option<(Document, bool)>, Trouble> {
    let Some(Row { position, mut fields, repaired }) = rows.next_row()? else {
        return Ok(None);
    };
    let wrong = |reason: &str, fields: &Map<String, Value>| {
        let names: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
        let holds = if names.is_empty() { "no field".to_owned() } else { names.join(", ") };
        let message = format!("{}, line {position}: {reason}", file.path.display());
        let diagnostic = Diagnostic::error(codes::RECORD_FIELD, message).help(format!("the record holds {holds}"));
        Trouble::here(Fault::Malformed, diagnostic)
    };
    let read = if reading.content == ContentType::Text {
        let field = &reading.field;
        match fields.get_mut(field) {
            Some(Value::String(text)) => document(std::mem::take(text), file, position),
            Some(other) => {
                let reason = format!("the field `{field}` is {} instead of a string", kind_of(other));
                return Err(wrong(&reason, &fields));
            }
            None => return Err(wrong(&format!("there is no field `{field}`"), &fields)),
        }
    } else {
        let names: Vec<String> = fields.keys().cloned().collect();
        let layout = Layout::find(reading.content, &reading.columns, &reading.field, &names);
        let layout = layout.map_err(|missing| {
            let column = missing.written.as_deref().unwrap_or(missing.role);
            wrong(&format!("there is no column for `{column}`"), &fields)
        })?;
        let record = Record::read(&layout, &fields).map_err(|reason| wrong(&reason, &fields))?;
        Document { record: Some(record.clone()), ..document(record.joined(), file, position) }
    };
    Ok(Some((read, repaired)))
}

fn document(text: String, file: &SourceFile, position: u64) -> Document {
    let source = file.path.display().to_string();
    let origin = Origin { source, position, index: file.source as u32, heldout: file.heldout };
    Document { text, origin, done: Vec::new(), record: None }
}

impl Iterator for Documents {
    type Item = Result<Document, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            self.cut |= !self.files.is_empty() || self.open.is_some();
            return None;
        }
        match self.read_next() {
            Ok(document) => document.and_then(|document| self.limited(document)).map(Ok),
            Err(diagnostic) => {
                self.files.clear();
                self.open = None;
                Some(Err(diagnostic))
            }
        }
    }
}

/// The largest cut of at most `limit` bytes after a whole line, else after a whole character.
pub fn cut_point(text: &str, limit: usize) -> usize {
    let limit = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text[..limit].rfind('\n').map_or(limit, |newline| newline + 1)
}

/// Path, size and time of change of a file: while they stay, so does its content.
pub fn file_facts(path: &Path) -> Result<String, Diagnostic> {
    let facts = fs::metadata(path).map_err(|error| diagnostic(path, &error))?;
    let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanoseconds = modified.map_or(0, |time| time.as_nanos());
    Ok(format!("{path:?}\0{}\0{nanoseconds}", facts.len()))
}

#[cfg(test)]
mod tests;
