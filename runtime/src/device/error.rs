//! What can go wrong on a device.

use std::fmt;

use llmc_compiler::plan::Origin;

/// A failure of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// The machine cannot give the memory that was predicted.
    Memory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// A thread could not be started.
    Threads(String),
    /// A token id outside its table.
    IdOutOfRange {
        /// The id.
        id: i64,
        /// Rows of the table.
        vocab: u64,
        /// Where the look-up stands in the recipe.
        origin: Origin,
    },
    /// A name no state, input or output has.
    UnknownName(String),
    /// An input that the program needs was not given.
    MissingInput(String),
    /// A tensor of the wrong size or type.
    Size {
        /// Its name.
        name: String,
        /// Elements wanted.
        expected: u64,
        /// Elements given.
        given: u64,
    },
    /// More positions than a key/value cache holds.
    CacheFull {
        /// Positions held.
        length: u64,
        /// Positions to be added.
        added: u64,
        /// Positions there is room for.
        capacity: u64,
    },
    /// There is no CUDA device, for a reason.
    NoCuda(String),
    /// A step that the CUDA device has no kernel for.
    NoCudaKernel(String),
    /// What the CUDA driver or compiler said.
    Cuda(String),
    /// The card cannot give the memory that was predicted.
    CardMemory {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes free.
        free: u64,
    },
    /// What the reference device's operator said.
    Reference(String),
    /// The program breaks a rule of its own form: a fault of the compiler.
    Program(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Memory { bytes } => write!(
                formatter,
                "the machine has no room for the {bytes} bytes that this run needs; lower `micro_batch` or `sequence_length`"
            ),
            DeviceError::Threads(reason) => write!(formatter, "cannot start a thread: {reason}"),
            DeviceError::IdOutOfRange { id, vocab, origin } => write!(
                formatter,
                "token id {id} is outside the vocabulary of {vocab} at `{}` ({}); the data and the tokenizer do not belong together",
                origin.path, origin.place
            ),
            DeviceError::UnknownName(name) => write!(formatter, "there is no `{name}`"),
            DeviceError::MissingInput(name) => write!(formatter, "the input `{name}` is missing"),
            DeviceError::Size { name, expected, given } => {
                write!(formatter, "`{name}` has {expected} values, {given} were given")
            }
            DeviceError::CacheFull { length, added, capacity } => {
                write!(formatter, "{added} positions behind {length} do not fit a cache of {capacity}")
            }
            DeviceError::NoCuda(reason) | DeviceError::Cuda(reason) => formatter.write_str(reason),
            DeviceError::NoCudaKernel(reason) => write!(formatter, "the CUDA device has no kernel for {reason}"),
            DeviceError::CardMemory { bytes, free } => write!(
                formatter,
                "the card has no room for the {bytes} bytes that this run needs, {free} are free; lower `micro_batch` or `sequence_length`"
            ),
            DeviceError::Reference(reason) => formatter.write_str(reason),
            DeviceError::Program(reason) => {
                write!(formatter, "faulty program (a bug in llmc): {reason}")
            }
        }
    }
}

impl std::error::Error for DeviceError {}
