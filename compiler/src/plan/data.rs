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
    /// Trained on a data set.
    Trained(TrainedTokenizer),
    /// A Hugging Face `tokenizer.json`.
    File {
        /// Its path.
        path: String,
    },
    /// A file of ranks as tiktoken reads it.
    Tiktoken {
        /// Its path.
        path: String,
        /// The encoding that its ranks are of, which has a pattern and special tokens of its own.
        encoding: TiktokenEncoding,
        /// Special tokens in place of the encoding's own; their ids follow the ranks.
        #[serde(skip_serializing_if = "Option::is_none")]
        special: Option<Vec<String>>,
    },
    /// The 256 bytes as they are, and end-of-text as id 256.
    Bytes,
}

/// A tokenizer that is made from text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainedTokenizer {
    /// What is learned.
    pub model: TokenizerModel,
    /// The data set's name.
    pub dataset: String,
    /// Bytes of text to train on at most.
    pub limit_bytes: u64,
    /// Special tokens besides those that the model has and end-of-text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<String>,
}

/// What a trained tokenizer learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerModel {
    /// Byte-level BPE.
    ByteBpe,
    /// WordPiece as BERT uses it.
    WordPiece {
        /// Whether text is made lower-case and loses its accents.
        lowercase: bool,
    },
    /// A unigram language model of pieces, as SentencePiece trains it.
    Unigram,
}

/// An encoding that tiktoken publishes: how text is cut before its bytes are merged, and special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TiktokenEncoding {
    /// GPT-2's.
    R50kBase,
    /// Codex's: GPT-2's with runs of spaces.
    P50kBase,
    /// GPT-3.5's and GPT-4's.
    Cl100kBase,
    /// GPT-4o's.
    O200kBase,
}

impl TiktokenEncoding {
    /// All of them.
    pub const ALL: [TiktokenEncoding; 4] = [
        TiktokenEncoding::R50kBase,
        TiktokenEncoding::P50kBase,
        TiktokenEncoding::Cl100kBase,
        TiktokenEncoding::O200kBase,
    ];

    /// Its name, which is also that of its file.
    pub fn name(self) -> &'static str {
        match self {
            TiktokenEncoding::R50kBase => "r50k_base",
            TiktokenEncoding::P50kBase => "p50k_base",
            TiktokenEncoding::Cl100kBase => "cl100k_base",
            TiktokenEncoding::O200kBase => "o200k_base",
        }
    }

    /// Its special tokens with their ids (`tiktoken_ext/openai_public.py` of tiktoken).
    pub fn special(self) -> &'static [(&'static str, u64)] {
        match self {
            TiktokenEncoding::R50kBase | TiktokenEncoding::P50kBase => &[("<|endoftext|>", 50256)],
            TiktokenEncoding::Cl100kBase => &[
                ("<|endoftext|>", 100_257),
                ("<|fim_prefix|>", 100_258),
                ("<|fim_middle|>", 100_259),
                ("<|fim_suffix|>", 100_260),
                ("<|endofprompt|>", 100_276),
            ],
            TiktokenEncoding::O200kBase => &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
        }
    }
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
