//! Timing the steps of a stage, with the engine and the loader that train it.

mod account;
mod compile;
mod data;
mod generate;
mod table;

use std::path::Path;
use std::time::Instant;

use llmc_compiler::plan::{Plan, StagePlan};
use serde::Serialize;

use account::{Timed, Work, works};

use crate::failure::Failure;
use crate::report::clock;
use crate::report::predict::Prediction;
use crate::train::compile::{Compiled, named_programs};
use crate::train::engine::Engine;
use crate::train::machine::Machine;
use crate::train::space;
use crate::train::weights;
use llmc_data::{Loader, prepare};

/// Bytes in what is called a megabyte in the results, as in those of other tools.
const MEBIBYTE: f64 = 1_048_576.0;

pub use account::{Account, Row};
pub use compile::{CompileTimes, compile_times};
pub use data::data_times;
pub use generate::{GenerateBench, GenerateSummary, Size};

/// Steps before time is taken: caches fill, the processor finds its clock.
const WARM_UP: u64 = 3;

/// A stage that is ready to be timed.
pub struct Bench {
    engine: Engine,
    loader: Loader,
    next_step: u64,
    times: Vec<f64>,
    losses: [f64; 2],
    /// Of each program, in the order of the device.
    works: Vec<Vec<Work>>,
    facts: Facts,
}

/// What is known before any step is timed.
struct Facts {
    recipe: String,
    stage: String,
    threads: usize,
    prediction: Prediction,
    batch: u64,
    seq: u64,
    first_step_s: f64,
}

/// What a bench found.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The recipe's name.
    pub recipe: String,
    /// The stage's name.
    pub stage: String,
    /// Tokens of a step over the median time of a step.
    pub tokens_per_s: f64,
    /// Median time of a step in milliseconds.
    pub step_ms: f64,
    /// Time of the fastest step in milliseconds.
    pub step_ms_best: f64,
    /// Largest resident set of the process so far, in MiB; 0 where the system does not tell.
    pub peak_rss_mb: f64,
    /// Memory of the card that is taken, by the driver and others too, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_mb: Option<f64>,
    /// What was predicted before the first step, in MiB: of the card where there is one, else of the resident set.
    pub predicted_peak_mb: f64,
    /// Seconds from the start of the process to the end of the first step.
    pub first_step_s: f64,
    /// Threads of the device.
    pub threads: usize,
    /// Rows of one optimizer step.
    pub batch: u64,
    /// Tokens in a row.
    pub seq: u64,
    /// Trained values.
    pub params: u64,
    /// Operations of one step: matrix products and attention, a multiply-add is two.
    pub flops_per_step: u64,
    /// Loss of the very first step.
    pub loss_first: f64,
    /// Loss of the last step.
    pub loss_last: f64,
    /// Steps that were timed.
    pub steps: usize,
}

impl Bench {
    /// Compiles the stage, opens the device, fills the weights with their initialisers (wherever the stage would
    /// take them from) and runs the warm-up.
    ///
    /// # Errors
    /// Everything that the machine or the data can refuse.
    pub fn open(plan: &Plan, stage: &StagePlan, base: &Path, machine: &Machine) -> Result<Bench, Failure> {
        let runnable = Compiled::of(stage, machine.choice.hardware())?.into_runnable(machine);
        let prediction = Prediction::of(stage, &runnable.programs, machine)?;
        let works = named_programs(&runnable.programs).into_iter().map(works).collect();
        let prepared = prepare(plan, stage, base, &|_| {})?;
        let mut engine = Engine::new(runnable, stage, machine)?;
        weights::initialise(engine.device_mut(), stage)?;
        let loader = Loader::new(&prepared, stage);
        let first = engine.step(&loader, 0)?;
        let facts = Facts {
            recipe: plan.recipe.clone(),
            stage: stage.name.clone(),
            threads: machine.threads,
            prediction,
            batch: stage.global_batch(),
            seq: stage.sequence_length,
            first_step_s: clock::seconds(),
        };
        let mut bench =
            Bench { engine, loader, next_step: 1, times: Vec::new(), losses: [first.loss; 2], works, facts };
        bench.run(WARM_UP)?;
        bench.times.clear();
        Ok(bench)
    }

    /// Runs `count` more steps. Gives the seconds of each.
    ///
    /// # Errors
    /// Of the device.
    pub fn run(&mut self, count: u64) -> Result<Vec<f64>, Failure> {
        let mut seconds = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            let result = self.engine.step(&self.loader, self.next_step)?;
            seconds.push(began.elapsed().as_secs_f64());
            self.next_step += 1;
            self.losses[1] = result.loss;
        }
        self.times.extend_from_slice(&seconds);
        Ok(seconds)
    }

    /// The account of the middle one, by its time, of `count` more steps in which every kernel is timed; none where the device
    /// cannot time them.
    ///
    /// # Errors
    /// Of the device.
    pub fn account(&mut self, count: u64) -> Result<Option<Account>, Failure> {
        let Some(before) = self.engine.device().measure_peaks() else { return Ok(None) };
        let untimed = median(&self.times);
        let taken = self.times.len();
        let mut steps = Vec::new();
        for _ in 0..count.max(1) {
            self.engine.device_mut().time_steps(true);
            let seconds: f64 = self.run(1)?.iter().sum();
            let of_programs = self.engine.programs_of_a_step().into_iter();
            let timed = of_programs.map(|(program, runs)| Timed {
                works: self.works[program].clone(),
                seconds: self.engine.device().step_seconds(program),
                runs,
            });
            steps.push((seconds, timed.collect::<Vec<_>>()));
        }
        self.engine.device_mut().time_steps(false);
        // They are no part of the summary: looking costs a little.
        self.times.truncate(taken);
        steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let (seconds, programs) = steps.swap_remove((steps.len() - 1) / 2);
        // The machine may be shared: what others took of it before, they may have left since.
        let peaks = self.engine.device().measure_peaks().map_or(before, |after| before.best(after));
        Ok(Some(Account::new(&programs, &peaks, seconds, untimed)))
    }

    /// Of all steps after the warm-up.
    pub fn summary(&self) -> Summary {
        let step_s = median(&self.times);
        let Facts { recipe, stage, threads, prediction, batch, seq, first_step_s } = &self.facts;
        Summary {
            recipe: recipe.clone(),
            stage: stage.clone(),
            tokens_per_s: rounded((batch * seq) as f64 / step_s, 1),
            step_ms: rounded(step_s * 1e3, 3),
            step_ms_best: rounded(self.times.iter().copied().fold(f64::INFINITY, f64::min) * 1e3, 3),
            peak_rss_mb: rounded(space::peak_resident().unwrap_or(0) as f64 / MEBIBYTE, 1),
            card_mb: self.engine.device().memory_in_use().map(|bytes| rounded(bytes as f64 / MEBIBYTE, 1)),
            predicted_peak_mb: rounded(prediction.memory_bytes() as f64 / MEBIBYTE, 1),
            first_step_s: rounded(*first_step_s, 3),
            threads: *threads,
            batch: *batch,
            seq: *seq,
            params: prediction.parameters,
            flops_per_step: u64::try_from(prediction.flops_per_step).unwrap_or(u64::MAX),
            loss_first: self.losses[0],
            loss_last: self.losses[1],
            steps: self.times.len(),
        }
    }
}

/// The middle value, or the mean of the two; not a number where there is none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
    }
}

/// `value` with this many decimals.
fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(rounded(1.25678, 2), 1.26);
    }
}
