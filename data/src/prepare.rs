//! Everything between a plan and its token streams, from the cache where it is there.

mod resources;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use llmc_compiler::plan::{
    DatasetPlan, PartPlan, Plan, ProcessPlan, Shares, StagePlan, TokenizerPlan, TokenizerSource, TrainedTokenizer,
};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::cache::{Cache, Lookup, WriteError};
use super::documents::{Corpus, SourceCount};
use super::encode::Encoder;
use super::objective::Shaper;
use super::process::models::Resources;
use super::process::{Document, Processed};
use super::random_tokens::RandomTokens;
use super::shard::{ShardEnd, Split};
use super::split::{Division, Holdout, Survey, SurveyBuilder};
use super::store::{Store, StoreWriter, Unopened};
use super::stream::TokenStream;
use super::texts::Texts;
use super::token_rows::TokenRows;
use super::{DataHashes, DataStats, DatasetReport, Phase, Prepared, Progress, parts};
use crate::tokenizer::{END_OF_TEXT, Tokenizer, train};

/// Changes whenever the same inputs would be prepared differently.
const FORMAT: &str = "llmc data 4";

/// Prepares the data of `stage` with the user's cache. Relative paths start at `base`.
///
/// Fails with a diagnostic of the `E07xx` range where a file is missing or malformed, where a tokenizer
/// does not fit, and where there is too little to train on.
pub fn prepare(
    plan: &Plan,
    stage: &StagePlan,
    base: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Prepared, Diagnostic> {
    prepare_in(&Cache::of_user()?, plan, stage, base, progress)
}

/// As [`prepare`], with this cache.
pub fn prepare_in(
    cache: &Cache,
    plan: &Plan,
    stage: &StagePlan,
    base: &Path,
    progress: &dyn Fn(Progress),
) -> Result<Prepared, Diagnostic> {
    let mut preparation = Preparation { cache, plan, base, progress, corpora: BTreeMap::new(), warnings: Vec::new() };
    let tokenizer = match &stage.tokenizer {
        Some(name) => Some(preparation.tokenizer(name)?),
        None => None,
    };
    // What the objective needs of the tokenizer is asked before anything long begins.
    let end = match (&tokenizer, &stage.tokenizer) {
        (Some(tokenizer), Some(name)) => preparation.end_of_text(tokenizer, name)?,
        _ => None,
    };
    let shaper = Shaper::new(stage, tokenizer.as_ref(), end)?;
    let shares = plan.shares(&stage.data);
    let mut opened = Vec::new();
    for part in &shares.parts {
        opened.push(preparation.part(part, stage, tokenizer.as_ref())?);
    }
    if opened.is_empty() {
        return Err(undeclared("dataset", &stage.data));
    }
    let hashes = DataHashes {
        documents: joint_hash(opened.iter().map(|part| blake3::Hash::from_bytes(part.survey.content).to_string())),
        tokenizer: tokenizer.as_ref().map(|tokenizer| tokenizer.hash().to_string()),
        tokens: joint_hash(opened.iter().map(|part| part.key.clone())),
    };
    let datasets = preparation.reports(&shares, &opened)?;
    let streams = opened.into_iter().map(|part| (part.train, part.heldout));
    let parts = parts::checked(stage, &shares, streams)?;
    preparation.warnings.extend(parts.iter().filter_map(parts::repeated));
    let stats = DataStats::of(&datasets, &parts);
    Ok(Prepared { tokenizer, parts, shares, shaper, stats, datasets, hashes, warnings: preparation.warnings })
}

/// The documents of a data set of text or records after its steps, from the cache where they are there, and what became
/// of them.
///
/// Fails as [`prepare`] does, and where the data set holds token ids.
pub fn documents(
    cache: &Cache,
    plan: &Plan,
    dataset: &str,
    base: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(Texts, DatasetReport), Diagnostic> {
    let mut preparation = Preparation { cache, plan, base, progress, corpora: BTreeMap::new(), warnings: Vec::new() };
    if preparation.dataset(dataset)?.is_tokens() {
        return Err(Diagnostic::error(codes::DATA_KIND, format!("dataset `{dataset}` holds token ids, not documents"))
            .help("a data set of text has documents to write"));
    }
    let (texts, survey) = preparation.corpus(dataset)?;
    let report = DatasetReport::new(dataset, preparation.dataset(dataset)?, &survey, texts.report().cloned());
    Ok((texts, report))
}

/// What steps read beside their data set's sources: models that are trained for them, lists, evaluations.
///
/// Fails as [`prepare`] does.
pub(crate) fn resources_of(
    cache: &Cache,
    plan: &Plan,
    steps: &[ProcessPlan],
    base: &Path,
) -> Result<Resources, Diagnostic> {
    Preparation { cache, plan, base, progress: &|_| {}, corpora: BTreeMap::new(), warnings: Vec::new() }
        .resources(steps)
}

/// A data set's two streams, what is known of them, and the key of all that they depend on.
struct Opened {
    survey: Survey,
    key: String,
    train: TokenStream,
    heldout: TokenStream,
}

impl Opened {
    fn stored(survey: Survey, key: String, store: Store) -> Opened {
        let store = Arc::new(store);
        let train = TokenStream::stored(store.clone(), Split::Train);
        Opened { survey, key, train, heldout: TokenStream::stored(store, Split::Heldout) }
    }

    /// Nothing is read and nothing is cached.
    fn random(tokens: RandomTokens, dataset: &DatasetPlan) -> Opened {
        let mut survey = SurveyBuilder::default();
        survey.add(format!("{tokens:?}").as_bytes(), 0, None);
        let mut survey = survey.finish(vec![SourceCount { documents: 1, ..SourceCount::default() }], false);
        survey.all.bytes = 0;
        let inputs = format!("{FORMAT} random {}", dataset.holdout);
        let middle = tokens.heldout_from(dataset.holdout);
        Opened {
            key: key(&inputs, &[survey.content]),
            survey,
            train: TokenStream::random(tokens, 0..middle),
            heldout: TokenStream::random(tokens, middle..tokens.count()),
        }
    }
}

struct Preparation<'a> {
    cache: &'a Cache,
    plan: &'a Plan,
    base: &'a Path,
    progress: &'a dyn Fn(Progress),
    corpora: BTreeMap<String, (Texts, Survey)>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Preparation<'a> {
    fn dataset(&self, name: &str) -> Result<&'a DatasetPlan, Diagnostic> {
        self.plan.datasets.get(name).ok_or_else(|| undeclared("dataset", name))
    }

    fn tokenizer_plan(&self, name: &str) -> Result<&'a TokenizerPlan, Diagnostic> {
        self.plan.tokenizers.get(name).ok_or_else(|| undeclared("tokenizer", name))
    }

    fn tokenizer(&mut self, name: &str) -> Result<Tokenizer, Diagnostic> {
        let plan = self.tokenizer_plan(name)?;
        match &plan.source {
            TokenizerSource::Trained(trained) => self.trained(plan, trained),
            source => Tokenizer::of_source(source, self.base),
        }
    }

    /// The streams of one part of the stage's data.
    fn part(
        &mut self,
        part: &PartPlan,
        stage: &StagePlan,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<Opened, Diagnostic> {
        let dataset = self.dataset(&part.dataset)?;
        if let Some(tokens) = dataset.sources.first().and_then(|source| RandomTokens::of(&source.place)) {
            return Ok(Opened::random(tokens, dataset));
        }
        if dataset.is_tokens() {
            return self.token_store(dataset, stage);
        }
        let (Some(tokenizer), Some(name)) = (tokenizer, &stage.tokenizer) else {
            return Err(undeclared("tokenizer", ""));
        };
        let end_of_text = self.end_of_text(tokenizer, name)?;
        self.text_store(part, tokenizer, end_of_text)
    }

    /// What became of the documents of every data set.
    fn reports(&self, shares: &Shares, opened: &[Opened]) -> Result<Vec<DatasetReport>, Diagnostic> {
        let mut reports: Vec<DatasetReport> = Vec::new();
        for (part, opened) in shares.parts.iter().zip(opened) {
            if reports.iter().all(|report| report.name != part.dataset) {
                let texts = self.corpora.get(&part.dataset).map(|(texts, _)| texts);
                let process = texts.and_then(|texts| texts.report().cloned());
                reports.push(DatasetReport::new(&part.dataset, self.dataset(&part.dataset)?, &opened.survey, process));
            }
        }
        Ok(reports)
    }

    fn end_of_text(&self, tokenizer: &Tokenizer, name: &str) -> Result<Option<u32>, Diagnostic> {
        let plan = self.tokenizer_plan(name)?;
        let token = match (&plan.end_of_text, &plan.source) {
            (Some(token), _) => Some(token.as_str()),
            (None, TokenizerSource::Bytes) => Some(END_OF_TEXT),
            (None, _) => None,
        };
        token.map(|token| tokenizer.end_of_text(token)).transpose()
    }

    /// Trains a tokenizer on the documents of its data set that are not held out.
    fn trained(&mut self, plan: &TokenizerPlan, trained: &TrainedTokenizer) -> Result<Tokenizer, Diagnostic> {
        let TrainedTokenizer { model, dataset, limit_bytes: limit, special } = trained;
        let from = self.dataset(dataset)?;
        let (corpus, survey) = self.corpus(dataset)?;
        let division = Division::new(from, &survey);
        let end_of_text = &plan.end_of_text;
        let inputs = format!("{FORMAT} {model:?} {} {limit} {division:?} {special:?} {end_of_text:?}", plan.vocab);
        let name = format!("tokenizer-{}", key(&inputs, &[survey.content]));
        let cached = self.cached(&name).and_then(|entry| String::from_utf8(entry).ok());
        if let Some(Ok(tokenizer)) = cached.map(|json| Tokenizer::from_json(json, &name)) {
            return Ok(tokenizer);
        }
        let total = Some(survey.all.bytes.min(*limit));
        (self.progress)(Progress { phase: Phase::TrainingTokenizer, done: 0, total });
        let documents = corpus.documents().filter_map(move |document| match document {
            Ok(document) => division.split(&document).0.map(|text| Ok(text.to_owned())),
            Err(diagnostic) => Some(Err(diagnostic)),
        });
        let tokenizer = train(documents, trained, plan.vocab, end_of_text.as_deref())?;
        self.cache.write(&name, |file| Ok(file.write_all(tokenizer.json().as_bytes())?))?;
        Ok(tokenizer)
    }

    /// The documents of a data set after its steps and what a pass over them finds. Steps and pass are left out
    /// where no file has changed since the last time.
    fn corpus(&mut self, name: &str) -> Result<(Texts, Survey), Diagnostic> {
        if let Some((corpus, survey)) = self.corpora.get(name) {
            return Ok((corpus.clone(), survey.clone()));
        }
        let dataset = self.dataset(name)?;
        let corpus = Corpus::locate(dataset, self.base)?;
        let listing = corpus.listing_hash()?;
        let progress = self.progress;
        let (corpus, survey) = if dataset.process.is_empty() {
            let survey = self.survey(listing, || Survey::take(corpus.documents(), progress))?;
            (Texts::Read(corpus), survey)
        } else {
            let processed = self.processed(dataset, &corpus, listing)?;
            let survey = processed.survey().clone();
            (Texts::Processed(processed), survey)
        };
        if survey.all.documents == 0 {
            return Err(no_text(name, &corpus, &survey));
        }
        self.corpora.insert(name.to_owned(), (corpus.clone(), survey.clone()));
        Ok((corpus, survey))
    }

    /// The survey kept for a listing of files, or a new one.
    fn survey(
        &mut self,
        listing: blake3::Hash,
        take: impl FnOnce() -> Result<Survey, Diagnostic>,
    ) -> Result<Survey, Diagnostic> {
        let name = format!("survey-{}", key(FORMAT, &[*listing.as_bytes()]));
        if let Some(survey) = self.cached(&name).and_then(|entry| serde_json::from_slice(&entry).ok()) {
            return Ok(survey);
        }
        let survey = take()?;
        self.cache.write(&name, |file| {
            serde_json::to_writer(file, &survey).map_err(|error| WriteError::Disk(error.into()))
        })?;
        Ok(survey)
    }

    /// What comes out of the steps of a data set, from the cache or made.
    fn processed(
        &mut self,
        dataset: &DatasetPlan,
        corpus: &Corpus,
        listing: blake3::Hash,
    ) -> Result<Processed, Diagnostic> {
        let name = self.documents_name(&dataset.process, listing)?;
        let (found, damaged) = Processed::open(self.cache, &name);
        if let Some(found) = found {
            return Ok(found);
        }
        if damaged {
            self.warnings.push(self.cache.rebuilt(&name));
        }
        let resources = self.resources(&dataset.process)?;
        Processed::write(self.cache, &name, corpus, &dataset.process, &resources, self.progress)?;
        Processed::open(self.cache, &name).0.ok_or_else(|| self.unreadable_again(&name))
    }

    fn unreadable_again(&self, name: &str) -> Diagnostic {
        let message = format!("`{}` cannot be read back after it was written", self.cache.path(name).display());
        Diagnostic::error(codes::CACHE_UNWRITABLE, message).help("set `LLMC_CACHE` to another disk")
    }

    /// A small entry of the cache, if it is whole.
    fn cached(&mut self, name: &str) -> Option<Vec<u8>> {
        match self.cache.open(name) {
            Lookup::Found(entry) => Some(entry.to_vec()),
            Lookup::Missing => None,
            Lookup::Damaged => {
                self.warnings.push(self.cache.rebuilt(name));
                None
            }
        }
    }

    fn text_store(
        &mut self,
        part: &PartPlan,
        tokenizer: &Tokenizer,
        end_of_text: Option<u32>,
    ) -> Result<Opened, Diagnostic> {
        let dataset = self.dataset(&part.dataset)?;
        let (corpus, survey) = self.corpus(&part.dataset)?;
        let division = Division::new(dataset, &survey);
        let inputs = format!("{FORMAT} text {division:?} {end_of_text:?} {:?}", part.source);
        let key = key(&inputs, &[survey.content, *tokenizer.hash().as_bytes()]);
        let bytes = part.source.map_or(survey.all, |source| survey.sources[source]).bytes;
        let vocab = tokenizer.vocab_size();
        let progress = self.progress;
        let encoder = Encoder { tokenizer, end_of_text, division: &division };
        let progress = |done| progress(Progress { phase: Phase::Encoding, done, total: Some(bytes) });
        let of_part = |document: &Result<Document, Diagnostic>| match (document, part.source) {
            (Ok(document), Some(source)) => document.origin.index as usize == source,
            _ => true,
        };
        let store = self.store(&key, (vocab, false), None, |writer| {
            encoder.write(writer, &mut corpus.documents().filter(of_part), &progress)
        })?;
        Ok(Opened::stored(survey, key, store))
    }

    fn token_store(&mut self, dataset: &DatasetPlan, stage: &StagePlan) -> Result<Opened, Diagnostic> {
        let rows = TokenRows::open(dataset, self.base)?;
        let listing = rows.listing_hash()?;
        let survey = self.survey(listing, || Ok(rows.survey()))?;
        let row_length = rows.row_length();
        let inputs = format!("{FORMAT} tokens {} {row_length:?} {}", dataset.holdout, stage.model.vocab);
        // The survey knows the ids alone.
        let weights = rows.is_weighted().then(|| *listing.as_bytes());
        let hashes: Vec<[u8; 32]> = std::iter::once(survey.content).chain(weights).collect();
        let key = key(&inputs, &hashes);
        let holdout = Holdout::new(dataset.holdout, &survey.all);
        let vocab = stage.model.vocab;
        let store = self.store(&key, (vocab, rows.is_weighted()), row_length, |writer| {
            writer.shard(|shard| {
                rows.write(shard, holdout, vocab)?;
                Ok(ShardEnd { documents: survey.all.documents, bytes: survey.all.bytes, last: true })
            })?;
            Ok(())
        })?;
        Ok(Opened::stored(survey, key, store))
    }

    /// Opens the store under `key`, or makes it, of ids under a bound that may have weights.
    fn store(
        &mut self,
        key: &str,
        (vocab, weighted): (u64, bool),
        row_length: Option<u64>,
        fill: impl FnOnce(&mut StoreWriter<'_>) -> Result<(), Diagnostic>,
    ) -> Result<Store, Diagnostic> {
        let name = format!("tokens-{key}");
        match Store::open(self.cache, &name) {
            Ok(store) => return Ok(store),
            Err(Unopened::Damaged) => self.warnings.push(self.cache.rebuilt(&name)),
            Err(Unopened::Missing) => {}
        }
        let mut writer = StoreWriter::new(self.cache, &name, vocab, weighted);
        fill(&mut writer)?;
        writer.finish(row_length)?;
        Store::open(self.cache, &name).map_err(|_| self.unreadable_again(&name))
    }
}

/// One hash for several; a single one stays as it is.
fn joint_hash(hashes: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = hashes.collect();
    match all.as_slice() {
        [only] => only.clone(),
        several => key(&several.join("\n"), &[]),
    }
}

fn key(inputs: &str, hashes: &[[u8; 32]]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(inputs.as_bytes());
    hashes.iter().for_each(|hash| {
        hasher.update(hash);
    });
    hasher.finalize().to_string()
}

fn no_text(name: &str, corpus: &Texts, survey: &Survey) -> Diagnostic {
    if let Some(report) = corpus.report().filter(|report| report.documents_read > 0) {
        let message = format!("no document of the data set `{name}` is left after its steps: {}", report.line());
        return Diagnostic::error(codes::TOO_LITTLE_DATA, message)
            .help("`llmc data` shows why; loosen the limits of the step that drops most");
    }
    let message = format!("the data set `{name}` holds no text; left out: {}", survey.faults().line());
    Diagnostic::error(codes::TOO_LITTLE_DATA, message).help("name other files in its `source`")
}

/// The diagnostic for a plan whose stage names what it does not hold.
pub fn undeclared(kind: &str, name: &str) -> Diagnostic {
    Diagnostic::error(codes::DATA_UNREADABLE, format!("the plan holds no {kind} `{name}` for this stage"))
        .help("compile the recipe again")
}
