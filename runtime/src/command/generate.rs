//! `llmc generate`

use std::path::PathBuf;

use clap::Args;

use super::options::DeviceOptions;
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::generate::sample::Sampling;
use crate::generate::{Ending, generate};
use crate::report::terminal::Terminal;

/// Continues a text with a trained model
#[derive(Debug, Args)]
pub struct Generate {
    /// A checkpoint, a run's directory (its newest checkpoint), or a Hugging Face directory
    directory: PathBuf,
    /// The text to continue
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens to draw at most
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
    #[command(flatten)]
    device: DeviceOptions,
}

impl Generate {
    /// Runs the command.
    ///
    /// # Errors
    /// If the directory holds no model, or the prompt does not fit.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let machine = self.device.machine();
        let model = TrainedModel::open(&self.directory)?;
        let sampling =
            Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed };
        let ending =
            generate(&model, &self.prompt, self.tokens, &sampling, &machine, &mut |text| terminal.print(text))?;
        terminal.print("\n")?;
        if ending == Ending::Context {
            terminal.note(format!("stopped: the model has no more than {} positions", model.context()));
        }
        Ok(())
    }
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
