//! Text files: as one document, as pieces of a large one, or line by line.

use std::io::Read;
use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value};

use super::expand::{self, Content, broken, unreadable};
use super::faults::{Fault, Trouble};
use super::lines::{LineReader, TextLine};
use super::{Bounds, Row, Rows};
use llmc_grammar::number;

/// Bytes read at a time.
const BLOCK: u64 = 1 << 20;

/// A text file as one document, or, where it is larger than that may be, as pieces that end with a line.
#[derive(Debug)]
pub struct TextFile {
    path: PathBuf,
    content: Content,
    bounds: Bounds,
    replace: bool,
    /// Whether a NUL byte means that this is no text.
    refuse_nul: bool,
    /// What is read and not given out, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// A failure of the archive, told after what lies before it.
    failure: Option<Trouble>,
    pieces: u64,
}

/// A document of a text file.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its text.
    pub text: String,
    /// 0 where it is the whole file, else its number from 1.
    pub number: u64,
    /// Whether bytes were replaced, or the text is cut off where the file is damaged.
    pub repaired: bool,
}

impl TextFile {
    /// Opens the file at `path`; with `refuse_nul`, files with NUL bytes are no text.
    pub fn open(path: PathBuf, bounds: Bounds, replace: bool, refuse_nul: bool) -> Result<TextFile, Trouble> {
        let content = Content::open(&path, bounds.expanded).map_err(|error| unreadable(&path, &error))?;
        let (buffer, start, pieces) = (Vec::new(), 0, 0);
        Ok(TextFile { path, content, bounds, replace, refuse_nul, buffer, start, ended: false, failure: None, pieces })
    }

    /// The next document, none at the end. A file without text has none.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Trouble> {
        // Only the first reading decides whether the file is one document.
        self.fill(if self.pieces == 0 { self.bounds.largest + 1 } else { 2 * self.bounds.piece })?;
        if self.end_of_piece().is_none() {
            self.fill(self.bounds.largest + 1)?;
        }
        let waiting = &self.buffer[self.start..];
        if waiting.is_empty() {
            return self.failure.take().map_or(Ok(None), Err);
        }
        let whole = self.ended && self.pieces == 0 && waiting.len() <= self.bounds.largest;
        let mut cut_line = false;
        let length = if whole {
            waiting.len()
        } else {
            match self.end_of_piece() {
                Some(length) => length,
                None if self.replace => {
                    cut_line = true;
                    character_end(waiting, self.bounds.largest)
                }
                None => {
                    let trouble = too_long(&self.path, "one of its lines", self.bounds.largest, false);
                    self.skip_line().map_err(|error| broken(&self.path, &error))?;
                    return Err(trouble);
                }
            }
        };
        let bytes = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        self.pieces += 1;
        if self.refuse_nul && bytes.contains(&0) {
            self.buffer.clear();
            self.start = 0;
            let message = format!("`{}` is not text: it holds NUL bytes", self.path.display());
            return Err(Trouble::end(Fault::NotText, Diagnostic::error(codes::NOT_TEXT, message)));
        }
        let number = if whole { 0 } else { self.pieces };
        let damaged = self.failure.is_some() && self.start == self.buffer.len();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Piece { text, number, repaired: damaged || cut_line })),
            Err(error) if self.replace => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Ok(Some(Piece { text, number, repaired: true }))
            }
            Err(error) => {
                let place = if whole { String::new() } else { format!("piece {number}, ") };
                let diagnostic = not_text(&self.path, &place, error.utf8_error().valid_up_to());
                Err(Trouble::here(Fault::NotText, diagnostic))
            }
        }
    }

    /// Whether no document was in it.
    pub fn is_untouched(&self) -> bool {
        self.pieces == 0
    }

    /// Reads until so many bytes are waiting, or the file ends.
    fn fill(&mut self, bytes: usize) -> Result<(), Trouble> {
        if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while !self.ended && self.buffer.len() - self.start < bytes {
            let wanted = (bytes - (self.buffer.len() - self.start)) as u64;
            let before = self.buffer.len();
            let read = (&mut self.content).take(wanted.min(BLOCK)).read_to_end(&mut self.buffer);
            let binary = self.refuse_nul && self.buffer[before..].contains(&0);
            match read {
                // Nothing more of a file that is no text has to be read.
                Ok(0) => self.ended = true,
                Ok(_) => self.ended |= binary,
                Err(error) => {
                    let trouble = broken(&self.path, &error);
                    self.ended = true;
                    if !self.replace {
                        self.buffer.clear();
                        self.start = 0;
                        return Err(trouble);
                    }
                    self.failure = Some(trouble);
                }
            }
        }
        Ok(())
    }

    /// Bytes up to the end of the first line that ends beyond a piece's size, else of the last line before; none where
    /// a line is too long.
    fn end_of_piece(&self) -> Option<usize> {
        let waiting = &self.buffer[self.start..];
        let piece = self.bounds.piece.min(waiting.len());
        let after = waiting[piece..].iter().position(|byte| *byte == b'\n').map(|at| piece + at + 1);
        let end = after.filter(|end| *end <= self.bounds.largest);
        let end = end.or_else(|| (self.ended && waiting.len() <= self.bounds.largest).then_some(waiting.len()));
        end.or_else(|| waiting[..piece].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1))
    }

    /// Reads past the line that begins at `start`.
    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let end = self.buffer[self.start..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                self.start += end + 1;
                return Ok(());
            }
            self.buffer.clear();
            self.start = 0;
            if (&mut self.content).take(BLOCK).read_to_end(&mut self.buffer)? == 0 {
                self.ended = true;
                return Ok(());
            }
        }
    }
}

/// The largest cut of at most `limit` bytes that divides no UTF-8 character.
pub fn character_end(bytes: &[u8], limit: usize) -> usize {
    let limit = limit.min(bytes.len());
    let inside = |end: usize| bytes.get(end).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    (limit.saturating_sub(3)..=limit).rev().find(|end| *end > 0 && !inside(*end)).unwrap_or(limit)
}

/// Every line that is not blank as a record with the column `text`.
#[derive(Debug)]
pub struct TextLines {
    lines: LineReader,
    replace: bool,
}

impl TextLines {
    /// Opens the file at `path`.
    pub fn open(path: PathBuf, bounds: Bounds, replace: bool) -> Result<TextLines, Trouble> {
        Ok(TextLines { lines: LineReader::open(path, bounds, replace)?, replace })
    }
}

impl Rows for TextLines {
    fn next_row(&mut self) -> Result<Option<Row>, Trouble> {
        let line = self.lines.next_line(self.replace)?;
        Ok(line.map(|TextLine { number, text, repaired }| {
            let text = Value::String(text.trim_end_matches('\r').to_owned());
            Row { position: number, fields: Map::from_iter([("text".to_owned(), text)]), repaired }
        }))
    }
}

/// The diagnostic for a file that is not UTF-8 from `byte` of `place` on.
pub fn not_text(path: &Path, place: &str, byte: usize) -> Diagnostic {
    let message = format!("`{}` is not UTF-8 text: {place}byte {byte} fits no character", path.display());
    Diagnostic::error(codes::NOT_TEXT, message)
        .help("convert it: `iconv -f latin1 -t utf-8 old > new`; or write `on_error = skip` or `replace`")
}

/// The content of a file that is one text, whatever its size.
pub fn read_whole(path: &Path) -> Result<String, Diagnostic> {
    let mut bytes = Vec::new();
    let read = Content::open(path, Bounds::default().expanded).and_then(|mut content| content.read_to_end(&mut bytes));
    read.map_err(|error| expand::diagnostic(path, &error))?;
    String::from_utf8(bytes).map_err(|error| not_text(path, "", error.utf8_error().valid_up_to()))
}

/// A line or record of more than `largest` bytes.
pub fn too_long(path: &Path, place: &str, largest: usize, ends_file: bool) -> Trouble {
    let message = format!("`{}`, {place}, is longer than {}", path.display(), number::bytes(largest as u64));
    let diagnostic = Diagnostic::error(codes::LINE_TOO_LONG, message)
        .help("whatever has no end within that is hardly text; `on_error = skip` leaves it out");
    Trouble { fault: Fault::TooLong, diagnostic, ends_file }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Bounds = Bounds { largest: 20, piece: 6, expanded: 1 << 30 };

    /// Texts with their numbers; troubles as their faults.
    fn pieces(content: &[u8], replace: bool) -> Vec<Result<(String, u64, bool), Fault>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.txt");
        std::fs::write(&path, content).unwrap();
        let mut file = TextFile::open(path, SMALL, replace, false).unwrap();
        let each = |piece: Result<Piece, Trouble>| {
            piece.map(|piece| (piece.text, piece.number, piece.repaired)).map_err(|trouble| trouble.fault)
        };
        std::iter::from_fn(|| file.next_piece().transpose()).map(each).collect()
    }

    fn piece(text: &str, number: u64) -> Result<(String, u64, bool), Fault> {
        Ok((text.to_owned(), number, false))
    }

    #[test]
    fn a_small_text_is_one_document() {
        assert_eq!(pieces(b"one\ntwo\nthree\n", false), [piece("one\ntwo\nthree\n", 0)]);
        assert_eq!(pieces(b"exactly twenty bytes", false), [piece("exactly twenty bytes", 0)]);
        assert_eq!(pieces(b"", false), []);
    }

    #[test]
    fn a_large_text_is_cut_at_line_ends() {
        let text = b"one\ntwo\nthree\nfour\nfive\nsix\nseven";
        let expected = [piece("one\ntwo\n", 1), piece("three\nfour\n", 2), piece("five\nsix\n", 3), piece("seven", 4)];
        assert_eq!(pieces(text, false), expected);
        assert_eq!(pieces(text, true), expected);
    }

    #[test]
    fn a_line_without_end_is_left_out_or_cut() {
        let text = [b"ab\n".as_slice(), &[b'x'; 50], b"\nlast line\n"].concat();
        assert_eq!(pieces(&text, false), [piece("ab\n", 1), Err(Fault::TooLong), piece("last line\n", 2)]);
        let parts = pieces(&text, true);
        let joined: String = parts.iter().map(|part| part.as_ref().unwrap().0.as_str()).collect();
        assert_eq!(joined.as_bytes(), text);
        assert!(parts.iter().all(|part| part.as_ref().unwrap().0.len() <= 20));
        let umlauts = "ä".repeat(40);
        let joined: String = pieces(umlauts.as_bytes(), true).into_iter().map(|part| part.unwrap().0).collect();
        assert_eq!(joined, umlauts);
    }

    #[test]
    fn invalid_bytes_are_told_or_replaced() {
        assert_eq!(pieces(b"ok\xff", false), [Err(Fault::NotText)]);
        assert_eq!(pieces(b"ok\xff", true), [Ok(("ok\u{fffd}".to_owned(), 0, true))]);
    }
}
