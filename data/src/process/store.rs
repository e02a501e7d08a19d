//! Processed documents in the cache.
//!
//! Payload: the documents as [`DocumentWriter`] frames them, then the [`Trailer`] as JSON and its length (8 bytes).

use std::io::Write;
use std::sync::Arc;

use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

use super::{Document, DocumentReader, DocumentWriter, ProcessReport, run};
use crate::Progress;
use crate::cache::{Cache, Entry, Lookup, WriteError};
use crate::documents::Corpus;
use crate::split::{Survey, SurveyBuilder};
use llmc_compiler::plan::ProcessPlan;

/// The documents of a data set that came through its steps. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processed {
    payload: Arc<Entry>,
    end: usize,
    trailer: Arc<Trailer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    survey: Survey,
    report: ProcessReport,
}

impl Processed {
    /// Opens the entry `name`; none where it is missing. The flag tells that it was there but damaged.
    pub fn open(cache: &Cache, name: &str) -> (Option<Processed>, bool) {
        match cache.open(name) {
            Lookup::Missing => (None, false),
            Lookup::Damaged => (None, true),
            Lookup::Found(payload) => {
                let found = Processed::parse(payload);
                let damaged = found.is_none();
                (found, damaged)
            }
        }
    }

    fn parse(payload: Entry) -> Option<Processed> {
        let at = payload.len().checked_sub(8)?;
        let length = u64::from_le_bytes(payload[at..].try_into().ok()?);
        let end = at.checked_sub(usize::try_from(length).ok()?)?;
        let trailer = serde_json::from_slice(&payload[end..at]).ok()?;
        Some(Processed { payload: Arc::new(payload), end, trailer: Arc::new(trailer) })
    }

    /// Sends a corpus through the steps and keeps what comes out as the entry `name`.
    ///
    /// # Errors
    /// What reading the corpus or writing the cache fails with.
    pub fn write(
        cache: &Cache,
        name: &str,
        corpus: &Corpus,
        steps: &[ProcessPlan],
        progress: &dyn Fn(Progress),
    ) -> Result<(), Diagnostic> {
        let temporary = || cache.temporary_path(name);
        cache.write(name, |file| {
            let mut documents = corpus.documents();
            let mut writer = DocumentWriter::new(&mut *file);
            let mut survey = SurveyBuilder::default();
            let report = run(steps, &mut documents, &temporary, progress, &mut |document| {
                survey.add(document.text.as_bytes(), document.origin.index as usize, document.origin.heldout);
                writer.write(&document)?;
                Ok(())
            })?;
            let survey = survey.finish(documents.counts().to_vec(), documents.was_cut());
            let trailer = serde_json::to_vec(&Trailer { survey, report }).map_err(std::io::Error::from)?;
            file.write_all(&trailer)?;
            file.write_all(&(trailer.len() as u64).to_le_bytes())?;
            Ok::<(), WriteError>(())
        })
    }

    /// The documents in order.
    pub fn documents(&self) -> impl Iterator<Item = std::io::Result<Document>> + '_ {
        DocumentReader::new(&self.payload[..self.end])
    }

    /// What the steps did.
    pub fn report(&self) -> &ProcessReport {
        &self.trailer.report
    }

    /// What one pass over the documents finds.
    pub fn survey(&self) -> &Survey {
        &self.trailer.survey
    }
}
