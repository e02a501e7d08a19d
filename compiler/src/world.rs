//! What the compiler must know of the world, asked for through one small trait so that the
//! compiler itself stays pure.

use llmc_grammar::source::Source;
use serde::{Deserialize, Serialize};

use crate::plan::SourcePlan;

/// Answers questions about files. Each `Err` is one sentence for the user, without a full stop.
pub trait World {
    /// The recipe that `import "path"` in `from` names. The standard library (`std/...`) is never asked for.
    fn import(&self, path: &str, from: &Source) -> Result<Source, String>;

    /// The parsed `config.json` of a Hugging Face directory, or what a GGUF file's metadata says in its keys.
    fn huggingface_config(&self, directory: &str) -> Result<serde_json::Value, String>;

    /// What a `tokenizer.json` holds.
    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String>;

    /// One more than the largest rank in a file of ranks as tiktoken reads it.
    fn tiktoken(&self, path: &str) -> Result<u64, String>;

    /// What the head of a source shows (nothing is read beyond its first records).
    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String>;
}

/// A tokenizer file's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerFacts {
    /// Number of ids, added tokens included.
    pub vocab: u64,
    /// Every special token's text.
    pub special: Vec<String>,
}

/// A source's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFacts {
    /// Text, and it is there.
    Text,
    /// Records with these fields in the first one.
    Records {
        /// Field names that hold text.
        text_fields: Vec<String>,
        /// All field names.
        fields: Vec<String>,
    },
    /// It is there, but this build cannot read it.
    Unavailable {
        /// The cargo feature that a build needs.
        feature: String,
    },
    /// Token ids.
    Tokens {
        /// Rows, for tensors of two or more dimensions (all but the last flattened).
        rows: Option<u64>,
        /// Tokens in a row, likewise.
        row_length: Option<u64>,
        /// All tokens.
        tokens: u64,
        /// The tensors in the file, for safetensors.
        tensors: Vec<String>,
    },
}

/// A world without files: recipes that need none still compile.
#[derive(Debug, Default, Clone, Copy)]
pub struct Nowhere;

impl World for Nowhere {
    fn import(&self, path: &str, _from: &Source) -> Result<Source, String> {
        Err(format!("no recipe `{path}` here"))
    }

    fn huggingface_config(&self, directory: &str) -> Result<serde_json::Value, String> {
        Err(format!("no directory `{directory}` here"))
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        Err(format!("no tokenizer `{path}` here"))
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        Err(format!("no file of ranks `{path}` here"))
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        Err(format!("no source {source:?} here"))
    }
}
