//! Log-probabilities of given texts.
//!
//! What is asked of a model follows from how it reads: each token after the first from those before it; from those before it and
//! an encoder's text; or, where tokens see both sides, each token from all others while it is hidden (Salazar et al. 2020,
//! arXiv:1910.14659: the sum is the pseudo-log-likelihood).

mod lines;
mod rows;

use llmc_compiler::lower::Reading;
use serde::Serialize;

use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::train::machine::Machine;

pub use lines::{Line, mask_id, read_lines};
pub use rows::{Row, RowScore, RowScorer};

/// Lines whose results are held back until they can be shown in order.
const WINDOW: usize = 512;
/// What a decoder reads before its first token: T5's padding.
pub const DECODER_START: u32 = 0;

/// The result for one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Natural logarithm of the probability of every token that is predicted.
    pub logprobs: Vec<f32>,
    /// Their negative mean in nats per token; null for a line of one token.
    pub loss: Option<f64>,
}

/// A model on a device, ready for given lines.
pub struct Scorer {
    rows: RowScorer,
    reading: Reading,
    mask: u32,
}

impl Scorer {
    /// Puts a model on a device. `mask` hides a token from a model whose tokens see both sides.
    ///
    /// # Errors
    /// If the weights do not fit, or the machine has not the memory.
    pub fn new(model: &TrainedModel, lines: &[Line], mask: u32, machine: &Machine) -> Result<Scorer, Failure> {
        let reading = Reading::of(&model.stage);
        let lengths = lines.iter().flat_map(|line| {
            let rows = if reading == Reading::BothSides { line.tokens.len() } else { 1 };
            std::iter::repeat_n((line.tokens.len(), line.source.len()), rows)
        });
        Ok(Scorer { rows: RowScorer::new(model, lengths, false, machine)?, reading, mask })
    }

    /// Scores the lines and hands the results out in their order.
    ///
    /// # Errors
    /// Of the device, or of `show`.
    pub fn score(
        &mut self,
        lines: &[Line],
        show: &mut dyn FnMut(&Score) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for window in lines.chunks(WINDOW) {
            let rows: Vec<Vec<Row>> = window.iter().map(|line| rows_of(line, self.reading, self.mask)).collect();
            let mut scores = self.rows.score(&rows.concat())?.into_iter();
            for line in rows {
                let losses: Vec<f32> = scores.by_ref().take(line.len()).flat_map(|score| score.losses).collect();
                let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
                show(&Score {
                    loss: (!losses.is_empty()).then(|| sum / losses.len() as f64),
                    // Not `-loss`, which would print a certain token's 0 as -0.
                    logprobs: losses.into_iter().map(|loss| 0.0 - loss).collect(),
                })?;
            }
        }
        Ok(())
    }
}

/// The rows that a line is scored by.
fn rows_of(line: &Line, reading: Reading, mask: u32) -> Vec<Row> {
    let tokens = &line.tokens;
    let after_the_first = || tokens.iter().skip(1).copied().map(Some);
    match reading {
        Reading::Forward => {
            vec![Row { tokens: tokens.clone(), targets: after_the_first().collect(), ..Row::default() }]
        }
        Reading::Ordered => {
            let targets = std::iter::once(None).chain(after_the_first()).collect();
            vec![Row { tokens: tokens.clone(), targets, ..Row::default() }]
        }
        Reading::Translation => {
            let read = std::iter::once(DECODER_START).chain(tokens.iter().copied()).take(tokens.len());
            let targets = tokens.iter().copied().map(Some).collect();
            vec![Row { source: line.source.clone(), tokens: read.collect(), targets }]
        }
        Reading::BothSides => {
            let hidden = line.predicted.iter().map(|&place| {
                let mut row = Row { tokens: tokens.clone(), targets: vec![None; tokens.len()], ..Row::default() };
                row.targets[place] = Some(std::mem::replace(&mut row.tokens[place], mask));
                row
            });
            hidden.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_follows_from_how_a_model_reads() {
        let line = Line { source: vec![9], tokens: vec![5, 6, 7], predicted: vec![0, 2] };
        let rows = |reading| rows_of(&line, reading, 3);
        assert_eq!(rows(Reading::Forward)[0].targets, [Some(6), Some(7)]);
        assert_eq!(rows(Reading::Ordered)[0].targets, [None, Some(6), Some(7)]);
        let translated = &rows(Reading::Translation)[0];
        assert_eq!((&*translated.tokens, &*translated.source), (&[0, 5, 6][..], &[9][..]));
        assert_eq!(translated.targets, [Some(5), Some(6), Some(7)]);
        let hidden = rows(Reading::BothSides);
        assert_eq!(hidden.len(), 2);
        assert_eq!((&*hidden[1].tokens, &*hidden[1].targets), (&[5, 6, 3][..], &[None, None, Some(7)][..]));
    }
}
