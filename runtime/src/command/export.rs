//! `llmc export`

use std::path::PathBuf;

use clap::Args;
use llmc_grammar::codes::RUN_FILE;

use crate::checkpoint::gguf::{FileType, export};
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::report::terminal::Terminal;

/// Writes a trained model as a GGUF file, as llama.cpp reads it
#[derive(Debug, Args)]
pub struct Export {
    /// A checkpoint, a run's directory (its newest checkpoint), a Hugging Face directory, or a GGUF file
    directory: PathBuf,
    /// Where the file goes
    #[arg(long, value_name = "FILE.gguf")]
    gguf: PathBuf,
    /// How matrices are stored
    #[arg(long = "type", value_enum, default_value_t = FileType::F16)]
    file_type: FileType,
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// If the directory holds no model, the model is of a family that GGUF is not written for, or the file is there already.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        if self.gguf.exists() {
            return Err(Failure::with_help(
                RUN_FILE,
                format!("`{}` is there already", self.gguf.display()),
                "nothing is overwritten: name another file, or remove this one",
            ));
        }
        let model = TrainedModel::open(&self.directory)?;
        let note = export(&model, &self.gguf, self.file_type)?;
        if let Some(note) = note {
            terminal.note(note);
        }
        terminal.note(format!("written: {}", self.gguf.display()));
        Ok(())
    }
}
