//! Text from a trained model: prompts are continued side by side, a batch at a time.

pub mod decoder;
mod requests;
pub mod sample;
mod speed;
mod translator;
mod writer;

use std::time::Instant;

use llmc_compiler::lower::Reading;
use llmc_grammar::codes::TOO_LONG;
use rayon::prelude::*;
use serde::Serialize;

use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::train::machine::Machine;
use llmc_data::tokenizer::{StreamingDecoder, Tokenizer};
use sample::Sampling;
use writer::Writer;

pub use requests::{Record, read_records};
pub use speed::Speed;

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As many tokens as asked for.
    Length,
    /// The model ended the text.
    EndOfText,
    /// The model has no further positions.
    Context,
}

/// A text to be continued.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The text.
    pub prompt: String,
    /// How its tokens are drawn.
    pub sampling: Sampling,
}

/// How a text went on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Continuation {
    /// What follows the prompt, or answers it.
    pub text: String,
    /// The tokens that were drawn.
    pub tokens: Vec<u32>,
    /// Why there are no more.
    pub ending: Ending,
}

/// Called with the number of a request of the batch and the next piece of its text, the prompt first where it is gone on with.
pub type Show<'a> = &'a mut dyn FnMut(usize, &str) -> Result<(), Failure>;

/// A model ready to continue given texts.
pub struct Generator<'m> {
    model: &'m TrainedModel,
    tokenizer: &'m Tokenizer,
    writer: Writer,
    requests: Vec<(Request, Vec<u32>)>,
    batch: usize,
    /// Tokens that are drawn for a text at most.
    count: u64,
    speed: Speed,
}

impl<'m> Generator<'m> {
    /// Reads the prompts and puts the model on a device, to continue each by at most `count` tokens, `batch` at a time.
    ///
    /// # Errors
    /// If the model has no tokenizer, a prompt is longer than the model's context, or the machine has not the memory.
    pub fn new(
        model: &'m TrainedModel,
        requests: Vec<Request>,
        count: u64,
        batch: u64,
        machine: &Machine,
    ) -> Result<Generator<'m>, Failure> {
        let tokenizer = model.text_tokenizer()?;
        let several = requests.len() > 1;
        let numbered = requests.into_iter().enumerate();
        let requests: Vec<(Request, Vec<u32>)> = numbered
            .map(|(index, request)| {
                let name = if several { format!("prompt {}", index + 1) } else { "the prompt".to_owned() };
                let ids = prompt_ids(model, tokenizer, &request.prompt, &name)?;
                Ok((request, ids))
            })
            .collect::<Result<_, Failure>>()?;
        let batch = batch.clamp(1, requests.len().max(1) as u64);
        let prompt = requests.iter().map(|(_, ids)| ids.len() as u64).max().unwrap_or(1);
        let writer = Writer::open(model, batch, prompt, count, machine)?;
        let speed = Speed::new(batch);
        Ok(Generator { model, tokenizer, writer, requests, batch: batch as usize, count, speed })
    }

    /// Whether what is written goes on with the prompt; else it answers it.
    pub fn goes_on(&self) -> bool {
        matches!(self.writer, Writer::GoesOn(_))
    }

    /// How fast it was so far.
    pub fn speed(&self) -> &Speed {
        &self.speed
    }

    /// Continues the next requests, as many as go side by side; none if there are no more. The continuation of a text depends
    /// on nothing but its request and the model.
    ///
    /// # Errors
    /// If the device fails, or `show` does.
    pub fn next_batch(&mut self, show: Show<'_>) -> Result<Option<Vec<Continuation>>, Failure> {
        let rest = self.requests.split_off(self.batch.min(self.requests.len()));
        let requests = std::mem::replace(&mut self.requests, rest);
        if requests.is_empty() {
            return Ok(None);
        }
        // An answer is as long as it is asked to be.
        let context = if self.goes_on() { self.model.context() } else { u64::MAX };
        let mut rows = Vec::with_capacity(requests.len());
        for (index, (request, ids)) in requests.iter().enumerate() {
            let mut before = &[][..];
            if self.goes_on() {
                show(index, &request.prompt)?;
                before = ids;
            }
            let first = self.writer.first(ids);
            rows.push(Row::new(self.tokenizer, request, before, first, self.count)?);
        }
        let texts: Vec<&[u32]> = requests.iter().map(|(_, ids)| ids.as_slice()).collect();
        let mut began = Instant::now();
        if rows.iter().any(|row| row.next.is_some()) {
            self.writer.start(&texts)?;
        }
        let mut next: Vec<Option<u32>> = rows.iter().map(|row| row.next).collect();
        let mut steps = 0;
        while next.iter().any(Option::is_some) {
            let vocab = self.writer.vocab();
            let logits = self.writer.step(&next)?;
            let choose = |(row, logits): (&Row<'_>, &[f32])| {
                row.next.map(|_| row.sampling.choose(logits, row.given + row.drawn.len() as u64))
            };
            let chosen: Vec<Option<u32>> = rows.par_iter().zip(logits.par_chunks(vocab)).map(choose).collect();
            if steps == 0 {
                self.speed.add_prefill(texts.iter().map(|text| text.len()).sum(), began.elapsed());
                began = Instant::now();
            }
            steps += 1;
            for (index, (row, token)) in rows.iter_mut().zip(chosen).enumerate() {
                if let Some(token) = token {
                    let piece = row.take(token, &self.model.end_of_text, context)?;
                    show(index, &piece)?;
                }
                next[index] = row.next;
            }
        }
        let later = rows.iter().map(|row| row.choices.saturating_sub(1)).sum();
        self.speed.add_decode(later, u64::saturating_sub(steps, 1), began.elapsed());
        let mut continuations = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            let (last, continuation) = row.finish()?;
            show(index, &last)?;
            continuations.push(continuation);
        }
        Ok(Some(continuations))
    }
}

/// The tokens of a prompt.
fn prompt_ids(model: &TrainedModel, tokenizer: &Tokenizer, prompt: &str, name: &str) -> Result<Vec<u32>, Failure> {
    let mut ids = tokenizer.encode(prompt)?;
    if ids.is_empty() {
        // A model predicts the token after another: an empty prompt is the beginning of a text.
        ids.extend(model.begin_of_text.or(model.end_of_text.first().copied()));
    }
    let (given, context) = (ids.len() as u64, model.context());
    let reads_all = Reading::of(&model.stage) == Reading::Translation;
    if given == 0 || (given >= context && !reads_all) {
        let rule = format!("it must have at least 1 and fewer than the model's context of {context}");
        return Err(Failure::new(TOO_LONG, format!("{name} has {given} tokens; {rule}")));
    }
    Ok(ids)
}

/// A text while it grows.
struct Row<'a> {
    sampling: &'a Sampling,
    decoder: StreamingDecoder<'a>,
    /// Tokens of the prompt.
    given: u64,
    /// Tokens to be drawn at most.
    count: u64,
    /// The token to be read next; none once the text has ended.
    next: Option<u32>,
    /// Tokens chosen, one that ends the text included.
    choices: u64,
    drawn: Vec<u32>,
    text: String,
    ending: Ending,
}

impl<'a> Row<'a> {
    /// A text that begins with `ids`; `first` is what is read before its first token is drawn.
    fn new(
        tokenizer: &'a Tokenizer,
        request: &'a Request,
        ids: &[u32],
        first: Option<u32>,
        count: u64,
    ) -> Result<Row<'a>, Failure> {
        let mut decoder = StreamingDecoder::new(tokenizer, true);
        for &id in ids {
            // Some decoders treat the first token of a text differently: the prompt is decoded too, and not shown again.
            decoder.push(id)?;
        }
        Ok(Row {
            sampling: &request.sampling,
            decoder,
            given: ids.len() as u64,
            count,
            next: first.filter(|_| count > 0),
            choices: 0,
            drawn: Vec::new(),
            text: String::new(),
            ending: Ending::Length,
        })
    }

    /// Goes on by a token. Gives the text that is now certain.
    fn take(&mut self, token: u32, ends: &[u32], context: u64) -> Result<String, Failure> {
        self.next = None;
        self.choices += 1;
        if ends.contains(&token) {
            self.ending = Ending::EndOfText;
            return Ok(String::new());
        }
        self.drawn.push(token);
        let drawn = self.drawn.len() as u64;
        if drawn < self.count {
            match self.given + drawn <= context {
                true => self.next = Some(token),
                false => self.ending = Ending::Context,
            }
        }
        let piece = self.decoder.push(token)?;
        self.text.push_str(&piece);
        Ok(piece)
    }

    /// The text that was held back, and the whole.
    fn finish(self) -> Result<(String, Continuation), Failure> {
        let Row { decoder, mut text, drawn, ending, .. } = self;
        let last = decoder.finish()?;
        text.push_str(&last);
        Ok((last, Continuation { text, tokens: drawn, ending }))
    }
}
