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
mod expand;
mod fit;
mod loader;
mod mapped;
mod npy;
mod objective;
mod order;
mod packing;
mod paths;
mod prepare;
pub mod process;
mod random_tokens;
mod records;
mod rows;
mod shard;
mod split;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod texts;
mod token_file;
mod token_rows;
pub mod tokenizer;

use serde::{Deserialize, Serialize};

pub use batch::{Batch, IGNORED};
pub use bench::{DataTimes, Part, time_preparation};
pub use cache::Cache;
pub use documents::{Corpus, cut_point};
pub use loader::{Evaluation, Loader};
pub use objective::Shaper;
pub use order::RowOrder;
pub use paths::{require_match, resolve};
pub use prepare::{documents, prepare, prepare_in};
pub use process::ProcessReport;
pub use records::first_record;
pub use rows::RowsReport;
pub use stream::TokenStream;
pub use texts::Texts;
pub use token_file::TokenFile;

use crate::tokenizer::Tokenizer;
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
    /// What is trained on.
    pub train: TokenStream,
    /// What is held out, if anything.
    pub heldout: Option<TokenStream>,
    /// Makes the batches of the stage's objective.
    pub shaper: Shaper,
    /// What was found.
    pub stats: DataStats,
    /// What the steps of the data set did, where it has any.
    pub process: Option<ProcessReport>,
    /// What it was made from.
    pub hashes: DataHashes,
    /// Warnings to be shown.
    pub warnings: Vec<Diagnostic>,
}

/// What a data set holds, after its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataStats {
    /// Documents: files, records, or rows of ids.
    pub documents: u64,
    /// Bytes: of UTF-8 text, or of ids as they lie in their file.
    pub bytes: u64,
    /// Files and records left out: not text, or empty.
    pub skipped: u64,
    /// Whether the data set's limit left something out.
    pub limited: bool,
    /// What is trained on.
    pub train: SplitStats,
    /// What is held out.
    pub heldout: Option<SplitStats>,
}

/// What one split holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitStats {
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text; 0 where the data came as ids.
    pub text_bytes: u64,
    /// Entropy of single tokens in nats per token.
    pub unigram_entropy: f64,
}

impl SplitStats {
    fn of(stream: &TokenStream) -> SplitStats {
        SplitStats {
            tokens: stream.len(),
            documents: stream.documents(),
            text_bytes: stream.text_bytes(),
            unigram_entropy: stream.unigram_entropy(),
        }
    }
}

/// blake3 hashes in hexadecimal, for the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHashes {
    /// Of the documents.
    pub documents: String,
    /// Of the `tokenizer.json`.
    pub tokenizer: Option<String>,
    /// Of all that the prepared tokens depend on.
    pub tokens: String,
}
