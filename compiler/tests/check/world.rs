//! A world in memory: a few files that recipes of the tests may name. Only imports are read from disk.

use std::fs;
use std::path::{Path, PathBuf};

use llmc_compiler::check::Override;
use llmc_compiler::plan::SourcePlan;
use llmc_compiler::world::{SourceFacts, TokenizerFacts, World};
use llmc_grammar::diagnostic::{Diagnostic, render};
use llmc_grammar::source::Source;
use serde_json::{Value, json};

/// Imports come from this folder.
pub struct Files {
    pub folder: PathBuf,
}

impl World for Files {
    fn import(&self, path: &str, from: &Source) -> Result<Source, String> {
        let folder = Path::new(from.name()).parent().unwrap_or(Path::new(""));
        let name = folder.join(path);
        let text = fs::read_to_string(self.folder.join(&name)).map_err(|_| "no such file".to_owned())?;
        Ok(Source::new(name.to_string_lossy(), text))
    }

    fn huggingface_config(&self, directory: &str) -> Result<Value, String> {
        match directory {
            "models/tiny" | "models/tiny/" => Ok(json!({
                "model_type": "tiny", "vocab_size": 512, "n_embd": 32, "n_positions": 64
            })),
            _ => Err("no such directory".to_owned()),
        }
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        let (vocab, special) = match path {
            "gpt2/tokenizer.json" => (50257, vec!["<|endoftext|>"]),
            "llama/tokenizer.json" => (32000, vec!["<unk>", "<s>", "</s>"]),
            _ => return Err("no such file".to_owned()),
        };
        Ok(TokenizerFacts { vocab, special: special.into_iter().map(str::to_owned).collect() })
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        match path {
            "cl100k_base.tiktoken" | "ranks/mine.tiktoken" => Ok(100_256),
            _ => Err("no such file".to_owned()),
        }
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (path, facts) = match source {
            SourcePlan::RandomTokens { .. } => return Err("random tokens are in no file".to_owned()),
            SourcePlan::Files { pattern } => (pattern, SourceFacts::Text),
            SourcePlan::Text { path } => (path, SourceFacts::Text),
            SourcePlan::Parquet { path, .. } if path == "docs.parquet" => {
                return Ok(SourceFacts::Unavailable { feature: "parquet".to_owned() });
            }
            SourcePlan::Jsonl { path, .. }
            | SourcePlan::Csv { path, .. }
            | SourcePlan::Parquet { path, .. }
            | SourcePlan::Folder { path, .. }
                if path.starts_with("chats") =>
            {
                let columns = "text content messages chat prompt question context passage response reply chosen better \
                               rejected worse score stars";
                let columns: Vec<&str> = columns.split_whitespace().collect();
                (path, SourceFacts::Records { text_fields: names(&["text", "content"]), fields: names(&columns) })
            }
            SourcePlan::Csv { path, .. } | SourcePlan::Parquet { path, .. } | SourcePlan::Folder { path, .. } => {
                let fields = names(&["Instruction", "answer"]);
                (path, SourceFacts::Records { text_fields: fields.clone(), fields })
            }
            SourcePlan::Jsonl { path, .. } => (
                path,
                SourceFacts::Records {
                    text_fields: names(&["title", "text"]),
                    fields: names(&["id", "title", "text"]),
                },
            ),
            SourcePlan::Tokens { path, .. } if path == "ids.bin" => {
                (path, SourceFacts::Tokens { rows: None, row_length: None, tokens: 100_000, tensors: Vec::new() })
            }
            SourcePlan::Tokens { path, .. } => {
                let tensors = match path.as_str() {
                    "two.safetensors" => names(&["first", "second"]),
                    "weighted.safetensors" => names(&["input_ids", "loss_weights"]),
                    _ => names(&["input_ids"]),
                };
                (path, SourceFacts::Tokens { rows: Some(80), row_length: Some(32), tokens: 80 * 32, tensors })
            }
        };
        let known = [
            "src/**/*.rs",
            "notes/*.md",
            "corpus.txt",
            "more.txt",
            "docs.jsonl",
            "docs.csv",
            "chats",
            "ids.bin",
            "ids.safetensors",
            "weighted.safetensors",
            "more.safetensors",
            "two.safetensors",
        ];
        match known.contains(&path.as_str()) {
            true => Ok(facts),
            false => Err("no such file".to_owned()),
        }
    }
}

/// The recipe in a file under its bare file name, and the overrides in its `// --set NAME=VALUE` lines.
pub fn recipe(path: &Path) -> (Source, Vec<Override>) {
    let text = fs::read_to_string(path).expect("the recipe is there");
    let name = path.file_name().expect("a file").to_string_lossy();
    let overrides = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("// --set ")?.split_once('=')?;
        Some(Override { name: name.to_owned(), value: value.to_owned() })
    });
    (Source::new(name, text.clone()), overrides.collect())
}

/// Every diagnostic as a person sees it.
pub fn rendered(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(render).collect()
}
