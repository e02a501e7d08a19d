//! What gives the logits of the next token: a decoder that goes on with a text, or one that answers it.

use llmc_compiler::lower::Reading;

use super::decoder::{Decoder, Decoding, Extent};
use super::translator::Translator;
use crate::checkpoint::fit::load_weights;
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::score::DECODER_START;
use crate::train::machine::Machine;

/// A model on a device that writes.
pub(super) enum Writer {
    /// It goes on with the texts that it reads.
    GoesOn(Decoder),
    /// Its encoder reads the texts, and its decoder writes others.
    Answers(Translator),
}

impl Writer {
    /// Puts a model on a device, to write at most `count` tokens for texts of at most `prompt`, `batch` at a time.
    pub(super) fn open(
        model: &TrainedModel,
        batch: u64,
        prompt: u64,
        count: u64,
        machine: &Machine,
    ) -> Result<Writer, Failure> {
        let (plan, place) = (&model.stage.model, model.directory.display().to_string());
        if Reading::of(&model.stage) == Reading::Translation {
            let extent = Extent { batch, prompt, capacity: count };
            let mut translator = Translator::open(&model.stage, extent, machine)?;
            load_weights(translator.device_mut(), plan, &model.weights, &place)?;
            return Ok(Writer::Answers(translator));
        }
        // The last token drawn is never read.
        let capacity = model.context().min(prompt + count.saturating_sub(1));
        let mut decoder =
            Decoding::compile(&model.stage, Extent { batch, prompt, capacity }, machine.choice.hardware())?
                .open(machine)?;
        load_weights(decoder.device_mut(), plan, &model.weights, &place)?;
        Ok(Writer::GoesOn(decoder))
    }

    pub(super) fn start(&mut self, texts: &[&[u32]]) -> Result<(), Failure> {
        match self {
            Writer::GoesOn(decoder) => decoder.start(texts),
            Writer::Answers(translator) => translator.start(texts),
        }
    }

    pub(super) fn step(&mut self, next: &[Option<u32>]) -> Result<&[f32], Failure> {
        match self {
            Writer::GoesOn(decoder) => decoder.step(next),
            Writer::Answers(translator) => translator.step(next),
        }
    }

    pub(super) fn vocab(&self) -> usize {
        match self {
            Writer::GoesOn(decoder) => decoder.vocab(),
            Writer::Answers(translator) => translator.vocab(),
        }
    }

    /// The token that is read before the first one is drawn.
    pub(super) fn first(&self, prompt: &[u32]) -> Option<u32> {
        match self {
            Writer::GoesOn(_) => prompt.last().copied(),
            Writer::Answers(_) => Some(DECODER_START),
        }
    }
}
