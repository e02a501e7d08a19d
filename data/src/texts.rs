//! The documents of a data set after its steps.

use std::io;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::documents::Corpus;
use super::process::{Document, ProcessReport, Processed};

/// Documents to be split and tokenized. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Texts {
    /// As their sources hold them.
    Read(Corpus),
    /// As the steps of the data set left them.
    Processed(Processed),
}

impl Texts {
    /// The documents in order.
    pub fn documents(&self) -> Box<dyn Iterator<Item = Result<Document, Diagnostic>> + Send + '_> {
        match self {
            Texts::Read(corpus) => Box::new(corpus.documents()),
            Texts::Processed(processed) => Box::new(processed.documents().map(|document| document.map_err(damaged))),
        }
    }

    /// What the steps did, if there are any.
    pub fn report(&self) -> Option<&ProcessReport> {
        match self {
            Texts::Read(_) => None,
            Texts::Processed(processed) => Some(processed.report()),
        }
    }
}

fn damaged(error: io::Error) -> Diagnostic {
    Diagnostic::error(codes::CACHE_UNWRITABLE, format!("the processed documents in the cache are damaged: {error}"))
        .help("remove the cache directory (`LLMC_CACHE`) and run again")
}
