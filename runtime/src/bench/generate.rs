//! Timing how a model reads prompts and draws tokens.

use std::fmt::Write;
use std::time::Instant;

use llmc_compiler::plan::StagePlan;
use llmc_compiler::program::{Kernel, MemoryKind, Program};
use llmc_grammar::codes::TOO_LONG;
use serde::Serialize;

use super::account::{Timed, Work, works};
use super::{Account, MEBIBYTE, median, rounded};
use crate::checkpoint::fit::load_weights;
use crate::checkpoint::model::{TrainedModel, context};
use crate::failure::Failure;
use crate::generate::decoder::{Decoder, Decoding, Extent, STEP};
use crate::generate::sample::Sampling;
use crate::train::machine::Machine;
use crate::train::{space, weights};
use llmc_grammar::number::{bytes, count};

/// How often the prompts are read and continued.
const ROUNDS: usize = 3;
/// Without other sizes.
const PROMPT_TOKENS: u64 = 128;
const TOKENS: u64 = 64;

/// What is timed.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Texts side by side.
    pub batch: u64,
    /// Tokens of each prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens drawn for each text, at least 2.
    pub tokens: Option<u64>,
}

/// A model ready to be timed.
pub struct GenerateBench {
    name: String,
    decoder: Decoder,
    prompts: Vec<Vec<u32>>,
    tokens: usize,
    threads: usize,
    params: u64,
    /// Of a step that draws a token.
    works: Vec<Work>,
    weight_bytes: u64,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct GenerateSummary {
    /// The recipe's or directory's name.
    pub model: String,
    /// Threads of the device.
    pub threads: usize,
    /// Trained values.
    pub params: u64,
    /// Texts side by side.
    pub batch: usize,
    /// Tokens of each prompt.
    pub prompt_tokens: usize,
    /// Tokens drawn for each text.
    pub tokens: usize,
    /// Tokens of the prompts over the median time until the first tokens are there.
    pub prefill_tokens_per_s: f64,
    /// That time in milliseconds.
    pub prefill_ms: f64,
    /// Texts over the median time of a step that draws a token for each.
    pub decode_tokens_per_s: f64,
    /// That time in milliseconds.
    pub ms_per_token: f64,
    /// Bytes of the weights that such a step multiplies with.
    pub weight_bytes_per_step: u64,
    /// Those bytes over the time of a step, over what a copy reads and writes in that time; none where the device cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights_share_of_copy: Option<f64>,
    /// Largest resident set of the process so far, in MiB; 0 where the system does not tell.
    pub peak_rss_mb: f64,
}

impl GenerateBench {
    /// A stage's model with the weights that training starts with.
    ///
    /// # Errors
    /// If the model has no room for so many tokens, or the machine has not the memory.
    pub fn of_stage(name: &str, stage: &StagePlan, size: Size, machine: &Machine) -> Result<GenerateBench, Failure> {
        let mut bench = GenerateBench::open(name, stage, size, machine)?;
        weights::initialise(bench.decoder.device_mut(), stage)?;
        Ok(bench)
    }

    /// A trained model.
    ///
    /// # Errors
    /// As [`GenerateBench::of_stage`], or if the weights do not fit.
    pub fn of_model(model: &TrainedModel, size: Size, machine: &Machine) -> Result<GenerateBench, Failure> {
        let place = model.directory.display().to_string();
        let mut bench = GenerateBench::open(&place, &model.stage, size, machine)?;
        load_weights(bench.decoder.device_mut(), &model.stage.model, &model.weights, &place)?;
        Ok(bench)
    }

    fn open(name: &str, stage: &StagePlan, size: Size, machine: &Machine) -> Result<GenerateBench, Failure> {
        let (batch, context, vocab) = (size.batch, context(stage), stage.model.vocab);
        let prompt = size.prompt_tokens.unwrap_or_else(|| PROMPT_TOKENS.min(context / 2).max(1));
        // The last token drawn is never read.
        let tokens = size.tokens.unwrap_or_else(|| TOKENS.min((context + 1).saturating_sub(prompt)).max(2));
        let capacity = prompt.saturating_add(tokens - 1);
        if capacity > context {
            let reason =
                format!("a prompt of {prompt} tokens and {tokens} more do not fit into a context of {context}");
            return Err(Failure::new(TOO_LONG, reason));
        }
        let decoding = Decoding::compile(stage, Extent { batch, prompt, capacity }, machine.choice.hardware())?;
        let step = &decoding.programs[STEP];
        let (works, weight_bytes) = (works(step), weight_bytes(step));
        // Any tokens will do, different in each text.
        let id = |row: u64, index: u64| ((row * 7919 + index * 104_729) % vocab) as u32;
        let prompts = (0..batch).map(|row| (0..prompt).map(|index| id(row, index)).collect()).collect();
        Ok(GenerateBench {
            name: name.to_owned(),
            decoder: decoding.open(machine)?,
            prompts,
            tokens: tokens as usize,
            threads: machine.threads,
            params: stage.model.weights.iter().map(|weight| weight.elements()).sum(),
            works,
            weight_bytes,
        })
    }

    /// Reads the prompts and continues them some times, and once more to time every kernel of drawing a token.
    ///
    /// # Errors
    /// Of the device.
    pub fn run(&mut self) -> Result<(GenerateSummary, Option<Account>), Failure> {
        // What is read first finds its memory and its threads.
        self.round(2)?;
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (prefill, steps) = self.round(self.tokens)?;
            first.push(prefill);
            later.extend(steps);
        }
        let (prefill_s, step_s) = (median(&first), median(&later));
        let (batch, prompt_tokens) = (self.prompts.len(), self.prompts[0].len());
        let peaks = self.decoder.device_mut().measure_peaks();
        let share = |copy: f64| rounded(self.weight_bytes as f64 / step_s / copy, 4);
        let summary = GenerateSummary {
            model: self.name.clone(),
            threads: self.threads,
            params: self.params,
            batch,
            prompt_tokens,
            tokens: self.tokens,
            prefill_tokens_per_s: rounded((batch * prompt_tokens) as f64 / prefill_s, 1),
            prefill_ms: rounded(prefill_s * 1e3, 3),
            decode_tokens_per_s: rounded(batch as f64 / step_s, 1),
            ms_per_token: rounded(step_s * 1e3, 3),
            weight_bytes_per_step: self.weight_bytes,
            weights_share_of_copy: peaks.map(|peaks| share(peaks.copy_bytes)),
            peak_rss_mb: rounded(space::peak_resident().unwrap_or(0) as f64 / MEBIBYTE, 1),
        };
        let Some(peaks) = peaks else { return Ok((summary, None)) };
        // Only the steps are timed: reading the prompts is another program.
        self.decoder.device_mut().time_steps(true);
        let (_, steps) = self.round(self.tokens)?;
        let runs = steps.len() as f64;
        // The step that draws the first token runs the same program.
        let seconds = self.decoder.device_mut().step_seconds(STEP).into_iter().map(|all| all / (runs + 1.0));
        let timed = Timed { works: self.works.clone(), seconds: seconds.collect(), runs: 1 };
        self.decoder.device_mut().time_steps(false);
        let account = Account::new(&[timed], &peaks, steps.iter().sum::<f64>() / runs, step_s);
        Ok((summary, Some(account)))
    }

    /// Reads the prompts and draws `tokens` tokens for each. Gives the seconds until the first, and of each step after it.
    fn round(&mut self, tokens: usize) -> Result<(f64, Vec<f64>), Failure> {
        let (vocab, greedy) = (self.decoder.vocab(), Sampling::greedy());
        let texts: Vec<&[u32]> = self.prompts.iter().map(Vec::as_slice).collect();
        let mut began = Instant::now();
        self.decoder.start(&texts)?;
        let mut next: Vec<Option<u32>> = texts.iter().map(|text| text.last().copied()).collect();
        let mut seconds = Vec::with_capacity(tokens);
        for _ in 0..tokens {
            let logits = self.decoder.step(&next)?;
            for (token, logits) in next.iter_mut().zip(logits.chunks_exact(vocab)) {
                *token = Some(greedy.choose(logits, 0));
            }
            seconds.push(began.elapsed().as_secs_f64());
            began = Instant::now();
        }
        let first = seconds.remove(0);
        Ok((first, seconds))
    }
}

/// Bytes of the weights that a program reads as a whole: all but tables of which it looks up rows.
fn weight_bytes(program: &Program) -> u64 {
    let whole = program.steps.iter().filter(|step| !matches!(step.kernel, Kernel::Gather));
    let read: std::collections::BTreeSet<_> = whole.flat_map(|step| &step.reads).map(|view| view.buffer).collect();
    let buffers = read.into_iter().map(|buffer| &program.buffers[buffer]);
    buffers.filter(|buffer| buffer.kind == MemoryKind::Weights).map(|buffer| buffer.bytes).sum()
}

impl GenerateSummary {
    /// The figures, a line each.
    pub fn table(&self) -> String {
        let GenerateSummary { model, batch, prompt_tokens, tokens, threads, .. } = self;
        let (texts, plural) = (if *batch == 1 { "" } else { "s" }, if *threads == 1 { "" } else { "s" });
        let mut text =
            format!("{model}: {batch} text{texts} of {prompt_tokens} + {tokens} tokens, {threads} thread{plural}\n\n");
        let share = self.weights_share_of_copy.map(|share| format!(", {:.1}% of what a copy moves", share * 100.0));
        let read = format!("{} of weights a step{}", bytes(self.weight_bytes_per_step), share.unwrap_or_default());
        for (name, value, note) in [
            ("parameters", count(self.params), String::new()),
            ("prefill tokens/s", format!("{:.1}", self.prefill_tokens_per_s), format!("{:.2} ms", self.prefill_ms)),
            (
                "decode tokens/s",
                format!("{:.1}", self.decode_tokens_per_s),
                format!("{:.2} ms a token", self.ms_per_token),
            ),
            ("weights", String::new(), read),
            ("peak memory", format!("{:.1} MiB", self.peak_rss_mb), String::new()),
        ] {
            let _ = writeln!(text, "{}", format!("  {name:17} {value:>12}  {note}").trim_end());
        }
        text
    }
}
