//! What cannot be read, counted by reason.

use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

/// Why something cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no text in it.
    Empty,
    /// It is not UTF-8, or holds NUL bytes.
    NotText,
    /// Its archive or file format is broken, cut off, or expands without end.
    Damaged,
    /// It is larger than is read at once.
    TooLong,
    /// It is no record, or lacks a column.
    Malformed,
    /// The file cannot be opened.
    Unreadable,
}

/// A place that cannot be read.
#[derive(Debug)]
pub struct Trouble {
    /// Why, for the counts.
    pub fault: Fault,
    /// Why, for a person.
    pub diagnostic: Diagnostic,
    /// Whether nothing can be read after it.
    pub ends_file: bool,
}

/// How many files, documents and records were left out, by reason, and how many were mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Without text.
    pub empty: u64,
    /// Not UTF-8, or with NUL bytes.
    pub not_text: u64,
    /// Files that broke off.
    pub damaged: u64,
    /// Larger than is read at once.
    pub too_long: u64,
    /// No record, or without a column.
    pub malformed: u64,
    /// Files that cannot be opened.
    pub unreadable: u64,
    /// Kept with a part replaced or cut off. Not left out.
    pub replaced: u64,
}

impl Faults {
    /// Counts one.
    pub fn count(&mut self, fault: Fault) {
        *match fault {
            Fault::Empty => &mut self.empty,
            Fault::NotText => &mut self.not_text,
            Fault::Damaged => &mut self.damaged,
            Fault::TooLong => &mut self.too_long,
            Fault::Malformed => &mut self.malformed,
            Fault::Unreadable => &mut self.unreadable,
        } += 1;
    }

    /// Everything that was left out.
    pub fn left_out(&self) -> u64 {
        self.empty + self.not_text + self.damaged + self.too_long + self.malformed + self.unreadable
    }

    /// The counts that are not zero, in words.
    pub fn line(&self) -> String {
        let all = [
            (self.empty, "empty"),
            (self.not_text, "not text"),
            (self.damaged, "damaged"),
            (self.too_long, "too long"),
            (self.malformed, "malformed"),
            (self.unreadable, "unreadable"),
            (self.replaced, "mended"),
        ];
        let some = all.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }
}

impl std::ops::Add for Faults {
    type Output = Faults;

    fn add(self, other: Faults) -> Faults {
        Faults {
            empty: self.empty + other.empty,
            not_text: self.not_text + other.not_text,
            damaged: self.damaged + other.damaged,
            too_long: self.too_long + other.too_long,
            malformed: self.malformed + other.malformed,
            unreadable: self.unreadable + other.unreadable,
            replaced: self.replaced + other.replaced,
        }
    }
}

impl Trouble {
    /// One place; what follows it can be read.
    pub fn here(fault: Fault, diagnostic: Diagnostic) -> Trouble {
        Trouble { fault, diagnostic, ends_file: false }
    }

    /// The end of the file as far as it can be read.
    pub fn end(fault: Fault, diagnostic: Diagnostic) -> Trouble {
        Trouble { fault, diagnostic, ends_file: true }
    }
}
