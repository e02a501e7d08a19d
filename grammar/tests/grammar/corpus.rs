//! Every recipe text in this folder and in the language's reference page.

use std::fs;
use std::path::{Path, PathBuf};

use llmc_grammar::source::Source;

/// A source called `test.recipe`.
pub fn source(text: &str) -> Source {
    Source::new("test.recipe", text)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grammar")
}

/// Right and wrong recipes.
pub fn all() -> Vec<String> {
    let mut all = recipes(&["trees", "errors"]);
    all.extend(reference_examples());
    all
}

/// Right recipes.
pub fn right() -> Vec<String> {
    let mut right = recipes(&["trees"]);
    right.extend(reference_examples());
    right
}

/// The recipes in these folders, in order of path.
fn recipes(folders: &[&str]) -> Vec<String> {
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|name| fs::read_dir(folder().join(name)).expect("the folder of recipes"))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).expect("a readable recipe")).collect()
}

/// The text of every block fenced as `recipe` in the language's reference page.
pub fn reference_examples() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/grammar.md");
    let text = fs::read_to_string(page).expect("docs/grammar.md");
    text.split("```recipe\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}
