//! Streams cut into rows, rows gathered into batches.
//!
//! A stream is cut into rows of `T` inputs with `T + 1` tokens: the last target of a row is the first
//! input of the next, so every token but the first is predicted once an epoch. What does not fill a last
//! row is left out in training. Data that came as rows keeps them: targets are the inputs moved by one, and
//! the last position predicts nothing.

use llmc_compiler::plan::StagePlan;

use super::batch::{Batch, IGNORED};
use super::order::RowOrder;
use super::stream::TokenStream;

/// The training batches of a stage: each a pure function of the step and the micro-batch, so a resumed
/// run continues exactly.
#[derive(Debug, Clone)]
pub struct Loader {
    stream: TokenStream,
    order: RowOrder,
    row_length: u64,
    micro_batch: u64,
    accumulation: u64,
}

impl Loader {
    /// The batches of `stage` from its prepared training split, which must hold a row
    /// (as [`prepare`](super::prepare) has checked).
    pub fn new(train: TokenStream, stage: &StagePlan) -> Loader {
        let rows = whole_rows(&train, stage.sequence_length);
        let order = if stage.shuffle { RowOrder::shuffled(rows, stage.seed) } else { RowOrder::unshuffled(rows) };
        Loader {
            stream: train,
            order,
            row_length: stage.sequence_length,
            micro_batch: stage.micro_batch,
            accumulation: stage.accumulation,
        }
    }

    /// Rows of one epoch.
    pub fn rows_per_epoch(&self) -> u64 {
        self.order.rows()
    }

    /// Tokens at the end of the stream that fill no row and are never predicted.
    pub fn unused_tokens(&self) -> u64 {
        if self.stream.row_length().is_some() {
            return 0;
        }
        self.stream.len() - (self.rows_per_epoch() * self.row_length + 1)
    }

    /// How many times the data has been seen before `step` begins.
    pub fn epochs_before(&self, step: u64) -> f64 {
        (step * self.accumulation * self.micro_batch) as f64 / self.rows_per_epoch() as f64
    }

    /// Micro-batch `micro` of optimizer step `step`, both from 0. An epoch follows another without a gap:
    /// a batch may hold the end of one and the start of the next.
    pub fn batch(&self, step: u64, micro: u64) -> Batch {
        let first = (step * self.accumulation + micro) * self.micro_batch;
        let mut batch = Batch::with_capacity(self.micro_batch as usize, self.row_length as usize);
        for number in first..first + self.micro_batch {
            let rows = self.rows_per_epoch();
            add_row(&mut batch, &self.stream, self.order.row(number / rows, number % rows));
        }
        batch
    }
}

/// The held-out rows of a stage in order, as batches of its size.
#[derive(Debug, Clone)]
pub struct Evaluation {
    stream: TokenStream,
    rows: u64,
    row_length: u64,
    micro_batch: u64,
}

impl Evaluation {
    /// The first rows of the held-out split, at most `evaluate_rows`. A last row that is not full counts.
    pub fn new(heldout: TokenStream, stage: &StagePlan) -> Evaluation {
        let held = match heldout.row_length() {
            Some(length) => heldout.len() / length,
            None => heldout.len().saturating_sub(1).div_ceil(stage.sequence_length),
        };
        Evaluation {
            stream: heldout,
            rows: held.min(stage.evaluate_rows),
            row_length: stage.sequence_length,
            micro_batch: stage.micro_batch,
        }
    }

    /// Rows that are evaluated.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Batches that hold them.
    pub fn batches(&self) -> u64 {
        self.rows.div_ceil(self.micro_batch)
    }

    /// Batch `index`. Where rows or tokens are missing, token 0 stands with targets [`IGNORED`].
    pub fn batch(&self, index: u64) -> Batch {
        let first = index * self.micro_batch;
        let mut batch = Batch::with_capacity(self.micro_batch as usize, self.row_length as usize);
        for row in first..first + self.micro_batch {
            if row < self.rows {
                add_row(&mut batch, &self.stream, row);
            } else {
                pad_row(&mut batch, 0);
            }
        }
        batch
    }
}

fn whole_rows(stream: &TokenStream, row_length: u64) -> u64 {
    match stream.row_length() {
        Some(length) => stream.len() / length,
        None => stream.len().saturating_sub(1) / row_length,
    }
}

/// Appends row `row` of the stream, padded where the stream ends before it.
fn add_row(batch: &mut Batch, stream: &TokenStream, row: u64) {
    let length = batch.row_length as u64;
    let start = row * length;
    let is_row = stream.row_length().is_some();
    // A row of a stream has one token more than inputs, its last target.
    let end = stream.len().min(start + length + u64::from(!is_row));
    let inputs = (end - u64::from(!is_row)) - start;
    stream.read(start..start + inputs, &mut batch.tokens);
    stream.read(start + 1..end, &mut batch.targets);
    if is_row {
        batch.targets.push(IGNORED);
    }
    let first = stream.document_of(start);
    let (mut document, mut document_end) = (first, stream.document_end(first));
    for token in start..start + inputs {
        while token >= document_end {
            document += 1;
            document_end = stream.document_end(document);
        }
        batch.positions.push((token - start) as i32);
        batch.documents.push((document - first) as i32);
    }
    pad_row(batch, inputs as usize);
}

/// Fills the last row, of which `filled` positions are there, and counts it.
fn pad_row(batch: &mut Batch, filled: usize) {
    let document = if filled == 0 { 0 } else { batch.documents.last().map_or(0, |last| last + 1) };
    for position in filled..batch.row_length {
        batch.tokens.push(0);
        batch.targets.push(IGNORED);
        batch.positions.push(position as i32);
        batch.documents.push(document);
    }
    batch.rows += 1;
}
