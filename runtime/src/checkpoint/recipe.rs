//! A recipe together with everything the checker asked of the world, so that a checkpoint can be compiled again
//! anywhere: the check is a pure function of this.

use std::cell::RefCell;
use std::collections::BTreeMap;

use llmc_compiler::check::{Checked, Override, check};
use llmc_compiler::plan::SourcePlan;
use llmc_compiler::world::{SourceFacts, TokenizerFacts, World};
use llmc_grammar::diagnostic::Diagnostics;
use llmc_grammar::source::Source;
use serde::{Deserialize, Serialize};

/// A recipe that can be checked again without the files that it was first checked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedRecipe {
    /// The recipe's name as given on the command line.
    name: String,
    /// Its text.
    text: String,
    /// Every `--set`, in order.
    overrides: Vec<(String, String)>,
    /// What the world answered.
    answers: Answers,
}

/// The world's answers by question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Answers {
    /// By importing file and path.
    imports: BTreeMap<String, Result<(String, String), String>>,
    configs: BTreeMap<String, Result<serde_json::Value, String>>,
    tokenizers: BTreeMap<String, Result<TokenizerFacts, String>>,
    #[serde(default)]
    tiktoken: BTreeMap<String, Result<u64, String>>,
    sources: BTreeMap<String, Result<SourceFacts, String>>,
}

impl RecordedRecipe {
    /// Checks a recipe and keeps what the world answered meanwhile.
    ///
    /// # Errors
    /// Every mistake of the recipe.
    pub fn check(
        source: &Source,
        overrides: &[Override],
        world: &dyn World,
    ) -> Result<(Checked, RecordedRecipe), Diagnostics> {
        let recorder = Recorder { world, answers: RefCell::default() };
        let checked = check(source, overrides, &recorder)?;
        let recipe = RecordedRecipe {
            name: source.name().to_owned(),
            text: source.text().to_owned(),
            overrides: overrides.iter().map(|set| (set.name.clone(), set.value.clone())).collect(),
            answers: recorder.answers.into_inner(),
        };
        Ok((checked, recipe))
    }

    /// Checks the recipe again with the recorded answers.
    ///
    /// # Errors
    /// What the checker of this version finds wrong with a recipe that another version accepted.
    pub fn check_again(&self) -> Result<Checked, Diagnostics> {
        let source = Source::new(self.name.clone(), self.text.clone());
        let overrides: Vec<Override> =
            self.overrides.iter().map(|(name, value)| Override { name: name.clone(), value: value.clone() }).collect();
        check(&source, &overrides, &Replay { answers: &self.answers })
    }

    /// The recipe's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// blake3 of the text, the overrides and all imports.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&self.text);
        for (name, value) in &self.overrides {
            add(name);
            add(value);
        }
        for (_, text) in self.answers.imports.values().flatten() {
            add(text);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Passes questions on and keeps the answers.
struct Recorder<'a> {
    world: &'a dyn World,
    answers: RefCell<Answers>,
}

/// Answers from the record.
struct Replay<'a> {
    answers: &'a Answers,
}

fn import_key(path: &str, from: &Source) -> String {
    format!("{} imports {path}", from.name())
}

fn source_key(source: &SourcePlan) -> String {
    serde_json::to_string(source).expect("a source plan is strings only")
}

impl World for Recorder<'_> {
    fn import(&self, path: &str, from: &Source) -> Result<Source, String> {
        let answer = self.world.import(path, from);
        let kept = answer.clone().map(|source| (source.name().to_owned(), source.text().to_owned()));
        self.answers.borrow_mut().imports.insert(import_key(path, from), kept);
        answer
    }

    fn huggingface_config(&self, directory: &str) -> Result<serde_json::Value, String> {
        let answer = self.world.huggingface_config(directory);
        self.answers.borrow_mut().configs.insert(directory.to_owned(), answer.clone());
        answer
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        let answer = self.world.tokenizer(path);
        self.answers.borrow_mut().tokenizers.insert(path.to_owned(), answer.clone());
        answer
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        let answer = self.world.tiktoken(path);
        self.answers.borrow_mut().tiktoken.insert(path.to_owned(), answer.clone());
        answer
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        let answer = self.world.source(source);
        self.answers.borrow_mut().sources.insert(source_key(source), answer.clone());
        answer
    }
}

impl World for Replay<'_> {
    fn import(&self, path: &str, from: &Source) -> Result<Source, String> {
        match self.answers.imports.get(&import_key(path, from)) {
            Some(Ok((name, text))) => Ok(Source::new(name.clone(), text.clone())),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(not_recorded(path)),
        }
    }

    fn huggingface_config(&self, directory: &str) -> Result<serde_json::Value, String> {
        let recorded = self.answers.configs.get(directory).cloned();
        recorded.unwrap_or_else(|| Err(not_recorded(directory)))
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        let recorded = self.answers.tokenizers.get(path).cloned();
        recorded.unwrap_or_else(|| Err(not_recorded(path)))
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        let recorded = self.answers.tiktoken.get(path).cloned();
        recorded.unwrap_or_else(|| Err(not_recorded(path)))
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        let key = source_key(source);
        let recorded = self.answers.sources.get(&key).cloned();
        recorded.unwrap_or_else(|| Err(not_recorded(&key)))
    }
}

fn not_recorded(what: &str) -> String {
    format!("`{what}` was not asked for when this checkpoint's recipe was checked")
}
