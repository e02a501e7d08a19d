//! From a recipe's data sets to batches: documents are read, tokenized, split into what is trained on
//! and what is held out, cached, and cut into rows.
//!
//! Whole documents are held out, chosen by the hash of their bytes; a corpus of one document gives up
//! its last share instead, from the start of a line on. Prepared tokens and trained tokenizers lie in a
//! cache (see [`Cache`]) under the hash of everything they depend on.

mod batch;
mod batch_file;
mod bench;
mod cache;
mod documents;
mod encode;
mod fit;
mod loader;
mod locate;
mod mapped;
mod npy;
mod objective;
mod order;
mod packing;
mod parts;
mod paths;
mod prepare;
pub mod process;
mod random_tokens;
mod record;
mod report;
mod rows;
mod shard;
pub mod sources;
mod split;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod texts;
mod token_file;
mod token_rows;
pub mod tokenizer;

pub use batch::{Batch, IGNORED};
pub use bench::{DataTimes, TimedPart, time_preparation};
pub use cache::{Cache, Lookup};
pub use documents::{Corpus, SourceCount, cut_point};
pub use loader::{Evaluation, Loader};
pub use locate::{first_record, missing_feature};
pub use objective::Shaper;
pub use order::RowOrder;
pub use paths::{require_match, resolve};
pub use prepare::{documents, prepare, prepare_in};
pub use process::ProcessReport;
pub use record::{Message, Record, Role};
pub use report::{DataHashes, DataStats, DatasetReport, Part, SourceReport, SplitStats};
pub use rows::RowsReport;
pub use sources::caught;
pub use stream::TokenStream;
pub use texts::Texts;
pub use token_file::TokenFile;

use crate::tokenizer::Tokenizer;
use llmc_compiler::plan::Shares;
use llmc_grammar::diagnostic::Diagnostic;

/// What preparation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading the sources. The total is not known.
    Reading,
    /// Sending documents through the steps of their data set. The total is not known.
    Processing,
    /// Training a tokenizer. Reported once, when it begins.
    TrainingTokenizer,
    /// Training a model that steps ask. Reported once, when it begins.
    TrainingFilter,
    /// Turning text into tokens.
    Encoding,
}

/// How far preparation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// A stage's data, ready to be cut into batches.
#[derive(Debug)]
pub struct Prepared {
    /// The stage's tokenizer; none where its data is token ids.
    pub tokenizer: Option<Tokenizer>,
    /// Its streams: one for a data set, several for a mixture or for sources with weights. Never empty.
    pub parts: Vec<Part>,
    /// How their rows stand side by side.
    pub shares: Shares,
    /// Makes the batches of the stage's objective.
    pub shaper: Shaper,
    /// What was found, over all parts.
    pub stats: DataStats,
    /// What became of each data set's documents.
    pub datasets: Vec<DatasetReport>,
    /// What it was made from.
    pub hashes: DataHashes,
    /// Warnings to be shown.
    pub warnings: Vec<Diagnostic>,
}
