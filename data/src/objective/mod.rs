//! From rows of tokens to what a model is shown and what it is to predict.
//!
//! Rows come as `causal_lm` needs them: tokens, and for each the one that follows. The other objectives make theirs of it. What is
//! drawn depends on the seed and the number of the row in the order of training alone.

mod masking;
mod permutation;
mod prefix;
mod spans;
mod special;
#[cfg(test)]
mod tests;

use llmc_compiler::plan::{Objective, StagePlan};
use llmc_compiler::random::{Stream, stream_of};
use llmc_grammar::diagnostic::Diagnostic;

use super::batch::{Batch, IGNORED};
use crate::tokenizer::Tokenizer;
use special::Special;

/// Makes the batches of an objective.
#[derive(Debug, Clone)]
pub struct Shaper {
    objective: Objective,
    special: Special,
    seed: u64,
    /// Token ids of the model.
    vocab: u64,
    /// With an encoder: tokens of its input and of the decoder's row.
    lengths: Option<(usize, usize)>,
}

/// A row as `causal_lm` sees it.
struct Row<'a> {
    tokens: &'a [i32],
    documents: &'a [i32],
    /// The token behind each, or [`IGNORED`].
    next: &'a [i32],
    /// Tokens that are there; the rest is padding.
    filled: usize,
}

impl Shaper {
    /// For a stage and its tokenizer, where it has one; `end_of_text` is the id that ends its documents.
    ///
    /// # Errors
    /// A special token that the objective needs and the tokenizer lacks.
    pub fn new(
        stage: &StagePlan,
        tokenizer: Option<&Tokenizer>,
        end_of_text: Option<u32>,
    ) -> Result<Shaper, Diagnostic> {
        let lengths = stage.target_length.map(|target| (stage.sequence_length as usize, target as usize));
        let special = Special::new(stage, tokenizer, end_of_text)?;
        let objective = stage.objective.kind.clone();
        Ok(Shaper { objective, special, seed: stage.seed, vocab: stage.model.vocab, lengths })
    }

    /// The rows of a batch as training sees them, the first of which is row `first` in the order of training.
    pub fn training(&self, batch: Batch, first: u64) -> Batch {
        self.shape(batch, first, "objective")
    }

    /// The rows of a batch as evaluation sees them: what is drawn for a row is the same every time.
    pub fn evaluation(&self, batch: Batch, first: u64) -> Batch {
        self.shape(batch, first, "objective of evaluation")
    }

    fn shape(&self, batch: Batch, first: u64, stream: &str) -> Batch {
        if self.objective == Objective::CausalLm {
            return batch;
        }
        let (source, length) = match self.lengths {
            Some((source, target)) => (source, target),
            None => (0, batch.row_length),
        };
        let mut shaped = Batch::with_capacity(batch.rows, length);
        shaped.source_length = source;
        for row in 0..batch.rows {
            let place = row * batch.row_length..(row + 1) * batch.row_length;
            let next = &batch.targets[place.clone()];
            let tokens = &batch.tokens[place.clone()];
            // Of padding neither the token nor what follows it is there.
            let filled = next.iter().rposition(|&target| target != IGNORED).map_or(0, |last| last + 1);
            let row_of = Row { tokens, documents: &batch.documents[place.clone()], next, filled };
            let number = first + row as u64;
            let stream = Stream::new(self.seed, stream_of(stream) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut draws = Draws { stream, used: 0 };
            if self.lengths.is_none() {
                shaped.positions.extend_from_slice(&batch.positions[place.clone()]);
                // Where weights are not all 1, the objective leaves every target at its place.
                shaped.weights.extend_from_slice(&batch.weights[place.clone()]);
            }
            self.row(self.chosen(&mut draws), &row_of, &mut draws, &mut shaped);
            shaped.finish_row();
        }
        shaped
    }

    /// The objective of one row.
    fn chosen(&self, draws: &mut Draws) -> &Objective {
        let Objective::Mixture(parts) = &self.objective else { return &self.objective };
        let mut left = f64::from(draws.uniform());
        let part = parts.iter().find(|(weight, _)| {
            left -= weight;
            left < 0.0
        });
        part.or(parts.last()).map_or(&self.objective, |(_, part)| part)
    }

    fn row(&self, objective: &Objective, row: &Row<'_>, draws: &mut Draws, batch: &mut Batch) {
        match (objective, self.lengths) {
            (Objective::MaskedLm(masking), _) => masking::add(masking, &self.special, self.vocab, row, draws, batch),
            (Objective::PrefixLm(lengths), None) => prefix::add(*lengths, row, draws, batch),
            (Objective::PrefixLm(prefixes), Some(lengths)) => {
                prefix::add_pair(*prefixes, &self.special, lengths, row, draws, batch);
            }
            (Objective::SpanCorruption(corruption), Some(lengths)) => {
                spans::add(corruption, &self.special, lengths, row, draws, batch);
            }
            (Objective::PermutationLm(permutation), _) => permutation::add(*permutation, row, draws, batch),
            // The compiler lets nothing else through.
            (Objective::SpanCorruption(_) | Objective::CausalLm | Objective::Mixture(_), _) => {}
        }
    }
}

/// Random numbers of one row, one after another.
struct Draws {
    stream: Stream,
    used: u64,
}

impl Draws {
    /// Uniform in `[0, 1)`.
    fn uniform(&mut self) -> f32 {
        self.used += 1;
        self.stream.uniform(self.used - 1)
    }

    /// Uniform in `0..count`, which must be at least 1.
    fn below(&mut self, count: usize) -> usize {
        // 48 bits, so that any count of tokens is drawn evenly.
        let (high, low) = (f64::from(self.uniform()), f64::from(self.uniform()));
        let share = high + low / (1u64 << 24) as f64;
        ((share * count as f64) as usize).min(count - 1)
    }

    /// `0..count` in a random order (Fisher and Yates).
    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for index in (1..count).rev() {
            order.swap(index, self.below(index + 1));
        }
        order
    }
}
