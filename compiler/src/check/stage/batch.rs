//! Sizes of a step: rows, micro-batches and their divisibility.

use llmc_grammar::codes::{BATCH_DOES_NOT_DIVIDE, TOO_LARGE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::record::{Read, Record};
use super::super::table::alternatives;
use super::super::units::Dimension;
use crate::plan::ObjectivePlan;

/// Rows and tokens of one optimizer step.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// Tokens in a row of the model's input.
    pub sequence_length: u64,
    /// Tokens of the data that a row is made from: with an encoder perhaps more, where spans are cut out of it.
    pub row_tokens: u64,
    /// Tokens in a row of the decoder's targets, where there is an encoder.
    pub target_length: Option<u64>,
    /// Rows of one pass.
    pub micro_batch: u64,
    /// Passes of one step.
    pub accumulation: u64,
    /// Tokens of one step.
    pub tokens: u64,
}

impl Batch {
    /// Rows of one step.
    pub fn rows(&self) -> u64 {
        self.micro_batch * self.accumulation
    }
}

/// Divides the global batch into micro-batches of whole rows. `with_encoder` is the objective of a model with an encoder.
pub fn check(record: &Record, with_encoder: Option<&ObjectivePlan>, diagnostics: &mut Diagnostics) -> Option<Batch> {
    let sequence_length = record.quantity("sequence_length")?.whole_in_base()?;
    let global = record.quantity("global_batch")?;
    let count = global.whole_in_base()?;
    let in_tokens = global.unit.dimension == Dimension::Tokens;
    if in_tokens && count % sequence_length != 0 {
        let (below, above) = neighbours(count, sequence_length);
        let mut fits = Vec::new();
        fits.extend(below.map(|tokens| sized(tokens, sequence_length)));
        fits.extend(above.map(|tokens| sized(tokens, sequence_length)));
        diagnostics.push(
            Diagnostic::error(BATCH_DOES_NOT_DIVIDE, format!("a batch of {count} tokens is no whole number of rows"))
                .label(record.place("global_batch"), format!("{count} / {sequence_length} is not whole"))
                .label(record.place("sequence_length"), "tokens in a row")
                .help(format!("nearest: {}", fits.join(" or "))),
        );
        return None;
    }
    let rows = if in_tokens { count / sequence_length } else { count };
    let micro_batch = match record.optional("micro_batch", Read::quantity)? {
        Some(quantity) => quantity.whole_in_base()?,
        None => rows,
    };
    if !rows.is_multiple_of(micro_batch) {
        diagnostics.push(uneven(record, rows, micro_batch, sequence_length, in_tokens));
        return None;
    }
    let Some(tokens) = rows.checked_mul(sequence_length) else {
        diagnostics.push(too_large(record, "global_batch"));
        return None;
    };
    let lengths = with_encoder.map(|objective| objective.kind.decoder_lengths(sequence_length));
    let (row_tokens, target_length) =
        (lengths.map_or(sequence_length, |(row, _)| row), lengths.map(|(_, target)| target));
    Some(Batch { sequence_length, row_tokens, target_length, micro_batch, accumulation: rows / micro_batch, tokens })
}

fn sized(tokens: u64, sequence_length: u64) -> String {
    let rows = tokens / sequence_length;
    format!("`{tokens} tokens` ({rows} {})", if rows == 1 { "row" } else { "rows" })
}

fn uneven(record: &Record, rows: u64, micro_batch: u64, sequence_length: u64, in_tokens: bool) -> Diagnostic {
    let (below, above) = neighbours(rows, micro_batch);
    let written = |rows: u64| match in_tokens {
        true => rows.checked_mul(sequence_length).map(|tokens| format!("`global_batch = {tokens} tokens`")),
        false => Some(format!("`global_batch = {rows} sequences`")),
    };
    let mut fits: Vec<String> = [below, above].into_iter().flatten().filter_map(written).collect();
    let micro = divisor_near(rows, micro_batch);
    fits.push(format!("`micro_batch = {micro} {}`", if micro == 1 { "sequence" } else { "sequences" }));
    Diagnostic::error(BATCH_DOES_NOT_DIVIDE, format!("{rows} rows do not divide into micro-batches of {micro_batch}"))
        .label(record.place("micro_batch"), format!("{rows} / {micro_batch} is not whole"))
        .label(record.place("global_batch"), format!("{rows} rows"))
        .help(format!("nearest: {}", alternatives(&fits)))
}

/// The multiples of `unit` just below (if above zero) and just above `count`.
fn neighbours(count: u64, unit: u64) -> (Option<u64>, Option<u64>) {
    let below = count / unit * unit;
    (Some(below).filter(|below| *below > 0), below.checked_add(unit))
}

/// The largest divisor of `count` that is at most `wanted`.
fn divisor_near(count: u64, wanted: u64) -> u64 {
    let mut best = 1;
    let mut small = 1_u64;
    while small <= 1 << 20 && small.saturating_mul(small) <= count {
        if count.is_multiple_of(small) {
            for divisor in [small, count / small] {
                if divisor <= wanted && divisor > best {
                    best = divisor;
                }
            }
        }
        small += 1;
    }
    best
}

/// `E0613` at a field.
pub fn too_large(record: &Record, field: &str) -> Diagnostic {
    Diagnostic::error(TOO_LARGE, "the stage would have more tokens than 64 bits can count")
        .label(record.place(field), "too large together with the other sizes")
}
