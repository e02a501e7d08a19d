//! Where documents lie and what they are.

use serde::{Deserialize, Serialize};

/// What the documents of a data set are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentType {
    /// Running text.
    #[default]
    Text,
    /// Conversations: messages with roles.
    Dialogue,
    /// Two answers to one prompt, the better one known.
    Preference,
    /// Prompts without answers.
    Prompts,
    /// Texts with a number that says how good they are.
    Scored,
    /// Token ids that are already made.
    Tokens,
}

impl ContentType {
    /// Every type, in the order of the reference.
    pub const ALL: [ContentType; 6] = [
        ContentType::Text,
        ContentType::Dialogue,
        ContentType::Preference,
        ContentType::Prompts,
        ContentType::Scored,
        ContentType::Tokens,
    ];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            ContentType::Text => "text",
            ContentType::Dialogue => "dialogue",
            ContentType::Preference => "preference",
            ContentType::Prompts => "prompts",
            ContentType::Scored => "scored",
            ContentType::Tokens => "tokens",
        }
    }

    /// True for records of several texts: neither running text nor token ids.
    pub fn is_record(self) -> bool {
        !matches!(self, ContentType::Text | ContentType::Tokens)
    }

    /// The objective that takes it, in words.
    pub fn objective(self) -> &'static str {
        match self {
            ContentType::Text | ContentType::Tokens => "causal language modelling (`causal_lm`)",
            ContentType::Dialogue => "supervised fine-tuning (`sft`)",
            ContentType::Preference => "preference training (`dpo`) or a reward model (`reward`)",
            ContentType::Prompts => "reinforcement learning (`ppo`, `grpo`), which draws the answers itself",
            ContentType::Scored => "a reward model (`reward`) that learns the score",
        }
    }
}

/// What happens to what cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run ends with a message.
    Reject,
    /// It is left out and counted.
    Skip,
    /// What can be read of it is kept, the rest is left out, and both are counted.
    Replace,
}

/// Where documents lie.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourcePlan {
    /// Every file that matches a glob, or lies in a directory, is a document (`~` and `$VAR` expand at run time).
    Files {
        /// The glob or directory.
        pattern: String,
    },
    /// One text file is one document.
    Text {
        /// Its path.
        path: String,
    },
    /// Each line is an object.
    Jsonl {
        /// The file's path, or a glob.
        path: String,
        /// The field that holds the text, where the data is text.
        field: String,
    },
    /// Comma-separated values with a heading line.
    Csv {
        /// The file's path, or a glob.
        path: String,
        /// The column that holds the text, where the data is text.
        field: String,
        /// What stands between two values (none: a tab in `.tsv` files, else a comma).
        delimiter: Option<char>,
    },
    /// Apache Parquet.
    Parquet {
        /// The file's path, or a glob.
        path: String,
        /// The column that holds the text, where the data is text.
        field: String,
    },
    /// A directory as Hugging Face `datasets` reads it: files of records or text, divided by their names.
    Folder {
        /// The directory's path.
        path: String,
        /// The column that holds the text, where the data is text.
        field: String,
    },
    /// Token ids, already made: rows in order.
    Tokens {
        /// `.safetensors`, `.bin` (u16 or u32) or `.npy`.
        path: String,
        /// The tensor's name, for safetensors.
        tensor: Option<String>,
        /// The tensor that says how much the loss of each token counts, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        weights: Option<String>,
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

    /// True where the source says how much the loss of each token counts.
    pub fn is_weighted(&self) -> bool {
        matches!(self, SourcePlan::Tokens { weights: Some(_), .. })
    }

    /// True for sources whose documents are records with named columns.
    pub fn has_columns(&self) -> bool {
        self.field().is_some()
    }

    /// The column that holds the text, for sources of records.
    pub fn field(&self) -> Option<&str> {
        match self {
            SourcePlan::Jsonl { field, .. }
            | SourcePlan::Csv { field, .. }
            | SourcePlan::Parquet { field, .. }
            | SourcePlan::Folder { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The path, pattern or parameters that it is written with, for people.
    pub fn describe(&self) -> String {
        match self {
            SourcePlan::Files { pattern } => pattern.clone(),
            SourcePlan::Text { path }
            | SourcePlan::Jsonl { path, .. }
            | SourcePlan::Csv { path, .. }
            | SourcePlan::Parquet { path, .. }
            | SourcePlan::Folder { path, .. }
            | SourcePlan::Tokens { path, .. } => path.clone(),
            SourcePlan::RandomTokens { .. } => "random tokens".to_owned(),
        }
    }
}
