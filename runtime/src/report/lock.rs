//! `recipe.lock`: hashes of everything that a run's result depends on.

use llmc_compiler::plan::{SourceKind, StagePlan};
use serde::Serialize;

use llmc_data::Prepared;

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
    /// What the recipe says of the sources.
    pub sources: Vec<LockedSource>,
}

/// A source of a run's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockedSource {
    /// Its data set.
    pub dataset: String,
    /// As the recipe names it.
    pub source: String,
    /// What it was written for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<SourceKind>,
    /// Its licence; none where the recipe says none.
    pub license: Option<String>,
    /// Documents that are left of it.
    pub documents: u64,
}

impl Lock {
    /// The lock of a stage.
    pub fn new(stage: &StagePlan, recipe: String, prepared: &Prepared, graph: String) -> Lock {
        let data = &prepared.hashes;
        let sources = prepared.datasets.iter().flat_map(|dataset| {
            dataset.sources.iter().map(|source| LockedSource {
                dataset: dataset.name.clone(),
                source: source.source.clone(),
                kind: source.about.kind,
                license: source.about.license.clone(),
                documents: source.documents,
            })
        });
        Lock {
            llmc: env!("CARGO_PKG_VERSION").to_owned(),
            stage: stage.name.clone(),
            seed: stage.seed,
            recipe,
            documents: data.documents.clone(),
            tokens: data.tokens.clone(),
            tokenizer: data.tokenizer.clone(),
            graph,
            sources: sources.collect(),
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        serde_yaml::to_string(self).expect("strings and numbers are valid YAML")
    }
}
