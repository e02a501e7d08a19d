//! `llmc score`

use std::path::PathBuf;

use clap::Args;

use super::options::{DeviceOptions, ModelOptions};
use crate::failure::Failure;
use crate::report::terminal::Terminal;
use crate::score::{Scorer, mask_id, read_lines};

/// Prints the log-probability of every token of given texts
#[derive(Debug, Args)]
pub struct Score {
    #[command(flatten)]
    model: ModelOptions,
    /// Lines of {"text": ...} or {"tokens": [...]}; for a model with an encoder {"input": ..., "target": ...}, texts or lists of ids
    #[arg(long, value_name = "FILE.jsonl")]
    input: PathBuf,
    /// The token that hides each token in turn, where the model sees both sides of a token [default: as it was trained]
    #[arg(long, value_name = "ID")]
    mask_id: Option<u32>,
    #[command(flatten)]
    device: DeviceOptions,
}

impl Score {
    /// Runs the command.
    ///
    /// # Errors
    /// If the directory holds no model, or a line cannot be scored.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let machine = self.device.machine();
        let model = self.model.open()?;
        let mask = mask_id(&model, self.mask_id)?;
        let lines = read_lines(&self.input, &model)?;
        if lines.is_empty() {
            return Ok(());
        }
        Scorer::new(&model, &lines, mask, &machine)?.score(&lines, &mut |score| {
            let text = serde_json::to_string(score).expect("numbers are valid JSON");
            terminal.print(&(text + "\n"))
        })
    }
}
