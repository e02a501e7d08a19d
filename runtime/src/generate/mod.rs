//! Text from a trained model.

pub mod decoder;
pub mod sample;

use llmc_grammar::codes::TOO_LONG;

use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::tokenizer::StreamingDecoder;
use crate::train::machine::Machine;
use decoder::Decoder;
use sample::Sampling;

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As many tokens as asked for.
    Length,
    /// The model ended the text.
    EndOfText,
    /// The model has no further positions.
    Context,
}

/// Continues `prompt` by at most `count` tokens and hands out the text as it comes, the prompt first.
///
/// # Errors
/// If the prompt is longer than the model's context, the device fails, or `show` does.
pub fn generate(
    model: &TrainedModel,
    prompt: &str,
    count: u64,
    sampling: &Sampling,
    machine: &Machine,
    show: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let Some(tokenizer) = &model.tokenizer else {
        return Err(Failure::new(
            llmc_grammar::codes::NOT_A_CHECKPOINT,
            format!("`{}` has no tokenizer.json, so there is no text to go in or out", model.directory.display()),
        ));
    };
    let mut ids = tokenizer.encode(prompt)?;
    if ids.is_empty() {
        // A model predicts the token after another: an empty prompt is the beginning of a text.
        ids.extend(model.begin_of_text.or(model.end_of_text.first().copied()));
    }
    let (given, context) = (ids.len() as u64, model.context());
    if given == 0 || given >= context {
        return Err(Failure::new(
            TOO_LONG,
            format!(
                "the prompt has {given} tokens; it must have at least 1 and fewer than the model's context of {context}"
            ),
        ));
    }
    // The last token drawn is never read.
    let capacity = context.min(given + count.saturating_sub(1));
    let mut decoder = Decoder::new(model, given, capacity.max(given), machine)?;
    show(prompt)?;
    let mut text = StreamingDecoder::new(tokenizer, true);
    for &id in &ids {
        // Some decoders treat the first token of a text differently: the prompt is decoded too, and not shown again.
        text.push(id)?;
    }
    let mut next = ids;
    for drawn in 0..count {
        if decoder.length() + next.len() as u64 > context {
            show(&text.finish()?)?;
            return Ok(Ending::Context);
        }
        let logits = decoder.read(&next)?;
        let token = sampling.choose(&logits, given + drawn);
        if model.end_of_text.contains(&token) {
            show(&text.finish()?)?;
            return Ok(Ending::EndOfText);
        }
        show(&text.push(token)?)?;
        next = vec![token];
    }
    show(&text.finish()?)?;
    Ok(Ending::Length)
}
