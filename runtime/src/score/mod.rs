//! Log-probabilities of given texts.

mod lines;

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::lower_score;
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::StagePlan;
use llmc_compiler::schedule::{persistent, schedule_single};
use serde::Serialize;

use crate::checkpoint::fit::load_weights;
use crate::checkpoint::model::TrainedModel;
use crate::device::{Device, HostTensor};
use crate::failure::Failure;
use crate::train::compile::not_lowered;
use crate::train::machine::Machine;
use llmc_data::IGNORED;

pub use lines::{Line, read_lines};

/// Tokens of one forward pass, about: longer lines are taken one at a time, short ones together.
const TOKENS: u64 = 2048;
/// Rows of one forward pass at most.
const ROWS: u64 = 16;
/// The smallest padded length.
const SHORTEST: u64 = 16;
/// Lines whose results are held back until they can be shown in order.
const WINDOW: usize = 512;

/// The result for one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Natural logarithm of the probability of every token after the first.
    pub logprobs: Vec<f32>,
    /// Their negative mean in nats per token; null for a line of one token.
    pub loss: Option<f64>,
}

/// A padded length and the program for it.
struct Bucket {
    rows: u64,
    length: u64,
}

/// A model on a device, ready for lines of known lengths.
pub struct Scorer {
    device: Box<dyn Device>,
    buckets: Vec<Bucket>,
}

impl Scorer {
    /// Puts a model on a device, with one program for each padded length that `lines` need.
    ///
    /// # Errors
    /// If the weights do not fit, or the machine has not the memory.
    pub fn new(model: &TrainedModel, lines: &[Line], machine: &Machine) -> Result<Scorer, Failure> {
        let context = model.context();
        let mut lengths: Vec<u64> = lines.iter().map(|line| padded(line.tokens.len(), context)).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let bucket = |length: u64| {
            let wanted = lines.iter().filter(|line| padded(line.tokens.len(), context) == length);
            let rows = (TOKENS / length).clamp(1, ROWS).min(wanted.count() as u64);
            Bucket { rows, length }
        };
        let buckets: Vec<Bucket> = lengths.into_iter().map(bucket).collect();
        let graphs: Vec<Graph> = buckets.iter().map(|bucket| graph(&model.stage, bucket)).collect::<Result<_, _>>()?;
        let all: Vec<&Graph> = graphs.iter().collect();
        let (states, bytes) = persistent(&all, &model.stage.model.weights);
        let programs = all.iter().map(|graph| schedule_single(graph, "score", &states)).collect();
        let mut device = machine.open(&states, bytes, programs, graphs)?;
        let place = model.directory.display().to_string();
        load_weights(device.as_mut(), &model.stage.model, &model.weights, &place)?;
        Ok(Scorer { device, buckets })
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
            let mut scores: Vec<Option<Score>> = vec![None; window.len()];
            let mut below = 0;
            for program in 0..self.buckets.len() {
                let length = self.buckets[program].length as usize;
                let fits = |&index: &usize| (below..=length).contains(&window[index].tokens.len());
                let members: Vec<usize> = (0..window.len()).filter(fits).collect();
                for group in members.chunks(self.buckets[program].rows as usize) {
                    let rows: Vec<&[u32]> = group.iter().map(|&index| window[index].tokens.as_slice()).collect();
                    for (&index, score) in group.iter().zip(self.forward(program, &rows)?) {
                        scores[index] = Some(score);
                    }
                }
                below = length + 1;
            }
            for score in scores.iter().flatten() {
                show(score)?;
            }
        }
        Ok(())
    }

    /// One forward pass over at most as many rows as the program has.
    fn forward(&mut self, program: usize, rows: &[&[u32]]) -> Result<Vec<Score>, Failure> {
        let bucket = &self.buckets[program];
        let (height, width) = (bucket.rows as usize, bucket.length as usize);
        let mut tokens = vec![0; height * width];
        let mut targets = vec![IGNORED; height * width];
        for (row, ids) in rows.iter().enumerate() {
            for (column, &id) in ids.iter().enumerate() {
                tokens[row * width + column] = id as i32;
                if column > 0 {
                    targets[row * width + column - 1] = id as i32;
                }
            }
        }
        let positions: Vec<i32> = (0..height * width).map(|index| (index % width) as i32).collect();
        let documents = vec![0; height * width];
        let inputs = [
            ("tokens", HostTensor::I32(&tokens)),
            ("targets", HostTensor::I32(&targets)),
            ("positions", HostTensor::I32(&positions)),
            ("documents", HostTensor::I32(&documents)),
            ("order", HostTensor::I32(&positions)),
            ("segments", HostTensor::I32(&documents)),
        ];
        self.device.run(program, &inputs)?;
        let losses = self.device.read_output(program, "losses")?;
        let score = |(row, ids): (usize, &&[u32])| {
            let count = ids.len().saturating_sub(1);
            let losses = &losses[row * width..row * width + count];
            let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
            Score {
                // Not `-loss`, which would print a certain token's 0 as -0.
                logprobs: losses.iter().map(|loss| 0.0 - loss).collect(),
                loss: (count > 0).then(|| sum / count as f64),
            }
        };
        Ok(rows.iter().enumerate().map(score).collect())
    }
}

/// Lines are padded to powers of two, but not beyond the model's context.
fn padded(tokens: usize, context: u64) -> u64 {
    (tokens as u64).next_power_of_two().max(SHORTEST).min(context.max(1))
}

fn graph(stage: &StagePlan, bucket: &Bucket) -> Result<Graph, Failure> {
    let mut graph = lower_score(stage, bucket.rows, bucket.length).map_err(not_lowered)?;
    optimise(&mut graph);
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_padded_to_few_values_within_the_context() {
        assert_eq!([1, 16, 17, 100].map(|tokens| padded(tokens, 1024)), [16, 16, 32, 128]);
        assert_eq!([1, 60, 64].map(|tokens| padded(tokens, 64)), [16, 64, 64]);
        assert_eq!(padded(9, 10), 10);
    }
}
