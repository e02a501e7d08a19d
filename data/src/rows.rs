//! Streams cut into rows.
//!
//! Concatenated, a stream is cut into rows of `T` inputs with `T + 1` tokens: the last target of a row is the first
//! input of the next, so every token but the first is predicted once an epoch. Packed, a document's last token is no
//! input and its first is no target, and what a row does not fill is padding. Data that came as rows keeps them:
//! targets are the inputs moved by one, and the last position predicts nothing.

use std::sync::Arc;

use llmc_compiler::plan::{Packing as Manner, StagePlan};
use llmc_grammar::number::grouped;
use serde::Serialize;

use super::batch::{Batch, IGNORED};
use super::packing::{Packing, Piece};
use super::stream::TokenStream;

/// The rows of a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rows {
    stream: TokenStream,
    cut: Cut,
    row_length: u64,
    /// Whether positions are counted from the start of a document, not of the row.
    restart: bool,
    manner: Manner,
}

#[derive(Debug, Clone)]
enum Cut {
    /// As many rows of the stream as it lies, the last of which may be part of one.
    Concatenated(u64),
    /// The rows that came.
    Finished(u64),
    Packed(Arc<Packing>),
}

/// What fills the rows of one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RowsReport {
    /// How the stage packs documents.
    pub packing: Manner,
    /// Rows.
    pub rows: u64,
    /// Positions of all rows.
    pub positions: u64,
    /// Positions that predict nothing because no token follows in the row.
    pub padding: u64,
    /// Documents that lie in several rows.
    pub documents_cut: u64,
    /// Tokens at the end of the stream that fill no row, or documents of a single token: they are not trained on.
    pub left_out: u64,
}

impl RowsReport {
    /// Of the rows of two streams that are packed in the same manner.
    pub fn plus(self, other: RowsReport) -> RowsReport {
        RowsReport {
            packing: self.packing,
            rows: self.rows + other.rows,
            positions: self.positions + other.positions,
            padding: self.padding + other.padding,
            documents_cut: self.documents_cut + other.documents_cut,
            left_out: self.left_out + other.left_out,
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let share = 100.0 * self.padding as f64 / self.positions.max(1) as f64;
        let (packed, left_out) = match self.packing {
            Manner::Concatenate => ("documents one after another", "tokens at the end left out"),
            Manner::BestFit => ("documents packed by best fit", "documents of one token left out"),
            Manner::Pad => ("each document by itself", "documents of one token left out"),
        };
        format!(
            "rows: {} of {} tokens, {packed}: {} cut, {share:.2}% padding, {} {left_out}",
            grouped(self.rows),
            grouped(self.positions / self.rows.max(1)),
            grouped(self.documents_cut),
            grouped(self.left_out),
        )
    }
}

impl Rows {
    /// The rows of what a stage trains on: all of them full, where they are not packed.
    pub fn training(stream: TokenStream, stage: &StagePlan) -> Rows {
        Rows::new(stream, stage, |pairs, length| pairs / length)
    }

    /// The rows of what a stage is evaluated on: all of it, the last row perhaps not full.
    pub fn evaluation(stream: TokenStream, stage: &StagePlan) -> Rows {
        Rows::new(stream, stage, u64::div_ceil)
    }

    fn new(stream: TokenStream, stage: &StagePlan, concatenated: impl Fn(u64, u64) -> u64) -> Rows {
        let row_length = stage.row_tokens();
        let cut = match (stream.row_length(), stage.packing) {
            (Some(length), _) => Cut::Finished(stream.len() / length),
            (None, Manner::Concatenate) => Cut::Concatenated(concatenated(stream.len().saturating_sub(1), row_length)),
            (None, Manner::Pad) => Cut::Packed(Arc::new(Packing::padded(&stream, row_length))),
            (None, Manner::BestFit) => Cut::Packed(Arc::new(Packing::best_fit(&stream, row_length))),
        };
        Rows { stream, cut, row_length, restart: stage.model.takes("documents"), manner: stage.packing }
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        match &self.cut {
            Cut::Concatenated(rows) | Cut::Finished(rows) => *rows,
            Cut::Packed(packing) => packing.rows(),
        }
    }

    /// What fills them.
    pub fn report(&self) -> RowsReport {
        let (rows, positions) = (self.count(), self.count() * self.row_length);
        let (padding, documents_cut, left_out) = match &self.cut {
            Cut::Finished(rows) => (*rows, 0, 0),
            Cut::Concatenated(_) => {
                let predicted = positions.min(self.stream.len().saturating_sub(1));
                let left_out = self.stream.len().saturating_sub(predicted + 1);
                (positions - predicted, self.documents_in_several_rows(), left_out)
            }
            Cut::Packed(packing) => (positions - packing.pairs(), packing.cut(), packing.left_out()),
        };
        RowsReport { packing: self.manner, rows, positions, padding, documents_cut, left_out }
    }

    /// Whether a token of the stream would be predicted, were its last row padded.
    pub fn predict(stream: &TokenStream, packing: Manner) -> bool {
        match packing {
            Manner::Concatenate => stream.len() >= 2,
            Manner::BestFit | Manner::Pad => holds_pair(stream),
        }
    }

    fn documents_in_several_rows(&self) -> u64 {
        let mut begin = 0;
        let spans = (0..self.stream.documents()).filter(|&document| {
            let first = std::mem::replace(&mut begin, self.stream.document_end(document));
            begin > first && first / self.row_length != (begin - 1) / self.row_length
        });
        spans.count() as u64
    }

    /// Appends a row, which must be there, padded where it is not full.
    pub fn add(&self, row: u64, batch: &mut Batch) {
        let start = row * self.row_length;
        match &self.cut {
            Cut::Packed(packing) => packing.row(row).iter().for_each(|piece| self.add_piece(*piece, batch)),
            Cut::Concatenated(_) => {
                let pairs = self.row_length.min(self.stream.len() - 1 - start);
                self.add_tokens(start, pairs, pairs, batch);
            }
            Cut::Finished(_) => {
                self.add_tokens(start, self.row_length, self.row_length - 1, batch);
                batch.targets.push(IGNORED);
            }
        }
        batch.pad_row();
    }

    /// Inputs from `first` on, of which the first `targets` predict what follows, across documents.
    fn add_tokens(&self, first: u64, inputs: u64, targets: u64, batch: &mut Batch) {
        self.stream.read(first..first + inputs, &mut batch.tokens);
        self.stream.read(first + 1..first + 1 + targets, &mut batch.targets);
        self.stream.read_weights(first + 1..first + 1 + targets, &mut batch.weights);
        let first_document = self.stream.document_of(first);
        let (mut document, mut origin) = (first_document, first);
        let mut end = self.stream.document_end(document);
        for token in first..first + inputs {
            while token >= end {
                document += 1;
                end = self.stream.document_end(document);
                if self.restart {
                    origin = token;
                }
            }
            batch.positions.push((token - origin) as i32);
            batch.documents.push((document - first_document) as i32);
        }
    }

    /// A piece after what the row holds already.
    fn add_piece(&self, piece: Piece, batch: &mut Batch) {
        let filled = batch.filled();
        let pairs = u64::from(piece.pairs);
        self.stream.read(piece.first..piece.first + pairs, &mut batch.tokens);
        self.stream.read(piece.first + 1..piece.first + 1 + pairs, &mut batch.targets);
        self.stream.read_weights(piece.first + 1..piece.first + 1 + pairs, &mut batch.weights);
        let origin = if self.restart { 0 } else { filled as i32 };
        let document = if filled == 0 { 0 } else { batch.documents.last().map_or(0, |last| last + 1) };
        batch.positions.extend(origin..origin + piece.pairs as i32);
        batch.documents.extend(std::iter::repeat_n(document, piece.pairs as usize));
    }
}

/// Whether a token follows another in a document.
fn holds_pair(stream: &TokenStream) -> bool {
    let mut begin = 0;
    (0..stream.documents()).any(|document| {
        let end = stream.document_end(document);
        std::mem::replace(&mut begin, end) + 1 < end
    })
}
