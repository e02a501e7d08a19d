//! The loop over the optimizer steps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use llmc_grammar::codes::LOSS_NOT_FINITE;

use super::engine::{Engine, Heldout, StepResult, StepScaling};
use super::{StageRun, interrupt};
use crate::checkpoint::contents::Contents;
use crate::checkpoint::directory::{Checkpoints, replace_file};
use crate::failure::Failure;
use crate::report::clock;
use crate::report::curve::Curve;
use crate::report::metrics::{MetricsFile, StepMetrics};
use crate::report::progress::TrainingProgress;
use llmc_data::{Evaluation, Loader};

/// Weight of a step's rate in the running mean that is shown.
const RATE_WEIGHT: f64 = 0.1;

/// Below it, what overflows is not the scale's doing (the bound of fairseq's `--min-loss-scale`).
const LEAST_SCALE: f64 = 1e-4;

/// The file of the metrics.
const METRICS: &str = "metrics.jsonl";

/// A stage while it trains.
pub(super) struct Training<'a> {
    pub run: &'a StageRun<'a>,
    pub directory: &'a Path,
    pub checkpoints: &'a Checkpoints,
    pub loader: Loader,
    pub heldout: Vec<(String, Evaluation)>,
    pub byte_lengths: Option<Vec<u32>>,
    pub unigram_entropy: f64,
    pub contents: Contents<'a>,
    /// Seconds from the start of the process to the beginning and the end of this run's first step.
    pub first_step_s: Option<(f64, f64)>,
}

impl Training<'_> {
    /// Trains from the state in `contents` to the stage's end. Gives the last checkpoint and the last held-out loss.
    pub fn run(&mut self, engine: &mut Engine) -> Result<(PathBuf, Option<Heldout>), Failure> {
        let stage = self.run.stage;
        let (mut file, mut history) = MetricsFile::open(&self.directory.join(METRICS), self.contents.state.step)?;
        let mut progress = TrainingProgress::new(self.run.terminal, &stage.name, self.contents.state.step, stage.steps);
        let mut rate = 0.0;
        let mut last_heldout = None;
        loop {
            let (since_start, began) = (clock::seconds(), Instant::now());
            let result = engine.step(&self.loader, self.contents.state.step)?;
            let seconds = began.elapsed().as_secs_f64();
            self.first_step_s.get_or_insert((since_start, since_start + seconds));
            self.refuse_infinite(&result)?;
            let metrics = self.advance(&result, seconds);
            let step = metrics.step;
            if let Some(StepScaling { scale, skipped: true }) = result.scaling {
                progress
                    .note(&format!("step {step}: left out, gradients overflow at a loss scale of {}", scale as f32));
            }
            let is_last = step == stage.steps;
            let metrics = if is_last || is_due(stage.evaluate_every, step) {
                last_heldout = self.evaluate(engine)?;
                let heldout = last_heldout.as_ref();
                StepMetrics {
                    heldout_loss: heldout.map(|heldout| heldout.loss),
                    bits_per_byte: heldout.and_then(|heldout| heldout.bits_per_byte),
                    heldout_parts: heldout.map(|heldout| heldout.parts.clone()).unwrap_or_default(),
                    ..metrics
                }
            } else {
                metrics
            };
            if let Some(loss) = metrics.heldout_loss {
                let parts: Vec<String> =
                    metrics.heldout_parts.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
                let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
                progress.note(&format!("step {step}: held-out loss {loss:.4}{parts}"));
            }
            file.append(&metrics)?;
            let share = if rate == 0.0 { 1.0 } else { RATE_WEIGHT };
            rate += share * (metrics.tokens_per_s - rate);
            let tokens_left = (stage.steps - step) * stage.global_batch() * stage.sequence_length;
            progress.step(&metrics, rate, tokens_left as f64 / rate.max(1e-9));
            history.push(metrics);
            let stopping = interrupt::asked() && !is_last;
            if !(is_last || stopping || is_due(stage.checkpoint_every, step)) {
                continue;
            }
            let path = self.checkpoint(engine, &history)?;
            if is_last || stopping {
                progress.finish();
            }
            if is_last {
                return Ok((path, last_heldout));
            }
            if stopping {
                self.run.terminal.note(format!(
                    "stopped after step {step}; saved as `{}`; the same command with `--resume` goes on",
                    path.display()
                ));
                return Err(Failure::Interrupted);
            }
        }
    }

    /// Counts a step and describes it.
    fn advance(&mut self, result: &StepResult, seconds: f64) -> StepMetrics {
        let stage = self.run.stage;
        let tokens = stage.global_batch() * stage.sequence_length;
        let state = &mut self.contents.state;
        state.step += 1;
        state.tokens += tokens;
        state.seconds += seconds;
        StepMetrics {
            step: state.step,
            tokens: state.tokens,
            loss: result.loss,
            auxiliary_loss: result.auxiliary_loss,
            lr: result.learning_rate,
            grad_norm: result.grad_norm,
            loss_scale: result.scaling.map(|scaling| scaling.scale),
            skipped: result.scaling.is_some_and(|scaling| scaling.skipped),
            tokens_per_s: tokens as f64 / seconds.max(1e-9),
            seconds: state.seconds,
            heldout_loss: None,
            bits_per_byte: None,
            heldout_parts: BTreeMap::new(),
        }
    }

    fn evaluate(&self, engine: &mut Engine) -> Result<Option<Heldout>, Failure> {
        match self.heldout.is_empty() {
            true => Ok(None),
            false => engine.evaluate(&self.heldout, self.byte_lengths.as_deref()).map(Some),
        }
    }

    fn refuse_infinite(&self, result: &StepResult) -> Result<(), Failure> {
        if result.loss.is_finite() && result.grad_norm.is_finite() {
            return Ok(());
        }
        // A smaller scale may do; no scale helps what overflows by itself.
        if result.scaling.is_some_and(|scaling| scaling.skipped && scaling.scale >= LEAST_SCALE) {
            return Ok(());
        }
        let good = match self.checkpoints.newest() {
            Some(path) => format!("the last good weights are in `{}`; ", path.display()),
            None => "there is no checkpoint yet; ".to_owned(),
        };
        Err(Failure::with_help(
            LOSS_NOT_FINITE,
            format!(
                "step {} gave loss {} and gradient norm {}",
                self.contents.state.step + 1,
                result.loss,
                result.grad_norm
            ),
            format!("{good}lower `learning_rate`, lengthen `warmup`, or set `clip_norm: 1.0`"),
        ))
    }

    fn checkpoint(&self, engine: &Engine, history: &[StepMetrics]) -> Result<PathBuf, Failure> {
        let stage = self.run.stage;
        let state = &self.contents.state;
        let path = self.checkpoints.write(state.step, |directory| self.contents.write(directory, engine.device()))?;
        self.checkpoints.prune(stage.keep)?;
        let curve = Curve {
            title: &format!("{} / {}", self.run.plan.recipe, stage.name),
            steps: history,
            unigram: Some(self.unigram_entropy),
        };
        replace_file(&self.directory.join("loss.svg"), curve.draw().as_bytes())?;
        Ok(path)
    }
}

/// The held-out loss that a run ended with after `step` steps.
pub(super) fn last_heldout(directory: &Path, step: u64) -> Result<Option<Heldout>, Failure> {
    let (_, history) = MetricsFile::open(&directory.join(METRICS), step)?;
    let last = history.last().filter(|line| line.step == step);
    Ok(last.and_then(|line| {
        Some(Heldout { loss: line.heldout_loss?, bits_per_byte: line.bits_per_byte, parts: line.heldout_parts.clone() })
    }))
}

fn is_due(every: Option<u64>, step: u64) -> bool {
    every.is_some_and(|every| every > 0 && step.is_multiple_of(every))
}
