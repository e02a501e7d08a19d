//! How memory and time of a step grow with the context, and the longest context that fits: found by compiling the stage with
//! longer and longer rows.

use std::fmt::Write;

use llmc_compiler::plan::StagePlan;
use llmc_compiler::program::{Kernel, MemoryKind, Program, StagePrograms};
use llmc_compiler::schedule::{Hardware, cost};
use llmc_grammar::number::{bytes, flops, grouped};
use serde::Serialize;

use crate::failure::Failure;
use crate::train::compile::{Compiled, named_programs};

/// Lengths that are shown: the stage's own, then twice as long again and again.
const LENGTHS: u32 = 7;
/// The longest context is a multiple of this.
const GRAIN: u64 = 64;
/// Rows that nobody trains on yet, and an end to the search.
const LONGEST: u64 = 1 << 24;

/// A stage with rows of several lengths, the tokens of a step about the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// The stage's name.
    pub stage: String,
    /// The lengths, from the stage's own on.
    pub lengths: Vec<Length>,
    /// Bytes that the process may take.
    pub memory: u64,
    /// Of those, bytes that it takes beside the device's memory, whatever the length.
    pub process: u64,
    /// The longest rows that fit, one at a time, gradients summed over several; none where not even short ones do.
    pub longest: Option<Longest>,
}

/// What rows of one length cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Length {
    /// Tokens of a row.
    pub context: u64,
    /// Rows at a time.
    pub micro_batch: u64,
    /// How often in a step.
    pub accumulation: u64,
    /// Floating-point operations of a step; a multiply-add is two.
    pub flops: u128,
    /// Of those, scores and weighted sums of attention, which grow with the square of the context.
    pub attention_flops: u128,
    /// Device memory at its fullest, in bytes.
    pub memory: u64,
    /// Of those, what the backward pass needs of the forward pass, and all else that is there for a moment.
    pub activations: u64,
    /// Seconds of a step at the machine's measured peak: it takes no less. None where the peak is not known.
    pub seconds: Option<f64>,
}

/// The longest rows that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Longest {
    /// Tokens of a row, a multiple of 64.
    pub context: u64,
    /// Device memory at its fullest, in bytes.
    pub memory: u64,
    /// Whether even longer rows fit: the search ends at 16,777,216.
    pub at_least: bool,
}

/// What is known of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that the process may take.
    pub memory: u64,
    /// Bytes that it takes beside the device's memory.
    pub process: u64,
    /// Operations per second, if measured.
    pub flops: Option<f64>,
    /// The kind of device.
    pub hardware: Hardware,
}

impl Growth {
    /// Compiles the stage with longer and longer rows.
    ///
    /// # Errors
    /// What lowering says of a model that cannot have rows of such a length.
    pub fn of(stage: &StagePlan, limits: Limits) -> Result<Growth, Failure> {
        let mut lengths = Vec::new();
        for doubling in 0..LENGTHS {
            let context = stage.sequence_length << doubling;
            // The tokens at a time and in a step stay what they are, until one row has more.
            let micro_batch = (stage.micro_batch >> doubling).max(1);
            let rows = (stage.global_batch() >> doubling).max(1);
            let accumulation = (rows / micro_batch).max(1);
            if context > LONGEST {
                break;
            }
            lengths.push(length(&stage.with_rows(context, micro_batch, accumulation), limits)?);
        }
        let Limits { memory, process, .. } = limits;
        let longest = longest(stage, memory.saturating_sub(process), limits.hardware)?;
        Ok(Growth { stage: stage.name.clone(), lengths, memory, process, longest })
    }

    /// The table that `llmc compile --context` prints.
    pub fn table(&self) -> String {
        let timed = self.lengths.iter().any(|length| length.seconds.is_some());
        let mut rows = vec![
            ["context", "rows at a time", "FLOPs per token", "of attention", "memory", "activations", "a step takes"]
                .map(str::to_owned),
        ];
        for length in &self.lengths {
            let tokens = length.context * length.micro_batch * length.accumulation;
            rows.push([
                grouped(length.context),
                format!("{} x {}", grouped(length.micro_batch), grouped(length.accumulation)),
                flops(length.flops as f64 / tokens as f64),
                format!("{:.1}%", 100.0 * length.attention_flops as f64 / length.flops.max(1) as f64),
                format!(
                    "{}{}",
                    bytes(length.memory),
                    if length.memory + self.process > self.memory { " (too much)" } else { "" }
                ),
                bytes(length.activations),
                length.seconds.map_or(String::new(), |seconds| format!("> {}", short(seconds))),
            ]);
        }
        let columns = if timed { 7 } else { 6 };
        let widths: Vec<usize> =
            (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
        let mut text = format!("growth with context / {}\n\n", self.stage);
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
            let _ = writeln!(text, "  {}", cells.join("   ").trim_end());
        }
        let beside = match self.process {
            0 => String::new(),
            process => format!(", {} of it for the process itself", bytes(process)),
        };
        let _ = match &self.longest {
            Some(longest) => writeln!(
                text,
                "\n  longest context in {}{beside}: {}{} tokens, a row at a time, gradients summed ({})",
                bytes(self.memory),
                if longest.at_least { "at least " } else { "" },
                grouped(longest.context),
                bytes(longest.memory)
            ),
            None => writeln!(text, "\n  in {}{beside}, no row of {GRAIN} tokens fits", bytes(self.memory)),
        };
        text
    }
}

fn length(stage: &StagePlan, limits: Limits) -> Result<Length, Failure> {
    let programs = Compiled::of(stage, limits.hardware)?.programs;
    let attention = |program: &Program| -> u64 {
        let steps = program.steps.iter();
        steps
            .filter(|step| matches!(step.kernel, Kernel::Attention { .. } | Kernel::AttentionGrad { .. }))
            .map(cost::flops)
            .sum()
    };
    let sum = |of: &dyn Fn(&Program) -> u64| {
        let micro = programs.accumulate.as_ref().map_or(0, of);
        u128::from(micro) * u128::from(stage.accumulation) + u128::from(of(&programs.update))
    };
    let flops = sum(&|program| program.flops);
    let fullest = named_programs(&programs).into_iter().max_by_key(|program| program.scratch_bytes);
    let activations = fullest.map_or(0, |program| {
        let kinds = program.peak_by_kind.iter();
        kinds.filter(|(kind, _)| *kind == MemoryKind::Activations).map(|(_, used)| used).sum()
    });
    Ok(Length {
        context: stage.sequence_length,
        micro_batch: stage.micro_batch,
        accumulation: stage.accumulation,
        flops,
        attention_flops: sum(&attention),
        memory: memory(&programs),
        activations,
        seconds: limits.flops.map(|peak| flops as f64 / peak),
    })
}

/// Device memory at its fullest, in bytes.
fn memory(programs: &StagePrograms) -> u64 {
    let scratch = named_programs(programs).into_iter().map(|program| program.scratch_bytes).max();
    programs.persistent_bytes + scratch.unwrap_or(0)
}

/// The longest rows whose device memory is at most `limit`: the next multiple of 64 was compiled, too, and does not fit.
fn longest(stage: &StagePlan, limit: u64, hardware: Hardware) -> Result<Option<Longest>, Failure> {
    let needs = |grains: u64| {
        let compiled = Compiled::of(&stage.with_rows(grains * GRAIN, 1, 2), hardware)?;
        Ok::<u64, Failure>(memory(&compiled.programs))
    };
    let (mut fits, mut needed) = (0, 0);
    let mut next = (stage.sequence_length / GRAIN).max(1);
    // Doubled until it does not fit, or halved until it does.
    let (mut too_many, mut too_much) = loop {
        let bytes = needs(next)?;
        if bytes > limit {
            break (next, bytes);
        }
        (fits, needed) = (next, bytes);
        if next * GRAIN >= LONGEST {
            return Ok(Some(Longest { context: next * GRAIN, memory: needed, at_least: true }));
        }
        next = (next * 2).min(LONGEST / GRAIN);
    };
    while fits == 0 && too_many > 1 {
        let half = too_many / 2;
        match needs(half)? {
            bytes if bytes <= limit => (fits, needed) = (half, bytes),
            bytes => (too_many, too_much) = (half, bytes),
        }
    }
    if fits == 0 {
        return Ok(None);
    }
    // Memory is nearly a line: where it crosses the limit, then the middle, in turn.
    let mut on_the_line = true;
    while too_many - fits > 1 {
        let span = too_many - fits;
        let share = (limit - needed) as f64 / (too_much - needed).max(1) as f64;
        let step = if on_the_line { (share * span as f64) as u64 } else { span / 2 };
        let middle = fits + step.clamp(1, span - 1);
        on_the_line = !on_the_line;
        match needs(middle)? {
            bytes if bytes <= limit => (fits, needed) = (middle, bytes),
            bytes => (too_many, too_much) = (middle, bytes),
        }
    }
    Ok(Some(Longest { context: fits * GRAIN, memory: needed, at_least: false }))
}

/// `3.2 ms`, `1.5 s`, `2m 03s`
fn short(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.1} s"),
        s => llmc_grammar::number::duration(s),
    }
}
