//! `recipe.lock`: hashes of everything that a run's result depends on.

use llmc_compiler::plan::StagePlan;
use serde::Serialize;

use llmc_data::DataHashes;

/// What a run was made of. All hashes are blake3 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// Version of llmc.
    pub llmc: String,
    /// The stage.
    pub stage: String,
    /// Its seed.
    pub seed: u64,
    /// The recipe's text, its imports and the values set on the command line.
    pub recipe: String,
    /// The documents.
    pub documents: String,
    /// The prepared tokens and all that they depend on.
    pub tokens: String,
    /// The tokenizer, where the data is text.
    pub tokenizer: Option<String>,
    /// The text of the lowered graphs.
    pub graph: String,
}

impl Lock {
    /// The lock of a stage.
    pub fn new(stage: &StagePlan, recipe: String, data: &DataHashes, graph: String) -> Lock {
        Lock {
            llmc: env!("CARGO_PKG_VERSION").to_owned(),
            stage: stage.name.clone(),
            seed: stage.seed,
            recipe,
            documents: data.documents.clone(),
            tokens: data.tokens.clone(),
            tokenizer: data.tokenizer.clone(),
            graph,
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        serde_yaml::to_string(self).expect("strings and numbers are valid YAML")
    }
}
