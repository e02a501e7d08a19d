//! Why a command ends early.

use std::fmt;
use std::io;
use std::path::Path;

use llmc_grammar::codes::{Code, DEVICE, NO_CUDA, NO_CUDA_KERNEL, NO_MEMORY, RUN_FILE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use crate::device::DeviceError;

/// Why a command ends early. Nothing here is a panic: each becomes an exit code and, mostly, a message.
#[derive(Debug, Clone)]
pub enum Failure {
    /// What the user should read (exit code 1).
    Diagnostics(Diagnostics),
    /// The reader of our output went away, as `head` does: no message.
    ClosedOutput,
    /// Ctrl-C or SIGTERM, after everything was saved (exit code 130).
    Interrupted,
}

impl Failure {
    /// A failure of one diagnostic.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure::Diagnostics(vec![Diagnostic::error(code, message)])
    }

    /// A failure of one diagnostic that says the way out.
    pub fn with_help(code: Code, message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Diagnostics(vec![Diagnostic::error(code, message).help(help)])
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Diagnostics(vec![diagnostic])
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Failure {
        Failure::Diagnostics(diagnostics)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Failure {
        match error {
            DeviceError::Memory { .. } | DeviceError::CardMemory { .. } => Failure::new(NO_MEMORY, error.to_string()),
            DeviceError::NoCuda(_) => Failure::with_help(
                NO_CUDA,
                error.to_string(),
                "`--device cpu` runs it on the processor; `llmc explain E0910` says where libraries are looked for",
            ),
            DeviceError::NoCudaKernel(_) => {
                Failure::with_help(NO_CUDA_KERNEL, error.to_string(), "`--device cpu` runs it on the processor")
            }
            other => Failure::new(DEVICE, other.to_string()),
        }
    }
}

/// For files whose path the caller does not know better; [`AtPath`] names it.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(RUN_FILE, plain(&error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Diagnostics(diagnostics) => {
                let messages: Vec<&str> = diagnostics.iter().map(|d| d.message.as_str()).collect();
                formatter.write_str(&messages.join("; "))
            }
            Failure::ClosedOutput => formatter.write_str("the output was closed"),
            Failure::Interrupted => formatter.write_str("interrupted"),
        }
    }
}

/// Names the file in an error of the operating system.
pub trait AtPath<T> {
    /// The value, or a diagnostic such as "cannot write `runs/x/metrics.jsonl`: permission denied".
    ///
    /// # Errors
    /// Whenever the result was one.
    fn at(self, verb: &str, path: &Path) -> Result<T, Failure>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, verb: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(RUN_FILE, format!("cannot {verb} `{}`: {}", path.display(), plain(&error))))
    }
}

/// The operating system's reason without "(os error 13)".
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
