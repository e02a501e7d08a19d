//! The command `llmc`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use llmc::command::Cli;
use llmc::failure::Failure;
use llmc::report::clock;
use llmc::train::interrupt;

/// A mistake of the user, which was explained.
const MISTAKE: u8 = 1;

fn main() -> ExitCode {
    clock::start();
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(
            std::io::stderr(),
            "\n{panic}\n\nThis is a bug of llmc {}, not of your recipe. A report with the recipe and the lines above would help.",
            env!("CARGO_PKG_VERSION")
        );
    }));
    // clap exits by itself: 0 after help, 2 after a mistake in the options.
    let cli = Cli::parse();
    let terminal = cli.terminal();
    match cli.run(&terminal) {
        Ok(()) | Err(Failure::ClosedOutput) => ExitCode::SUCCESS,
        Err(Failure::Diagnostics(diagnostics)) => {
            terminal.diagnostics(&diagnostics);
            ExitCode::from(MISTAKE)
        }
        Err(Failure::Interrupted) => ExitCode::from(interrupt::EXIT_CODE),
    }
}
