//! Rows gathered into batches.

use llmc_compiler::plan::StagePlan;

use super::batch::Batch;
use super::objective::Shaper;
use super::order::RowOrder;
use super::rows::{Rows, RowsReport};
use super::stream::TokenStream;

/// The training batches of a stage: each a pure function of the step and the micro-batch, so a resumed
/// run continues exactly.
#[derive(Debug, Clone)]
pub struct Loader {
    rows: Rows,
    order: RowOrder,
    row_length: u64,
    micro_batch: u64,
    accumulation: u64,
    shaper: Option<Shaper>,
}

impl Loader {
    /// With the rows as an objective makes them.
    pub fn shaped(self, shaper: Shaper) -> Loader {
        Loader { shaper: Some(shaper), ..self }
    }

    /// The batches of `stage` from its prepared training split, which must hold a row
    /// (as [`prepare`](super::prepare) has checked).
    pub fn new(train: TokenStream, stage: &StagePlan) -> Loader {
        let rows = Rows::training(train, stage);
        let count = rows.count();
        let order = if stage.shuffle { RowOrder::shuffled(count, stage.seed) } else { RowOrder::unshuffled(count) };
        Loader {
            rows,
            order,
            row_length: stage.row_tokens(),
            micro_batch: stage.micro_batch,
            accumulation: stage.accumulation,
            shaper: None,
        }
    }

    /// Rows of one epoch.
    pub fn rows_per_epoch(&self) -> u64 {
        self.order.rows()
    }

    /// What fills the rows of one epoch.
    pub fn report(&self) -> RowsReport {
        self.rows.report()
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
            self.rows.add(self.order.row(number / rows, number % rows), &mut batch);
        }
        match &self.shaper {
            Some(shaper) => shaper.training(batch, first),
            None => batch,
        }
    }
}

/// The held-out rows of a stage in order, as batches of its size.
#[derive(Debug, Clone)]
pub struct Evaluation {
    rows: Rows,
    count: u64,
    row_length: u64,
    micro_batch: u64,
    shaper: Option<Shaper>,
}

impl Evaluation {
    /// With the rows as an objective makes them.
    pub fn shaped(self, shaper: Shaper) -> Evaluation {
        Evaluation { shaper: Some(shaper), ..self }
    }

    /// The first rows of the held-out split, at most `evaluate_rows`. A last row that is not full counts.
    pub fn new(heldout: TokenStream, stage: &StagePlan) -> Evaluation {
        let rows = Rows::evaluation(heldout, stage);
        Evaluation {
            count: rows.count().min(stage.evaluate_rows),
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
