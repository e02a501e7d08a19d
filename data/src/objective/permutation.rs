//! Permutation language modelling with partial prediction (Yang et al. 2019, sections 2.2 and 2.3).

use llmc_compiler::plan::Permutation;

use super::{Draws, Row};
use crate::batch::{Batch, IGNORED};

/// Appends a row in a random order: its last tokens are predicted, each from those before it; the others come first and see
/// each other.
pub fn add(permutation: Permutation, row: &Row<'_>, draws: &mut Draws, batch: &mut Batch) {
    let first = batch.order.len();
    batch.tokens.extend_from_slice(row.tokens);
    batch.documents.extend_from_slice(row.documents);
    batch.targets.extend(std::iter::repeat_n(IGNORED, row.tokens.len()));
    // Padding comes last of all: nothing that counts sees it.
    let behind = row.filled as i32 + 1;
    batch.order.extend((0..row.tokens.len()).map(|place| if place < row.filled { 0 } else { behind }));
    let share = (row.filled as f64 * permutation.predict).round_ties_even() as usize;
    let predicted = share.clamp(usize::from(row.filled > 0), row.filled);
    for (number, place) in draws.order(row.filled).into_iter().rev().take(predicted).enumerate() {
        batch.order[first + place] = (predicted - number) as i32;
        batch.targets[first + place] = row.tokens[place];
    }
}
