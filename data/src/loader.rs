//! Rows gathered into batches.

use llmc_compiler::plan::{Blend, StagePlan, repeats};

use super::batch::Batch;
use super::objective::Shaper;
use super::order::RowOrder;
use super::rows::{Rows, RowsReport};
use super::stream::TokenStream;
use super::{Part, Prepared};

/// The training batches of a stage: each a pure function of the step and the micro-batch, so a resumed
/// run continues exactly.
#[derive(Debug, Clone)]
pub struct Loader {
    parts: Vec<OrderedRows>,
    blend: Blend,
    row_length: u64,
    micro_batch: u64,
    accumulation: u64,
    shaper: Shaper,
}

/// The rows of one part in the order in which they are read.
#[derive(Debug, Clone)]
struct OrderedRows {
    rows: Rows,
    order: RowOrder,
}

impl Loader {
    /// The batches of `stage` from its prepared training splits, each of which must hold a row
    /// (as [`prepare`](super::prepare) has checked).
    pub fn new(prepared: &Prepared, stage: &StagePlan) -> Loader {
        let part = |(number, part): (usize, &Part)| {
            let count = part.rows.count();
            // The first part's order is that of the data set alone.
            let seed = stage.seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let order = if stage.shuffle { RowOrder::shuffled(count, seed) } else { RowOrder::unshuffled(count) };
            OrderedRows { rows: part.rows.clone(), order }
        };
        let parts: Vec<OrderedRows> = prepared.parts.iter().enumerate().map(part).collect();
        let rows: Vec<u64> = parts.iter().map(|part| part.order.rows()).collect();
        Loader {
            parts,
            blend: prepared.shares.blend(&rows),
            row_length: stage.row_tokens(),
            micro_batch: stage.micro_batch,
            accumulation: stage.accumulation,
            shaper: prepared.shaper.clone(),
        }
    }

    /// Rows of each part in one epoch of it.
    pub fn rows(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.order.rows()).collect()
    }

    /// What fills the rows of one epoch, over all parts.
    pub fn report(&self) -> RowsReport {
        let reports = self.parts.iter().map(|part| part.rows.report());
        reports.reduce(RowsReport::plus).unwrap_or_default()
    }

    /// How many times each part has been read before `step` begins.
    pub fn epochs_before(&self, step: u64) -> Vec<f64> {
        repeats(&self.blend, &self.rows(), step * self.accumulation * self.micro_batch)
    }

    /// Micro-batch `micro` of optimizer step `step`, both from 0. An epoch follows another without a gap:
    /// a batch may hold rows of both.
    pub fn batch(&self, step: u64, micro: u64) -> Batch {
        let first = (step * self.accumulation + micro) * self.micro_batch;
        let mut batch = Batch::with_capacity(self.micro_batch as usize, self.row_length as usize);
        for number in first..first + self.micro_batch {
            let (part, index) = self.blend.row(number);
            let OrderedRows { rows, order } = &self.parts[part];
            rows.add(order.row(index / order.rows(), index % order.rows()), &mut batch);
        }
        self.shaper.training(batch, first)
    }
}

/// The held-out rows of a stage in order, as batches of its size.
#[derive(Debug, Clone)]
pub struct Evaluation {
    rows: Rows,
    count: u64,
    row_length: u64,
    micro_batch: u64,
    /// None: rows as `causal_lm` has them.
    shaper: Option<Shaper>,
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
            let plain = Evaluation::new(stream, stage, rows);
            (part.name.clone(), Evaluation { shaper: Some(prepared.shaper.clone()), ..plain })
        };
        held.map(one).collect()
    }

    /// The first rows of a held-out split, at most `most`. A last row that is not full counts.
    pub fn new(heldout: TokenStream, stage: &StagePlan, most: u64) -> Evaluation {
        let rows = Rows::evaluation(heldout, stage);
        Evaluation {
            count: rows.count().min(most),
            rows,
            row_length: stage.row_tokens(),
            micro_batch: stage.micro_batch,
            shaper: None,
        }
    }

    /// Rows that are evaluated.
    pub fn rows(&self) -> u64 {
        self.count
    }

    /// Batches that hold them.
    pub fn batches(&self) -> u64 {
        self.count.div_ceil(self.micro_batch)
    }

    /// Batch `index`. Where rows or tokens are missing, token 0 stands with targets [`IGNORED`](super::IGNORED).
    pub fn batch(&self, index: u64) -> Batch {
        let first = index * self.micro_batch;
        let mut batch = Batch::with_capacity(self.micro_batch as usize, self.row_length as usize);
        for row in first..first + self.micro_batch {
            if row < self.count {
                self.rows.add(row, &mut batch);
            } else {
                batch.pad_row();
            }
        }
        match &self.shaper {
            Some(shaper) => shaper.evaluation(batch, first),
            None => batch,
        }
    }
}
