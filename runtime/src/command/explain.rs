//! `llmc explain`

use clap::Args;
use llmc_compiler::check::reference;
use llmc_grammar::codes::{self, UNKNOWN_TOPIC};

use crate::failure::Failure;
use crate::report::terminal::Terminal;

/// Explains the code of a diagnostic, or a field of the language
#[derive(Debug, Args)]
pub struct Explain {
    /// E0201, global_batch, stage.global_batch, ...
    topic: String,
}

impl Explain {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is nothing of this name.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let code = codes::find(&self.topic)
            .map(|code| format!("{}: {}\n\n{}\n", code.name(), code.title(), code.explanation().trim_end()));
        let text = code.or_else(|| reference::explain(&self.topic)).ok_or_else(|| {
            Failure::with_help(
                UNKNOWN_TOPIC,
                format!("there is no code and no field `{}`", self.topic),
                "`llmc explain stage` lists the fields of a stage; codes stand at the head of every diagnostic",
            )
        })?;
        terminal.print(&text)
    }
}
