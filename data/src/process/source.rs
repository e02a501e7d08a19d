//! Where a pass gets its documents from, and how far it has come.

use std::collections::BTreeMap;
use std::io;

use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

use super::bias::{Balanced, Reweighting};
use super::near::Groups;
use super::part::Part;
use super::report::StepReport;
use super::{Document, Origin};
use crate::cache::WriteError;
use crate::documents::SourceCount;

/// How far a source has been read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Progressed {
    /// Documents taken from where it reads, those left out by the source itself not among them.
    pub documents: u64,
    /// UTF-8 bytes of their texts.
    pub bytes: u64,
    /// What was read of each source of the data set, and left out.
    pub read: Vec<SourceCount>,
    /// Whether the data set's limit left something out.
    pub cut: bool,
    /// What the source did to them, where it is a step of its own.
    pub report: Option<StepReport>,
}

/// Documents in order.
pub trait Source {
    /// The next one, if any is left.
    ///
    /// # Errors
    /// Of what it reads.
    fn next_document(&mut self) -> Result<Option<Document>, WriteError>;

    /// How far it has been read.
    fn progressed(&self) -> Progressed;

    /// Goes on where an interrupted pass had come to.
    ///
    /// # Errors
    /// Of what it reads.
    fn go_on(&mut self, at: &Progressed) -> Result<(), WriteError>;
}

/// Documents as they are read.
pub struct Reading<'a, I> {
    documents: I,
    /// What the iterator has read of each source so far, and whether a limit cut it off.
    counted: fn(&I) -> (Vec<SourceCount>, bool),
    /// Is told the bytes read.
    progress: &'a dyn Fn(u64),
    at: Progressed,
}

impl<'a, I: Iterator<Item = Result<Document, Diagnostic>>> Reading<'a, I> {
    /// From the first of `documents` on.
    pub fn new(documents: I, counted: fn(&I) -> (Vec<SourceCount>, bool), progress: &'a dyn Fn(u64)) -> Reading<'a, I> {
        Reading { documents, counted, progress, at: Progressed::default() }
    }
}

impl<I: Iterator<Item = Result<Document, Diagnostic>>> Source for Reading<'_, I> {
    fn next_document(&mut self) -> Result<Option<Document>, WriteError> {
        let document = self.documents.next().transpose()?;
        if let Some(document) = &document {
            self.at.documents += 1;
            self.at.bytes += document.text.len() as u64;
            (self.progress)(self.at.bytes);
        }
        Ok(document)
    }

    fn progressed(&self) -> Progressed {
        let (read, cut) = (self.counted)(&self.documents);
        Progressed { read, cut, ..self.at.clone() }
    }

    fn go_on(&mut self, at: &Progressed) -> Result<(), WriteError> {
        while self.at.documents < at.documents && self.next_document()?.is_some() {}
        Ok(())
    }
}

/// The documents of finished parts of which each is the first of its group.
pub struct Survivors<'a> {
    parts: &'a [Part],
    groups: &'a Groups,
    /// Where the documents were read that examples name.
    origins: BTreeMap<usize, Origin>,
    /// What is left of the part that is being read, which stands before `rest`.
    documents: Box<dyn Iterator<Item = io::Result<Document>> + Send + 'a>,
    rest: &'a [Part],
    at: Progressed,
    report: StepReport,
}

impl<'a> Survivors<'a> {
    /// From the first part on.
    ///
    /// # Errors
    /// Of the disk.
    pub fn new(parts: &'a [Part], groups: &'a Groups) -> Result<Survivors<'a>, WriteError> {
        let mut report = StepReport::new("dedup_near");
        report.notes = groups.notes.clone();
        let documents: Box<dyn Iterator<Item = _> + Send> = Box::new(std::iter::empty());
        let at = Progressed::default();
        let origins = BTreeMap::new();
        let mut survivors = Survivors { parts, groups, origins, documents, rest: parts, at, report };
        let examples = groups.examples();
        for number in 0..examples.last().map_or(0, |last| last + 1) {
            if let Some(document) = survivors.read()?.filter(|_| examples.binary_search(&number).is_ok()) {
                survivors.origins.insert(number, document.origin);
            }
        }
        survivors.back_to(0)?;
        Ok(survivors)
    }

    fn read(&mut self) -> io::Result<Option<Document>> {
        loop {
            if let Some(document) = self.documents.next() {
                return document.map(Some);
            }
            let Some((part, rest)) = self.rest.split_first() else {
                return Ok(None);
            };
            self.documents = Box::new(part.documents());
            self.rest = rest;
        }
    }

    /// To the document of this number; parts before it are not read.
    fn back_to(&mut self, number: u64) -> io::Result<()> {
        self.at.documents = number;
        self.documents = Box::new(std::iter::empty());
        self.rest = self.parts;
        let mut left = number;
        while let Some((part, rest)) = self.rest.split_first().filter(|(part, _)| part.trailer().documents <= left) {
            left -= part.trailer().documents;
            self.rest = rest;
        }
        for _ in 0..left {
            self.read()?;
        }
        Ok(())
    }
}

impl Source for Survivors<'_> {
    fn next_document(&mut self) -> Result<Option<Document>, WriteError> {
        while let Some(document) = self.read()? {
            let number = self.at.documents as usize;
            self.at.documents += 1;
            self.report.arrived(&document);
            let first = self.groups.first_of(number);
            if first == number {
                self.report.kept(&document);
                return Ok(Some(document));
            }
            self.report.dropped(&document, "near_duplicate", self.origins.get(&first));
        }
        Ok(None)
    }

    fn progressed(&self) -> Progressed {
        Progressed { report: Some(self.report.clone()), ..self.at.clone() }
    }

    fn go_on(&mut self, at: &Progressed) -> Result<(), WriteError> {
        if let Some(report) = &at.report {
            self.report = report.clone();
        }
        Ok(self.back_to(at.documents)?)
    }
}

/// The documents of finished parts, each as often as [`Reweighting`] has it.
pub struct Reweighted<'a> {
    documents: Balanced<Box<dyn Iterator<Item = io::Result<Document>> + Send + 'a>>,
    at: Progressed,
}

impl<'a> Reweighted<'a> {
    /// From the first part on.
    pub fn new(parts: &'a [Part], groups: Reweighting) -> Reweighted<'a> {
        let documents: Box<dyn Iterator<Item = _> + Send> = Box::new(parts.iter().flat_map(Part::documents));
        Reweighted { documents: groups.balanced(documents), at: Progressed::default() }
    }
}

impl Source for Reweighted<'_> {
    fn next_document(&mut self) -> Result<Option<Document>, WriteError> {
        let document = self.documents.next().transpose()?;
        self.at.documents += u64::from(document.is_some());
        Ok(document)
    }

    fn progressed(&self) -> Progressed {
        Progressed { report: Some(self.documents.report()), ..self.at.clone() }
    }

    fn go_on(&mut self, at: &Progressed) -> Result<(), WriteError> {
        // What was measured on the way is measured again.
        while self.at.documents < at.documents && self.next_document()?.is_some() {}
        Ok(())
    }
}
