//! Text sources as one stream of documents.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use llmc_compiler::plan::{DatasetPlan, SourcePlan};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::expand::{Content, is_compressed};
use super::paths;
use super::process::{Document, Origin};
use super::records::Records;

/// A data set's text sources with every file found.
#[derive(Debug, Clone)]
pub struct Corpus {
    files: Vec<TextFile>,
    limit_bytes: u64,
}

#[derive(Debug, Clone)]
struct TextFile {
    path: PathBuf,
    kind: TextKind,
}

#[derive(Debug, Clone, PartialEq)]
enum TextKind {
    /// One document; left out where it is not text.
    Matched,
    /// One document; a mistake where it is not text.
    Named,
    /// One document a line, in this field.
    Records(String),
}

impl Corpus {
    /// Finds the files of `dataset`; relative paths start at `base`.
    pub fn locate(dataset: &DatasetPlan, base: &Path) -> Result<Corpus, Diagnostic> {
        let mut files = Vec::new();
        for source in &dataset.sources {
            match source {
                SourcePlan::Files { pattern } => {
                    let matched = paths::matching_files(pattern, base)?;
                    files.extend(matched.into_iter().map(|path| TextFile { path, kind: TextKind::Matched }));
                }
                SourcePlan::Text { path } => {
                    files.push(TextFile { path: paths::resolve(path, base)?, kind: TextKind::Named });
                }
                SourcePlan::Jsonl { path, field } => {
                    let kind = TextKind::Records(field.clone());
                    files.push(TextFile { path: paths::resolve(path, base)?, kind });
                }
                SourcePlan::RandomTokens { .. } => {
                    return Err(Diagnostic::error(
                        codes::MIXED_SOURCES,
                        "random tokens stand beside text in one data set",
                    )
                    .help("make two data sets: one of text, one of token ids"));
                }
                SourcePlan::Tokens { path, .. } => {
                    let message = format!("`tokens(\"{path}\")` stands beside text in one data set");
                    return Err(Diagnostic::error(codes::MIXED_SOURCES, message)
                        .help("make two data sets: one of text, one of token ids"));
                }
            }
        }
        Ok(Corpus { files, limit_bytes: dataset.limit_bytes.unwrap_or(u64::MAX) })
    }

    /// The documents in order. Nothing is read before it is asked for.
    pub fn documents(&self) -> Documents {
        Documents {
            files: self.files.iter().cloned().collect(),
            records: None,
            remaining: self.limit_bytes,
            skipped: 0,
            cut: false,
        }
    }

    /// A hash that changes when a file is added, removed, renamed, resized or written to.
    pub fn listing_hash(&self) -> Result<blake3::Hash, Diagnostic> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.limit_bytes.to_le_bytes());
        for file in &self.files {
            hasher.update(format!("{}\0{:?}\n", file_facts(&file.path)?, file.kind).as_bytes());
        }
        Ok(hasher.finalize())
    }
}

/// An iterator over the documents of a [`Corpus`]; it ends after the first mistake.
#[derive(Debug)]
pub struct Documents {
    files: VecDeque<TextFile>,
    records: Option<Records>,
    remaining: u64,
    skipped: u64,
    cut: bool,
}

impl Documents {
    /// Files left out so far because they are not text, or empty.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether the data set's limit left text out.
    pub fn was_cut(&self) -> bool {
        self.cut
    }

    fn read_next(&mut self) -> Result<Option<Document>, Diagnostic> {
        loop {
            if let Some(records) = &mut self.records {
                match records.next_text()? {
                    Some(text) if text.is_empty() => self.skipped += 1,
                    Some(text) => return Ok(Some(document(text, records.path(), records.line()))),
                    None => self.records = None,
                }
                continue;
            }
            let Some(file) = self.files.pop_front() else {
                return Ok(None);
            };
            match file.kind {
                TextKind::Records(field) => self.records = Some(Records::open(file.path, field)?),
                TextKind::Named => {
                    let bytes = Content::of(&file.path).map_err(|error| unreadable(&file.path, &error))?;
                    let text = String::from_utf8(bytes)
                        .map_err(|error| not_text(&file.path, "", error.utf8_error().valid_up_to()))?;
                    if text.is_empty() {
                        self.skipped += 1;
                    } else {
                        return Ok(Some(document(text, &file.path, 0)));
                    }
                }
                TextKind::Matched => {
                    let bytes = match Content::of(&file.path) {
                        Ok(bytes) => bytes,
                        Err(error) if is_compressed(&file.path) && error.kind() != io::ErrorKind::NotFound => {
                            self.skipped += 1;
                            continue;
                        }
                        Err(error) => return Err(unreadable(&file.path, &error)),
                    };
                    match String::from_utf8(bytes) {
                        Ok(text) if !text.is_empty() && !text.contains('\0') => {
                            return Ok(Some(document(text, &file.path, 0)));
                        }
                        _ => self.skipped += 1,
                    }
                }
            }
        }
    }

    fn limited(&mut self, mut document: Document) -> Option<Document> {
        let text = &mut document.text;
        if text.len() as u64 > self.remaining {
            self.cut = true;
            text.truncate(cut_point(text, self.remaining as usize));
            self.remaining = 0;
        }
        self.remaining = self.remaining.saturating_sub(text.len() as u64);
        (!text.is_empty()).then_some(document)
    }
}

impl Iterator for Documents {
    type Item = Result<Document, Diagnostic>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            self.cut |= !self.files.is_empty() || self.records.is_some();
            return None;
        }
        match self.read_next() {
            Ok(document) => document.and_then(|document| self.limited(document)).map(Ok),
            Err(diagnostic) => {
                self.files.clear();
                self.records = None;
                Some(Err(diagnostic))
            }
        }
    }
}

fn document(text: String, path: &Path, position: u64) -> Document {
    Document { text, origin: Origin { source: path.display().to_string(), position }, done: Vec::new() }
}

/// The largest cut of at most `limit` bytes after a whole line, else after a whole character.
pub fn cut_point(text: &str, limit: usize) -> usize {
    let limit = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text[..limit].rfind('\n').map_or(limit, |newline| newline + 1)
}

/// Path, size and time of change of a file: while they stay, so does its content.
pub fn file_facts(path: &Path) -> Result<String, Diagnostic> {
    let facts = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanoseconds = modified.map_or(0, |time| time.as_nanos());
    Ok(format!("{path:?}\0{}\0{nanoseconds}", facts.len()))
}

/// The diagnostic for a file that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("`{shown}` does not exist"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            if is_compressed(path) =>
        {
            let message = format!("`{shown}` cannot be expanded: {error}");
            return Diagnostic::error(codes::DATA_UNREADABLE, message)
                .help("the archive is cut off, damaged or not one at all: copy it again");
        }
        _ => format!("`{shown}` cannot be read: {error}"),
    };
    Diagnostic::error(codes::DATA_UNREADABLE, message)
        .help("relative paths start at the recipe's directory; `--set` can point the recipe at another file")
}

/// The diagnostic for a file that is not UTF-8 from `byte` of `place` on.
pub fn not_text(path: &Path, place: &str, byte: usize) -> Diagnostic {
    let message = format!("`{}` is not UTF-8 text: {place}byte {byte} fits no character", path.display());
    Diagnostic::error(codes::NOT_TEXT, message).help("convert it: `iconv -f latin1 -t utf-8 old > new`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(sources: Vec<SourcePlan>, limit_bytes: Option<u64>) -> DatasetPlan {
        DatasetPlan { limit_bytes, ..DatasetPlan::of(sources) }
    }

    fn read(dataset: &DatasetPlan, base: &Path) -> Result<Vec<String>, Diagnostic> {
        Corpus::locate(dataset, base)?.documents().map(|document| Ok(document?.text)).collect()
    }

    #[test]
    fn files_skip_what_is_not_text() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.txt"), "one").unwrap();
        fs::write(directory.path().join("b.txt"), [0xff, 0xfe]).unwrap();
        fs::write(directory.path().join("c.txt"), "nul\0").unwrap();
        fs::write(directory.path().join("d.txt"), "").unwrap();
        fs::write(directory.path().join("e.txt"), "five").unwrap();
        let plan = dataset(vec![SourcePlan::Files { pattern: "*.txt".to_owned() }], None);
        let mut documents = Corpus::locate(&plan, directory.path()).unwrap().documents();
        let texts: Vec<String> = documents.by_ref().map(|document| document.unwrap().text).collect();
        assert_eq!(texts, ["one", "five"]);
        assert_eq!(documents.skipped(), 3);
    }

    #[test]
    fn a_damaged_archive_is_skipped_where_matched_and_told_where_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.txt"), "one").unwrap();
        fs::write(directory.path().join("b.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
        let matched = dataset(vec![SourcePlan::Files { pattern: "*".to_owned() }], None);
        let mut documents = Corpus::locate(&matched, directory.path()).unwrap().documents();
        assert_eq!(documents.by_ref().map(|document| document.unwrap().text).collect::<Vec<_>>(), ["one"]);
        assert_eq!(documents.skipped(), 1);
        for source in [
            SourcePlan::Text { path: "b.gz".to_owned() },
            SourcePlan::Jsonl { path: "b.gz".to_owned(), field: "text".to_owned() },
        ] {
            let error = read(&dataset(vec![source], None), directory.path()).unwrap_err();
            assert!(error.message.contains("cannot be expanded"), "{}", error.message);
        }
    }

    #[test]
    fn limit_cuts_at_a_line() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.txt"), "ab\ncd\nef\n").unwrap();
        let text = SourcePlan::Text { path: "a.txt".to_owned() };
        let limited = |limit| read(&dataset(vec![text.clone(), text.clone()], Some(limit)), directory.path()).unwrap();
        assert_eq!(limited(9), ["ab\ncd\nef\n"]);
        assert_eq!(limited(8), ["ab\ncd\n"]);
        assert_eq!(limited(2), ["ab"]);
        assert_eq!(limited(12), ["ab\ncd\nef\n", "ab\n"]);
        assert_eq!(limited(0), [""; 0]);
        assert_eq!(cut_point("äö", 3), 2);
    }

    #[test]
    fn missing_and_invalid_files_are_diagnosed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bad.txt"), b"ok\xff").unwrap();
        let fail = |path: &str| {
            let source = SourcePlan::Text { path: path.to_owned() };
            read(&dataset(vec![source], None), directory.path()).unwrap_err()
        };
        assert_eq!(fail("none.txt").code, codes::DATA_UNREADABLE);
        assert_eq!(fail(".").code, codes::DATA_UNREADABLE);
        assert_eq!(fail("bad.txt").code, codes::NOT_TEXT);
    }
}
