//! `llmc generate`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::options::{DeviceOptions, ModelOptions};
use crate::failure::Failure;
use crate::generate::sample::Sampling;
use crate::generate::{Continuation, Ending, Generator, Record, Request, read_records};
use crate::report::terminal::Terminal;

/// Continues texts with a trained model, or answers them with one that has an encoder
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    model: ModelOptions,
    /// The text to continue; may be repeated
    #[arg(long)]
    prompt: Vec<String>,
    /// Lines of {"prompt": ...}; a `seed` of their own goes before --seed, other fields are carried through
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "prompt")]
    input: Option<PathBuf>,
    /// Texts that are continued side by side; what comes out does not depend on it
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Tokens to draw for a text at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    tokens: u64,
    /// Divides the logits; 0 always takes the most likely token
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    temperature: f64,
    /// Keeps the K most likely tokens
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    top_k: Option<u64>,
    /// Keeps the smallest set of most likely tokens with this probability
    #[arg(long, value_name = "P", value_parser = share)]
    top_p: Option<f64>,
    /// The same seed gives the same text
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Prints an object for each text (prompt, text, tokens, ending), and one with the speed at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

impl Generate {
    /// Runs the command.
    ///
    /// # Errors
    /// If the directory holds no model, the input is malformed, or a prompt does not fit.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let machine = self.device.machine();
        let model = self.model.open()?;
        let records = self.records()?;
        if records.is_empty() {
            return Ok(());
        }
        let requests = records.iter().map(|record| self.request(record)).collect();
        let mut generator = Generator::new(&model, requests, self.tokens, self.batch, &machine)?;
        // A single text is shown as it comes, several when all of a batch have ended.
        let streams = records.len() == 1 && !self.json;
        let goes_on = generator.goes_on();
        let mut rest = records.as_slice();
        let mut cut = 0;
        while let Some(batch) = generator.next_batch(&mut |_, piece| match streams {
            true => terminal.print(piece),
            false => Ok(()),
        })? {
            cut += batch.iter().filter(|continuation| continuation.ending == Ending::Context).count();
            let (ended, later) = rest.split_at(batch.len());
            rest = later;
            for (record, continuation) in ended.iter().zip(&batch) {
                terminal.print(&match (self.json, streams) {
                    (true, _) => object(record, continuation),
                    (false, true) => "\n".to_owned(),
                    (false, false) if goes_on => format!("{}{}\n\n", record.prompt, continuation.text),
                    (false, false) => format!("{}\n\n", continuation.text),
                })?;
            }
        }
        let context = model.context();
        match cut {
            0 => {}
            _ if records.len() == 1 => {
                terminal.note(format!("stopped: the model has no more than {context} positions"))
            }
            cut => terminal.note(format!("stopped {cut} texts: the model has no more than {context} positions")),
        }
        if self.json {
            terminal.print(&format!("{}\n", json!({ "stats": generator.speed().stats() })))?;
        }
        terminal.note(generator.speed().line());
        Ok(())
    }

    fn records(&self) -> Result<Vec<Record>, Failure> {
        let given = |prompt: &String| Record { prompt: prompt.clone(), seed: None, fields: Map::new() };
        match &self.input {
            Some(path) => read_records(path),
            None if self.prompt.is_empty() => Ok(vec![given(&String::new())]),
            None => Ok(self.prompt.iter().map(given).collect()),
        }
    }

    fn request(&self, record: &Record) -> Request {
        let (temperature, top_k, top_p) = (self.temperature, self.top_k, self.top_p);
        let sampling = Sampling { temperature, top_k, top_p, seed: record.seed.unwrap_or(self.seed) };
        Request { prompt: record.prompt.clone(), sampling }
    }
}

/// A record with what became of it, in a line.
fn object(record: &Record, continuation: &Continuation) -> String {
    let mut fields = record.fields.clone();
    fields.insert("prompt".to_owned(), json!(record.prompt));
    fields.insert("text".to_owned(), json!(continuation.text));
    fields.insert("tokens".to_owned(), json!(continuation.tokens));
    fields.insert("ending".to_owned(), json!(continuation.ending));
    format!("{}\n", Value::Object(fields))
}

fn temperature(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match value.is_finite() && value >= 0.0 {
        true => Ok(value),
        false => Err("must be 0 or more".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=1.0).contains(&value) {
        true => Ok(value),
        false => Err("must lie between 0 and 1".to_owned()),
    }
}
