//! Lines within bounded memory.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::Bounds;
use super::expand::{Content, broken, unreadable};
use super::faults::{Fault, Trouble};
use super::text::{character_end, not_text, too_long};

/// The lines of a file, archives expanded.
#[derive(Debug)]
pub struct LineReader {
    path: PathBuf,
    reader: BufReader<Content>,
    bytes: Vec<u8>,
    number: u64,
    largest: usize,
    replace: bool,
}

/// A line that is not blank.
#[derive(Debug)]
pub struct TextLine<'a> {
    /// From 1, blank ones counted.
    pub number: u64,
    /// Without its end.
    pub text: Cow<'a, str>,
    /// Whether bytes were replaced, or the end of the line is left out.
    pub repaired: bool,
}

impl LineReader {
    /// Opens the file at `path`. With `replace`, bytes that are no text are replaced.
    pub fn open(path: PathBuf, bounds: Bounds, replace: bool) -> Result<LineReader, Trouble> {
        let file = Content::open(&path, bounds.expanded).map_err(|error| unreadable(&path, &error))?;
        let reader = BufReader::with_capacity(1 << 20, file);
        Ok(LineReader { path, reader, bytes: Vec::new(), number: 0, largest: bounds.largest, replace })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next line that is not blank, none at the end. A line over the bound is trouble, or, with `keep_cut`, its start.
    pub fn next_line(&mut self, keep_cut: bool) -> Result<Option<TextLine<'_>>, Trouble> {
        let cut = loop {
            self.number += 1;
            let state = read_line(&mut self.reader, &mut self.bytes, self.largest);
            let cut = match state.map_err(|error| broken(&self.path, &error))? {
                Line::End => return Ok(None),
                Line::Cut if keep_cut => true,
                Line::Cut => return Err(too_long(&self.path, &format!("line {}", self.number), self.largest, false)),
                Line::Whole => false,
            };
            if cut {
                self.bytes.truncate(character_end(&self.bytes, self.largest));
            }
            if !String::from_utf8_lossy(&self.bytes).trim().is_empty() {
                break cut;
            }
        };
        let text = String::from_utf8_lossy(&self.bytes);
        if let (Cow::Owned(_), false, Err(error)) = (&text, self.replace, std::str::from_utf8(&self.bytes)) {
            let place = format!("line {}, ", self.number);
            return Err(Trouble::here(Fault::NotText, not_text(&self.path, &place, error.valid_up_to())));
        }
        let repaired = cut || matches!(text, Cow::Owned(_));
        Ok(Some(TextLine { number: self.number, text, repaired }))
    }
}

/// What a line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// There is none.
    End,
    /// It is there whole.
    Whole,
    /// It is longer than the bound: its start is there, the rest was read past.
    Cut,
}

/// Reads a line without its end into `line`: `\n` or the end of the data. At most `largest` bytes are kept.
pub fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>, largest: usize) -> io::Result<Line> {
    line.clear();
    let mut state = Line::End;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(state);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let kept = part.len().min(largest - line.len());
        line.extend_from_slice(&part[..kept]);
        state = if kept < part.len() || state == Line::Cut { Line::Cut } else { Line::Whole };
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn lines(text: &[u8], largest: usize) -> Vec<(Line, Vec<u8>)> {
        let mut reader = BufReader::with_capacity(3, text);
        let mut found = Vec::new();
        let mut line = Vec::new();
        loop {
            match read_line(&mut reader, &mut line, largest).unwrap() {
                Line::End => return found,
                state => found.push((state, line.clone())),
            }
        }
    }

    #[test]
    fn lines_are_cut_at_the_bound() {
        let (whole, cut) = (|text: &str| (Line::Whole, text.into()), |text: &str| (Line::Cut, text.into()));
        assert_eq!(lines(b"ab\n\nabcd\nabcde\nx", 4), [whole("ab"), whole(""), whole("abcd"), cut("abcd"), whole("x")]);
        assert_eq!(lines(b"abcdefgh", 4), [cut("abcd")]);
        assert_eq!(lines(b"", 4), []);
    }

    /// Ten billion bytes without an end of line, made as they are read.
    #[test]
    fn a_line_of_ten_gigabytes_takes_the_memory_of_its_bound() {
        let endless = io::repeat(b'x').take(10_000_000_000).chain(&b"\nnext\n"[..]);
        let mut reader = BufReader::with_capacity(1 << 20, endless);
        let mut line = Vec::new();
        assert_eq!(read_line(&mut reader, &mut line, 1000).unwrap(), Line::Cut);
        assert_eq!((line.len(), line.capacity() <= 2000), (1000, true));
        assert_eq!(read_line(&mut reader, &mut line, 1000).unwrap(), Line::Whole);
        assert_eq!(line, b"next");
    }
}
