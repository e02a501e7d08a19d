//! A model that reads tokens of several texts side by side and says what may come next in each, with its keys and values kept.

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::{lower_decode, lower_prefill};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::StagePlan;
use llmc_compiler::program::{PersistentBuffer, Program};
use llmc_compiler::schedule::{Hardware, persistent, schedule_single};
use llmc_grammar::codes::TOO_LONG;

use crate::checkpoint::model::context;
use crate::device::{Device, HostTensor, ProgramId};
use crate::failure::Failure;
use crate::train::compile::not_lowered;
use crate::train::machine::Machine;

/// Tokens of a prompt that are read at a time, at most.
const LONGEST_CHUNK: u64 = 256;
/// And at least: attention of fewer queries goes another way, and a text must not depend on what lies beside it.
const SHORTEST_CHUNK: u64 = 8;
/// Program of one new token for each row, with logits.
pub const STEP: ProgramId = 0;
/// Program of a chunk of new tokens for each row, without.
const CHUNK: ProgramId = 1;

/// How much is generated side by side.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Texts.
    pub batch: u64,
    /// Tokens of the longest prompt, at least 1.
    pub prompt: u64,
    /// Tokens of the longest text that are read, no fewer.
    pub capacity: u64,
}

/// The programs that decode a model.
pub struct Decoding {
    extent: Extent,
    /// Tokens of the program `CHUNK`, if prompts need it.
    chunk: Option<u64>,
    /// Positions of the model.
    context: u64,
    vocab: usize,
    states: (Vec<PersistentBuffer>, u64),
    graphs: Vec<Graph>,
    /// The programs, [`STEP`] first.
    pub programs: Vec<Program>,
}

impl Decoding {
    /// Compiles the model of a stage for a kind of device.
    ///
    /// # Errors
    /// If the model cannot be decoded.
    pub fn compile(stage: &StagePlan, mut extent: Extent, hardware: Hardware) -> Result<Decoding, Failure> {
        let Extent { batch, prompt, .. } = extent;
        // The last token of a prompt is read by the step that draws the first one after it.
        let chunk = (prompt > 1).then(|| (prompt - 1).clamp(SHORTEST_CHUNK, LONGEST_CHUNK));
        if let Some(chunk) = chunk {
            // The last chunk is read to its end, whatever stands behind the prompt.
            extent.capacity = extent.capacity.max((prompt - 1).next_multiple_of(chunk));
        }
        let capacity = extent.capacity;
        let step = lower_decode(stage, batch, 1, capacity);
        let chunks = chunk.map(|tokens| lower_prefill(stage, batch, tokens, capacity));
        let mut graphs: Vec<Graph> = [step].into_iter().chain(chunks).collect::<Result<_, _>>().map_err(not_lowered)?;
        graphs.iter_mut().for_each(optimise);
        let states = persistent(&graphs.iter().collect::<Vec<_>>(), &stage.model.weights, hardware);
        let programs = graphs.iter().map(|graph| schedule_single(graph, "decode", &states.0, hardware)).collect();
        let vocab = stage.model.vocab as usize;
        Ok(Decoding { extent, chunk, context: context(stage), vocab, states, graphs, programs })
    }

    /// Puts the programs on a device. All weights are zero.
    ///
    /// # Errors
    /// If the machine has not the memory or the threads.
    pub fn open(self, machine: &Machine) -> Result<Decoder, Failure> {
        let Decoding { extent, chunk, context, vocab, states: (states, bytes), graphs, programs } = self;
        let device = machine.open(&states, bytes, programs, graphs)?;
        let batch = extent.batch as usize;
        let tokens = batch * chunk.unwrap_or(1) as usize;
        Ok(Decoder {
            device,
            chunk: chunk.unwrap_or(1) as usize,
            capacity: extent.capacity as usize,
            context: context as usize,
            lengths: vec![0; batch],
            given: Given { tokens: vec![0; tokens], positions: vec![0; tokens], lengths: vec![0.0; batch] },
            documents: vec![0; tokens],
            logits: Vec::with_capacity(batch * vocab),
            vocab,
        })
    }
}

/// A model on a device, with what it has read so far of each text.
pub struct Decoder {
    device: Box<dyn Device>,
    chunk: usize,
    /// Positions of the key and value caches.
    capacity: usize,
    /// Positions of the model.
    context: usize,
    /// Tokens read so far, of each row.
    lengths: Vec<usize>,
    given: Given,
    /// All of one document.
    documents: Vec<i32>,
    logits: Vec<f32>,
    vocab: usize,
}

/// What a program is given, kept from run to run.
struct Given {
    /// `[B, T]`
    tokens: Vec<i32>,
    /// `[B, T]`
    positions: Vec<i32>,
    /// `[B]`
    lengths: Vec<f32>,
}

impl Decoder {
    /// The device, to fill the weights.
    pub fn device_mut(&mut self) -> &mut dyn Device {
        self.device.as_mut()
    }

    /// Forgets all texts and reads new ones, at most as many as there are rows, but for the last token of each.
    ///
    /// # Errors
    /// If a text is longer than the caches, or the device fails.
    pub fn start(&mut self, texts: &[&[u32]]) -> Result<(), Failure> {
        self.lengths.fill(0);
        let read = |text: &&[u32]| text.len().saturating_sub(1);
        let longest = texts.iter().map(read).max().unwrap_or(0);
        if longest.next_multiple_of(self.chunk) > self.capacity {
            return Err(self.full(longest));
        }
        for start in (0..longest).step_by(self.chunk) {
            for row in 0..self.lengths.len() {
                let rest = texts.get(row).and_then(|text| text.get(start..read(text))).unwrap_or_default();
                let slots = &mut self.given.tokens[row * self.chunk..][..self.chunk];
                for (index, slot) in slots.iter_mut().enumerate() {
                    // What stands behind a text is never looked at: the text's own tokens come to stand there.
                    *slot = rest.get(index).map_or(0, |&id| id as i32);
                }
                self.place(row, start, self.chunk);
            }
            self.run(CHUNK, self.chunk)?;
        }
        for (length, text) in self.lengths.iter_mut().zip(texts) {
            *length = read(text);
        }
        Ok(())
    }

    /// Reads one more token of each row that has one, and gives the logits `[B, vocab]` of what follows it.
    /// The logits of other rows mean nothing.
    ///
    /// # Errors
    /// If a text is longer than the caches, or the device fails.
    pub fn step(&mut self, next: &[Option<u32>]) -> Result<&[f32], Failure> {
        let tokens = || next.iter().copied().chain(std::iter::repeat(None));
        for (row, token) in (0..self.lengths.len()).zip(tokens()) {
            if token.is_some() && self.lengths[row] >= self.capacity {
                return Err(self.full(self.lengths[row] + 1));
            }
            self.given.tokens[row] = token.map_or(0, |id| id as i32);
            self.place(row, self.lengths[row].min(self.capacity - 1), 1);
        }
        self.run(STEP, 1)?;
        for (length, token) in self.lengths.iter_mut().zip(tokens()) {
            *length += usize::from(token.is_some());
        }
        self.device.read_output_into(STEP, "logits", &mut self.logits)?;
        Ok(&self.logits)
    }

    /// Size of the vocabulary.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Notes that `count` tokens of a row stand from `start` on.
    fn place(&mut self, row: usize, start: usize, count: usize) {
        self.given.lengths[row] = start as f32;
        for (index, position) in self.given.positions[row * count..][..count].iter_mut().enumerate() {
            *position = (start + index).min(self.context.saturating_sub(1)) as i32;
        }
    }

    fn run(&mut self, program: ProgramId, tokens: usize) -> Result<(), Failure> {
        let count = tokens * self.lengths.len();
        let inputs = [
            ("tokens", HostTensor::I32(&self.given.tokens[..count])),
            ("positions", HostTensor::I32(&self.given.positions[..count])),
            ("documents", HostTensor::I32(&self.documents[..count])),
            ("length", HostTensor::F32(&self.given.lengths)),
        ];
        Ok(self.device.run(program, &inputs)?)
    }

    fn full(&self, tokens: usize) -> Failure {
        Failure::new(TOO_LONG, format!("{tokens} tokens do not fit into a context of {}", self.capacity))
    }
}
