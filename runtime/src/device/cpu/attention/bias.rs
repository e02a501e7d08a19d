//! What a model adds to the scores of attention.

use std::ops::Range;

use crate::device::cpu::operand::Operands;
use crate::device::cpu::rows::Rows;

/// `[B or 1, H or 1, T or 1, S]`
pub struct Bias<'a> {
    rows: Rows<'a>,
    /// Sizes of the leading axes.
    sizes: [usize; 3],
}

impl<'a> Bias<'a> {
    /// The read `index`.
    pub fn new(operands: &Operands<'a>, index: usize) -> Self {
        let shape = &operands.read(index).shape;
        Bias { rows: operands.rows(index), sizes: [shape[0], shape[1], shape[2]] }
    }

    /// What is added for a query: one number a key.
    fn row(&self, place: [usize; 3]) -> &'a [f32] {
        let number = |sum: usize, (size, index): (usize, usize)| sum * size + if size == 1 { 0 } else { index };
        self.rows.row(self.sizes.into_iter().zip(place).fold(0, number))
    }

    /// Adds to the scores of one query with the keys from `first` on.
    pub fn add_to_query(&self, place: [usize; 3], first: usize, scores: &mut [f32]) {
        for (score, &bias) in scores.iter_mut().zip(&self.row(place)[first..]) {
            *score += bias;
        }
    }

    /// Adds to scores with a key a row, `stride` apart, and a query a column.
    pub fn add_to_tile(
        &self,
        [batch, head]: [usize; 2],
        queries: Range<usize>,
        keys: Range<usize>,
        scores: &mut [f32],
        stride: usize,
    ) {
        if self.sizes[2] == 1 {
            let bias = &self.row([batch, head, 0])[keys];
            for (line, &bias) in scores.chunks_exact_mut(stride).zip(bias) {
                line.iter_mut().for_each(|score| *score += bias);
            }
            return;
        }
        for (column, query) in queries.enumerate() {
            let bias = &self.row([batch, head, query])[keys.clone()];
            for (score, &bias) in scores[column..].iter_mut().step_by(stride).zip(bias) {
                *score += bias;
            }
        }
    }
}
