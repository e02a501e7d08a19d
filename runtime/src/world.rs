//! What the compiler asks of the world, answered from files.

use std::fs;
use std::path::{Path, PathBuf};

use llmc_compiler::plan::{DatasetPlan, SourcePlan};
use llmc_compiler::world::{SourceFacts, TokenizerFacts, World};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Source;
use serde_json::Value;

use crate::checkpoint::gguf::{GgufFile, is_gguf};
use llmc_data::tokenizer;
use llmc_data::{Corpus, TokenFile, first_record, missing_feature, require_match, resolve};

/// The files of this machine. Paths of data, tokenizers and models are relative to `base`.
#[derive(Debug, Clone)]
pub struct Files {
    /// The main recipe's directory.
    pub base: PathBuf,
}

impl Files {
    fn path(&self, path: &str) -> Result<PathBuf, String> {
        resolve(path, &self.base).map_err(|diagnostic| sentence(&diagnostic))
    }
}

impl World for Files {
    fn import(&self, path: &str, from: &Source) -> Result<Source, String> {
        let directory = Path::new(from.name()).parent().unwrap_or(Path::new(""));
        let written = resolve(path, directory).map_err(|diagnostic| sentence(&diagnostic))?;
        let mut with_extension = written.clone().into_os_string();
        with_extension.push(".recipe");
        let candidates = [written.clone(), PathBuf::from(with_extension)];
        let file = candidates.iter().find(|candidate| candidate.is_file()).ok_or_else(|| {
            format!("there is no recipe `{}`, neither as it is nor with `.recipe`", written.display())
        })?;
        let text = fs::read_to_string(file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
        Ok(Source::new(file.display().to_string(), text))
    }

    fn huggingface_config(&self, directory: &str) -> Result<Value, String> {
        let path = self.path(directory)?;
        if is_gguf(&path) {
            return GgufFile::open(&path).map(|file| file.config).map_err(|failure| failure.to_string());
        }
        let file = path.join("config.json");
        let text =
            fs::read_to_string(&file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("`{}` is not JSON: {error}", file.display()))
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        let file = tokenizer::file_in(&self.path(path)?);
        let text =
            fs::read_to_string(&file).map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
        let value =
            serde_json::from_str(&text).map_err(|error| format!("`{}` is not JSON: {error}", file.display()))?;
        tokenizer_facts(&value).ok_or_else(|| format!("`{}` is no tokenizer: it has no vocabulary", file.display()))
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        tokenizer::Ranks::read(&self.path(path)?).map(|ranks| ranks.ids()).map_err(|diagnostic| sentence(&diagnostic))
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        self.facts(source).map_err(|diagnostic| sentence(&diagnostic))
    }
}

impl Files {
    fn facts(&self, source: &SourcePlan) -> Result<SourceFacts, Diagnostic> {
        match source {
            SourcePlan::RandomTokens { count, .. } => {
                Ok(SourceFacts::Tokens { rows: None, row_length: None, tokens: *count, tensors: Vec::new() })
            }
            SourcePlan::Files { pattern } => require_match(pattern, &self.base).map(|()| SourceFacts::Text),
            SourcePlan::Text { .. } => {
                let sources = vec![source.clone()];
                let head = DatasetPlan::of(sources);
                Corpus::locate(&head, &self.base)?.listing_hash().map(|_| SourceFacts::Text)
            }
            SourcePlan::Jsonl { .. }
            | SourcePlan::Csv { .. }
            | SourcePlan::Parquet { .. }
            | SourcePlan::Folder { .. } => {
                if let Some(feature) = missing_feature(source, &self.base) {
                    return Ok(SourceFacts::Unavailable { feature: feature.to_owned() });
                }
                let record = first_record(source, &self.base)?;
                let text = record.iter().filter(|(_, value)| value.is_string());
                Ok(SourceFacts::Records {
                    text_fields: text.map(|(name, _)| name.clone()).collect(),
                    fields: record.keys().cloned().collect(),
                })
            }
            SourcePlan::Tokens { path, tensor, .. } => {
                let file = TokenFile::open(&resolve(path, &self.base)?, tensor.as_deref())?;
                let row_length = file.row_length();
                Ok(SourceFacts::Tokens {
                    rows: row_length.map(|length| file.len().checked_div(length).unwrap_or(0)),
                    row_length,
                    tokens: file.len(),
                    tensors: file.tensors().to_vec(),
                })
            }
        }
    }
}

/// The vocabulary is read from the JSON: to build the whole tokenizer would take many times longer.
fn tokenizer_facts(file: &Value) -> Option<TokenizerFacts> {
    let vocab = &file["model"]["vocab"];
    let learned = match (vocab.as_object(), vocab.as_array()) {
        (Some(ids), _) => ids.values().filter_map(Value::as_u64).max().map_or(0, |largest| largest + 1),
        (None, Some(pieces)) => pieces.len() as u64,
        (None, None) => return None,
    };
    let added = file["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let largest = added.iter().filter_map(|token| token["id"].as_u64()).max();
    let special = added.iter().filter(|token| token["special"] == true);
    Some(TokenizerFacts {
        vocab: learned.max(largest.map_or(0, |id| id + 1)),
        special: special.filter_map(|token| token["content"].as_str()).map(str::to_owned).collect(),
    })
}

/// A diagnostic as one sentence: its message and its way out.
fn sentence(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{} ({help})", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmc_data::tokenizer::Tokenizer;

    fn files(contents: &[(&str, &[u8])]) -> (tempfile::TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in contents {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let base = directory.path().to_owned();
        (directory, Files { base })
    }

    #[test]
    fn imports_are_relative_to_the_importing_recipe() {
        let (directory, files) = files(&[("parts/a.recipe", b"a"), ("parts/b", b"b")]);
        let from = Source::new(directory.path().join("parts/main.recipe").display().to_string(), "");
        assert_eq!(files.import("a", &from).unwrap().text(), "a");
        assert_eq!(files.import("a.recipe", &from).unwrap().text(), "a");
        assert_eq!(files.import("../parts/b", &from).unwrap().text(), "b");
        assert!(files.import("c", &from).unwrap_err().contains("neither"));
    }

    #[test]
    fn sources_show_their_heads() {
        let (_directory, files) =
            files(&[("x.jsonl", b"\n{\"a\": \"t\", \"b\": 1}\nbroken"), ("x.txt", b"text"), ("x.bin", &[1, 0, 2, 0])]);
        let jsonl = SourcePlan::Jsonl { path: "x.jsonl".to_owned(), field: "a".to_owned() };
        let records =
            SourceFacts::Records { text_fields: vec!["a".to_owned()], fields: vec!["a".to_owned(), "b".to_owned()] };
        assert_eq!(files.source(&jsonl).unwrap(), records);
        let tokens = SourcePlan::Tokens { path: "x.bin".to_owned(), tensor: None, weights: None };
        let facts = SourceFacts::Tokens { rows: None, row_length: None, tokens: 2, tensors: vec![] };
        assert_eq!(files.source(&tokens).unwrap(), facts);
        assert_eq!(files.source(&SourcePlan::Files { pattern: "*.txt".to_owned() }).unwrap(), SourceFacts::Text);
        assert!(
            files.source(&SourcePlan::Files { pattern: "*.rs".to_owned() }).unwrap_err().contains("no file matches")
        );
        assert_eq!(files.source(&SourcePlan::Text { path: "x.txt".to_owned() }).unwrap(), SourceFacts::Text);
        assert!(files.source(&SourcePlan::Text { path: "y.txt".to_owned() }).unwrap_err().contains("does not exist"));
    }

    #[test]
    fn tokenizer_and_model_facts_come_from_json() {
        let json = Tokenizer::bytes().unwrap().json().to_owned();
        let (_directory, files) = files(&[
            ("t/tokenizer.json", json.as_bytes()),
            ("t/config.json", b"{\"n_layer\": 2}"),
            ("bad/tokenizer.json", b"{}"),
            ("bad/config.json", b"{"),
        ]);
        let facts = TokenizerFacts { vocab: 257, special: vec!["<|endoftext|>".to_owned()] };
        assert_eq!(files.tokenizer("t").unwrap(), facts);
        assert_eq!(files.tokenizer("t/tokenizer.json").unwrap(), facts);
        assert!(files.tokenizer("bad").unwrap_err().contains("no vocabulary"));
        assert!(files.tokenizer("none").is_err());
        assert_eq!(files.huggingface_config("t").unwrap()["n_layer"], 2);
        assert!(files.huggingface_config("bad").unwrap_err().contains("not JSON"));
    }
}
