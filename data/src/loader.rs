//! Streams cut into rows, rows gathered into batches.
//!
//! A stream is cut into rows of `T` inputs with `T + 1` tokens: the last target of a row is the first
//! input of the next, so every token but the first is predicted once an epoch. What does not fill a last
//! row is left out in training. Data that came as rows keeps them: targets are the inputs moved by one, and
//! the last position predicts nothing.

use llmc_compiler::plan::{Blend, StagePlan, repeats};

use super::batch::{Batch, IGNORED};
use super::order::RowOrder;
use super::stream::TokenStream;
use super::{Part, Prepared};

/// The training batches of a stage: each a pure function of the step and the micro-batch, so a resumed
/// run continues exactly.
#[derive(Debug, Clone)]
pub struct Loader {
    parts: Vec<Rows>,
    blend: Blend,
    row_length: u64,
    micro_batch: u64,
    accumulation: u64,
}

/// The rows of one part in the order in which they are read.
#[derive(Debug, Clone)]
struct Rows {
    stream: TokenStream,
    order: RowOrder,
}

impl Loader {
    /// The batches of `stage` from its prepared training splits, each of which must hold a row
    /// (as [`prepare`](super::prepare) has checked).
    pub fn new(prepared: &Prepared, stage: &StagePlan) -> Loader {
        let part = |(number, part): (usize, &Part)| {
            let rows = whole_rows(&part.train, stage.sequence_length);
            // The first part's order is that of the data set alone.
            let seed = stage.seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let order = if stage.shuffle { RowOrder::shuffled(rows, seed) } else { RowOrder::unshuffled(rows) };
            Rows { stream: part.train.clone(), order }
        };
        let parts: Vec<Rows> = prepared.parts.iter().enumerate().map(part).collect();
        let rows: Vec<u64> = parts.iter().map(|part| part.order.rows()).collect();
        Loader {
            parts,
            blend: prepared.shares.blend(&rows),
            row_length: stage.sequence_length,
            micro_batch: stage.micro_batch,
            accumulation: stage.accumulation,
        }
    }

    /// Rows of each part in one epoch of it.
    pub fn rows(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.order.rows()).collect()
    }

    /// Tokens at the ends of the streams that fill no row and are never predicted.
    pub fn unused_tokens(&self) -> u64 {
        let unused = |part: &Rows| match part.stream.row_length() {
            Some(_) => 0,
            None => part.stream.len() - (part.order.rows() * self.row_length + 1),
        };
        self.parts.iter().map(unused).sum()
    }

    /// How many times each part has been read before `step` begins.
    pub fn epochs_before(&self, step: u64) -> Vec<f64> {
        repeats(&self.blend, &self.rows(), step * self.accumulation * self.micro_batch)
    }

    /// Micro-batch `micro` of optimizer step `step`, both from 0. An epoch follows another without a gap:
    /// a batch may hold the end of one and the start of the next.
    pub fn batch(&self, step: u64, micro: u64) -> Batch {
        let first = (step * self.accumulation + micro) * self.micro_batch;
        let mut batch = Batch::with_capacity(self.micro_batch as usize, self.row_length as usize);
        for number in first..first + self.micro_batch {
            let (part, index) = self.blend.row(number);
            let Rows { stream, order } = &self.parts[part];
            add_row(&mut batch, stream, order.row(index / order.rows(), index % order.rows()));
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
    /// The held-out rows of every part that has some, with its name. The rows that a stage evaluates on are divided
    /// by the parts' shares; every part has at least one.
    pub fn of_parts(prepared: &Prepared, stage: &StagePlan) -> Vec<(String, Evaluation)> {
        let held = prepared.parts.iter().filter_map(|part| Some((part, part.heldout.clone()?)));
        let total: f64 = held.clone().map(|(part, _)| part.share).sum();
        let one = |(part, stream): (&Part, TokenStream)| {
            let share = if total > 0.0 { part.share / total } else { 0.0 };
            let rows = ((stage.evaluate_rows as f64 * share).round() as u64).max(1);
            (part.name.clone(), Evaluation::new(stream, stage, rows))
        };
        held.map(one).collect()
    }

    /// The first rows of a held-out split, at most `most`. A last row that is not full counts.
    pub fn new(heldout: TokenStream, stage: &StagePlan, most: u64) -> Evaluation {
        let held = match heldout.row_length() {
            Some(length) => heldout.len() / length,
            None => heldout.len().saturating_sub(1).div_ceil(stage.sequence_length),
        };
        Evaluation {
            stream: heldout,
            rows: held.min(most),
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

/// Rows of `row_length` tokens in a stream, or the rows that it came as.
pub fn whole_rows(stream: &TokenStream, row_length: u64) -> u64 {
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
