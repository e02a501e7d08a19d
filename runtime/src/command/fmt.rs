//! `llmc fmt`

use std::path::PathBuf;

use clap::Args;
use llmc_grammar::codes::NOT_FORMATTED;
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::format;

use super::options::read_source;
use crate::checkpoint::directory::replace_file;
use crate::failure::Failure;
use crate::report::terminal::Terminal;

/// Lays recipes out in the one canonical way
#[derive(Debug, Args)]
pub struct Fmt {
    /// Changes nothing; fails if a file would change
    #[arg(long)]
    check: bool,
    /// The recipes
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Fmt {
    /// Runs the command.
    ///
    /// # Errors
    /// Mistakes of syntax; with `--check`, files that would change.
    pub fn run(&self, _terminal: &Terminal) -> Result<(), Failure> {
        let mut problems: Diagnostics = Vec::new();
        for path in &self.files {
            let source = read_source(path)?;
            match format(&source) {
                Err(mistakes) => problems.extend(mistakes),
                Ok(text) if text == source.text() => {}
                Ok(_) if self.check => problems.push(
                    Diagnostic::error(NOT_FORMATTED, format!("`{}` is not laid out canonically", path.display()))
                        .help(format!("`llmc fmt {}` does it", path.display())),
                ),
                Ok(text) => replace_file(path, text.as_bytes())?,
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.into()),
        }
    }
}
