//! Training: a stage from its plan to its last checkpoint.

pub mod compile;
pub mod engine;
pub mod interrupt;
pub mod machine;
pub mod resume;
pub mod space;
mod steps;
pub mod weights;

use std::path::{Path, PathBuf};

use llmc_compiler::plan::{InitPlan, Plan, StagePlan, TokenizerSource};
use llmc_grammar::codes::NOT_A_CHECKPOINT;

use crate::checkpoint::contents::{Contents, RunState};
use crate::checkpoint::directory::{Checkpoints, replace_file};
use crate::checkpoint::fit::load_extended;
use crate::checkpoint::gguf::GgufFile;
use crate::checkpoint::reader::TensorFiles;
use crate::checkpoint::recipe::RecordedRecipe;
use crate::device::Device;
use crate::failure::Failure;
use crate::report::data;
use crate::report::lock::Lock;
use crate::report::predict::Prediction;
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;
use compile::{Compiled, plan_yaml};
use engine::{Engine, Heldout};
use llmc_data::tokenizer::{END_OF_TEXT, Tokenizer};
use llmc_data::{Evaluation, Loader, Prepared, prepare, resolve};
use llmc_grammar::number;
use machine::Machine;
use resume::Start;
use steps::Training;

/// A stage to be run and everything around it.
#[derive(Clone, Copy)]
pub struct StageRun<'a> {
    /// The recipe's plan.
    pub plan: &'a Plan,
    /// The stage of it.
    pub stage: &'a StagePlan,
    /// The recipe.
    pub recipe: &'a RecordedRecipe,
    /// The recipe's directory, where relative paths start.
    pub base: &'a Path,
    /// The directory of all stages.
    pub out: &'a Path,
    /// How the run begins.
    pub start: &'a Start,
    /// What it runs on.
    pub machine: Machine,
    /// Where it shows itself.
    pub terminal: &'a Terminal,
}

/// How a stage ended.
#[derive(Debug, Clone)]
pub struct StageEnd {
    /// Its last checkpoint.
    pub checkpoint: PathBuf,
    /// Steps done.
    pub steps: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// The held-out loss at the end, if anything is held out.
    pub heldout: Option<Heldout>,
    /// Entropy of the unigram distribution of the same data, in nats per token.
    pub unigram_entropy: f64,
    /// The memory that was predicted: of the card, or of the process.
    pub predicted_bytes: u64,
    /// Memory of the card that was taken at the end, by others too; none without a card.
    pub card_bytes: Option<u64>,
    /// Bytes of prepared tokens that are mapped into memory besides.
    pub mapped_bytes: u64,
    /// Seconds from the start of the process to the beginning and the end of the first step; none where no step was left to do.
    pub first_step_s: Option<(f64, f64)>,
}

impl StageRun<'_> {
    /// Where the stage's files lie.
    pub fn directory(&self) -> PathBuf {
        self.out.join(&self.stage.name)
    }

    /// Compiles, prepares the data, trains to the end and checkpoints.
    ///
    /// # Errors
    /// Everything that a machine can refuse; [`Failure::Interrupted`] after Ctrl-C, when all is saved.
    pub fn run(&self) -> Result<StageEnd, Failure> {
        let directory = self.directory();
        let checkpoint = resume::choose(self.start, &directory, &self.stage.name)?;
        let compiled = Compiled::of(self.stage, self.machine.choice.hardware())?;
        let yaml = plan_yaml(self.plan, self.stage);
        compiled.write(&directory, &yaml)?;
        let runnable = compiled.into_runnable(&self.machine);
        let prediction = Prediction::of(self.stage, &runnable.programs, &self.machine)?;
        let prepared = self.prepare()?;
        let resumed = match &checkpoint {
            Some(path) => Some((path, resume::open(path, self.plan, self.stage, &prepared.hashes)?)),
            None => None,
        };
        let checkpoints = Checkpoints::of_run(&directory);
        checkpoints.sweep()?;
        space::check(&directory, self.stage, prediction.checkpoint_bytes(), checkpoints.steps().len() as u64)?;
        let lock = Lock::new(self.stage, self.recipe.hash(), &prepared, runnable.hash.clone());
        replace_file(&directory.join("recipe.lock"), lock.text().as_bytes())?;
        let state = match &resumed {
            Some((_, state)) => state.clone(),
            None => self.first_state(&lock),
        };
        if let Some((path, _)) = resumed.as_ref().filter(|(_, state)| state.step == self.stage.steps) {
            self.terminal.note(format!("stage {} is complete", self.stage.name));
            let heldout = steps::last_heldout(&directory, state.step)?;
            return Ok(self.end((*path).clone(), &state, heldout, &prepared, &prediction));
        }
        let mut engine = Engine::new(runnable, self.stage, &self.machine)?;
        self.terminal.note(format!("device: {}", engine.device().describe()));
        match &resumed {
            Some((path, state)) => {
                resume::restore(engine.device_mut(), self.stage, path)?;
                checkpoints.remove_after(state.step)?;
                self.terminal.note(format!("going on after step {}", state.step));
            }
            None => self.first_weights(engine.device_mut())?,
        }
        let end_of_text = self.end_of_text(prepared.tokenizer.as_ref())?;
        let loader = Loader::new(&prepared, self.stage);
        self.terminal.note(loader.report().line());
        let mut training = Training {
            run: self,
            directory: &directory,
            checkpoints: &checkpoints,
            loader,
            heldout: Evaluation::of_parts(&prepared, self.stage),
            byte_lengths: prepared.tokenizer.as_ref().map(Tokenizer::byte_lengths),
            unigram_entropy: unigram_entropy(&prepared),
            contents: Contents {
                stage: self.stage,
                recipe: self.recipe,
                plan_yaml: &yaml,
                tokenizer: prepared.tokenizer.as_ref(),
                end_of_text,
                state,
            },
            first_step_s: None,
        };
        let (path, heldout) = training.run(&mut engine)?;
        let Training { contents, first_step_s, .. } = training;
        let end = self.end(path, &contents.state, heldout, &prepared, &prediction);
        Ok(StageEnd { first_step_s, card_bytes: engine.device().memory_in_use(), ..end })
    }

    fn prepare(&self) -> Result<Prepared, Failure> {
        let progress = DataProgress::new(self.terminal);
        let prepared = prepare(self.plan, self.stage, self.base, &|done| progress.update(done));
        progress.finish();
        let prepared = prepared?;
        self.terminal.diagnostics(&prepared.warnings);
        let held = prepared.stats.heldout.as_ref().map_or(0, |split| split.tokens);
        self.terminal.note(format!(
            "data: {} documents, {} tokens to train on, {} held out",
            number::grouped(prepared.stats.documents),
            number::grouped(prepared.stats.train.tokens),
            number::grouped(held)
        ));
        for line in data::reading(&prepared) {
            self.terminal.note(line);
        }
        for report in prepared.datasets.iter().filter_map(|dataset| dataset.process.as_ref()) {
            self.terminal.note(report.line());
        }
        let json = serde_json::to_vec_pretty(&data::report(&prepared)).expect("counts and texts are valid JSON");
        replace_file(&self.directory().join("data.json"), &json)?;
        Ok(prepared)
    }

    fn first_state(&self, lock: &Lock) -> RunState {
        RunState {
            llmc: lock.llmc.clone(),
            stage: self.stage.name.clone(),
            step: 0,
            tokens: 0,
            seconds: 0.0,
            seed: self.stage.seed,
            recipe: lock.recipe.clone(),
            data: lock.tokens.clone(),
            tokenizer: lock.tokenizer.clone(),
            graph: lock.graph.clone(),
        }
    }

    fn first_weights(&self, device: &mut dyn Device) -> Result<(), Failure> {
        initial_weights(device, self.stage, self.base, self.out)
    }

    /// The token that ends a document, and its id.
    fn end_of_text(&self, tokenizer: Option<&Tokenizer>) -> Result<Option<(String, u32)>, Failure> {
        let plan = self.stage.tokenizer.as_ref().and_then(|name| self.plan.tokenizers.get(name));
        let (Some(tokenizer), Some(plan)) = (tokenizer, plan) else {
            return Ok(None);
        };
        let text = match (&plan.end_of_text, &plan.source) {
            (Some(text), _) => text.clone(),
            (None, TokenizerSource::Bytes) => END_OF_TEXT.to_owned(),
            (None, _) => return Ok(None),
        };
        let id = tokenizer.end_of_text(&text)?;
        Ok(Some((text, id)))
    }

    fn end(
        &self,
        checkpoint: PathBuf,
        state: &RunState,
        heldout: Option<Heldout>,
        prepared: &Prepared,
        prediction: &Prediction,
    ) -> StageEnd {
        StageEnd {
            checkpoint,
            steps: state.step,
            tokens: state.tokens,
            seconds: state.seconds,
            heldout,
            unigram_entropy: unigram_entropy(prepared),
            predicted_bytes: prediction.memory_bytes(),
            card_bytes: None,
            mapped_bytes: prepared.parts.iter().map(|part| part.train.mapped_bytes()).sum(),
            first_step_s: None,
        }
    }
}

/// Of the held-out split, which the held-out loss is compared with; of the training split where nothing is held out.
fn unigram_entropy(prepared: &Prepared) -> f64 {
    let split = prepared.stats.heldout.as_ref().unwrap_or(&prepared.stats.train);
    split.unigram_entropy
}

/// Fills the states `weight/PATH` as the stage's plan says. `out` is where earlier stages lie.
///
/// # Errors
/// If the directory or stage to start from is missing or does not fit.
pub fn initial_weights(device: &mut dyn Device, stage: &StagePlan, base: &Path, out: &Path) -> Result<(), Failure> {
    let directory = match &stage.init {
        InitPlan::Random => return weights::initialise(device, stage),
        InitPlan::HuggingFace(directory) => resolve(directory, base)?,
        InitPlan::Gguf(file) => {
            let path = resolve(file, base)?;
            let weights = GgufFile::open(&path)?.weights;
            return load_extended(device, &stage.model, stage.extend.as_ref(), &weights, &path.display().to_string());
        }
        InitPlan::Stage(earlier) => {
            let run = out.join(earlier);
            Checkpoints::of_run(&run).newest().ok_or_else(|| {
                Failure::with_help(
                    NOT_A_CHECKPOINT,
                    format!(
                        "stage `{}` continues `{earlier}`, which has no checkpoint in `{}`",
                        stage.name,
                        run.display()
                    ),
                    format!("run `{earlier}` first: `llmc run` without `--stage` runs all in order"),
                )
            })?
        }
    };
    let files = TensorFiles::of_directory(&directory)?;
    load_extended(device, &stage.model, stage.extend.as_ref(), &files, &directory.display().to_string())
}
