//! Rows on a device: the loss of each token that a row predicts.

use std::collections::BTreeMap;

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::{Reading, RowSizes, lower_score};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::{ModelOp, Rotary, RotaryScaling};
use llmc_compiler::schedule::{persistent, schedule_single};
use llmc_data::IGNORED;

use crate::checkpoint::fit::load_weights;
use crate::checkpoint::model::TrainedModel;
use crate::device::{Device, HostTensor};
use crate::failure::Failure;
use crate::train::compile::not_lowered;
use crate::train::machine::Machine;

/// Tokens of one forward pass, about: longer rows are taken one at a time, short ones together.
const TOKENS: u64 = 2048;
/// Rows of one forward pass at most.
const ROWS: u64 = 16;
/// The smallest padded length.
const SHORTEST: u64 = 16;
/// What hidden padding belongs to; texts are document 0.
const PADDING: i32 = -1;

/// A row: what the model reads, and what it is to predict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// What the encoder reads, if there is one.
    pub source: Vec<u32>,
    /// What the model reads.
    pub tokens: Vec<u32>,
    /// At each token what its logits should say, if anything.
    pub targets: Vec<Option<u32>>,
}

/// What a row's targets come to, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowScore {
    /// Their negative log-probabilities.
    pub losses: Vec<f32>,
    /// Whether each is the most likely token; empty unless asked for.
    pub hits: Vec<bool>,
}

/// Padded lengths of a row: its tokens, and its encoder's.
type Lengths = (u64, u64);

/// A model on a device, ready for rows of known lengths.
pub struct RowScorer {
    device: Box<dyn Device>,
    padding: Padding,
    buckets: BTreeMap<Lengths, (usize, RowSizes)>,
    hits: bool,
    vocab: usize,
}

/// How rows may be padded.
#[derive(Debug, Clone, Copy)]
struct Padding {
    /// Positions that the model has, where they are learned.
    positions: Option<u64>,
    /// Rows longer than this are not padded: what the model computes depends on their length.
    freely: u64,
    encoder: bool,
}

impl Padding {
    fn of(model: &TrainedModel) -> Padding {
        let stage = &model.stage;
        let dynamic = stage.model.nodes.iter().find_map(|node| match &node.op {
            ModelOp::Rotate(Rotary { scaling: RotaryScaling::DynamicNtk { original, .. }, .. }) => Some(*original),
            _ => None,
        });
        // Padding that a token would see.
        let seen = Reading::of(stage) == Reading::BothSides && !stage.model.takes("documents");
        Padding {
            positions: model.positions(),
            freely: if seen { 0 } else { dynamic.unwrap_or(u64::MAX) },
            encoder: stage.model.takes("source"),
        }
    }

    /// Powers of two, but not beyond the model's positions.
    fn length(&self, tokens: usize) -> u64 {
        let tokens = (tokens as u64).max(1);
        if tokens > self.freely {
            return tokens;
        }
        let padded = tokens.next_power_of_two().max(SHORTEST);
        padded.min(self.freely).min(self.positions.unwrap_or(u64::MAX)).max(tokens)
    }

    fn lengths(&self, tokens: usize, source: usize) -> Lengths {
        (self.length(tokens), if self.encoder { self.length(source) } else { 0 })
    }
}

impl RowScorer {
    /// Puts a model on a device, with one program for each padded length that rows of these numbers of tokens and of an
    /// encoder's tokens need. With `hits`, it is also told which targets are the most likely tokens.
    ///
    /// # Errors
    /// If the weights do not fit, or the machine has not the memory.
    pub fn new(
        model: &TrainedModel,
        rows: impl Iterator<Item = (usize, usize)>,
        hits: bool,
        machine: &Machine,
    ) -> Result<RowScorer, Failure> {
        let padding = Padding::of(model);
        let mut wanted: BTreeMap<Lengths, u64> = BTreeMap::new();
        for (tokens, source) in rows {
            *wanted.entry(padding.lengths(tokens, source)).or_default() += 1;
        }
        let mut buckets = BTreeMap::new();
        let mut graphs: Vec<Graph> = Vec::new();
        for ((tokens, source), count) in wanted {
            let batch = (TOKENS / (tokens + source)).clamp(1, ROWS).min(count);
            let sizes = RowSizes { batch, tokens, source: padding.encoder.then_some(source) };
            let mut graph = lower_score(&model.stage, sizes, hits).map_err(not_lowered)?;
            optimise(&mut graph);
            buckets.insert((tokens, source), (graphs.len(), sizes));
            graphs.push(graph);
        }
        let all: Vec<&Graph> = graphs.iter().collect();
        let hardware = machine.choice.hardware();
        let (states, bytes) = persistent(&all, &model.stage.model.weights, hardware);
        let programs = all.iter().map(|graph| schedule_single(graph, "score", &states, hardware)).collect();
        let mut device = machine.open(&states, bytes, programs, graphs)?;
        let place = model.directory.display().to_string();
        load_weights(device.as_mut(), &model.stage.model, &model.weights, &place)?;
        Ok(RowScorer { device, padding, buckets, hits, vocab: model.stage.model.vocab as usize })
    }

    /// The scores of rows of the lengths that the scorer was made for, in their order.
    ///
    /// # Errors
    /// Of the device.
    pub fn score(&mut self, rows: &[Row]) -> Result<Vec<RowScore>, Failure> {
        let mut members: BTreeMap<Lengths, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            members.entry(self.padding.lengths(row.tokens.len(), row.source.len())).or_default().push(index);
        }
        let mut scores = vec![RowScore::default(); rows.len()];
        for (lengths, indices) in members {
            let Some(&(program, sizes)) = self.buckets.get(&lengths) else { continue };
            for group in indices.chunks(sizes.batch as usize) {
                let together: Vec<&Row> = group.iter().map(|&index| &rows[index]).collect();
                for (&index, score) in group.iter().zip(self.forward(program, sizes, &together)?) {
                    scores[index] = score;
                }
            }
        }
        Ok(scores)
    }

    /// One forward pass over at most as many rows as the program has.
    fn forward(&mut self, program: usize, sizes: RowSizes, rows: &[&Row]) -> Result<Vec<RowScore>, Failure> {
        let (height, width) = (sizes.batch as usize, sizes.tokens as usize);
        let mut tokens = vec![0; height * width];
        let mut targets = vec![IGNORED; height * width];
        let mut documents = vec![PADDING; height * width];
        for (row, given) in rows.iter().enumerate() {
            let start = row * width;
            fill(&mut tokens[start..], &given.tokens);
            documents[start..start + given.tokens.len()].fill(0);
            for (slot, target) in targets[start..].iter_mut().zip(&given.targets) {
                *slot = target.map_or(IGNORED, |id| id as i32);
            }
        }
        let places: Vec<i32> = (0..height * width).map(|index| (index % width) as i32).collect();
        let length = sizes.source.unwrap_or(0) as usize;
        let mut source = vec![0; height * length];
        let mut source_documents = vec![PADDING; height * length];
        for (row, given) in rows.iter().enumerate().filter(|_| length > 0) {
            fill(&mut source[row * length..], &given.source);
            source_documents[row * length..][..given.source.len()].fill(0);
        }
        let segments = vec![0; height * width];
        let inputs = [
            ("tokens", HostTensor::I32(&tokens)),
            ("targets", HostTensor::I32(&targets)),
            ("positions", HostTensor::I32(&places)),
            ("documents", HostTensor::I32(&documents)),
            ("order", HostTensor::I32(&places)),
            ("segments", HostTensor::I32(&segments)),
            ("source", HostTensor::I32(&source)),
            ("source_documents", HostTensor::I32(&source_documents)),
        ];
        self.device.run(program, &inputs)?;
        let losses = self.device.read_output(program, "losses")?;
        let logits = match self.hits {
            true => self.device.read_output(program, "logits")?,
            false => Vec::new(),
        };
        let score = |(row, given): (usize, &&Row)| {
            let predicted =
                given.targets.iter().enumerate().filter_map(|(place, target)| Some((row * width + place, (*target)?)));
            let hit = |(place, target): (usize, u32)| {
                let logits = &logits[place * self.vocab..][..self.vocab];
                logits.iter().all(|logit| *logit <= logits[target as usize])
            };
            RowScore {
                losses: predicted.clone().map(|(place, _)| losses[place]).collect(),
                hits: if self.hits { predicted.map(hit).collect() } else { Vec::new() },
            }
        };
        Ok(rows.iter().enumerate().map(score).collect())
    }
}

/// Writes ids to the front of a row.
fn fill(row: &mut [i32], ids: &[u32]) {
    for (slot, &id) in row.iter_mut().zip(ids) {
        *slot = id as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_padded_to_few_values_within_the_positions() {
        let padding = |positions, freely| Padding { positions, freely, encoder: false };
        assert_eq!([1, 16, 17, 100].map(|tokens| padding(None, u64::MAX).length(tokens)), [16, 16, 32, 128]);
        assert_eq!([1, 60, 64].map(|tokens| padding(Some(64), u64::MAX).length(tokens)), [16, 64, 64]);
        assert_eq!(padding(Some(10), u64::MAX).length(9), 10);
        // Dynamic scaling looks at the length of longer rows.
        assert_eq!([20, 40, 48, 49].map(|tokens| padding(None, 48).length(tokens)), [32, 48, 48, 49]);
        assert_eq!(padding(None, 0).length(7), 7);
    }
}
