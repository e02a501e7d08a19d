//! The command line: one command a file.

mod bench;
mod check;
mod check_device;
mod compile;
mod data;
mod emit;
mod eval;
mod explain;
mod export;
mod fmt;
mod generate;
mod import;
mod options;
mod probe;
mod run;
mod score;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::report::terminal::Terminal;

/// A compiler for language-model training runs: if it compiles, it trains
#[derive(Debug, Parser)]
#[command(name = "llmc", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Shows results, warnings and errors only
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Compile(compile::Compile),
    Data(data::Data),
    Emit(emit::Emit),
    Run(run::Run),
    Bench(bench::Bench),
    Generate(generate::Generate),
    Score(score::Score),
    Eval(eval::Eval),
    Import(import::Import),
    Export(export::Export),
    Probe(probe::Probe),
    CheckDevice(check_device::CheckDevice),
    Fmt(fmt::Fmt),
    Explain(explain::Explain),
}

impl Cli {
    /// How this call talks to its user.
    pub fn terminal(&self) -> Terminal {
        Terminal::new(self.quiet)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Everything that the user should read.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        match &self.command {
            Command::Check(command) => command.run(terminal),
            Command::Compile(command) => command.run(terminal),
            Command::Data(command) => command.run(terminal),
            Command::Emit(command) => command.run(terminal),
            Command::Run(command) => command.run(terminal),
            Command::Bench(command) => command.run(terminal),
            Command::Generate(command) => command.run(terminal),
            Command::Score(command) => command.run(terminal),
            Command::Eval(command) => command.run(terminal),
            Command::Import(command) => command.run(terminal),
            Command::Export(command) => command.run(terminal),
            Command::Probe(command) => command.run(terminal),
            Command::CheckDevice(command) => command.run(terminal),
            Command::Fmt(command) => command.run(terminal),
            Command::Explain(command) => command.run(terminal),
        }
    }
}
