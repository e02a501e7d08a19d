//! Lines within bounded memory.

use std::io::{self, BufRead};

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
