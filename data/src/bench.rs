//! Timing the preparation of a stage's data, part by part and as a whole.

use std::path::Path;
use std::time::Instant;

use llmc_compiler::plan::{DatasetPlan, Plan, StagePlan, TokenizerPlan, TokenizerSource};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use rayon::prelude::*;
use serde::Serialize;

use crate::cache::{Cache, WriteError};
use crate::documents::Corpus;
use crate::loader::Loader;
use crate::prepare::{documents, prepare_in, resources_of, undeclared};
use crate::process::models::Resources;
use crate::process::{self, Document, PART_BYTES, Place, Reading};
use crate::tokenizer::{Tokenizer, train};

/// What preparing a stage's data took.
#[derive(Debug, Clone, Serialize)]
pub struct DataTimes {
    /// The data set's name.
    pub dataset: String,
    /// Documents in the sources.
    pub documents: u64,
    /// Tokens of the data that is left, held-out data among them.
    pub tokens: u64,
    /// The parts one after another, each with all documents in memory.
    pub parts: Vec<TimedPart>,
    /// From the sources to the batches of one epoch through an empty cache, with a tokenizer that is there already.
    pub whole: TimedPart,
}

/// One part of the preparation.
#[derive(Debug, Clone, Serialize)]
pub struct TimedPart {
    /// `read`, a step of `process`, `train tokenizer`, `tokenize`, or `whole`.
    pub part: String,
    /// Wall time.
    pub seconds: f64,
    /// Bytes of text that came into the part.
    pub bytes: u64,
    /// Those, in millions a second.
    pub mb_per_s: f64,
}

impl TimedPart {
    fn new(part: &str, began: Instant, bytes: u64) -> TimedPart {
        let seconds = began.elapsed().as_secs_f64();
        TimedPart {
            part: part.to_owned(),
            seconds,
            bytes,
            mb_per_s: bytes as f64 / 1e6 / seconds.max(f64::MIN_POSITIVE),
        }
    }
}

/// Prepares the data of a stage in `directory`, which should be empty and fit for being deleted, and takes the time.
/// All documents are held in memory.
///
/// # Errors
/// As [`prepare`](crate::prepare), and where the data is token ids.
pub fn time_preparation(
    directory: &Path,
    plan: &Plan,
    stage: &StagePlan,
    base: &Path,
) -> Result<DataTimes, Diagnostic> {
    let dataset = plan.datasets.get(&stage.data).filter(|dataset| !dataset.is_tokens());
    let (Some(dataset), Some(tokenizer_name)) = (dataset, &stage.tokenizer) else {
        let message = match plan.mixtures.contains_key(&stage.data) {
            true => format!("`{}` is a mixture: the parts of one data set are timed", stage.data),
            false => format!("dataset `{}` holds token ids: there is nothing to prepare", stage.data),
        };
        return Err(
            Diagnostic::error(codes::DATA_KIND, message).help("name a stage that trains on one data set of text")
        );
    };
    let directory = &std::path::absolute(directory).map_err(|error| unwritable(directory, &error))?;
    let mut parts = Vec::new();
    let began = Instant::now();
    let read_documents = Corpus::locate(dataset, base)?.documents().collect::<Result<Vec<_>, _>>()?;
    let (count, read) = (read_documents.len() as u64, text_bytes(&read_documents));
    parts.push(TimedPart::new("read", began, read));
    let resources = resources_of(&Cache::new(directory.join("models")), plan, &dataset.process, base)?;
    let left = time_steps(dataset, &resources, read_documents, directory, &mut parts)?;
    let tokenizer = match plan.tokenizers.get(tokenizer_name) {
        Some(TokenizerPlan { source: TokenizerSource::Trained(trained), vocab, end_of_text }) => {
            let texts: Vec<String> = if trained.dataset == stage.data {
                left.iter().map(|document| document.text.clone()).collect()
            } else {
                let cache = Cache::new(directory.join("tokenizer"));
                let (texts, _) = documents(&cache, plan, &trained.dataset, base, &|_| {})?;
                texts.documents().map(|document| Ok(document?.text)).collect::<Result<_, Diagnostic>>()?
            };
            let bytes = texts.iter().map(|text| text.len() as u64).sum::<u64>().min(trained.limit_bytes);
            let began = Instant::now();
            let tokenizer = train(texts.into_iter().map(Ok), trained, *vocab, end_of_text.as_deref())?;
            parts.push(TimedPart::new("train tokenizer", began, bytes));
            tokenizer
        }
        Some(loaded) => Tokenizer::of_source(&loaded.source, base)?,
        None => return Err(undeclared("tokenizer", tokenizer_name)),
    };
    parts.push(time_tokenizer(&tokenizer, &left)?);
    drop(left);
    let file = directory.join("tokenizer.json");
    std::fs::write(&file, tokenizer.json()).map_err(|error| unwritable(directory, &error))?;
    let mut plan = plan.clone();
    if let Some(plan) = plan.tokenizers.get_mut(tokenizer_name)
        && matches!(plan.source, TokenizerSource::Trained(_))
    {
        plan.source = TokenizerSource::File { path: file.display().to_string() };
    }
    let began = Instant::now();
    let prepared = prepare_in(&Cache::new(directory.join("whole")), &plan, stage, base, &|_| {})?;
    let tokens = prepared.stats.train.tokens + prepared.stats.heldout.as_ref().map_or(0, |split| split.tokens);
    let loader = Loader::new(&prepared, stage);
    (0..loader.rows().iter().sum::<u64>() / stage.micro_batch).for_each(|batch| {
        std::hint::black_box(loader.batch(batch / stage.accumulation, batch % stage.accumulation));
    });
    let whole = TimedPart::new("whole", began, read);
    Ok(DataTimes { dataset: stage.data.clone(), documents: count, tokens, parts, whole })
}

/// Sends documents through one step after another.
fn time_steps(
    dataset: &DatasetPlan,
    resources: &Resources,
    mut documents: Vec<Document>,
    directory: &Path,
    parts: &mut Vec<TimedPart>,
) -> Result<Vec<Document>, Diagnostic> {
    std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    for step in &dataset.process {
        let bytes = text_bytes(&documents);
        let cache = Cache::new(directory.join("steps"));
        let entry = format!("step-{}", parts.len());
        let place = Place { cache: &cache, entry: &entry, part_bytes: PART_BYTES };
        let began = Instant::now();
        let mut reading = Reading::new(documents.into_iter().map(Ok), |_| (Vec::new(), false), &|_| {});
        let finished = process::run(place, (std::slice::from_ref(step), resources), &mut reading);
        let finished = finished.map_err(|error| match error {
            WriteError::Disk(error) => unwritable(directory, &error),
            WriteError::Data(diagnostic) => diagnostic,
        })?;
        let left: Result<Vec<Document>, _> = finished.documents().collect();
        let left = left.map_err(|error| unwritable(directory, &error))?;
        let name = finished.report.steps.first().map_or("step", |step| step.step.as_str());
        parts.push(TimedPart::new(name, began, bytes));
        documents = left;
    }
    Ok(documents)
}

/// Encodes as preparation does: documents on all cores.
fn time_tokenizer(tokenizer: &Tokenizer, documents: &[Document]) -> Result<TimedPart, Diagnostic> {
    let began = Instant::now();
    documents.par_iter().try_for_each(|document| {
        tokenizer.encode_document(&document.text).map(|ids| {
            std::hint::black_box(ids);
        })
    })?;
    Ok(TimedPart::new("tokenize", began, text_bytes(documents)))
}

fn text_bytes(documents: &[Document]) -> u64 {
    documents.iter().map(|document| document.text.len() as u64).sum()
}

fn unwritable(directory: &Path, error: &std::io::Error) -> Diagnostic {
    let message = format!("`{}` cannot be written: {error}", directory.display());
    Diagnostic::error(codes::CACHE_UNWRITABLE, message).help("set `LLMC_CACHE` to a directory with space")
}
