//! A model with an encoder that writes an answer to each of several texts side by side: the encoder reads a text once, the
//! decoder reads all that it has written so far for each token.

use std::collections::BTreeMap;

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::{RowSizes, lower_read, lower_write};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::StagePlan;
use llmc_compiler::program::Program;
use llmc_compiler::schedule::{persistent, schedule_single};
use llmc_grammar::codes::TOO_LONG;

use super::decoder::Extent;
use crate::device::{Device, HostTensor, ProgramId};
use crate::failure::Failure;
use crate::train::compile::not_lowered;
use crate::train::machine::Machine;

/// The program of the encoder.
const READ: ProgramId = 0;
/// Tokens of the shortest decoder program; each next one has twice as many.
const SHORTEST: u64 = 8;
/// What padding belongs to; texts are document 0.
const PADDING: i32 = -1;

/// A model with an encoder on a device, with what it has read and written.
pub struct Translator {
    device: Box<dyn Device>,
    /// Rows, and tokens of the longest text.
    batch: usize,
    source: usize,
    /// Decoder programs by their tokens.
    writers: BTreeMap<usize, ProgramId>,
    /// What is written of each row.
    written: Vec<Vec<u32>>,
    source_documents: Vec<i32>,
    logits: Vec<f32>,
    vocab: usize,
}

impl Translator {
    /// Compiles the model of a stage, to write at most `extent.capacity` tokens for texts of `extent.prompt`, and puts it on a
    /// device. All weights are zero.
    ///
    /// # Errors
    /// If the model cannot be compiled so, or the machine has not the memory.
    pub fn open(stage: &StagePlan, extent: Extent, machine: &Machine) -> Result<Translator, Failure> {
        if !stage.model.takes("documents") {
            let name = &stage.model.name;
            return Err(not_lowered(format!(
                "`{name}` takes no `documents`, by which its decoder would not see padding"
            )));
        }
        let sizes = |tokens: u64| RowSizes { batch: extent.batch, tokens, source: Some(extent.prompt) };
        let mut graphs = vec![lower_read(stage, sizes(SHORTEST)).map_err(not_lowered)?];
        let mut writers = BTreeMap::new();
        let mut tokens = SHORTEST;
        loop {
            writers.insert(tokens as usize, graphs.len());
            graphs.push(lower_write(stage, sizes(tokens)).map_err(not_lowered)?);
            if tokens >= extent.capacity {
                break;
            }
            tokens *= 2;
        }
        graphs.iter_mut().for_each(optimise);
        let all: Vec<&Graph> = graphs.iter().collect();
        let hardware = machine.choice.hardware();
        let (states, bytes) = persistent(&all, &stage.model.weights, hardware);
        let programs: Vec<Program> =
            all.iter().map(|graph| schedule_single(graph, "translate", &states, hardware)).collect();
        let device = machine.open(&states, bytes, programs, graphs)?;
        let (batch, source) = (extent.batch as usize, extent.prompt as usize);
        Ok(Translator {
            device,
            batch,
            source,
            writers,
            written: vec![Vec::new(); batch],
            source_documents: vec![0; batch * source],
            logits: Vec::new(),
            vocab: stage.model.vocab as usize,
        })
    }

    /// The device, to fill the weights.
    pub fn device_mut(&mut self) -> &mut dyn Device {
        self.device.as_mut()
    }

    /// Forgets all texts and reads new ones, at most as many as there are rows.
    ///
    /// # Errors
    /// If a text is longer than was said, or the device fails.
    pub fn start(&mut self, texts: &[&[u32]]) -> Result<(), Failure> {
        self.written.iter_mut().for_each(Vec::clear);
        let mut source = vec![0; self.batch * self.source];
        // Rows without a text are full, so that nothing looks at an empty one.
        self.source_documents.fill(0);
        for (row, text) in texts.iter().enumerate() {
            if text.len() > self.source {
                return Err(Failure::new(TOO_LONG, format!("{} tokens do not fit into {}", text.len(), self.source)));
            }
            let slots = &mut source[row * self.source..][..self.source];
            slots.iter_mut().zip(text.iter()).for_each(|(slot, &id)| *slot = id as i32);
            self.source_documents[row * self.source..][text.len()..self.source].fill(PADDING);
        }
        let inputs =
            [("source", HostTensor::I32(&source)), ("source_documents", HostTensor::I32(&self.source_documents))];
        Ok(self.device.run(READ, &inputs)?)
    }

    /// Reads one more token of each row that has one, and gives the logits `[B, vocab]` of what follows it.
    /// The logits of other rows mean nothing.
    ///
    /// # Errors
    /// If more is written than was said, or the device fails.
    pub fn step(&mut self, next: &[Option<u32>]) -> Result<&[f32], Failure> {
        for (written, token) in self.written.iter_mut().zip(next) {
            written.extend(token);
        }
        let longest = self.written.iter().map(Vec::len).max().unwrap_or(0);
        let Some((&width, &program)) = self.writers.range(longest..).next() else {
            return Err(Failure::new(TOO_LONG, format!("{longest} tokens are more than the decoder was made for")));
        };
        let count = self.batch * width;
        let (mut tokens, mut documents, mut positions) = (vec![0; count], vec![PADDING; count], vec![0; count]);
        for (row, written) in self.written.iter().enumerate() {
            let start = (row + 1) * width - written.len();
            for (place, &id) in written.iter().enumerate() {
                (tokens[start + place], documents[start + place], positions[start + place]) =
                    (id as i32, 0, place as i32);
            }
        }
        let inputs = [
            ("tokens", HostTensor::I32(&tokens)),
            ("documents", HostTensor::I32(&documents)),
            ("positions", HostTensor::I32(&positions)),
            ("order", HostTensor::I32(&positions)),
            ("source_documents", HostTensor::I32(&self.source_documents)),
        ];
        self.device.run(program, &inputs)?;
        self.device.read_output_into(program, "logits", &mut self.logits)?;
        Ok(&self.logits)
    }

    /// Size of the vocabulary.
    pub fn vocab(&self) -> usize {
        self.vocab
    }
}
