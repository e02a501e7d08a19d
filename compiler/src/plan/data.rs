//! Data sets and tokenizers in a plan.

use serde::Serialize;

use super::ProcessPlan;

/// A data set: where its documents come from and what is held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetPlan {
    /// Its sources in order.
    pub sources: Vec<SourcePlan>,
    /// Share of the documents held out for evaluation, `0.0..1.0`, chosen by document hash.
    pub holdout: f64,
    /// Upper bound on the bytes of text read, sources in order (none: all).
    pub limit_bytes: Option<u64>,
    /// What is done to the documents before they are split and tokenized, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<ProcessPlan>,
}

impl DatasetPlan {
    /// All of these sources as they are, nothing held out.
    pub fn of(sources: Vec<SourcePlan>) -> DatasetPlan {
        DatasetPlan { sources, holdout: 0.0, limit_bytes: None, process: Vec::new() }
    }
}

/// One source of documents.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcePlan {
    /// Every file that matches a glob is a document (`~` and `$VAR` expand at run time).
    Files {
        /// The glob.
        pattern: String,
    },
    /// One text file is one document.
    Text {
        /// Its path.
        path: String,
    },
    /// Each line is an object; one field is the document.
    Jsonl {
        /// The file's path.
        path: String,
        /// The field that holds the text.
        field: String,
    },
    /// Token ids, already made: rows in order.
    Tokens {
        /// `.safetensors`, `.bin` (u16 or u32) or `.npy`.
        path: String,
        /// The tensor's name, for safetensors.
        tensor: Option<String>,
    },
    /// Token ids drawn uniformly and independently: nothing can be learned from them, but a step costs what it costs.
    RandomTokens {
        /// Ids are `0..vocab`.
        vocab: u64,
        /// How many.
        count: u64,
        /// Key of the random numbers.
        seed: u64,
    },
}

impl SourcePlan {
    /// True for sources of token ids rather than text.
    pub fn is_tokens(&self) -> bool {
        matches!(self, SourcePlan::Tokens { .. } | SourcePlan::RandomTokens { .. })
    }
}

/// A tokenizer to be trained or loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenizerPlan {
    /// How it comes to be.
    pub source: TokenizerSource,
    /// Number of token ids, special tokens included.
    pub vocab: u64,
    /// The token put after each document, if any.
    pub end_of_text: Option<String>,
}

/// How a tokenizer comes to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerSource {
    /// Byte-level BPE trained on a data set.
    ByteBpe {
        /// The data set's name.
        dataset: String,
        /// Bytes of text to train on at most.
        limit_bytes: u64,
    },
    /// A Hugging Face `tokenizer.json`.
    File {
        /// Its path.
        path: String,
    },
    /// The 256 bytes as they are, and end-of-text as id 256.
    Bytes,
}

/// How documents are put into rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// One after another, cut wherever a row is full.
    #[default]
    Concatenate,
    /// Whole documents together, as they fit best; only those longer than a row are cut.
    BestFit,
    /// Each in rows of its own.
    Pad,
}

impl Packing {
    /// Whether it is what a stage does that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Packing::default()
    }
}
