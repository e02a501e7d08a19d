//! A model that reads tokens and says what may come next, with its keys and values kept.

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::lower_decode;
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::StagePlan;
use llmc_compiler::schedule::{persistent, schedule_single};
use llmc_grammar::codes::TOO_LONG;

use crate::checkpoint::fit::load_weights;
use crate::checkpoint::model::TrainedModel;
use crate::device::{Device, HostTensor, ProgramId};
use crate::failure::Failure;
use crate::train::compile::not_lowered;
use crate::train::machine::Machine;

/// Tokens of a prompt that are read at a time.
const CHUNK: u64 = 256;
/// Program of one new token.
const ONE: ProgramId = 0;
/// Program of `chunk` new tokens.
const MANY: ProgramId = 1;

/// A model on a device, with what it has read so far.
pub struct Decoder {
    device: Box<dyn Device>,
    /// Tokens of the larger program.
    chunk: u64,
    /// Positions of the key and value caches.
    capacity: u64,
    /// The tokens read so far.
    read: Vec<i32>,
}

impl Decoder {
    /// Puts a model on a device: a prompt of `prompt` tokens will be read, and `capacity` tokens in all.
    ///
    /// # Errors
    /// If the model cannot be decoded, its weights do not fit, or the machine has not the memory.
    pub fn new(model: &TrainedModel, prompt: u64, capacity: u64, machine: &Machine) -> Result<Decoder, Failure> {
        let chunk = prompt.clamp(1, CHUNK).min(capacity);
        let graphs = graphs(&model.stage, chunk, capacity)?;
        let (states, bytes) = persistent(&graphs.iter().collect::<Vec<_>>(), &model.stage.model.weights);
        let programs = graphs.iter().map(|graph| schedule_single(graph, "decode", &states)).collect();
        let mut device = machine.open(&states, bytes, programs, graphs)?;
        let place = model.directory.display().to_string();
        load_weights(device.as_mut(), &model.stage.model, &model.weights, &place)?;
        Ok(Decoder { device, chunk, capacity, read: Vec::new() })
    }

    /// Number of tokens read so far.
    pub fn length(&self) -> u64 {
        self.read.len() as u64
    }

    /// Reads one or more tokens and gives the logits `[vocab]` of what follows the last.
    ///
    /// # Errors
    /// If there are more tokens than the caches hold, or the device fails.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Failure> {
        let start = self.length();
        let end = start + tokens.len() as u64;
        if end > self.capacity || tokens.is_empty() {
            return Err(Failure::new(TOO_LONG, format!("{end} tokens do not fit into a context of {}", self.capacity)));
        }
        self.read.extend(tokens.iter().map(|&id| id as i32));
        let mut at = start;
        let mut program = ONE;
        while at < end {
            // The last chunk ends with the last token: what it reads a second time gives the same keys and values.
            if end - at > 1 && end >= self.chunk {
                let from = at.min(end - self.chunk);
                program = MANY;
                self.run(program, from, self.chunk)?;
                at = from + self.chunk;
            } else {
                program = ONE;
                self.run(program, at, 1)?;
                at += 1;
            }
        }
        Ok(self.device.read_output(program, "logits")?)
    }

    /// Runs the tokens `from..from + count`, whose predecessors' keys and values are in the caches.
    fn run(&mut self, program: ProgramId, from: u64, count: u64) -> Result<(), Failure> {
        let tokens = &self.read[from as usize..(from + count) as usize];
        let positions: Vec<i32> = (from..from + count).map(|position| position as i32).collect();
        let documents = vec![0; count as usize];
        let inputs = [
            ("tokens", HostTensor::I32(tokens)),
            ("positions", HostTensor::I32(&positions)),
            ("documents", HostTensor::I32(&documents)),
            ("length", HostTensor::F32(&[from as f32])),
        ];
        Ok(self.device.run(program, &inputs)?)
    }
}

/// The graphs of one new token and of `chunk` new tokens.
fn graphs(stage: &StagePlan, chunk: u64, capacity: u64) -> Result<Vec<Graph>, Failure> {
    let lengths = if chunk > 1 { vec![1, chunk] } else { vec![1] };
    lengths
        .into_iter()
        .map(|tokens| {
            let mut graph = lower_decode(stage, 1, tokens, capacity).map_err(not_lowered)?;
            optimise(&mut graph);
            Ok(graph)
        })
        .collect()
}
