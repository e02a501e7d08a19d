//! Processed documents in the cache.
//!
//! The entry is a [`Manifest`] as JSON; the documents lie in the [parts](super::part) that the last pass left.

use std::sync::Arc;

use llmc_compiler::plan::ProcessPlan;
use llmc_grammar::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};

use super::models::Resources;
use super::part::Part;
use super::run::{Finished, PART_BYTES, Place, part_name, run};
use super::{Document, ProcessReport, Reading};
use crate::cache::{Cache, Lookup, WriteError};
use crate::documents::{Corpus, Documents};
use crate::split::Survey;
use crate::{Phase, Progress};

/// The documents of a data set that came through its steps. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processed {
    parts: Arc<Vec<Part>>,
    manifest: Arc<Manifest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    pass: usize,
    parts: usize,
    survey: Survey,
    report: ProcessReport,
}

impl Processed {
    /// Opens the entry `name`; none where it is missing. The flag tells that it was there but damaged.
    pub fn open(cache: &Cache, name: &str) -> (Option<Processed>, bool) {
        let manifest = match cache.open(name) {
            Lookup::Missing => return (None, false),
            Lookup::Damaged => return (None, true),
            Lookup::Found(payload) => serde_json::from_slice::<Manifest>(&payload).ok(),
        };
        let found = manifest.and_then(|manifest| {
            let part = |number| Part::open(cache, &part_name(name, manifest.pass, number));
            let parts: Option<Vec<Part>> = (0..manifest.parts).map(part).collect();
            Some(Processed { parts: Arc::new(parts?), manifest: Arc::new(manifest) })
        });
        let damaged = found.is_none();
        (found, damaged)
    }

    /// Sends a corpus through the steps and keeps what comes out as the entry `name`. What an interrupted run has
    /// finished is taken over.
    ///
    /// # Errors
    /// What reading the corpus or writing the cache fails with.
    pub fn write(
        cache: &Cache,
        name: &str,
        corpus: &Corpus,
        steps: &[ProcessPlan],
        resources: &Resources,
        progress: &dyn Fn(Progress),
    ) -> Result<(), Diagnostic> {
        let read = |bytes| progress(Progress { phase: Phase::Processing, done: bytes, total: None });
        let counted = |documents: &Documents| (documents.counts().to_vec(), documents.was_cut());
        let mut reading = Reading::new(corpus.documents(), counted, &read);
        let finished = run(Place { cache, entry: name, part_bytes: PART_BYTES }, (steps, resources), &mut reading)
            .map_err(|error| match error {
                WriteError::Disk(error) => cache.unwritable(&error),
                WriteError::Data(diagnostic) => diagnostic,
            })?;
        let Finished { pass, parts, survey, report, left_over } = finished;
        let manifest = Manifest { pass, parts: parts.len(), survey, report };
        cache.write(name, |file| Ok(serde_json::to_writer(file, &manifest).map_err(std::io::Error::from)?))?;
        left_over.iter().for_each(|name| cache.remove(name));
        Ok(())
    }

    /// The documents in order.
    pub fn documents(&self) -> impl Iterator<Item = std::io::Result<Document>> + Send + '_ {
        self.parts.iter().flat_map(Part::documents)
    }

    /// What the steps did.
    pub fn report(&self) -> &ProcessReport {
        &self.manifest.report
    }

    /// What one pass over the documents finds.
    pub fn survey(&self) -> &Survey {
        &self.manifest.survey
    }
}
