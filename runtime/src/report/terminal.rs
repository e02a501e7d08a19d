//! What is shown: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use llmc_grammar::diagnostic::{Diagnostic, render_with};

use crate::failure::Failure;

/// Columns of a diagnostic.
const WIDTH: usize = 100;

/// How this process talks to its user.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Nothing but results, warnings and errors.
    pub quiet: bool,
    /// Colours on standard error.
    pub colour: bool,
    /// Standard error is a terminal: bars instead of lines.
    pub interactive: bool,
}

impl Terminal {
    /// Looks at standard error and `NO_COLOR`.
    pub fn new(quiet: bool) -> Terminal {
        let interactive = io::stderr().is_terminal();
        Terminal { quiet, colour: interactive && !colour_is_refused(), interactive }
    }

    /// Whether standard output takes colours.
    pub fn colour_output(&self) -> bool {
        io::stdout().is_terminal() && !colour_is_refused()
    }

    /// One line of information, unless quiet. A closed standard error is no reason to stop.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", line.as_ref());
        }
    }

    /// Errors and warnings, whether quiet or not.
    pub fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            let _ = write!(io::stderr(), "{}", render_with(diagnostic, self.colour, WIDTH));
        }
    }

    /// Text that is the command's result, as it is.
    ///
    /// # Errors
    /// [`Failure::ClosedOutput`] if nobody reads it any more.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|_| Failure::ClosedOutput)
    }
}

fn colour_is_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
