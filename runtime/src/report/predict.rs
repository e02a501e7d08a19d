//! What `llmc compile` predicts of a stage, computed from the programs that will run.

use std::collections::BTreeMap;
use std::fmt::Write;

use llmc_compiler::plan::{PartEpochs, StagePlan, WeightPlan};
use llmc_compiler::program::{MemoryKind, Program, StagePrograms};

use crate::checkpoint::contents::{model_layout, optimizer_layout};
use crate::device::{cpu, cuda};
use crate::failure::Failure;
use crate::train::machine::Machine;
use crate::train::space;
use llmc_compiler::schedule::Hardware;
use llmc_grammar::codes::NO_CUDA_KERNEL;
use llmc_grammar::number::{bytes, count, flops, grouped};

/// What every run takes after it was compiled: code that was not needed before, batches, buffers of files.
const LATER_BYTES: u64 = 5 << 19;

/// The prediction for one stage. All sizes are exact bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Values of all weights.
    pub parameters: u64,
    /// Values of the weights that are not frozen.
    pub trained: u64,
    /// Floating-point operations of one optimizer step; a multiply-add is two.
    pub flops_per_step: u128,
    /// Tokens of one optimizer step.
    pub tokens_per_step: u64,
    /// Both regions of the programs at their fullest.
    pub peak_bytes: u64,
    /// What a card holds beside them; none on a processor.
    pub card_bytes: Option<u64>,
    /// What the process takes of the host's memory beside the regions that lie there: the program itself, the plan, launches,
    /// working memory of the threads. None where the system does not tell what this process has now.
    pub process_bytes: Option<u64>,
    /// The same by what it is for; `None` is what alignment and fragmentation add.
    pub peak_by_kind: Vec<(Option<MemoryKind>, u64)>,
    /// Bytes of `model.safetensors`.
    pub model_bytes: u64,
    /// Bytes of `optimizer.safetensors`.
    pub optimizer_bytes: u64,
}

impl Prediction {
    /// The prediction for `stage`, whose programs these are. To be called when everything that compiling needed has been given
    /// back: what the process has then is part of the prediction.
    ///
    /// # Errors
    /// A step that has no kernel on the machine's card.
    pub fn of(stage: &StagePlan, programs: &StagePrograms, machine: &Machine) -> Result<Prediction, Failure> {
        let all: Vec<&Program> = programs.accumulate.iter().chain([&programs.update, &programs.evaluate]).collect();
        let fullest = all.iter().max_by_key(|program| program.scratch_bytes);
        let scratch_bytes = fullest.map_or(0, |program| program.scratch_bytes);
        let peak_bytes = programs.persistent_bytes + scratch_bytes;
        let mut by_kind: BTreeMap<MemoryKind, u64> = BTreeMap::new();
        for state in &programs.persistent {
            *by_kind.entry(state.kind).or_default() += state.bytes;
        }
        for (kind, used) in fullest.iter().flat_map(|program| &program.peak_by_kind) {
            *by_kind.entry(*kind).or_default() += used;
        }
        let named: u64 = by_kind.values().sum();
        let mut peak_by_kind: Vec<(Option<MemoryKind>, u64)> =
            by_kind.into_iter().map(|(kind, used)| (Some(kind), used)).collect();
        peak_by_kind.push((None, peak_bytes.saturating_sub(named)));
        peak_by_kind.retain(|(_, used)| *used > 0);
        let (card_bytes, host_bytes) = match machine.choice.hardware() {
            Hardware::Processor => (None, cpu::working_bytes(&all, machine.threads)),
            Hardware::Card => {
                let working = cuda::working_bytes(&all);
                (Some(working.map_err(|missing| Failure::new(NO_CUDA_KERNEL, missing.to_string()))?), 0)
            }
        };
        let accumulated = programs.accumulate.as_ref().map_or(0, |program| program.flops);
        Ok(Prediction {
            parameters: stage.model.weights.iter().map(|weight| weight.elements()).sum(),
            trained: stage.trained().map(WeightPlan::elements).sum(),
            flops_per_step: u128::from(accumulated) * u128::from(stage.accumulation)
                + u128::from(programs.update.flops),
            tokens_per_step: stage.global_batch() * stage.sequence_length,
            peak_bytes,
            card_bytes,
            process_bytes: space::resident().map(|now| now + host_bytes + LATER_BYTES),
            peak_by_kind,
            model_bytes: model_layout(&stage.model).bytes(),
            optimizer_bytes: optimizer_layout(stage).bytes(),
        })
    }

    /// On a card what is allocated there. On a processor the resident set of the training process at its fullest, without the
    /// process where the system does not tell of it.
    pub fn memory_bytes(&self) -> u64 {
        self.peak_bytes + self.card_bytes.or(self.process_bytes).unwrap_or(0)
    }

    /// Bytes of one checkpoint's tensors.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.model_bytes + self.optimizer_bytes
    }

    /// The table that `llmc compile` prints.
    pub fn table(&self, recipe: &str, stage: &StagePlan) -> String {
        let mut rows: Vec<(String, String, String)> = Vec::new();
        let mut row = |name: &str, value: String, note: String| rows.push((name.to_owned(), value, note));
        // Fits: operations of a micro-batch do.
        let per_token = (self.flops_per_step / u128::from(self.tokens_per_step.max(1))) as u64;
        let batch = format!(
            "{} sequences of {} tokens, {} at a time",
            grouped(stage.global_batch()),
            grouped(stage.sequence_length),
            grouped(stage.micro_batch)
        );
        row("model", stage.model.name.clone(), String::new());
        row("parameters", grouped(self.parameters), count(self.parameters));
        if self.trained < self.parameters {
            row("  trained", grouped(self.trained), count(self.trained));
        }
        row("FLOPs per token", grouped(per_token), flops(per_token as f64));
        row("tokens per step", grouped(self.tokens_per_step), batch);
        row("steps", grouped(stage.steps), String::new());
        row("tokens", grouped(stage.tokens()), count(stage.tokens()));
        for PartEpochs { part, epochs } in &stage.epochs {
            row(&format!("  epochs of {part}"), format!("{epochs:.2}"), String::new());
        }
        let total = self.flops_per_step as f64 * stage.steps as f64;
        row("FLOPs", format!("{total:.3e}"), flops(total));
        let memory = self.memory_bytes();
        let whose = if self.card_bytes.is_some() { ", of the card" } else { "" };
        row("peak memory", grouped(memory), bytes(memory) + whose);
        for (kind, used) in &self.peak_by_kind {
            row(&format!("  {}", kind_name(*kind)), grouped(*used), bytes(*used));
        }
        if let Some(working) = self.card_bytes {
            row("  workspace", grouped(working), bytes(working));
        }
        if let Some(process) = self.process_bytes {
            let name = if self.card_bytes.is_some() { "host memory" } else { "  process" };
            row(name, grouped(process), bytes(process));
        }
        let checkpoint = self.checkpoint_bytes();
        row("checkpoint", grouped(checkpoint), bytes(checkpoint));
        row("  model", grouped(self.model_bytes), bytes(self.model_bytes));
        row("  optimizer", grouped(self.optimizer_bytes), bytes(self.optimizer_bytes));
        let width = |column: fn(&(String, String, String)) -> &String| {
            rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
        };
        let (names, values) = (width(|row| &row.0), width(|row| &row.1));
        let mut text = format!("{recipe} / {}\n\n", stage.name);
        for (name, value, note) in &rows {
            let line = format!("  {name:names$}  {value:>values$}  {note}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

fn kind_name(kind: Option<MemoryKind>) -> &'static str {
    match kind {
        Some(MemoryKind::Weights) => "weights",
        Some(MemoryKind::Gradients) => "gradients",
        Some(MemoryKind::Optimizer) => "optimizer",
        Some(MemoryKind::Activations) => "activations",
        Some(MemoryKind::Inputs) => "inputs",
        Some(MemoryKind::Cache) => "cache",
        None => "alignment",
    }
}
